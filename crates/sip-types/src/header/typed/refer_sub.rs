//! `Refer-Sub`: RFC 4488 section 4.

use std::fmt;

use super::macros::before_params;
use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::params::Params;
use crate::text::SipStr;

/// Whether a REFER makes a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferSub {
    /// `true` is what RFC 3515 says, `false` suppresses the subscription.
    pub subscribes: bool,
    /// The parameters; none are defined.
    pub params: Params,
}

impl TypedHeader for ReferSub {
    const NAME: HeaderName = HeaderName::ReferSub;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let (word, params) = before_params(value);
        let subscribes = match word.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(HeaderError::invalid::<Self>("neither true nor false")),
        };
        Ok(Self { subscribes, params: Params::parse_in(value, params).map_err(HeaderError::syntax::<Self>)? })
    }
}

impl fmt::Display for ReferSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.subscribes, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn true_and_false_are_read() {
        assert!(check::<ReferSub>("True", "true").subscribes);
        assert!(!check::<ReferSub>("false ;x=1", "false;x=1").subscribes);
        refuse::<ReferSub>(&["", "no", "true, false", "true;"]);
    }
}
