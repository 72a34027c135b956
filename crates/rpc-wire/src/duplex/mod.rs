//! What streams are made of on which both sides send items in batches: conversations, publications.
//!
//! | File | What |
//! |---|---|
//! | `sending` | one direction: numbers, batches, who waits for which answer |
//! | `carried` | requests that came on a stream and are under way |
//! | `counters` | what such streams count |
//!
//! Items carry the deadline and the trace that a call has in its metadata.

mod carried;
mod counters;
mod sending;

use std::future::Future;
use std::time::Duration;

pub(crate) use self::carried::Carried;
pub use self::counters::{Counters, Snapshot};
pub(crate) use self::sending::{MAX_ITEM, NotSent, Sending};

use crate::proto::trace::v1::TraceContext;

/// The trace a request belongs to, if it is recorded.
pub(crate) fn trace_now() -> Option<TraceContext> {
    telemetry::trace::current_context().map(|context| TraceContext {
        parent: context.parent(),
        state: context.state(),
    })
}

/// Does what an item asks for in a span of its trace.
pub(crate) async fn in_trace<F: Future>(
    name: &'static str,
    trace: Option<&TraceContext>,
    work: F,
) -> F::Output {
    let context = trace.and_then(|trace| telemetry::trace::TraceContext::parse(&trace.parent, &trace.state));
    let span = telemetry::trace::server_span(name, context.as_ref());
    span.instrument(std::pin::pin!(work)).await
}

/// The time an item leaves: at least a millisecond, so that an answer can say that it was too late.
pub(crate) fn remaining(deadline_ms: u32) -> Duration {
    Duration::from_millis(u64::from(deadline_ms.max(1)))
}
