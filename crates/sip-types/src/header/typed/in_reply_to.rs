//! `In-Reply-To`: RFC 3261 section 20.21.

use std::fmt;

use super::call_id::is_call_id;
use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::text::SipStr;

/// The Call-ID of a call that this one answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InReplyTo(SipStr);

impl InReplyTo {
    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.0
    }
}

impl TypedHeader for InReplyTo {
    const NAME: HeaderName = HeaderName::InReplyTo;
    const COMMA_SEPARATED: bool = true;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        if !is_call_id(value) {
            return Err(HeaderError::invalid::<Self>("malformed call id"));
        }
        Ok(Self(value.clone()))
    }
}

impl fmt::Display for InReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn a_call_id_is_read() {
        assert_eq!(check::<InReplyTo>("70710@saturn.bell-tel.com", "70710@saturn.bell-tel.com").call_id(), "70710@saturn.bell-tel.com");
        refuse::<InReplyTo>(&["", "a b", "a,b", "a@"]);
    }
}
