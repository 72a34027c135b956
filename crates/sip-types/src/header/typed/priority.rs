//! `Priority`: RFC 3261 section 20.26.

use super::macros::token_header;

token_header! {
    /// How urgent the request is for its reader: `non-urgent`, `normal`, `urgent`, `emergency` or another token.
    Priority
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_value_is_one_token() {
        assert_eq!(check::<Priority>("non-urgent", "non-urgent").as_str(), "non-urgent");
        refuse::<Priority>(&["", "a b", "a,b", "a;b", "\"a\""]);
    }
}
