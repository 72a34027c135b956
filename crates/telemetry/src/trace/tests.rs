//! One tree of spans per request. A process has one tracer: nextest runs each of these in a process of its own.

use std::pin::pin;
use std::time::Duration;

use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};

use super::*;

/// Traces this share of requests into memory.
fn traced(ratio: f64) -> InMemorySpanExporter {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_simple_exporter(spans.clone())
        .build();
    let installed = install(provider.tracer("test"), ratio);
    assert!(installed, "one tracer per process: run with nextest");
    spans
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|span| span.name == name).unwrap()
}

#[tokio::test]
async fn steps_in_tasks_and_processes_hang_below_the_request() {
    let exporter = traced(1.0);
    let request = root_span("MESSAGE");
    let sent = {
        let _current = request.enter();
        let task = carry(Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let step = pin!(async {
                tokio::task::yield_now().await;
                current_context()
            });
            span("submit").instrument(step).await
        }));
        tokio::spawn(task).await.unwrap().unwrap()
    };
    assert!(
        current_context().is_none(),
        "outside the request nothing is current"
    );
    let arrived = TraceContext::parse(&sent.parent(), &sent.state()).unwrap();
    drop(server_span("remote", Some(&arrived)));
    drop(request);
    let spans = exporter.get_finished_spans().unwrap();
    let (root, submit, remote) = (
        named(&spans, "MESSAGE"),
        named(&spans, "submit"),
        named(&spans, "remote"),
    );
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    assert_eq!(submit.parent_span_id, root.span_context.span_id());
    assert_eq!(remote.parent_span_id, submit.span_context.span_id());
    assert!(remote.parent_span_is_remote);
    let trace = root.span_context.trace_id();
    assert!(spans.iter().all(|span| span.span_context.trace_id() == trace));
}

#[tokio::test]
async fn a_worker_finds_the_span_of_the_request_it_works_for() {
    let exporter = traced(1.0);
    let carried = Carried::default();
    let (one, two) = (root_span("one"), root_span("two"));
    let kept: Vec<Kept<'_, u8>> = [(&one, 1), (&two, 2)]
        .iter()
        .map(|(span, key)| carried.keep(key, span))
        .collect();
    // In the task of the first one, a step for the second and one for nobody in particular.
    let _current = one.enter();
    carried
        .within(Some(&2), pin!(async { drop(span("for two")) }))
        .await;
    carried.within(None, pin!(async { drop(span("for one")) })).await;
    drop(kept);
    carried.within(Some(&2), pin!(async { drop(span("late")) })).await;
    let (one_id, two_id) = (id(&one), id(&two));
    let spans = exporter.get_finished_spans().unwrap();
    assert_eq!(named(&spans, "for two").parent_span_id, two_id);
    assert_eq!(named(&spans, "for one").parent_span_id, one_id);
    assert_eq!(named(&spans, "late").parent_span_id, one_id);
    assert_eq!(carried.count.load(Ordering::Relaxed), 0);
}

fn id(span: &Span) -> SpanId {
    let _current = span.enter();
    current_ids().unwrap().1
}

#[tokio::test]
async fn a_span_ends_with_its_step_though_a_task_goes_on() {
    let exporter = traced(1.0);
    let request = root_span("BYE");
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let task = {
        let _current = request.enter();
        tokio::spawn(carry(Box::pin(async { wait.await.is_ok() })))
    };
    request.fail("server_error");
    drop(request);
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
    go.send(()).unwrap();
    assert!(task.await.unwrap());
}

#[tokio::test]
async fn what_is_not_chosen_leaves_nothing() {
    let exporter = traced(0.0);
    let request = root_span("MESSAGE");
    assert!(!request.is_recorded());
    let told = pin!(async { (current_context(), span("submit").is_recorded()) });
    assert_eq!(request.instrument(told).await, (None, false));
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let parent = TraceContext::parse(unsampled, "");
    assert!(!server_span("remote", parent.as_ref()).is_recorded());
    assert!(!server_span("remote", None).is_recorded());
    let chosen = unsampled.replace("b7-00", "b7-01");
    let parent = TraceContext::parse(&chosen, "").unwrap();
    assert!(
        server_span("remote", Some(&parent)).is_recorded(),
        "the process that began the trace decides for all"
    );
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
    end();
    assert!(!server_span("remote", Some(&parent)).is_recorded());
}
