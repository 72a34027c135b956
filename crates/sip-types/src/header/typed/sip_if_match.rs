//! `SIP-If-Match`: RFC 3903 section 11.3.2.

use super::macros::token_header;

token_header! {
    /// The publication that a PUBLISH refreshes, changes or removes.
    SipIfMatch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_value_is_one_token() {
        assert_eq!(check::<SipIfMatch>("dx200xyz", "dx200xyz").as_str(), "dx200xyz");
        refuse::<SipIfMatch>(&["", "a b", "a,b", "a;b", "\"a\""]);
    }
}
