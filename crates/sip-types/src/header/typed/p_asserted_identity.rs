//! `P-Asserted-Identity`: RFC 3325 section 9.1.

use super::macros::name_addr_header;

name_addr_header! {
    /// Who the sender is, as a trusted server says. There may be a `sip:` and a `tel:` one.
    PAssertedIdentity, list = true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn both_kinds_of_address_are_read() {
        assert!(check::<PAssertedIdentity>("\"C. Jennings\" <sip:fluffy@example.test>", "\"C. Jennings\" <sip:fluffy@example.test>").uri.is_sip());
        assert!(check::<PAssertedIdentity>("tel:+14085264000", "<tel:+14085264000>").uri.is_tel());
        refuse::<PAssertedIdentity>(&["", "fluffy", "<sip:a@h>, <tel:+1>"]);
    }
}
