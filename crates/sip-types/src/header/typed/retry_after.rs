//! `Retry-After`: RFC 3261 section 20.33.

use std::fmt;

use super::comment::comment_end;
use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::params::Params;
use crate::syntax::{parse_u32, split_at, trim};
use crate::text::SipStr;

/// When to try again: `18000 (in a meeting);duration=3600`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds from now.
    pub seconds: u32,
    /// The comment with its parentheses, as written.
    pub comment: Option<SipStr>,
    /// `duration` and others.
    pub params: Params,
}

impl RetryAfter {
    /// Only the time.
    pub fn seconds(seconds: u32) -> Self {
        Self { seconds, comment: None, params: Params::new() }
    }
}

impl TypedHeader for RetryAfter {
    const NAME: HeaderName = HeaderName::RetryAfter;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let text = trim(value);
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (seconds, rest) = split_at(text, digits);
        let seconds = parse_u32(seconds).map_err(HeaderError::syntax::<Self>)?;
        let rest = trim(rest);
        let (comment, rest) = if rest.starts_with('(') {
            let end = comment_end(rest).ok_or(HeaderError::invalid::<Self>("malformed comment"))?;
            let (comment, rest) = split_at(rest, end);
            (Some(value.slice_of(comment)), trim(rest))
        } else {
            (None, rest)
        };
        if !rest.is_empty() && !rest.starts_with(';') {
            return Err(HeaderError::invalid::<Self>("text after the number"));
        }
        let params = Params::parse_in(value, rest).map_err(HeaderError::syntax::<Self>)?;
        Ok(Self { seconds, comment, params })
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        if let Some(comment) = &self.comment {
            write!(f, " {comment}")?;
        }
        fmt::Display::fmt(&self.params, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn all_parts_are_read() {
        let retry: RetryAfter = check("18000 (in a (long) meeting) ;duration=3600", "18000 (in a (long) meeting);duration=3600");
        assert_eq!(retry.seconds, 18000);
        assert_eq!(retry.comment.unwrap(), "(in a (long) meeting)");
        assert_eq!(retry.params.text("duration").unwrap(), "3600");
        assert_eq!(check::<RetryAfter>("5", "5"), RetryAfter::seconds(5));
        check::<RetryAfter>("120;x", "120;x");
    }

    #[test]
    fn other_forms_are_refused() {
        refuse::<RetryAfter>(&["", "-1", "949302838503028349304978", "1 x", "1 (a", "1;", "(a)", "1 ()) "]);
    }
}
