//! [`Uri`]: addresses (RFC 3261 section 19.1, RFC 3966 for `tel:`, RFC 3986 for the rest).

mod aor;
mod compare;
mod host;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

pub use aor::{AddressOfRecord, AorError};
pub use host::is_host;
pub(crate) use host::parse_host_port;

use crate::params::Params;
use crate::syntax::SyntaxError;
use crate::text::SipStr;

/// Why a text is no URI, or not a well-formed one of its scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed uri: {0}")]
pub struct UriError(pub(crate) &'static str);

impl From<UriError> for SyntaxError {
    fn from(error: UriError) -> Self {
        SyntaxError(error.0)
    }
}

/// An absolute URI, kept and printed exactly as it was received.
///
/// `sip:` and `sips:` are taken apart and checked when parsed, `tel:` as far as its parameters; any other scheme is
/// kept verbatim: whether it can be served is the caller's question ([`Request::validate`](crate::Request::validate) answers 416).
///
/// `==` compares the text. For the rules of RFC 3261 section 19.1.4 use [`Uri::equivalent`], for "is it the same
/// person" compare [`Uri::aor`].
#[derive(Clone)]
pub struct Uri {
    raw: SipStr,
    parts: Parts,
}

/// Where the parts of a URI are; positions fit 16 bits because [`crate::limits::START_LINE`] does.
#[derive(Clone, Default)]
struct Parts {
    kind: Kind,
    /// End of the scheme name, where its colon is.
    scheme: u16,
    user: Option<Span>,
    password: Option<Span>,
    host: Span,
    port: Option<u16>,
    params: Span,
    headers: Span,
}

/// What the parser knows about the scheme.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    Sip,
    Sips,
    Tel,
    #[default]
    Other,
}

/// A byte range of the raw text.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

impl Uri {
    /// Parses a URI without angle brackets and blanks around it.
    ///
    /// # Errors
    /// No scheme, characters no URI can have, or a `sip:`, `sips:` or `tel:` URI that breaks the rules of its scheme.
    pub fn parse(text: &SipStr) -> Result<Self, UriError> {
        Self::parse_in(text, text)
    }

    /// The same for `text`, which is a piece of `owner`.
    pub(crate) fn parse_in(owner: &SipStr, text: &str) -> Result<Self, UriError> {
        Ok(Self {
            parts: parse::parts(text)?,
            raw: owner.slice_of(text),
        })
    }

    /// The scheme as written, without colon: `sip`, `SIPS`, `tel`. Compare without regard to case.
    pub fn scheme(&self) -> &str {
        self.raw.get(..usize::from(self.parts.scheme)).unwrap_or_default()
    }

    /// Whether this is a `sip:` or `sips:` URI.
    pub fn is_sip(&self) -> bool {
        matches!(self.parts.kind, Kind::Sip | Kind::Sips)
    }

    /// Whether this is a `sips:` URI.
    pub fn is_sips(&self) -> bool {
        self.parts.kind == Kind::Sips
    }

    /// Whether this is a `tel:` URI.
    pub fn is_tel(&self) -> bool {
        self.parts.kind == Kind::Tel
    }

    /// The user part as written, with its escapes; without the password. `None` if there is no `@`.
    pub fn user(&self) -> Option<&str> {
        self.parts.user.map(|span| self.at(span))
    }

    /// The user part, its `%XX` escapes decoded (bytes that are no UTF-8 are replaced by U+FFFD).
    pub fn user_decoded(&self) -> Option<String> {
        self.user()
            .map(|user| String::from_utf8_lossy(&percent_decode(user)).into_owned())
    }

    /// The password of `user:password@`, as written. Nobody should send one.
    pub fn password(&self) -> Option<&str> {
        self.parts.password.map(|span| self.at(span))
    }

    /// The host as written: a name, an IPv4 address or an IPv6 reference with its brackets. Empty unless
    /// [`Uri::is_sip`].
    pub fn host(&self) -> &str {
        self.at(self.parts.host)
    }

    /// The host as an address, if it is one.
    pub fn host_ip(&self) -> Option<IpAddr> {
        host::ip(self.host())
    }

    /// The port, if written.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The number of a `tel:` URI, as written with its visual separators.
    pub fn telephone_number(&self) -> Option<&str> {
        self.is_tel().then(|| self.at(self.parts.host))
    }

    /// The URI's parameters. Cheap: a slice of the text.
    pub fn params(&self) -> Params {
        Params::parsed_before(&self.raw, self.at(self.parts.params))
    }

    /// The headers behind `?` as written: name and value, still escaped.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.at(self.parts.headers)
            .split('&')
            .filter(|header| !header.is_empty())
            .map(|header| crate::syntax::cut(header, b'=').unwrap_or((header, "")))
    }

    /// The whole text, as received.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The whole text, sharing its buffer.
    pub fn as_raw(&self) -> &SipStr {
        &self.raw
    }

    /// The person or service addressed: `user@host` in canonical form. Port, parameters (`opaque`, `gruu`,
    /// `transport` and all others) and headers are ignored. `None` without a user or for other schemes.
    pub fn aor(&self) -> Option<AddressOfRecord> {
        AddressOfRecord::from_parts(self.user()?, self.host())
    }

    /// Whether both mean the same by the rules of RFC 3261 section 19.1.4. Other schemes are compared as text,
    /// but for the scheme's case.
    pub fn equivalent(&self, other: &Uri) -> bool {
        compare::equivalent(self, other)
    }

    fn at(&self, span: Span) -> &str {
        self.raw.get(span.range()).unwrap_or_default()
    }
}

/// Decodes `%XX`; anything else, broken escapes included, is taken as it is.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, hex_pair(tail)) {
            (b'%', Some((byte, tail))) => {
                decoded.push(byte);
                rest = tail;
            }
            _ => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    decoded
}

/// The byte that two hexadecimal digits at the beginning of `text` mean, and the rest.
fn hex_pair(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&high, rest) = text.split_first()?;
    let (&low, rest) = rest.split_first()?;
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(((digit(high)? << 4) | digit(low)?, rest))
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Uri {}

impl std::hash::Hash for Uri {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.raw.hash(state);
    }
}

impl std::str::FromStr for Uri {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(&SipStr::copy_from(text))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", self.raw)
    }
}
