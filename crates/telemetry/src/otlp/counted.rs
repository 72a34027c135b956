//! Queues with a bound, and exporters that count what became of each batch.
//!
//! The SDK's queues are bounded too, but tell nobody what they drop: [`Bounded`] stands before them with the same bound
//! and counts, and [`Counted`] behind them makes room again.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, LogProcessor, SdkLogRecord};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use super::outcome::{Outcomes, Signal};

/// Items that wait: the SDK's own default bound (`OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BLRP_MAX_QUEUE_SIZE`). At 1 KiB each
/// this is 2 MiB.
const PLACES: i64 = 2_048;

/// A processor that takes only as much as it may hold.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    inner: P,
    outcomes: Arc<Outcomes>,
    signal: Signal,
}

impl<P> Bounded<P> {
    pub(super) fn new(inner: P, outcomes: &Arc<Outcomes>, signal: Signal) -> Self {
        Bounded {
            inner,
            outcomes: Arc::clone(outcomes),
            signal,
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.outcomes.of(self.signal).enter(PLACES) {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<P: LogProcessor> LogProcessor for Bounded<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.outcomes.of(self.signal).enter(PLACES) {
            self.inner.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter that counts.
#[derive(Debug)]
pub(super) struct Counted<E> {
    inner: E,
    outcomes: Arc<Outcomes>,
    signal: Signal,
}

impl<E> Counted<E> {
    pub(super) fn new(inner: E, outcomes: &Arc<Outcomes>, signal: Signal) -> Self {
        Counted {
            inner,
            outcomes: Arc::clone(outcomes),
            signal,
        }
    }

    fn done(&self, items: usize, result: &OTelSdkResult) {
        self.outcomes.of(self.signal).leave(items);
        let problem = result.as_ref().err().map(|error| error as &dyn std::fmt::Display);
        self.outcomes.sent(self.signal, items as u64, problem);
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let items = batch.len();
        let result = self.inner.export(batch).await;
        self.done(items, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let items = batch.iter().count();
        let result = self.inner.export(batch).await;
        self.done(items, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
