//! `From`: RFC 3261 section 20.20.

use super::macros::name_addr_header;

name_addr_header! {
    /// Who sends the request. Its tag is half of the dialog's name.
    From
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_tag_is_found() {
        let from: From = check("\"A\" <sip:a@example.test>;tag=408;epid=b34", "\"A\" <sip:a@example.test>;tag=408;epid=b34");
        assert_eq!(from.tag().unwrap(), "408");
        assert_eq!(from.params.text("epid").unwrap(), "b34");
    }

    #[test]
    fn a_list_is_refused() {
        refuse::<From>(&["<sip:a@h>, <sip:b@h>", "", "a@h"]);
    }
}
