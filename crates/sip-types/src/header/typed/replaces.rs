//! `Replaces`: RFC 3891 section 6.1.

use super::dialog_header::dialog_header;

dialog_header! {
    /// The dialog that the new one takes the place of.
    Replaces
}

impl Replaces {
    /// Whether only a dialog that was not yet answered may be replaced.
    pub fn is_early_only(&self) -> bool {
        self.params.has("early-only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_dialog_is_named() {
        let text = "98732@sip.example.test;from-tag=r33th4x0r;to-tag=ff87ff;early-only";
        let dialog: Replaces = check(text, text);
        assert_eq!(dialog.call_id(), "98732@sip.example.test");
        assert_eq!((dialog.from_tag(), dialog.to_tag()), ("r33th4x0r".into(), "ff87ff".into()));
        assert!(dialog.is_early_only());
        assert_eq!(Replaces::new("a@b", "1", "2").unwrap().to_string(), "a@b;to-tag=1;from-tag=2");
        assert!(Replaces::new("a b", "1", "2").is_none());
    }

    #[test]
    fn both_tags_are_needed() {
        refuse::<Replaces>(&["", "a@b", "a@b;to-tag=1", "a@b;from-tag=1", "a@b;to-tag;from-tag=1", ";to-tag=1;from-tag=1"]);
        refuse::<Replaces>(&["a b;to-tag=1;from-tag=1", "a@b;to-tag=1;from-tag=1, c@d;to-tag=1;from-tag=1"]);
    }
}
