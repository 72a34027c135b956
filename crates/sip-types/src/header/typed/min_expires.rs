//! `Min-Expires`: RFC 3261 section 20.23.

use super::macros::number_header;

number_header! {
    /// The shortest duration a server accepts, in seconds; in a 423.
    MinExpires, max = u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_number_is_checked() {
        assert_eq!(check::<MinExpires>("0120", "120"), MinExpires(120));
        refuse::<MinExpires>(&["", "-1", "+1", "1 2", "1;x", "4294967296"]);
    }
}
