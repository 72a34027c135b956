//! What a place that may record costs where nothing is recorded, and where something is.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use telemetry::otlp::{Exporter, OtlpSettings, start};
use telemetry::trace::{Span, TraceContext, carry, current_context, root_span, server_span, span};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// Sends this share of requests to a collector that is not there.
fn sample(ratio: f64) {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let Some(runtime) = RUNTIME.get_or_init(|| Runtime::new().ok()) else {
        return;
    };
    let _within = runtime.enter();
    let settings = OtlpSettings {
        endpoint: "http://127.0.0.1:9".to_owned(),
        authorities: None,
        headers: Vec::new(),
        sample_ratio: ratio,
        metric_interval: Duration::from_secs(3600),
        resource: Vec::new(),
    };
    if let Ok(exporter) = start(&settings) {
        static KEPT: OnceLock<Exporter> = OnceLock::new();
        KEPT.get_or_init(|| exporter);
    }
}

/// A request: its span, a task that carries it, a step in it, and what would be told to another process.
fn handle(request: Span) {
    let _current = request.enter();
    let step = pin!(async {
        let step = pin!(async { black_box(current_context().is_some()) });
        span("immcu.submit").instrument(step).await
    });
    let mut step = carry(step);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(Pin::new(&mut step).poll(&mut context), Poll::Ready(_)));
}

#[divan::bench]
fn a_request_without_a_collector() {
    handle(root_span("MESSAGE"));
}

#[divan::bench]
fn b_request_not_chosen(bencher: divan::Bencher<'_, '_>) {
    sample(0.0);
    bencher.bench_local(|| handle(root_span("MESSAGE")));
}

/// Two spans, most of which find the queue full.
#[divan::bench]
fn c_request_recorded(bencher: divan::Bencher<'_, '_>) {
    sample(0.0);
    let parent = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "");
    bencher.bench_local(|| handle(server_span("MESSAGE", parent.as_ref())));
}
