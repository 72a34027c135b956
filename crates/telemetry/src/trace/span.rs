//! A span and how it becomes the current one.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, ContextGuard, KeyValue};

/// A step of a recorded request, or nothing at all. It ends when it is dropped.
#[derive(Debug)]
pub struct Span(Option<Context>);

impl Span {
    /// No span: whatever is done with it costs a branch.
    pub const fn none() -> Self {
        Span(None)
    }

    pub(super) fn of(context: Context) -> Self {
        Span(Some(context))
    }

    pub(super) fn context(&self) -> Option<&Context> {
        self.0.as_ref()
    }

    /// Whether what is set here goes anywhere. Ask before attributes that cost something to find out.
    #[inline]
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Sets an attribute. Never a password, a text somebody wrote, or a user's address in the clear.
    pub fn set(&self, name: &'static str, value: impl fmt::Display) {
        if let Some(context) = &self.0 {
            context
                .span()
                .set_attribute(KeyValue::new(name, value.to_string()));
        }
    }

    /// Sets an attribute that is a number.
    #[inline]
    pub fn set_number(&self, name: &'static str, value: i64) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(name, value));
        }
    }

    /// Says that the step failed: `what` is a word of a closed set, as in `error.type`.
    pub fn fail(&self, what: &'static str) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new("error.type", what));
            context.span().set_status(Status::error(what));
        }
    }

    /// Makes this span the current one until the guard is dropped, on this thread: not across an `.await`.
    #[must_use = "the span is current as long as the guard lives"]
    pub fn enter(&self) -> Entered {
        Entered {
            _guard: self.0.clone().map(Context::attach),
        }
    }

    /// Runs a future with this span as the current one. The span ends with the future.
    ///
    /// The future has to be pinned already (`pin!`, `Box::pin`): one that is moved into another is copied, and the
    /// futures of a request are large enough for that to be felt where nothing is recorded.
    #[inline]
    pub fn instrument<F: Future + Unpin>(self, future: F) -> Within<F> {
        Within {
            future,
            context: self.0.clone(),
            _span: Some(self),
        }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        // By hand: tasks that carry the context on may outlive the step.
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// A span is the current one while this lives.
#[derive(Debug)]
pub struct Entered {
    _guard: Option<ContextGuard>,
}

/// A future with a span as the current one wherever it is polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Within<F> {
    future: F,
    context: Option<Context>,
    /// Ends with the future.
    _span: Option<Span>,
}

impl<F: Future + Unpin> Future for Within<F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let _current = match &self.context {
            None => return Pin::new(&mut self.future).poll(task),
            Some(context) => context.clone().attach(),
        };
        Pin::new(&mut self.future).poll(task)
    }
}

/// A future that has, wherever it is polled, the span that is current now. It does not keep that span from ending.
#[inline]
pub fn carry<F: Future + Unpin>(future: F) -> Within<F> {
    within(current(), future)
}

/// The current context if it is a recorded one.
pub(super) fn current() -> Option<Context> {
    super::tracing()?;
    Context::map_current(|current| {
        current
            .span()
            .span_context()
            .is_sampled()
            .then(|| current.clone())
    })
}

/// Polls a future with this context; without one, as it is.
pub(super) fn within<F: Future + Unpin>(context: Option<Context>, future: F) -> Within<F> {
    Within {
        future,
        context,
        _span: None,
    }
}
