//! `Flow-Timer`: RFC 5626 section 11.4.

use super::macros::number_header;

number_header! {
    /// Within how many seconds the server wants to see a keep-alive.
    FlowTimer, max = u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_number_is_checked() {
        assert_eq!(check::<FlowTimer>("0120", "120"), FlowTimer(120));
        refuse::<FlowTimer>(&["", "-1", "+1", "1 2", "1;x", "4294967296"]);
    }
}
