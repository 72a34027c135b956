//! `MIME-Version`: RFC 3261 section 20.24.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::syntax::{parse_u8, trim};
use crate::text::SipStr;

/// The version of MIME; 1.0 is the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MimeVersion {
    /// Before the point.
    pub major: u8,
    /// Behind it.
    pub minor: u8,
}

impl TypedHeader for MimeVersion {
    const NAME: HeaderName = HeaderName::MimeVersion;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let (major, minor) =
            crate::syntax::cut(trim(value), b'.').ok_or(HeaderError::invalid::<Self>("not a version"))?;
        let number = |text| parse_u8(text).map_err(HeaderError::syntax::<Self>);
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for MimeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_version_is_read() {
        assert_eq!(check::<MimeVersion>("1.0", "1.0"), MimeVersion { major: 1, minor: 0 });
        refuse::<MimeVersion>(&["", "1", "1.", ".0", "1.0.0", "1.256", "1.-1"]);
    }
}
