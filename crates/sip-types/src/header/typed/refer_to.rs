//! `Refer-To`: RFC 3515 section 2.1.

use super::macros::name_addr_header;

name_addr_header! {
    /// Whom to contact; the URI may carry a method and headers.
    ReferTo
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn method_and_headers_of_the_uri_are_kept() {
        let text = "<sips:a8342043f@atlanta.example.com;method=INVITE?Replaces=12345601%40atlanta.example.com%3Bfrom-tag%3D314159>";
        let refer: ReferTo = check(text, text);
        assert_eq!(refer.uri.params().text("method").unwrap(), "INVITE");
        let (name, value) = refer.uri.headers().next().unwrap();
        assert_eq!((name, value), ("Replaces", "12345601%40atlanta.example.com%3Bfrom-tag%3D314159"));
        refuse::<ReferTo>(&["", "sip:a@h?Replaces=x", "<sip:a@h>, <sip:b@h>"]);
    }
}
