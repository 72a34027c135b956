//! Names our metrics and log fields in one place, and turns counters into a page a scraper reads.
//!
//! Role crates own their numbers: plain atomics with a function that reads them, and [`Histogram`] for durations. Whoever
//! composes the server registers one collector per role with a [`Registry`]; a scrape runs the collectors over an empty
//! [`Page`] and prints it in the Prometheus text format. A scrape therefore never sees a number older than itself, and a
//! role never knows who reads it.
//!
//! What this crate is not: no exporter to a collector (OTLP), no traces, no HTTP. It reads no environment; the only files
//! it reads are those under `/proc/self`.
//!
//! To add a metric: a constant in [`names`] and a line in the collector of the role. Label values come from closed sets:
//! never an address, a Call-ID or free text.

mod histogram;
mod log_budget;
mod logging;
pub mod names;
mod page;
mod process;
mod registry;
mod user_tag;

pub use histogram::{Histogram, HistogramSnapshot, LATENCY_BUCKETS};
pub use log_budget::{LogBudget, suppressed_lines};
pub use logging::{InitError, LogFilter, LogFormat, init_logging, log_panics};
pub use names::Metric;
pub use page::Page;
pub use process::collect_process;
pub use registry::Registry;
pub use user_tag::{UserTag, install_tag_key, show_identities, user};
