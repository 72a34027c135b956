//! `Call-ID`: RFC 3261 section 20.8.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::text::SipStr;

/// The name of a dialog or of a series of registrations. Compared with regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallId(SipStr);

impl CallId {
    /// The value for `text`; `None` if it has anything but the characters of `word [ "@" word ]`.
    pub fn new(text: impl Into<SipStr>) -> Option<Self> {
        let text = text.into();
        is_call_id(&text).then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, sharing its buffer.
    pub fn into_inner(self) -> SipStr {
        self.0
    }
}

/// `word [ "@" word ]` of RFC 3261 section 25.1, and no blanks.
pub(super) fn is_call_id(text: &str) -> bool {
    let (first, second) = crate::syntax::cut(text, b'@').map_or((text, None), |(first, second)| (first, Some(second)));
    is_word(first) && second.is_none_or(is_word)
}

fn is_word(text: &str) -> bool {
    let byte = |byte| crate::syntax::is_token_byte(byte) || b"()<>:\\\"/[]?{}".contains(&byte);
    !text.is_empty() && text.bytes().all(byte)
}

impl TypedHeader for CallId {
    const NAME: HeaderName = HeaderName::CallId;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        Self::new(value.clone()).ok_or(HeaderError::invalid::<Self>("malformed call id"))
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn any_word_is_a_call_id() {
        check::<CallId>("a84b4c76e66710", "a84b4c76e66710");
        check::<CallId>("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    }

    #[test]
    fn blanks_and_lists_are_refused() {
        refuse::<CallId>(&["", "a b", "a,b", "@", "a@", "@b", "a@b@c", "a;b", "ä"]);
    }
}
