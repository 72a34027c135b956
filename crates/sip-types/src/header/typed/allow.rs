//! `Allow`: RFC 3261 section 20.5.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::method::Method;
use crate::text::SipStr;

/// A method the sender understands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Allow(pub Method);

impl TypedHeader for Allow {
    const NAME: HeaderName = HeaderName::Allow;
    const COMMA_SEPARATED: bool = true;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        Method::parse(value).map(Self).ok_or(HeaderError::invalid::<Self>("malformed method"))
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn methods_are_read() {
        assert_eq!(check::<Allow>("INVITE", "INVITE"), Allow(Method::Invite));
        check::<Allow>("x-odd", "x-odd");
        refuse::<Allow>(&["", "A B", "INVITE, ACK", "INVITE;x"]);
    }
}
