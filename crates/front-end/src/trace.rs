//! What is recorded of requests, ours and the clients'.
//!
//! No span says who a user is: a Call-ID joins spans with log lines of the same request, and that is enough.

use rpc::FailureReason;
use sip_types::header::typed::CSeq;
use sip_types::{HeaderName, Method, Request, StatusCode};
use telemetry::trace::{Span, client_span, root_span};

use crate::flow::Flow;

/// The span of a request of a signed-in client that begins work. None for what keeps a connection alive: probes and the
/// REGISTER that repeats a registration.
pub(crate) fn request(flow: &Flow, request: &Request) -> Span {
    let Some(name) = name(request.method()) else {
        return Span::none();
    };
    if *request.method() == Method::Register && flow.is_registered() {
        return Span::none();
    }
    began(flow, request, name)
}

/// The span of a request that proves who sends it.
pub(crate) fn sign_in(flow: &Flow, request: &Request) -> Span {
    match name(request.method()) {
        Some(name) => began(flow, request, name),
        None => Span::none(),
    }
}

fn began(flow: &Flow, request: &Request, name: &'static str) -> Span {
    let span = root_span(name);
    if !span.is_recorded() {
        return span;
    }
    describe(&span, flow, name);
    let headers = request.headers();
    if let Some(call_id) = headers.get(&HeaderName::CallId) {
        span.set("portico.sip.call_id", call_id);
    }
    if let Ok(Some(cseq)) = headers.optional::<CSeq>() {
        span.set_number("portico.sip.cseq", i64::from(cseq.number));
    }
    span
}

/// The span of a request of ours to a client, until its final answer.
pub(crate) fn outgoing(flow: &Flow, method: &Method) -> Span {
    let name = name(method).unwrap_or("request");
    let span = client_span(name);
    if span.is_recorded() {
        describe(&span, flow, name);
    }
    span
}

fn describe(span: &Span, flow: &Flow, method: &'static str) {
    span.set("network.protocol.name", "sip");
    span.set("network.transport", "tcp");
    span.set("client.address", flow.peer());
    span.set("server.address", flow.local().ip());
    span.set_number("server.port", i64::from(flow.local().port()));
    span.set(
        "portico.listener",
        if flow.is_tls() { "sip_tls" } else { "sip_tcp" },
    );
    span.set("portico.sip.method", method);
}

/// Notes the final answer of a request.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    if !span.is_recorded() {
        return;
    }
    span.set_number("portico.sip.status_code", i64::from(status.code()));
    if status.code() >= 500 {
        span.fail("server_error");
    }
}

/// Runs what a request of ours waits for, and notes how it failed if it did.
pub(crate) async fn outcome<T>(
    span: Span,
    answer: impl Future<Output = Result<T, FailureReason>>,
) -> Result<T, FailureReason> {
    let result = answer.await;
    if let Err(reason) = &result {
        span.fail(reason.as_str());
    }
    result
}

/// The methods that begin work.
fn name(method: &Method) -> Option<&'static str> {
    Some(match method {
        Method::Register => "REGISTER",
        Method::Invite => "INVITE",
        Method::Message => "MESSAGE",
        Method::Bye => "BYE",
        Method::Info => "INFO",
        Method::Subscribe => "SUBSCRIBE",
        Method::Publish => "PUBLISH",
        Method::Refer => "REFER",
        Method::Service => "SERVICE",
        _ => return None,
    })
}
