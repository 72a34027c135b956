//! `Accept-Language`: RFC 3261 section 20.3.

use super::macros::token_params_header;

token_params_header! {
    /// A language the user reads.
    AcceptLanguage {
        /// `en-gb`, `*`, ... as written.
        range
    }, list = true
}

impl AcceptLanguage {
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
    fn range_and_preference_are_read() {
        let language: AcceptLanguage = check("en-gb;q=0.8", "en-gb;q=0.8");
        assert!(language.is("en-GB"));
        assert_eq!(language.q(), 800);
        assert_eq!(check::<AcceptLanguage>("da", "da").q(), 1000);
        refuse::<AcceptLanguage>(&["", "a b", "da;", "da, en"]);
    }
}
