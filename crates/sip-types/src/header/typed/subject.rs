//! `Subject`: RFC 3261 section 20.36.

use super::macros::text_header;

text_header! {
    /// What the conversation is about.
    Subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_text_is_kept_as_it_is() {
        assert_eq!(check::<Subject>("Need more boxes, ü", "Need more boxes, ü").as_str(), "Need more boxes, ü");
        check::<Subject>("", "");
        assert_eq!(Subject::new(" a\r\nb ").as_str(), "a  b");
        let deep = "(".repeat(9);
        refuse::<Subject>(&["a\u{7}b", &deep]);
    }
}
