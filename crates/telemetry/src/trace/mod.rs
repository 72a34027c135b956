//! One request as a tree of spans, also across processes, for a collector.
//!
//! Whether a request is recorded is decided once, where it comes in ([`root_span`]), before anything is built: an
//! unrecorded request has [`Span::none`] all the way, which costs a load and a branch per place, and nothing at all is
//! kept for it. Without a collector every span is that one.
//!
//! The current span travels with the task: [`Span::instrument`] makes it current while a future runs, [`carry`] gives it to
//! a task that is spawned, [`Carried`] finds it again by key where one task works for several requests. Between processes
//! it is a [`TraceContext`]: taken by [`current_context`] on one side, given to [`server_span`] on the other.

mod carried;
mod context;
mod sampling;
mod span;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, SpanKind, TraceContextExt, TraceId, Tracer};
use opentelemetry_sdk::trace::SdkTracer;

pub use carried::{Carried, Kept};
pub use context::TraceContext;
pub use span::{Entered, Span, Within, carry};

use sampling::Ratio;

/// Who makes the spans of this process.
struct Tracing {
    tracer: SdkTracer,
    ratio: Ratio,
}

static TRACING: OnceLock<Tracing> = OnceLock::new();
/// Apart from the above so that a stop ends it.
static ON: AtomicBool = AtomicBool::new(false);

/// Makes spans from now on. False if that was done before in this process: the first one stays.
pub(crate) fn install(tracer: SdkTracer, ratio: f64) -> bool {
    let ratio = Ratio::new(ratio);
    let installed = TRACING.set(Tracing { tracer, ratio }).is_ok();
    if installed {
        ON.store(true, Ordering::Relaxed);
    }
    installed
}

/// Makes no spans any more.
pub(crate) fn end() {
    ON.store(false, Ordering::Relaxed);
}

#[inline]
fn tracing() -> Option<&'static Tracing> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    TRACING.get()
}

/// A span for something that begins here, a request of a client: kind SERVER, without a parent whatever the client says.
/// [`Span::none`] unless the sampling ratio chose it.
#[inline]
pub fn root_span(name: &'static str) -> Span {
    match tracing().filter(|tracing| tracing.ratio.chooses()) {
        Some(tracing) => tracing.span(name, SpanKind::Server, &Context::new()),
        None => Span::none(),
    }
}

/// A span for a call from another process: kind SERVER. The caller has decided whether it is recorded, so that without a
/// parent, or with one that is not recorded, it is [`Span::none`].
pub fn server_span(name: &'static str, parent: Option<&TraceContext>) -> Span {
    match (tracing(), parent.filter(|parent| parent.is_sampled())) {
        (Some(tracing), Some(parent)) => {
            let context = Context::new().with_remote_span_context(parent.inner().clone());
            tracing.span(name, SpanKind::Server, &context)
        }
        _ => Span::none(),
    }
}

/// A span for a step within the current one. [`Span::none`] if none is current.
#[inline]
pub fn span(name: &'static str) -> Span {
    child(name, SpanKind::Internal)
}

/// A span for something asked of somebody else: kind CLIENT. [`Span::none`] if none is current.
#[inline]
pub fn client_span(name: &'static str) -> Span {
    child(name, SpanKind::Client)
}

#[inline]
fn child(name: &'static str, kind: SpanKind) -> Span {
    let Some(tracing) = tracing() else {
        return Span::none();
    };
    Context::map_current(|current| {
        if current.span().span_context().is_sampled() {
            tracing.span(name, kind, current)
        } else {
            Span::none()
        }
    })
}

/// Whether a recorded span is current: whether [`carry`] has something to carry.
#[inline]
pub fn is_recorded() -> bool {
    tracing().is_some() && Context::map_current(|current| current.span().span_context().is_sampled())
}

/// The current span as another process is told of it; `None` if nothing is recorded.
#[inline]
pub fn current_context() -> Option<TraceContext> {
    tracing()?;
    Context::map_current(|current| TraceContext::sampled(current.span().span_context()))
}

/// Trace and span that a log line written now belongs to.
pub(crate) fn current_ids() -> Option<(TraceId, SpanId)> {
    tracing()?;
    Context::map_current(|current| {
        let span = current.span();
        let context = span.span_context();
        context
            .is_sampled()
            .then(|| (context.trace_id(), context.span_id()))
    })
}

impl Tracing {
    fn span(&self, name: &'static str, kind: SpanKind, parent: &Context) -> Span {
        let builder = self.tracer.span_builder(name).with_kind(kind);
        let span = self.tracer.build_with_context(builder, parent);
        Span::of(parent.with_span(span))
    }
}
