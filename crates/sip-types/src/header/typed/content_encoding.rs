//! `Content-Encoding`: RFC 3261 section 20.12.

use super::macros::token_list_header;

token_list_header! {
    /// A coding applied to the body, in the order of application.
    ContentEncoding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn one_value_is_a_token() {
        assert!(check::<ContentEncoding>("deflate", "deflate").is("Deflate"));
        refuse::<ContentEncoding>(&["", "a b", "a;b", "a=b", "a,b"]);
    }
}
