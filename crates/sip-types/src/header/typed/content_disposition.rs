//! `Content-Disposition`: RFC 3261 section 20.11.

use super::macros::token_params_header;

token_params_header! {
    /// How the body is meant.
    ContentDisposition {
        /// `session`, `render`, `recipient-list`, ... as written.
        kind
    }
}

impl ContentDisposition {
    /// Whether a body that is not understood may be ignored; by default it may not.
    pub fn is_optional(&self) -> bool {
        self.params.text("handling").is_some_and(|handling| handling.eq_ignore_ascii_case("optional"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn kind_and_handling_are_read() {
        let body: ContentDisposition = check("Session; handling=Optional", "Session;handling=Optional");
        assert!(body.is("session"));
        assert!(body.is_optional());
        assert!(!check::<ContentDisposition>("recipient-list", "recipient-list").is_optional());
        refuse::<ContentDisposition>(&["", ";handling=optional", "a b", "session;"]);
    }
}
