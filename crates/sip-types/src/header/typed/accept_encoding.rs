//! `Accept-Encoding`: RFC 3261 section 20.2.

use super::macros::token_params_header;

token_params_header! {
    /// A coding the sender can undo.
    AcceptEncoding {
        /// `deflate`, `identity`, `*`, ... as written.
        coding
    }, list = true
}

impl AcceptEncoding {
    /// The preference in thousandths; 1000 if absent or malformed.
    pub fn q(&self) -> u16 {
        self.params.text("q").and_then(|text| super::qvalue::parse(&text)).unwrap_or(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn coding_and_preference_are_read() {
        let coding: AcceptEncoding = check("deflate ;q=0.5", "deflate;q=0.5");
        assert!(coding.is("DEFLATE"));
        assert_eq!(coding.q(), 500);
        assert_eq!(check::<AcceptEncoding>("*", "*").q(), 1000);
        refuse::<AcceptEncoding>(&["", "a b", "deflate;", "a/b"]);
    }
}
