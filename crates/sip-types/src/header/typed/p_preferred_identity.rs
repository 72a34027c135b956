//! `P-Preferred-Identity`: RFC 3325 section 9.2.

use super::macros::name_addr_header;

name_addr_header! {
    /// Which of its identities the sender wants asserted.
    PPreferredIdentity, list = true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn both_kinds_of_address_are_read() {
        assert!(check::<PPreferredIdentity>("\"C. Jennings\" <sip:fluffy@example.test>", "\"C. Jennings\" <sip:fluffy@example.test>").uri.is_sip());
        assert!(check::<PPreferredIdentity>("tel:+14085264000", "<tel:+14085264000>").uri.is_tel());
        refuse::<PPreferredIdentity>(&["", "fluffy", "<sip:a@h>, <tel:+1>"]);
    }
}
