//! `Alert-Info`: RFC 3261 section 20.4.

use super::macros::name_addr_header;

name_addr_header! {
    /// A sound to ring with.
    AlertInfo, list = true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn any_uri_is_read() {
        let info: AlertInfo = check("<http://www.example.test/a,b> ; purpose=icon", "<http://www.example.test/a,b>;purpose=icon");
        assert_eq!(info.uri.scheme(), "http");
        assert_eq!(info.params.text("purpose").unwrap(), "icon");
        refuse::<AlertInfo>(&["", "<>", "<http://a b>", "<http://a"]);
    }
}
