//! A collector that is not there is counted, and holds nothing up.

use std::time::Instant;

use super::*;
use crate::trace::root_span;

fn settings(endpoint: &str) -> OtlpSettings {
    OtlpSettings {
        endpoint: endpoint.to_owned(),
        authorities: None,
        headers: vec![("X-Tenant".to_owned(), "one".to_owned())],
        sample_ratio: 1.0,
        metric_interval: Duration::from_secs(3600),
        resource: vec![("service.name", "portico".to_owned())],
    }
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    for endpoint in ["", "collector:4317", "ftp://collector", "http://"] {
        let error = start(&settings(endpoint)).unwrap_err();
        assert!(matches!(error, OtlpError::Endpoint { .. }), "{endpoint}: {error}");
    }
    let mut odd = settings("http://127.0.0.1:4317");
    odd.headers = vec![("no good".to_owned(), String::new())];
    assert!(matches!(start(&odd), Err(OtlpError::Header(name)) if name == "no good"));
}

#[tokio::test]
async fn https_is_spoken_with_the_authorities_of_the_system() {
    assert!(Connection::new(&settings("https://collector.example.com:4317")).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_counted_and_holds_no_stop_up() {
    // Nothing listens on the discard port of loopback.
    let exporter = start(&settings("http://127.0.0.1:9")).unwrap();
    let registry = Arc::new(Registry::new());
    registry.register(Box::new(|page| page.counter(&names::IM_MESSAGES, &[], 1)));
    drop(root_span("MESSAGE"));
    let began = Instant::now();
    exporter
        .clone()
        .push_metrics(Arc::clone(&registry), std::future::ready(()))
        .await;
    exporter.stop().await;
    assert!(began.elapsed() < 3 * LAST, "{:?}", began.elapsed());
    let mut page = Page::new();
    exporter.collect(&mut page);
    let text = page.render();
    assert!(
        text.contains("portico_telemetry_failed_total{signal=\"metrics\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("portico_telemetry_exported_total{signal=\"traces\"} 0\n"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_no_stop_up() {
    // Connections stand in the backlog of the kernel; nobody takes them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let exporter = start(&settings(&endpoint)).unwrap();
    let registry = Arc::new(Registry::new());
    drop(root_span("MESSAGE"));
    let began = Instant::now();
    exporter
        .clone()
        .push_metrics(registry, std::future::ready(()))
        .await;
    exporter.stop().await;
    let took = began.elapsed();
    assert!((LAST..3 * LAST).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_drops_and_counts() {
    let exporter = start(&settings("http://127.0.0.1:9")).unwrap();
    // The collector is away and each attempt takes a while: more spans than the queue has places.
    for _ in 0..5_000 {
        drop(root_span("MESSAGE"));
    }
    let traces = exporter.0.outcomes.of(Signal::Traces);
    let known = traces.dropped() + traces.failed();
    assert!((5_000 - 2_048..=5_000).contains(&known), "{traces:?}");
}
