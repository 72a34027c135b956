//! `Require`: RFC 3261 section 20.32.

use super::macros::token_list_header;

token_list_header! {
    /// An extension the recipient must understand, else it answers 420.
    Require
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn one_option_tag_is_a_token() {
        let tag: Require = check("com.microsoft.autoextend", "com.microsoft.autoextend");
        assert!(tag.is("COM.Microsoft.AutoExtend"));
        assert!(!tag.is("gruu"));
        refuse::<Require>(&["", "a b", "a;b", "a=b"]);
    }
}
