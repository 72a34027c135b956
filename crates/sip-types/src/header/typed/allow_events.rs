//! `Allow-Events`: RFC 6665 section 8.2.2.

use super::macros::token_list_header;

token_list_header! {
    /// An event package the sender serves.
    ///
    /// A Lync-family client reads a list of them only if it has no blanks: `a,b`.
    AllowEvents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn one_value_is_a_token() {
        assert!(check::<AllowEvents>("presence.winfo", "presence.winfo").is("PRESENCE.winfo"));
        refuse::<AllowEvents>(&["", "a b", "a;b", "a=b", "a,b"]);
    }
}
