//! [`HeaderName`]: the names of header fields, long and compact.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::syntax::is_token;
use crate::text::SipStr;

/// Marks a field whose name is not in the table.
pub(crate) const OTHER: u8 = u8::MAX;

macro_rules! header_names {
    ($($variant:ident = $text:literal $(/ $compact:literal)? : $reference:literal,)+) => {
        /// The name of a header field.
        ///
        /// Names are compared without regard to case, and a compact form is the long form. Printed is always the
        /// long form as the RFC that defines it spells it; an unknown name is printed as it was received.
        #[derive(Clone, Debug)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`, ", $reference, ".")] $variant,)+
            /// A header this crate has no name for. Make it with [`HeaderName::parse`], which finds the known ones.
            Other(SipStr),
        }

        /// The position of each known name in the tables below.
        #[derive(Clone, Copy)]
        #[repr(u8)]
        pub(crate) enum Slot { $($variant,)+ }

        /// All known names, by [`Slot`].
        static NAMES: &[HeaderName] = &[$(HeaderName::$variant,)+];

        /// Long forms, by [`Slot`].
        const TEXTS: &[&str] = &[$($text,)+];

        /// Compact forms and their [`Slot`].
        const COMPACT: &[(u8, u8)] = &[$($(($compact, Slot::$variant as u8),)?)+];

        impl HeaderName {
            /// The table position, [`OTHER`] if there is none.
            #[inline]
            pub(crate) const fn id(&self) -> u8 {
                match self {
                    $(Self::$variant => Slot::$variant as u8,)+
                    Self::Other(_) => OTHER,
                }
            }
        }
    };
}

header_names! {
    Accept = "Accept": "RFC 3261 section 20.1",
    AcceptContact = "Accept-Contact" / b'a': "RFC 3841 section 9.2",
    AcceptEncoding = "Accept-Encoding": "RFC 3261 section 20.2",
    AcceptLanguage = "Accept-Language": "RFC 3261 section 20.3",
    AcceptResourcePriority = "Accept-Resource-Priority": "RFC 4412 section 3.2",
    AlertInfo = "Alert-Info": "RFC 3261 section 20.4",
    Allow = "Allow": "RFC 3261 section 20.5",
    AllowEvents = "Allow-Events" / b'u': "RFC 6665 section 8.2.2",
    AuthenticationInfo = "Authentication-Info": "RFC 3261 section 20.6",
    Authorization = "Authorization": "RFC 3261 section 20.7",
    CallId = "Call-ID" / b'i': "RFC 3261 section 20.8",
    CallInfo = "Call-Info": "RFC 3261 section 20.9",
    Contact = "Contact" / b'm': "RFC 3261 section 20.10",
    ContentDisposition = "Content-Disposition": "RFC 3261 section 20.11",
    ContentEncoding = "Content-Encoding" / b'e': "RFC 3261 section 20.12",
    ContentLanguage = "Content-Language": "RFC 3261 section 20.13",
    ContentLength = "Content-Length" / b'l': "RFC 3261 section 20.14",
    ContentType = "Content-Type" / b'c': "RFC 3261 section 20.15",
    CSeq = "CSeq": "RFC 3261 section 20.16",
    Date = "Date": "RFC 3261 section 20.17",
    ErrorInfo = "Error-Info": "RFC 3261 section 20.18",
    Event = "Event" / b'o': "RFC 6665 section 8.2.1",
    Expires = "Expires": "RFC 3261 section 20.19",
    FlowTimer = "Flow-Timer": "RFC 5626 section 11.4",
    From = "From" / b'f': "RFC 3261 section 20.20",
    Identity = "Identity" / b'y': "RFC 8224 section 4",
    InReplyTo = "In-Reply-To": "RFC 3261 section 20.21",
    Join = "Join": "RFC 3911 section 7.1",
    MaxForwards = "Max-Forwards": "RFC 3261 section 20.22",
    MimeVersion = "MIME-Version": "RFC 3261 section 20.24",
    MinExpires = "Min-Expires": "RFC 3261 section 20.23",
    MinSe = "Min-SE": "RFC 4028 section 5",
    MsBodies = "ms-bodies": "MS-CONFBAS",
    MsDiagnostics = "ms-diagnostics": "MS-OCER",
    MsDiagnosticsPublic = "ms-diagnostics-public": "MS-OCER",
    MsKeepAlive = "ms-keep-alive": "MS-CONMGMT",
    MsPiggybackCseq = "ms-piggyback-cseq": "MS-SIP",
    MsSender = "Ms-Sender": "MS-CONFIM",
    MsTextFormat = "ms-text-format": "MS-SIP",
    MsUserLogonData = "ms-user-logon-data": "MS-SIPREGE",
    Organization = "Organization": "RFC 3261 section 20.25",
    PAccessNetworkInfo = "P-Access-Network-Info": "RFC 7315 section 4.4",
    PAssertedIdentity = "P-Asserted-Identity": "RFC 3325 section 9.1",
    PAssociatedUri = "P-Associated-URI": "RFC 7315 section 4.1",
    PPreferredIdentity = "P-Preferred-Identity": "RFC 3325 section 9.2",
    Path = "Path": "RFC 3327 section 4",
    PresenceState = "presence-state": "MS-SIPREGE",
    Priority = "Priority": "RFC 3261 section 20.26",
    Privacy = "Privacy": "RFC 3323 section 4.2",
    ProxyAuthenticate = "Proxy-Authenticate": "RFC 3261 section 20.27",
    ProxyAuthenticationInfo = "Proxy-Authentication-Info": "RFC 7615 section 4",
    ProxyAuthorization = "Proxy-Authorization": "RFC 3261 section 20.28",
    ProxyRequire = "Proxy-Require": "RFC 3261 section 20.29",
    RAck = "RAck": "RFC 3262 section 7.2",
    Reason = "Reason": "RFC 3326 section 2",
    RecordRoute = "Record-Route": "RFC 3261 section 20.30",
    ReferSub = "Refer-Sub": "RFC 4488 section 4",
    ReferTo = "Refer-To" / b'r': "RFC 3515 section 2.1",
    ReferredBy = "Referred-By" / b'b': "RFC 3892 section 3",
    RejectContact = "Reject-Contact" / b'j': "RFC 3841 section 9.2",
    Replaces = "Replaces": "RFC 3891 section 6.1",
    ReplyTo = "Reply-To": "RFC 3261 section 20.31",
    RequestDisposition = "Request-Disposition" / b'd': "RFC 3841 section 9.1",
    Require = "Require": "RFC 3261 section 20.32",
    RetryAfter = "Retry-After": "RFC 3261 section 20.33",
    Route = "Route": "RFC 3261 section 20.34",
    RSeq = "RSeq": "RFC 3262 section 7.1",
    Server = "Server": "RFC 3261 section 20.35",
    ServiceRoute = "Service-Route": "RFC 3608 section 5",
    SessionExpires = "Session-Expires" / b'x': "RFC 4028 section 4",
    SipEtag = "SIP-ETag": "RFC 3903 section 11.3.1",
    SipIfMatch = "SIP-If-Match": "RFC 3903 section 11.3.2",
    Subject = "Subject" / b's': "RFC 3261 section 20.36",
    SubscriptionState = "Subscription-State": "RFC 6665 section 8.2.3",
    Supported = "Supported" / b'k': "RFC 3261 section 20.37",
    SuppressIfMatch = "Suppress-If-Match": "RFC 5839 section 5",
    TargetDialog = "Target-Dialog": "RFC 4538 section 7",
    Timestamp = "Timestamp": "RFC 3261 section 20.38",
    To = "To" / b't': "RFC 3261 section 20.39",
    Unsupported = "Unsupported": "RFC 3261 section 20.40",
    UserAgent = "User-Agent": "RFC 3261 section 20.41",
    Via = "Via" / b'v': "RFC 3261 section 20.42",
    Warning = "Warning": "RFC 3261 section 20.43",
    WwwAuthenticate = "WWW-Authenticate": "RFC 3261 section 20.44",
}

// === lookup: a hash table built by the compiler, chained through NEXT ===

const BUCKETS: usize = 128;

/// Names that share length, first and last letter are few: no chain is longer than three.
const fn bucket(length: usize, first: u8, last: u8) -> usize {
    (length.wrapping_mul(37) ^ (first | 0x20) as usize ^ ((last | 0x20) as usize).wrapping_mul(11)) % BUCKETS
}

const TABLE: ([u8; BUCKETS], [u8; TEXTS.len()]) = {
    let mut heads = [OTHER; BUCKETS];
    let mut next = [OTHER; TEXTS.len()];
    let mut id = 0;
    while id < TEXTS.len() {
        let text = TEXTS[id].as_bytes();
        let at = bucket(text.len(), text[0], text[text.len() - 1]);
        next[id] = heads[at];
        heads[at] = id as u8;
        id += 1;
    }
    (heads, next)
};

static HEADS: [u8; BUCKETS] = TABLE.0;
static NEXT: [u8; TEXTS.len()] = TABLE.1;

/// The table position of a name in long or compact form, [`OTHER`] if it is unknown.
pub(crate) fn lookup(name: &[u8]) -> u8 {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else {
        return OTHER;
    };
    if name.len() == 1 {
        let letter = first.to_ascii_lowercase();
        return COMPACT
            .iter()
            .find(|(compact, _)| *compact == letter)
            .map_or(OTHER, |(_, id)| *id);
    }
    let mut id = HEADS
        .get(bucket(name.len(), first, last))
        .copied()
        .unwrap_or(OTHER);
    while let Some(text) = TEXTS.get(usize::from(id)) {
        // Most peers spell names as the RFCs do.
        if text.as_bytes() == name || text.as_bytes().eq_ignore_ascii_case(name) {
            return id;
        }
        id = NEXT.get(usize::from(id)).copied().unwrap_or(OTHER);
    }
    OTHER
}

/// The known name at this table position.
pub(crate) fn by_id(id: u8) -> Option<HeaderName> {
    NAMES.get(usize::from(id)).cloned()
}

impl HeaderName {
    /// The name that `text` spells, in long or compact form.
    ///
    /// # Errors
    /// `None` if `text` is not a token.
    pub fn parse(text: &SipStr) -> Option<Self> {
        by_id(lookup(text.bytes())).or_else(|| is_token(text).then(|| Self::Other(text.clone())))
    }

    /// The long form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => TEXTS.get(usize::from(known.id())).copied().unwrap_or_default(),
        }
    }

    /// The one-letter form, if the header has one.
    pub fn compact(&self) -> Option<char> {
        COMPACT
            .iter()
            .find(|(_, id)| *id == self.id())
            .map(|(letter, _)| char::from(*letter))
    }
}

impl From<&'static str> for HeaderName {
    /// The name that `text` spells. What is no token is printed with its bad characters replaced.
    fn from(text: &'static str) -> Self {
        let text = SipStr::from_static(text);
        by_id(lookup(text.bytes())).unwrap_or(Self::Other(text))
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(one), Self::Other(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one.id() == other.id(),
        }
    }
}

impl Eq for HeaderName {}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
        if let Self::Other(name) = self {
            name.bytes()
                .iter()
                .for_each(|byte| byte.to_ascii_lowercase().hash(state));
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (id, text) in TEXTS.iter().enumerate() {
            assert_eq!(usize::from(lookup(text.as_bytes())), id, "{text}");
            assert_eq!(
                usize::from(lookup(text.to_ascii_uppercase().as_bytes())),
                id,
                "{text}"
            );
            assert_eq!(by_id(id as u8).unwrap().as_str(), *text);
        }
        assert!(TEXTS.len() < usize::from(OTHER));
    }

    #[test]
    fn chains_are_short() {
        for &head in &HEADS {
            let mut length = 0;
            let mut id = head;
            while id != OTHER {
                length += 1;
                id = NEXT[usize::from(id)];
            }
            assert!(length <= 4, "a bucket holds {length} names");
        }
    }

    #[test]
    fn compact_forms_are_the_long_forms() {
        let name = |text: &'static str| HeaderName::parse(&text.into()).unwrap();
        assert_eq!(name("v"), HeaderName::Via);
        assert_eq!(name("M"), HeaderName::Contact);
        assert_eq!(name("k").to_string(), "Supported");
        assert_eq!(HeaderName::Event.compact(), Some('o'));
        assert_eq!(name("z"), HeaderName::Other("z".into()));
    }

    #[test]
    fn unknown_names_keep_their_case_but_compare_without() {
        let one = HeaderName::parse(&"X-Custom".into()).unwrap();
        assert_eq!(one.to_string(), "X-Custom");
        assert_eq!(one, HeaderName::Other("x-custom".into()));
        assert_ne!(one, HeaderName::Via);
        assert_eq!(HeaderName::parse(&"X Custom".into()), None);
        assert_eq!(HeaderName::parse(&"".into()), None);
    }
}
