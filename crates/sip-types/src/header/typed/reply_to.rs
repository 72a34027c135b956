//! `Reply-To`: RFC 3261 section 20.31.

use super::macros::name_addr_header;

name_addr_header! {
    /// Where to answer a call that was missed.
    ReplyTo
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn an_address_is_read() {
        check::<ReplyTo>("Bob <sip:bob@example.test>", "\"Bob\" <sip:bob@example.test>");
        refuse::<ReplyTo>(&["", "bob", "<sip:a@h>, <sip:b@h>"]);
    }
}
