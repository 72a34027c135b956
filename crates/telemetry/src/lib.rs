//! Names our metrics and log fields in one place, and turns counters into a page a scraper reads.
//!
//! Role crates own their numbers: plain atomics with a function that reads them, and [`Histogram`] for durations. Whoever
//! composes the server registers one collector per role with a [`Registry`]; a scrape runs the collectors over an empty
//! [`Page`] and prints it in the Prometheus text format. A scrape therefore never sees a number older than itself, and a
//! role never knows who reads it.
//!
//! A request that is recorded leaves a tree of spans ([`trace`]); where a collector is configured, [`otlp`] sends spans,
//! the numbers of the page and the log lines there.
//!
//! What this crate is not: no HTTP server. It reads no environment but what the OpenTelemetry SDK reads by itself
//! (`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*`, `OTEL_BLRP_*`, `OTEL_EXPORTER_OTLP_HEADERS`); the only files it reads are
//! those under `/proc/self`. Only `otlp` opens a connection.
//!
//! To add a metric: a constant in [`names`] and a line in the collector of the role. Label values come from closed sets:
//! never an address, a Call-ID or free text.

mod histogram;
mod log_budget;
mod logging;
pub mod names;
pub mod otlp;
mod page;
mod process;
mod registry;
pub mod trace;
mod user_tag;

pub use histogram::{Histogram, HistogramSnapshot, LATENCY_BUCKETS};
pub use log_budget::{LogBudget, suppressed_lines};
pub use logging::{InitError, LogFilter, LogFormat, init_logging, log_panics};
pub use names::Metric;
pub use page::Page;
pub use process::collect_process;
pub use registry::Registry;
pub use user_tag::{UserTag, install_tag_key, show_identities, user};
