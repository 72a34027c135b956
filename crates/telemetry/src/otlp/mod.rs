//! Traces, metrics and logs for a collector that speaks OTLP over gRPC.
//!
//! Off unless [`start`] is called. Nothing a collector does or fails to do is felt by a request: what is to be sent waits
//! in bounded queues, what does not fit is dropped, what is not taken in time is given up, and all of it is counted on
//! the page of metrics ([`Exporter::collect`]).

mod connection;
mod counted;
mod layer;
mod metrics;
mod outcome;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider};
use tonic::transport::Channel;

use self::connection::Connection;
use self::counted::{Bounded, Counted};
use self::metrics::Pusher;
use self::outcome::{Outcomes, Signal};
use crate::names::{self, label};
use crate::{Page, Registry, trace};

pub(crate) use layer::LogLayer;

/// Time the collector has for what is left at the end, and again for what was on its way already.
const LAST: Duration = Duration::from_secs(2);

/// Where everything goes and who it is said to come from.
#[derive(Clone, PartialEq, Debug)]
pub struct OtlpSettings {
    /// `http://host:4317`, or `https://`.
    pub endpoint: String,
    /// Further certificate authorities in PEM, for `https://`; without any, those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Headers of every call, for a collector that wants to know who sends.
    pub headers: Vec<(String, String)>,
    /// The share of requests that are traced, from 0 to 1.
    pub sample_ratio: f64,
    /// How often metrics are sent.
    pub metric_interval: Duration,
    /// Attributes of everything that is sent: `service.name` and its like. They stand above those of
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Vec<(&'static str, String)>,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// Not an address.
    #[error("telemetry.otlp_endpoint `{endpoint}` is not usable: {problem}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A header that HTTP does not allow.
    #[error("a header of OTEL_EXPORTER_OTLP_HEADERS is not usable: `{0}`")]
    Header(String),
    /// The exporter was not built.
    #[error("telemetry cannot be sent: {0}")]
    Build(String),
}

/// Sends what this process has to say. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exporter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    traces: SdkTracerProvider,
    logs: SdkLoggerProvider,
    metrics: Pusher,
    outcomes: Arc<Outcomes>,
}

/// Begins to trace and makes what [`crate::init_logging`] needs to send log lines. Nothing is connected yet: a collector
/// may come and go. Call it within a tokio runtime, once in a process.
///
/// # Errors
/// [`OtlpError`] if the settings cannot be used.
pub fn start(settings: &OtlpSettings) -> Result<Exporter, OtlpError> {
    let connection = Connection::new(settings)?;
    let attributes = settings.resource.iter();
    let resource = Resource::builder_empty()
        .with_detectors(&[
            Box::new(TelemetryResourceDetector),
            Box::new(EnvResourceDetector::new()),
        ])
        .with_attributes(attributes.map(|(name, value)| KeyValue::new(*name, value.clone())))
        .build();
    let outcomes = Arc::new(Outcomes::default());
    let traces = traces(connection.channel(), &outcomes, resource.clone())?;
    let logs = logs(connection.channel(), &outcomes, resource.clone())?;
    trace::install(traces.tracer("portico"), settings.sample_ratio);
    let metrics = Pusher::new(
        connection,
        &resource,
        settings.metric_interval,
        Arc::clone(&outcomes),
        SystemTime::now(),
    );
    Ok(Exporter(Arc::new(Inner {
        traces,
        logs,
        metrics,
        outcomes,
    })))
}

fn traces(
    channel: Channel,
    outcomes: &Arc<Outcomes>,
    resource: Resource,
) -> Result<SdkTracerProvider, OtlpError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel)
        .build()
        .map_err(|error| OtlpError::Build(error.to_string()))?;
    let batches = BatchSpanProcessor::builder(Counted::new(exporter, outcomes, Signal::Traces)).build();
    Ok(SdkTracerProvider::builder()
        // Who asks for a span has decided already.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .with_span_processor(Bounded::new(batches, outcomes, Signal::Traces))
        .build())
}

fn logs(
    channel: Channel,
    outcomes: &Arc<Outcomes>,
    resource: Resource,
) -> Result<SdkLoggerProvider, OtlpError> {
    let exporter = LogExporter::builder()
        .with_tonic()
        .with_channel(channel)
        .build()
        .map_err(|error| OtlpError::Build(error.to_string()))?;
    let batches = BatchLogProcessor::builder(Counted::new(exporter, outcomes, Signal::Logs)).build();
    Ok(SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(Bounded::new(batches, outcomes, Signal::Logs))
        .build())
}

impl Exporter {
    /// Sends the numbers of a registry periodically, and a last time when `stop` is over, which takes two seconds at most.
    /// Run it as a task.
    pub async fn push_metrics(self, registry: Arc<Registry>, stop: impl Future<Output = ()>) {
        self.0.metrics.run(&registry, stop).await;
    }

    /// Writes on a page what became of what was to be sent.
    pub fn collect(&self, page: &mut Page) {
        for signal in Signal::ALL {
            let labels = [(label::SIGNAL, signal.as_str())];
            let outcome = self.0.outcomes.of(signal);
            page.counter(&names::TELEMETRY_EXPORTED, &labels, outcome.exported());
            page.counter(&names::TELEMETRY_FAILED, &labels, outcome.failed());
            page.counter(&names::TELEMETRY_DROPPED, &labels, outcome.dropped());
        }
    }

    /// Sends what is left of traces and logs and ends. Takes two seconds at most: what a collector has not taken by then
    /// is lost. What is recorded afterwards goes nowhere.
    pub async fn stop(&self) {
        trace::end();
        let inner = Arc::clone(&self.0);
        // Both block, and a queue waits for what is on its way.
        let traces = tokio::task::spawn_blocking(move || inner.traces.shutdown_with_timeout(LAST));
        let inner = Arc::clone(&self.0);
        let logs = tokio::task::spawn_blocking(move || inner.logs.shutdown_with_timeout(LAST));
        let both = async { (traces.await, logs.await) };
        let sent = |done: Result<Result<(), _>, _>| done.is_ok_and(|result| result.is_ok());
        let done = tokio::time::timeout(LAST, both).await;
        if !done.is_ok_and(|(traces, logs)| sent(traces) & sent(logs)) {
            tracing::warn!("the collector did not take the last of the telemetry in time");
        }
    }

    /// What turns log lines into records.
    pub(crate) fn log_layer(&self) -> LogLayer {
        LogLayer::new(&self.0.logs)
    }
}
