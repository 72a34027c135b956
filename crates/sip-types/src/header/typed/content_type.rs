//! `Content-Type`: RFC 3261 section 20.15.

use std::fmt;

use super::media::MediaRange;
use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::params::Params;
use crate::text::SipStr;

/// The media type of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// The part before the slash, as written.
    pub main: SipStr,
    /// The part behind it, as written.
    pub sub: SipStr,
    /// `charset`, `boundary` and others.
    pub params: Params,
}

impl ContentType {
    /// Whether this is `main/sub`, given as `text/plain`; without regard to case and parameters.
    pub fn is(&self, media_type: &str) -> bool {
        crate::syntax::cut(media_type, b'/')
            .is_some_and(|(main, sub)| self.main.eq_ignore_ascii_case(main) && self.sub.eq_ignore_ascii_case(sub))
    }
}

impl TypedHeader for ContentType {
    const NAME: HeaderName = HeaderName::ContentType;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let MediaRange { main, sub, params } = MediaRange::parse(value).map_err(HeaderError::syntax::<Self>)?;
        if main == "*" || sub == "*" {
            return Err(HeaderError::invalid::<Self>("wildcard in a media type"));
        }
        Ok(Self { main, sub, params })
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.main, self.sub, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn type_and_parameters_are_read() {
        let media: ContentType = check("Text / Plain ; charset = UTF-8", "Text/Plain;charset=UTF-8");
        assert!(media.is("text/plain"));
        assert!(!media.is("text/html"));
        assert_eq!(media.params.text("CHARSET").unwrap(), "UTF-8");
        let mixed: ContentType = check("multipart/mixed;boundary=\"a b\"", "multipart/mixed;boundary=\"a b\"");
        assert_eq!(mixed.params.text("boundary").unwrap(), "a b");
    }

    #[test]
    fn other_forms_are_refused() {
        refuse::<ContentType>(&["", "text", "text/", "/plain", "*/*", "text/*", "text/plain;", "a b/c", "text/plain, x/y"]);
    }
}
