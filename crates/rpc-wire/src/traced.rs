//! One trace across unary calls: its context travels in the metadata (W3C `traceparent` and `tracestate`).
//!
//! Streams carry the context in each item instead: metadata act once per stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use telemetry::trace::{TraceContext, current_context, server_span};
use tonic::codegen::http;
use tonic::metadata::{MetadataMap, MetadataValue};
use tower::{Layer, Service};

/// The calls that get a span, by their path.
const CALLS: [&str; 6] = [
    "portico.registrar.v1.Registrar/Authenticate",
    "portico.registrar.v1.Registrar/Register",
    "portico.registrar.v1.Registrar/Unregister",
    "portico.registrar.v1.Registrar/Lookup",
    "portico.registrar.v1.Registrar/Policy",
    "portico.pool.v1.Member/Describe",
];

/// Every other call.
const OTHER: &str = "portico.rpc";

/// Tells the other side which trace a call belongs to, if it is recorded.
pub(crate) fn inject(metadata: &mut MetadataMap) {
    let Some(context) = current_context() else { return };
    if let Ok(parent) = MetadataValue::try_from(context.parent()) {
        metadata.insert("traceparent", parent);
    }
    let state = context.state();
    if !state.is_empty()
        && let Ok(state) = MetadataValue::try_from(state)
    {
        metadata.insert("tracestate", state);
    }
}

/// Puts calls that say which trace they belong to into a span of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TracedLayer;

impl<S> Layer<S> for TracedLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner }
    }
}

/// See [`TracedLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Traced<S> {
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Traced<S>
where
    S: Service<http::Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let header = |name| {
            let value: Option<&http::HeaderValue> = request.headers().get(name);
            value.and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let trace = TraceContext::parse(header("traceparent"), header("tracestate"));
        let path = request.uri().path().trim_start_matches('/');
        let name = CALLS.iter().find(|call| **call == path).copied().unwrap_or(OTHER);
        let work = Box::pin(self.inner.call(request));
        match trace {
            Some(trace) => Box::pin(server_span(name, Some(&trace)).instrument(work)),
            None => work,
        }
    }
}
