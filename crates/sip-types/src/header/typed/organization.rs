//! `Organization`: RFC 3261 section 20.25.

use super::macros::text_header;

text_header! {
    /// The organisation of the sender.
    Organization
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_text_is_kept_as_it_is() {
        assert_eq!(check::<Organization>("Boxes by Bob", "Boxes by Bob").as_str(), "Boxes by Bob");
        check::<Organization>("", "");
        assert_eq!(Organization::new(" a\r\nb ").as_str(), "a  b");
        let deep = "(".repeat(9);
        refuse::<Organization>(&["a\u{7}b", &deep]);
    }
}
