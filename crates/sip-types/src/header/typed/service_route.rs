//! `Service-Route`: RFC 3608 section 5.

use super::macros::name_addr_header;

name_addr_header! {
    /// A proxy the registered user agent shall send its requests through.
    ServiceRoute, list = true
}

impl ServiceRoute {
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
        assert!(check::<ServiceRoute>("<sip:p1.example.test;lr>;x=1", "<sip:p1.example.test;lr>;x=1").is_loose());
        assert!(!check::<ServiceRoute>("<sip:p1.example.test>;lr", "<sip:p1.example.test>;lr").is_loose());
        refuse::<ServiceRoute>(&["", "p1.example.test", "<sip:a@h", "<sip:p1>, <sip:p2>"]);
    }
}
