//! `Timestamp`: RFC 3261 section 20.38.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::syntax::{is_blank, split_at, trim};
use crate::text::SipStr;

/// When the request was sent, in a unit only its sender knows; a server adds how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Digits with an optional point, as written.
    pub sent: SipStr,
    /// The server's delay in seconds, as written.
    pub delay: Option<SipStr>,
}

fn is_decimal(text: &str) -> bool {
    let (whole, decimals) = crate::syntax::cut(text, b'.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(decimals)
}

impl TypedHeader for Timestamp {
    const NAME: HeaderName = HeaderName::Timestamp;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let text = trim(value);
        let end = text.bytes().position(is_blank).unwrap_or(text.len());
        let (sent, delay) = split_at(text, end);
        let delay = trim(delay);
        if !is_decimal(sent) || !sent.starts_with(|first: char| first.is_ascii_digit()) || !is_decimal(delay) {
            return Err(HeaderError::invalid::<Self>("not a decimal number"));
        }
        Ok(Self { sent: value.slice_of(sent), delay: (!delay.is_empty()).then(|| value.slice_of(delay)) })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.delay {
            Some(delay) => write!(f, "{} {delay}", self.sent),
            None => fmt::Display::fmt(&self.sent, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn time_and_delay_are_read() {
        assert_eq!(check::<Timestamp>("54.21  .5", "54.21 .5").delay.unwrap(), ".5");
        assert_eq!(check::<Timestamp>("54", "54").delay, None);
        refuse::<Timestamp>(&["", "x", ".5", "1.2.3", "1 x", "-1", "1 2 3"]);
    }
}
