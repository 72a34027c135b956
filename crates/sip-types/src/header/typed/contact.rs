//! `Contact`: RFC 3261 section 20.10, with the parameters of RFC 5626, RFC 5627 and RFC 3840.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::name_addr::NameAddr;
use crate::syntax::parse_u32;
use crate::text::SipStr;

/// What a malformed `expires` counts as, in seconds (RFC 3261 section 20.10).
pub const MALFORMED_EXPIRES: u32 = 3600;

/// Where a user agent can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// `*`: all bindings, in a REGISTER that removes them.
    Wildcard,
    /// An address.
    Address(NameAddr),
}

impl Contact {
    /// The address, unless this is the wildcard.
    pub fn address(&self) -> Option<&NameAddr> {
        match self {
            Self::Wildcard => None,
            Self::Address(address) => Some(address),
        }
    }

    /// The `expires` parameter in seconds. A malformed one counts as [`MALFORMED_EXPIRES`].
    pub fn expires(&self) -> Option<u32> {
        let text = self.param("expires")?;
        Some(parse_u32(&text).unwrap_or(MALFORMED_EXPIRES))
    }

    /// The `q` parameter in thousandths, 0 to 1000; `None` if absent or malformed.
    pub fn q(&self) -> Option<u16> {
        super::qvalue::parse(&self.param("q")?)
    }

    /// The instance, `+sip.instance`, without quotes and angle brackets: `urn:uuid:...` (RFC 5626 section 4.1).
    pub fn instance(&self) -> Option<SipStr> {
        let text = self.param("+sip.instance")?;
        let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(&text);
        Some(text.slice_of(inner)).filter(|text| !text.is_empty())
    }

    /// The flow number, `reg-id` (RFC 5626 section 4.2); `None` if absent, zero or malformed.
    pub fn reg_id(&self) -> Option<u32> {
        parse_u32(&self.param("reg-id")?).ok().filter(|number| *number > 0)
    }

    /// The public GRUU a registrar gave, `pub-gruu` (RFC 5627 section 3.1).
    pub fn pub_gruu(&self) -> Option<SipStr> {
        self.param("pub-gruu")
    }

    /// The temporary GRUU a registrar gave, `temp-gruu` (RFC 5627 section 3.1).
    pub fn temp_gruu(&self) -> Option<SipStr> {
        self.param("temp-gruu")
    }

    /// Whether the URI asks for outbound handling, `ob` (RFC 5626 section 5.1).
    pub fn has_ob(&self) -> bool {
        self.address().is_some_and(|address| address.uri.params().has("ob"))
    }

    fn param(&self, name: &str) -> Option<SipStr> {
        self.address()?.params.text(name)
    }
}

impl TypedHeader for Contact {
    const NAME: HeaderName = HeaderName::Contact;
    const COMMA_SEPARATED: bool = true;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        if value == "*" {
            return Ok(Self::Wildcard);
        }
        NameAddr::parse(value).map(Self::Address).map_err(HeaderError::syntax::<Self>)
    }
}

impl From<NameAddr> for Contact {
    fn from(address: NameAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard => f.write_str("*"),
            Self::Address(address) => fmt::Display::fmt(address, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    const LYNC: &str = "<sip:127.0.0.1:38220;transport=tls;ms-opaque=d3470f2e1d>;methods=\"INVITE, MESSAGE, INFO\";\
        proxy=replace;+sip.instance=\"<urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a>\"";

    #[test]
    fn a_lync_family_contact_is_read_whole() {
        let contact: Contact = check(LYNC, LYNC);
        assert_eq!(contact.instance().unwrap(), "urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a");
        let params = &contact.address().unwrap().params;
        assert_eq!(params.text("methods").unwrap(), "INVITE, MESSAGE, INFO");
        assert_eq!(params.text("proxy").unwrap(), "replace");
        assert_eq!(contact.expires(), None);
    }

    #[test]
    fn outbound_and_gruu_parameters_are_read() {
        let contact: Contact = check(
            "<sip:a@h;ob>;reg-id=1;q=0.7;expires=600;pub-gruu=\"sip:a@h;gr=x\";temp-gruu=\"sip:t@h;gr\"",
            "<sip:a@h;ob>;reg-id=1;q=0.7;expires=600;pub-gruu=\"sip:a@h;gr=x\";temp-gruu=\"sip:t@h;gr\"",
        );
        assert_eq!((contact.reg_id(), contact.q(), contact.expires()), (Some(1), Some(700), Some(600)));
        assert!(contact.has_ob());
        assert_eq!(contact.pub_gruu().unwrap(), "sip:a@h;gr=x");
        assert_eq!(contact.temp_gruu().unwrap(), "sip:t@h;gr");
    }

    #[test]
    fn a_malformed_expiry_counts_as_an_hour() {
        let contact: Contact = check("<sip:a@h>;expires=280297596632815", "<sip:a@h>;expires=280297596632815");
        assert_eq!(contact.expires(), Some(3600));
    }

    #[test]
    fn the_wildcard_stands_alone() {
        assert_eq!(check::<Contact>("*", "*"), Contact::Wildcard);
        refuse::<Contact>(&["*;expires=0", "**", "\"Joe\" <sip:joe@example.org>;;;;", "sip:a@h?Route=%3Csip:b%3E"]);
    }
}
