//! [`SipStr`]: text that lives in the buffer it arrived in.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};

use bytes::Bytes;
use bytestring::ByteString;

/// An immutable UTF-8 string that shares its buffer with the message it came from.
///
/// Cloning and slicing count a reference and copy nothing. A `SipStr` therefore keeps the whole buffer
/// alive: use [`SipStr::detach`] for what outlives its message by far (a registration, a cache key).
///
/// The bytes are checked to be UTF-8 once, when the buffer is taken over; reading a slice costs nothing.
#[derive(Clone, Default)]
pub struct SipStr(ByteString);

impl SipStr {
    /// Wraps a literal; no allocation.
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// Copies `text` into a buffer of its own.
    pub fn copy_from(text: &str) -> Self {
        Self(ByteString::from(text))
    }

    /// Takes over a buffer.
    ///
    /// # Errors
    /// When the bytes are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        ByteString::try_from(bytes).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The underlying buffer.
    pub fn bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The part of the text in `range` (byte positions), sharing the buffer.
    ///
    /// A range that is out of bounds or that cuts a character gives the empty string: this function never panics.
    pub fn slice(&self, range: Range<usize>) -> SipStr {
        match self.as_str().get(range) {
            Some(part) if !part.is_empty() => Self(self.0.slice_ref(part)),
            _ => SipStr::default(),
        }
    }

    /// `part` as a `SipStr`: shares the buffer when `part` is a piece of this text, else copies.
    pub fn slice_of(&self, part: &str) -> SipStr {
        if part.is_empty() {
            return SipStr::default();
        }
        let offset = (part.as_ptr() as usize).checked_sub(self.as_str().as_ptr() as usize);
        match offset.and_then(|start| start.checked_add(part.len())) {
            Some(end) if end <= self.len() => Self(self.0.slice_ref(part)),
            _ => SipStr::copy_from(part),
        }
    }

    /// The same text in a buffer of its own, so that a message's buffer can be freed.
    pub fn detach(&self) -> SipStr {
        Self::copy_from(self)
    }
}

// === conversions ===

impl Deref for SipStr {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for SipStr {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for SipStr {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for SipStr {
    fn from(text: &'static str) -> Self {
        Self::from_static(text)
    }
}

impl From<String> for SipStr {
    fn from(text: String) -> Self {
        Self(ByteString::from(text))
    }
}

impl From<SipStr> for String {
    fn from(text: SipStr) -> Self {
        text.as_str().to_owned()
    }
}

impl From<Cow<'_, str>> for SipStr {
    fn from(text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::copy_from(text),
            Cow::Owned(text) => Self::from(text),
        }
    }
}

// === comparison and printing: always as the text ===

impl PartialEq for SipStr {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for SipStr {}

impl PartialEq<str> for SipStr {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for SipStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for SipStr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SipStr {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for SipStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Must agree with `str`, because of `Borrow<str>`.
        self.as_str().hash(state);
    }
}

impl fmt::Display for SipStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for SipStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_shares_the_buffer() {
        let text = SipStr::copy_from("sip:alice@example.test");
        let user = text.slice(4..9);
        assert_eq!(user, "alice");
        assert_eq!(user.bytes().as_ptr() as usize, text.bytes().as_ptr() as usize + 4);
    }

    #[test]
    fn an_impossible_slice_is_empty_instead_of_a_panic() {
        let text = SipStr::copy_from("aä");
        assert_eq!(text.slice(0..9), "");
        assert_eq!(text.slice(2..3), "", "starts inside a character");
        assert_eq!(text.slice(0..2), "", "ends inside a character");
        assert_eq!(text.slice(1..3), "ä");
        #[expect(clippy::reversed_empty_ranges, reason = "the point of the test")]
        let reversed = text.slice(2..1);
        assert_eq!(reversed, "");
    }

    #[test]
    fn a_foreign_part_is_copied() {
        let text = SipStr::copy_from("one");
        assert_eq!(text.slice_of("two"), "two");
        let part = text.as_str().get(1..).unwrap();
        assert_eq!(text.slice_of(part).bytes().as_ptr(), part.as_ptr());
    }

    #[test]
    fn looks_like_a_str_to_a_map() {
        let mut map = std::collections::HashMap::new();
        map.insert(SipStr::copy_from("key"), 1);
        assert_eq!(map.get("key"), Some(&1));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(SipStr::from_utf8(Bytes::from_static(b"\xc3\x28")).is_err());
    }
}
