//! `Join`: RFC 3911 section 7.1.

use super::dialog_header::dialog_header;

dialog_header! {
    /// The dialog that the new one is to be joined with.
    Join
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_dialog_is_named() {
        let text = "98732@sip.example.test;from-tag=r33th4x0r;to-tag=ff87ff;early-only";
        let dialog: Join = check(text, text);
        assert_eq!(dialog.call_id(), "98732@sip.example.test");
        assert_eq!((dialog.from_tag(), dialog.to_tag()), ("r33th4x0r".into(), "ff87ff".into()));

        assert_eq!(Join::new("a@b", "1", "2").unwrap().to_string(), "a@b;to-tag=1;from-tag=2");
        assert!(Join::new("a b", "1", "2").is_none());
    }

    #[test]
    fn both_tags_are_needed() {
        refuse::<Join>(&["", "a@b", "a@b;to-tag=1", "a@b;from-tag=1", "a@b;to-tag;from-tag=1", ";to-tag=1;from-tag=1"]);
        refuse::<Join>(&["a b;to-tag=1;from-tag=1", "a@b;to-tag=1;from-tag=1, c@d;to-tag=1;from-tag=1"]);
    }
}
