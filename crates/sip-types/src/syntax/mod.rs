//! The small grammar that all headers share (RFC 3261 section 25.1): tokens, quoted strings, blanks, lists.
//!
//! Values reach these functions trimmed and unfolded, without CR or LF.

mod chars;
mod list;
mod number;
mod quoted;

pub(crate) use chars::Class;
pub use list::{ListItems, split_list};
pub use number::{parse_u8, parse_u16, parse_u32};
pub(crate) use quoted::{find_outside_quotes, starts_quoted};
pub use quoted::{quote, quoted_end, unquote};

/// Why a value does not follow its grammar. The text is for logs and reason phrases; it never contains input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(pub &'static str);

/// Whether `byte` may stand in a token.
pub fn is_token_byte(byte: u8) -> bool {
    Class::Token.has(byte)
}

/// Whether `text` is a token: not empty, and nothing but token bytes.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && Class::Token.has_all(text)
}

/// Whether `byte` is a blank: space or tab.
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// `text` without the blanks (space, tab) at both ends.
pub fn trim(text: &str) -> &str {
    let bytes = text.as_bytes();
    // Nearly always there is nothing to trim.
    let blank = |byte: Option<&u8>| byte.copied().is_some_and(is_blank);
    if blank(bytes.first()) || blank(bytes.last()) {
        text.trim_matches([' ', '\t'])
    } else {
        text
    }
}

/// `text` split at the first `byte`, neither part trimmed; `None` if there is none.
pub(crate) fn cut(text: &str, byte: u8) -> Option<(&str, &str)> {
    // The separators of SIP come early: a plain loop is faster than a search with vectors.
    let at = text.bytes().position(|known| known == byte)?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// `text` split at byte position `at` (a position found by searching for an ASCII byte).
pub(crate) fn split_at(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_token_characters_only() {
        assert!(is_token("a-.!%*_+`'~Z9"));
        for bad in ["", "a b", "a;b", "a/b", "ä", "a@b", "\"a\"", "a\0"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_blanks_are_trimmed() {
        assert_eq!(trim(" \t a b\t "), "a b");
        assert_eq!(trim("\u{a0}x\u{a0}"), "\u{a0}x\u{a0}");
    }

    #[test]
    fn cutting_keeps_both_sides_as_they_are() {
        assert_eq!(cut("a = b = c", b'='), Some(("a ", " b = c")));
        assert_eq!(cut("abc", b'='), None);
        assert_eq!(cut("=", b'='), Some(("", "")));
    }
}
