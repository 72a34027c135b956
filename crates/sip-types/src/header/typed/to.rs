//! `To`: RFC 3261 section 20.39.

use super::macros::name_addr_header;

name_addr_header! {
    /// Whom the request is for. A tag appears once a dialog exists.
    To
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn brackets_may_be_missing() {
        let to: To = check("sip:bob@example.test", "<sip:bob@example.test>");
        assert_eq!(to.tag(), None);
        let to: To = check("sip:bob@example.test;tag=1", "<sip:bob@example.test>;tag=1");
        assert_eq!(to.tag().unwrap(), "1");
    }

    #[test]
    fn an_open_quote_is_refused() {
        refuse::<To>(&["\"Mr. J. User <sip:j.user@example.com>", "<sip:a@h>;tag=\"x"]);
    }
}
