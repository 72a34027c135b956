//! `Unsupported`: RFC 3261 section 20.40.

use super::macros::token_list_header;

token_list_header! {
    /// An extension that was required and is not understood; in a 420.
    Unsupported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn one_value_is_a_token() {
        assert_eq!(check::<Unsupported>("100rel", "100rel").as_str(), "100rel");
        refuse::<Unsupported>(&["", "a b", "a;b", "a=b", "a,b"]);
    }
}
