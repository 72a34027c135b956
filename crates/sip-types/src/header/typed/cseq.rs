//! `CSeq`: RFC 3261 section 20.16.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::limits;
use crate::method::Method;
use crate::syntax::{is_blank, parse_u32, split_at, trim};
use crate::text::SipStr;

/// The number of a request in its dialog, and its method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// At most [`limits::CSEQ`].
    pub number: u32,
    /// The method; equal to that of the request.
    pub method: Method,
}

impl CSeq {
    /// The value for a request of ours.
    pub fn new(number: u32, method: Method) -> Self {
        Self { number, method }
    }
}

impl TypedHeader for CSeq {
    const NAME: HeaderName = HeaderName::CSeq;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let bad = HeaderError::invalid::<Self>;
        let text = trim(value);
        let blank = text.bytes().position(is_blank).ok_or(bad("no method"))?;
        let (number, method) = split_at(text, blank);
        let number = parse_u32(number).map_err(HeaderError::syntax::<Self>)?;
        if number > limits::CSEQ {
            return Err(bad("number out of range"));
        }
        let method = Method::parse_in(value, trim(method)).ok_or(bad("malformed method"))?;
        Ok(Self { number, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn number_and_method_are_read() {
        let cseq: CSeq = check("0009 \t INVITE", "9 INVITE");
        assert_eq!(cseq, CSeq::new(9, Method::Invite));
        check::<CSeq>("2147483647 x-odd", "2147483647 x-odd");
    }

    #[test]
    fn numbers_out_of_range_and_other_forms_are_refused() {
        refuse::<CSeq>(&["", "1", "INVITE", "1INVITE", "-1 INVITE", "2147483648 INVITE", "36893488147419103232 REGISTER"]);
        refuse::<CSeq>(&["1 INV ITE", "1 ", "1 INVITE;x", "+1 INVITE", "1, INVITE"]);
    }
}
