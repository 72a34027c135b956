//! `Event`: RFC 6665 section 8.2.1.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::params::Params;
use crate::syntax::{is_token, split_at, trim};
use crate::text::SipStr;

/// The event package of a subscription, notification or publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The package with its templates, `presence.winfo`, as written.
    pub package: SipStr,
    /// `id` and others.
    pub params: Params,
}

impl Event {
    /// A package without parameters; `None` if it is not a token.
    pub fn new(package: impl Into<SipStr>) -> Option<Self> {
        let package = package.into();
        is_token(&package).then(|| Self { package, params: Params::new() })
    }

    /// Whether this is `package`. RFC 6665 compares byte by byte, but clients do not agree on case.
    pub fn is(&self, package: &str) -> bool {
        self.package.eq_ignore_ascii_case(package)
    }

    /// The `id` parameter, which tells subscriptions of one dialog apart.
    pub fn id(&self) -> Option<SipStr> {
        self.params.text("id")
    }
}

impl TypedHeader for Event {
    const NAME: HeaderName = HeaderName::Event;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let text = trim(value);
        let end = memchr::memchr(b';', text.as_bytes()).unwrap_or(text.len());
        let (package, params) = split_at(text, end);
        let package = trim(package);
        if !is_token(package) {
            return Err(HeaderError::invalid::<Self>("malformed event package"));
        }
        Ok(Self {
            package: value.slice_of(package),
            params: Params::parse(&value.slice_of(params)).map_err(HeaderError::syntax::<Self>)?,
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.package, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn package_and_id_are_read() {
        let event: Event = check("presence.winfo ; id = 7", "presence.winfo;id=7");
        assert!(event.is("Presence.WInfo"));
        assert_eq!(event.id().unwrap(), "7");
        check::<Event>("vnd-microsoft-roaming-contacts", "vnd-microsoft-roaming-contacts");
    }

    #[test]
    fn other_forms_are_refused() {
        refuse::<Event>(&["", ";id=1", "a b", "presence;", "presence, dialog"]);
    }
}
