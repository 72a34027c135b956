//! `Content-Length`: RFC 3261 section 20.14.

use super::macros::number_header;

number_header! {
    /// The length of the body in bytes. Parsing a message has checked it; building one writes it.
    ContentLength, max = u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_number_is_checked() {
        assert_eq!(check::<ContentLength>("0120", "120"), ContentLength(120));
        refuse::<ContentLength>(&["", "-1", "+1", "1 2", "1;x", "4294967296"]);
    }
}
