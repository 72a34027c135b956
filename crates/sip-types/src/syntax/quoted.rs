//! Quoted strings: `"a \"quoted\" word"`.

use crate::text::SipStr;

/// The position just behind the closing quote of the quoted string that `text` begins with.
///
/// `None` if `text` does not begin with a quote or the string never ends.
pub fn quoted_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1usize;
    loop {
        let step = memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        at = at.checked_add(step)?;
        match bytes.get(at)? {
            b'"' => return at.checked_add(1),
            // A backslash and what it escapes.
            _ => at = at.checked_add(2)?,
        }
    }
}

/// The text of a quoted string, its quotes and escapes removed.
///
/// Shares the buffer unless there were escapes. `None` unless `text` is exactly one quoted string.
pub fn unquote(text: &SipStr) -> Option<SipStr> {
    if quoted_end(text) != Some(text.len()) {
        return None;
    }
    let inner = text.slice(1..text.len().checked_sub(1)?);
    if memchr::memchr(b'\\', inner.bytes()).is_none() {
        return Some(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    Some(plain.into())
}

/// `text` as a quoted string. CR and LF, which no quoted string can carry, become spaces.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' | '\0' => quoted.extend(['\\', character]),
            '\r' | '\n' => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether `text` begins with a quote.
pub(crate) fn starts_quoted(text: &str) -> bool {
    text.as_bytes().first() == Some(&b'"')
}

/// The position of the first `wanted` outside quoted strings; `None` if there is none before the end or
/// before an unterminated quote.
pub(crate) fn find_outside_quotes(text: &str, wanted: u8) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let rest = text.get(at..)?;
        let step = memchr::memchr2(wanted, b'"', rest.as_bytes())?;
        at = at.checked_add(step)?;
        let rest = text.get(at..)?;
        if rest.as_bytes().first() == Some(&wanted) {
            return Some(at);
        }
        at = at.checked_add(quoted_end(rest)?)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_removed_and_put_back() {
        let raw = SipStr::from(r#""a \"b\" \\ c""#);
        let plain = unquote(&raw).unwrap();
        assert_eq!(plain, r#"a "b" \ c"#);
        assert_eq!(quote(&plain), raw.as_str());
    }

    #[test]
    fn a_string_without_escapes_is_not_copied() {
        let raw = SipStr::copy_from("\"plain\"");
        let plain = unquote(&raw).unwrap();
        assert_eq!(plain.bytes().as_ptr() as usize, raw.bytes().as_ptr() as usize + 1);
    }

    #[test]
    fn what_is_not_one_quoted_string_is_refused() {
        for bad in ["", "a", "\"", "\"a", "\"a\"b", "\"a\\\"", "\"a\\"] {
            assert_eq!(unquote(&SipStr::copy_from(bad)), None, "{bad:?}");
        }
        assert_eq!(unquote(&"\"\"".into()).unwrap(), "");
    }

    #[test]
    fn separators_in_quotes_are_not_found() {
        assert_eq!(find_outside_quotes(r#"a="x;\";y";b"#, b';'), Some(10));
        assert_eq!(find_outside_quotes("\"x;", b';'), None);
        assert_eq!(find_outside_quotes("abc", b';'), None);
    }

    #[test]
    fn quoting_can_not_add_a_line() {
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
    }
}
