//! Where a request belongs, as one process tells another: W3C trace context, level 1.

use std::fmt;
use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Bytes of a `traceparent` of version 00.
const PARENT: usize = 55;

/// A `tracestate` longer than this is not passed on (W3C trace context, section 3.3.1.5).
const STATE: usize = 512;

/// The span another process is to hang its own below. Prints as `traceparent`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// Reads what a peer sent; `state` is empty if it sent none. `None` if the parent is not one: the request is then
    /// not part of any trace. A state that cannot be read is left out.
    pub fn parse(parent: &str, state: &str) -> Option<TraceContext> {
        let mut parts = parent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A later version may say more behind the parts of this one.
        let known = version == "00" && parent.len() == PARENT;
        let later = version != "00" && version != "ff" && parent.len() >= PARENT;
        let [version, flags] = [hex::<2>(version)?, hex::<2>(flags)?];
        let (trace, span) = (hex::<32>(trace)?, hex::<16>(span)?);
        if !(known || later) || u8::from_str_radix(version, 16).is_err() {
            return None;
        }
        let state = if state.len() <= STATE {
            TraceState::from_str(state).unwrap_or_default()
        } else {
            TraceState::default()
        };
        let context = SpanContext::new(
            TraceId::from_hex(trace).ok()?,
            SpanId::from_hex(span).ok()?,
            TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
            true,
            state,
        );
        context.is_valid().then_some(TraceContext(context))
    }

    /// Whether the process that began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// The `traceparent`: 55 bytes.
    pub fn parent(&self) -> String {
        self.to_string()
    }

    /// The `tracestate`; empty if there is none.
    pub fn state(&self) -> String {
        self.0.trace_state().header()
    }

    pub(super) fn sampled(context: &SpanContext) -> Option<TraceContext> {
        (context.is_sampled() && context.is_valid()).then(|| TraceContext(context.clone()))
    }

    pub(super) fn inner(&self) -> &SpanContext {
        &self.0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.0.is_sampled());
        write!(f, "00-{}-{}-{flags:02x}", self.0.trace_id(), self.0.span_id())
    }
}

/// The text if it is exactly this many lower case hexadecimal digits.
fn hex<const DIGITS: usize>(text: &str) -> Option<&str> {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (text.len() == DIGITS && text.bytes().all(digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT_TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_printed_is_read_again() {
        let context = TraceContext::parse(PARENT_TEXT, "rojo=1,congo=2").unwrap();
        assert!(context.is_sampled());
        assert_eq!(context.parent(), PARENT_TEXT);
        assert_eq!(context.parent().len(), PARENT);
        assert_eq!(context.state(), "rojo=1,congo=2");
        assert_eq!(
            TraceContext::parse(&context.parent(), &context.state()),
            Some(context)
        );
    }

    #[test]
    fn an_unrecorded_trace_stays_unrecorded() {
        let text = PARENT_TEXT.replace("-01", "-00");
        let context = TraceContext::parse(&text, "").unwrap();
        assert!(!context.is_sampled());
        assert_eq!(context.parent(), text);
    }

    #[test]
    fn what_is_no_parent_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7f-01",
        ] {
            assert_eq!(TraceContext::parse(text, ""), None, "{text}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let text = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(TraceContext::parse(text, "").unwrap().parent(), PARENT_TEXT);
    }

    #[test]
    fn a_state_that_is_none_is_left_out() {
        let long = format!("a={}", "x".repeat(600));
        for state in ["no equals sign", long.as_str()] {
            assert_eq!(
                TraceContext::parse(PARENT_TEXT, state).unwrap().state(),
                "",
                "{state}"
            );
        }
    }
}
