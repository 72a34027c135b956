//! [`Cpim`]: a message with its own envelope, `message/cpim` (RFC 3862), and the receipts it may ask for (RFC 5438).

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::BodyError;
pub use crate::fields::{FIELD_BYTES, FIELDS};
use crate::fields::{Field, Style, read_block, unfold};

/// The content type of the format.
pub const CONTENT_TYPE: &str = "message/cpim";

/// The namespace of the `imdn` headers, which a message binds to a prefix with its `NS` header.
pub const IMDN_NAMESPACE: &str = "urn:ietf:params:imdn";

/// What a sender wants to be told (RFC 5438 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Disposition {
    /// That the message reached the recipient's client.
    PositiveDelivery,
    /// That it did not.
    NegativeDelivery,
    /// What intermediaries did with it.
    Processing,
    /// That it was shown.
    Display,
}

impl Disposition {
    const ALL: [Self; 4] = [
        Self::PositiveDelivery,
        Self::NegativeDelivery,
        Self::Processing,
        Self::Display,
    ];

    /// The token in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Disposition::PositiveDelivery => "positive-delivery",
            Disposition::NegativeDelivery => "negative-delivery",
            Disposition::Processing => "processing",
            Disposition::Display => "display",
        }
    }
}

/// A CPIM message: one buffer and an index of its header fields.
///
/// Parsed and built messages have the same form; printing is a reference to the buffer.
///
/// Invariant: the bytes before `body` are UTF-8 and every range of `fields` lies within them.
#[derive(Clone, Debug)]
pub struct Cpim {
    whole: Bytes,
    fields: Vec<Field>,
    /// How many of `fields` are of the envelope; the others describe the content.
    envelope: usize,
    body: Bytes,
}

/// Equal bytes are equal messages: the index follows from them.
impl PartialEq for Cpim {
    fn eq(&self, other: &Self) -> bool {
        self.whole == other.whole
    }
}

impl Eq for Cpim {}

impl Cpim {
    /// Reads a message. Nothing is copied: the parts refer to `whole`.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] where the grammar is broken, [`BodyError::Limit`] beyond [`FIELDS`] or
    /// [`FIELD_BYTES`], [`BodyError::Unsupported`] if the headers are not UTF-8.
    pub fn parse(whole: &Bytes) -> Result<Self, BodyError> {
        let mut fields = Vec::new();
        let mut position = read_block(whole, 0, &mut fields, Style::Cpim)?;
        let mut envelope = fields.len();
        if let Some(merged) = content_in_envelope(whole, &fields) {
            envelope = merged;
        } else {
            position = read_block(whole, position, &mut fields, Style::Mime)?;
        }
        let head = whole.get(..position).unwrap_or_default();
        std::str::from_utf8(head).map_err(|_| BodyError::Unsupported("CPIM headers that are not UTF-8"))?;
        Ok(Self {
            body: whole.slice(position..),
            whole: whole.clone(),
            fields,
            envelope,
        })
    }

    /// Starts an empty message.
    pub fn builder() -> CpimBuilder {
        CpimBuilder::default()
    }

    /// The message as it goes into a body; no copy.
    pub fn print(&self) -> Bytes {
        self.whole.clone()
    }

    /// The content, without its headers.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The envelope's header fields in order, as written: name with prefix, and value without parameters.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .take(self.envelope)
            .map(|field| (self.text(&field.name), self.text(&field.value)))
    }

    /// The first envelope header of this name outside any namespace. Names compare with regard to case
    /// (RFC 3862 section 2.2).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .find(|(candidate, _)| *candidate == name)
            .map(|(_, value)| value)
    }

    /// The first header `name` of a namespace, whatever prefix the message gave it. A prefix counts from its `NS`
    /// header on (section 2.5).
    pub fn namespaced_header(&self, namespace: &str, name: &str) -> Option<&str> {
        let mut prefixes: Vec<&str> = Vec::new();
        for (candidate, value) in self.headers() {
            if candidate == "NS" {
                let (prefix, uri) = value.split_once('<').unwrap_or(("", ""));
                let prefix = prefix.trim();
                // A later declaration replaces an earlier one of the same prefix.
                prefixes.retain(|known| *known != prefix);
                if uri.trim_end().strip_suffix('>') == Some(namespace) {
                    prefixes.push(prefix);
                }
            } else if let Some((prefix, local)) = candidate.split_once('.') {
                if local == name && prefixes.contains(&prefix) {
                    return Some(value);
                }
            } else if candidate == name && prefixes.contains(&"") {
                return Some(value);
            }
        }
        None
    }

    /// The URI of the sender, from the brackets of `From`.
    pub fn from_uri(&self) -> Option<&str> {
        bracketed(self.header("From")?)
    }

    /// The URIs of the recipients.
    pub fn to_uris(&self) -> impl Iterator<Item = &str> {
        self.headers()
            .filter(|(name, _)| *name == "To")
            .filter_map(|(_, value)| bracketed(value))
    }

    /// `DateTime`, an ISO 8601 time as written.
    pub fn date_time(&self) -> Option<&str> {
        self.header("DateTime")
    }

    /// `Subject`, escapes undone.
    pub fn subject(&self) -> Option<Cow<'_, str>> {
        self.header("Subject").map(unescape)
    }

    /// `imdn.Message-ID`, by which receipts are paired.
    pub fn message_id(&self) -> Option<&str> {
        self.namespaced_header(IMDN_NAMESPACE, "Message-ID")
    }

    /// The receipts asked for; empty if none. Unknown tokens are ignored.
    pub fn dispositions(&self) -> Vec<Disposition> {
        let list = self
            .namespaced_header(IMDN_NAMESPACE, "Disposition-Notification")
            .unwrap_or_default();
        let tokens = list.split(',').map(str::trim);
        tokens
            .filter_map(|token| Disposition::ALL.into_iter().find(|known| known.as_str() == token))
            .collect()
    }

    /// The content's headers in order. Names compare without case, as MIME says.
    pub fn content_headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.fields
            .iter()
            .skip(self.envelope)
            .map(|field| (self.text(&field.name), unfold(self.text(&field.value))))
    }

    /// `Content-Type` of the content. RFC 2045 section 5.2: text/plain if absent.
    pub fn content_type(&self) -> Option<Cow<'_, str>> {
        self.content_headers()
            .find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"))
            .map(|(_, value)| value)
    }

    fn text(&self, range: &Range<usize>) -> &str {
        // The invariant makes the defaults unreachable.
        let bytes = self.whole.get(range.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// RFC 5438's own examples leave out the empty line between envelope and content headers, and implementations
/// follow them. Gives the number of envelope fields before `Content-Type` if this is such a message: no envelope
/// header has that name.
fn content_in_envelope(whole: &[u8], fields: &[Field]) -> Option<usize> {
    fields.iter().position(|field| {
        whole
            .get(field.name.clone())
            .is_some_and(|name| name.eq_ignore_ascii_case(b"Content-Type"))
    })
}

fn bracketed(value: &str) -> Option<&str> {
    let (_, rest) = value.rsplit_once('<')?;
    rest.split_once('>').map(|(uri, _)| uri)
}

/// Undoes the escapes of RFC 3862 section 2.3.1; an unknown one stands for its character.
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let (character, length) = escape_sequence(after);
        plain.extend(character);
        rest = after.get(length..).unwrap_or_default();
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The character after a backslash and how many bytes it took.
fn escape_sequence(after: &str) -> (Option<char>, usize) {
    match after.chars().next() {
        Some('u') => {
            let code = after
                .get(1..5)
                .and_then(|digits| u32::from_str_radix(digits, 16).ok());
            match code.and_then(char::from_u32) {
                Some(character) => (Some(character), 5),
                None => (Some('u'), 1),
            }
        }
        Some('n') => (Some('\n'), 1),
        Some('r') => (Some('\r'), 1),
        Some('t') => (Some('\t'), 1),
        Some(other) => (Some(other), other.len_utf8()),
        None => (None, 0),
    }
}

/// Writes a message. A line break or NUL in any value becomes a blank: never a second header.
#[derive(Clone, Debug, Default)]
pub struct CpimBuilder {
    envelope: String,
    content: String,
}

impl CpimBuilder {
    /// Adds an envelope header, for instance `From` with `Alice <sip:alice@example.test>`.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        push_field(&mut self.envelope, name, value);
        self
    }

    /// Adds the identity of the message and the receipts it asks for.
    pub fn imdn(self, message_id: &str, dispositions: &[Disposition]) -> Self {
        let built = self
            .header("NS", &format!("imdn <{IMDN_NAMESPACE}>"))
            .header("imdn.Message-ID", message_id);
        if dispositions.is_empty() {
            return built;
        }
        let tokens: Vec<&str> = dispositions
            .iter()
            .map(|disposition| disposition.as_str())
            .collect();
        built.header("imdn.Disposition-Notification", &tokens.join(", "))
    }

    /// Adds a header of the content, for instance `Content-Type`.
    pub fn content_header(mut self, name: &str, value: &str) -> Self {
        push_field(&mut self.content, name, value);
        self
    }

    /// Puts envelope, content headers and content together.
    ///
    /// # Errors
    /// As [`Cpim::parse`]: the result is read back, so that what we send is what we would take.
    pub fn build(self, body: &[u8]) -> Result<Cpim, BodyError> {
        let mut whole = Vec::with_capacity(self.envelope.len() + self.content.len() + body.len() + 4);
        for part in [
            self.envelope.as_bytes(),
            b"\r\n",
            self.content.as_bytes(),
            b"\r\n",
            body,
        ] {
            whole.extend_from_slice(part);
        }
        Cpim::parse(&Bytes::from(whole))
    }
}

fn push_field(head: &mut String, name: &str, value: &str) {
    let safe = |text: &str| text.replace(['\r', '\n', '\0'], " ");
    head.push_str(&safe(name));
    head.push_str(": ");
    head.push_str(safe(value).trim());
    head.push_str("\r\n");
}

#[cfg(test)]
mod tests;
