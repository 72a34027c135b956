//! `Path`: RFC 3327 section 4.

use super::macros::name_addr_header;

name_addr_header! {
    /// A proxy between the registrar and the user agent.
    Path, list = true
}

impl Path {
    /// Whether this is a loose router (RFC 3261 section 16.12.1.1).
    pub fn is_loose(&self) -> bool {
        self.uri.params().has("lr")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn loose_routers_are_told_apart() {
        assert!(check::<Path>("<sip:p1.example.test;lr>;x=1", "<sip:p1.example.test;lr>;x=1").is_loose());
        assert!(!check::<Path>("<sip:p1.example.test>;lr", "<sip:p1.example.test>;lr").is_loose());
        refuse::<Path>(&["", "p1.example.test", "<sip:a@h", "<sip:p1>, <sip:p2>"]);
    }
}
