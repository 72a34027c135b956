//! `Accept`: RFC 3261 section 20.1.

use std::fmt;

use super::media::MediaRange;
use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::params::Params;
use crate::text::SipStr;

/// A media type, or a range of them, that the sender understands. A field without value means none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The part before the slash, or `*`.
    pub main: SipStr,
    /// The part behind it, or `*`.
    pub sub: SipStr,
    /// Parameters of the type, and `q`.
    pub params: Params,
}

impl Accept {
    /// Whether `media_type`, given as `text/plain`, is in the range.
    pub fn matches(&self, media_type: &str) -> bool {
        let fits = |range: &str, part: &str| range == "*" || range.eq_ignore_ascii_case(part);
        crate::syntax::cut(media_type, b'/').is_some_and(|(main, sub)| fits(&self.main, main) && fits(&self.sub, sub))
    }

    /// The preference in thousandths; 1000 if absent or malformed.
    pub fn q(&self) -> u16 {
        self.params.text("q").and_then(|text| super::qvalue::parse(&text)).unwrap_or(1000)
    }
}

impl TypedHeader for Accept {
    const NAME: HeaderName = HeaderName::Accept;
    const COMMA_SEPARATED: bool = true;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let MediaRange { main, sub, params } = MediaRange::parse(value).map_err(HeaderError::syntax::<Self>)?;
        if main == "*" && sub != "*" {
            return Err(HeaderError::invalid::<Self>("subtype of any type"));
        }
        Ok(Self { main, sub, params })
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.main, self.sub, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn ranges_match_types() {
        let exact: Accept = check("application/pidf+xml;q=0.3", "application/pidf+xml;q=0.3");
        assert!(exact.matches("Application/PIDF+xml") && !exact.matches("application/sdp"));
        assert_eq!(exact.q(), 300);
        assert!(check::<Accept>("text/*", "text/*").matches("text/html"));
        let any: Accept = check("*/*", "*/*");
        assert!(any.matches("a/b") && !any.matches("nonsense"));
    }

    #[test]
    fn other_forms_are_refused() {
        refuse::<Accept>(&["", "text", "*/plain", "text/plain;", "text/plain, text/html"]);
    }
}
