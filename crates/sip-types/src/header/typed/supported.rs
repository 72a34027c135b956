//! `Supported`: RFC 3261 section 20.37.

use super::macros::token_list_header;

token_list_header! {
    /// An extension the sender understands, such as `gruu`.
    Supported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn one_option_tag_is_a_token() {
        let tag: Supported = check("com.microsoft.autoextend", "com.microsoft.autoextend");
        assert!(tag.is("COM.Microsoft.AutoExtend"));
        assert!(!tag.is("gruu"));
        refuse::<Supported>(&["", "a b", "a;b", "a=b"]);
    }
}
