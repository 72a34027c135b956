//! `Referred-By`: RFC 3892 section 3.

use super::macros::name_addr_header;

name_addr_header! {
    /// Who asked for the reference.
    ReferredBy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_token_reference_is_a_parameter() {
        let text = "<sip:r@example.test>;cid=\"20398823.2UWQFN309shb3@referrer.example\"";
        let by: ReferredBy = check(text, text);
        assert_eq!(by.params.text("cid").unwrap(), "20398823.2UWQFN309shb3@referrer.example");
        refuse::<ReferredBy>(&["", "r", "<sip:a@h>, <sip:b@h>"]);
    }
}
