//! `Content-Language`: RFC 3261 section 20.13.

use super::macros::token_list_header;

token_list_header! {
    /// A language of the body.
    ContentLanguage
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn one_value_is_a_token() {
        assert_eq!(check::<ContentLanguage>("en-GB", "en-GB").as_str(), "en-GB");
        refuse::<ContentLanguage>(&["", "a b", "a;b", "a=b", "a,b"]);
    }
}
