//! `Proxy-Require`: RFC 3261 section 20.29.

use super::macros::token_list_header;

token_list_header! {
    /// An extension a proxy must understand, else it answers 420.
    ProxyRequire
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn one_value_is_a_token() {
        assert!(check::<ProxyRequire>("ms-benotify", "ms-benotify").is("MS-Benotify"));
        refuse::<ProxyRequire>(&["", "a b", "a;b", "a=b", "a,b"]);
    }
}
