//! `SIP-ETag`: RFC 3903 section 11.3.1.

use super::macros::token_header;

token_header! {
    /// The name a server gives to a publication, new with every change.
    SipEtag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_value_is_one_token() {
        assert_eq!(check::<SipEtag>("dx200xyz", "dx200xyz").as_str(), "dx200xyz");
        refuse::<SipEtag>(&["", "a b", "a,b", "a;b", "\"a\""]);
    }
}
