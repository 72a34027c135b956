//! `Route`: RFC 3261 section 20.34.

use super::macros::name_addr_header;

name_addr_header! {
    /// A proxy the request shall go through.
    Route, list = true
}

impl Route {
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
        assert!(check::<Route>("<sip:p1.example.test;lr>;x=1", "<sip:p1.example.test;lr>;x=1").is_loose());
        assert!(!check::<Route>("<sip:p1.example.test>;lr", "<sip:p1.example.test>;lr").is_loose());
        refuse::<Route>(&["", "p1.example.test", "<sip:a@h", "<sip:p1>, <sip:p2>"]);
    }
}
