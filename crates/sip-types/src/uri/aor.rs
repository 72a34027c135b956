//! [`AddressOfRecord`]: who a user is.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::host::is_host;
use super::percent_decode;

/// An address of record in its canonical form: `user@domain`.
///
/// * ASCII letters are lower case, in the user part too: an account is one account however it is written.
/// * `%XX` escapes are decoded where the character is visible and can not be taken for syntax; the others (control
///   characters, blanks, `@`, `:`, `%`, `"`, `<`, `>`, bytes that are no UTF-8) stay, with lower-case digits. So two
///   different users never share a form, and a form never holds a control character.
/// * No port, no parameters, no password.
///
/// Cloning counts a reference; comparison and hashing are those of the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressOfRecord(Arc<str>);

/// The text is not an address of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address of record")]
pub struct AorError;

impl AddressOfRecord {
    /// Parses `user@domain`, `sip:user@domain` or `sips:user@domain`; what follows the domain in a URI (port,
    /// parameters, headers) is ignored.
    ///
    /// # Errors
    /// No user, no valid domain, another scheme.
    pub fn parse(text: &str) -> Result<Self, AorError> {
        let rest = strip_scheme(text);
        let (user, host) = crate::syntax::cut(rest, b'@').ok_or(AorError)?;
        let user = crate::syntax::cut(user, b':').map_or(user, |(user, _)| user);
        let end = host
            .bytes()
            .position(|byte| matches!(byte, b';' | b'?'))
            .unwrap_or(host.len());
        let (host, _) = crate::syntax::split_at(host, end);
        let host = super::parse_host_port(host).map_err(|_| AorError)?.host;
        Self::from_parts(user, host).ok_or(AorError)
    }

    /// From the raw parts of a URI.
    pub(super) fn from_parts(user: &str, host: &str) -> Option<Self> {
        if user.is_empty() || host.is_empty() || !is_host(host) {
            return None;
        }
        let mut text = String::with_capacity(user.len().saturating_add(host.len()).saturating_add(1));
        push_canonical(&mut text, user);
        text.push('@');
        text.push_str(host.strip_suffix('.').unwrap_or(host));
        text.make_ascii_lowercase();
        Some(Self(text.into()))
    }

    /// The part before the `@`, in canonical form.
    pub fn user(&self) -> &str {
        self.parts().0
    }

    /// The part behind the `@`.
    pub fn domain(&self) -> &str {
        self.parts().1
    }

    /// `user@domain`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `sip:user@domain`, with the escapes a URI needs.
    pub fn to_uri_string(&self) -> String {
        let (user, domain) = self.parts();
        let mut text = String::with_capacity(self.0.len().saturating_add(4));
        text.push_str("sip:");
        for byte in user.bytes() {
            // `%` is an escape already: a literal one is kept as `%25`.
            if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/%".contains(&byte) {
                text.push(char::from(byte));
            } else {
                push_escape(&mut text, byte);
            }
        }
        text.push('@');
        text.push_str(domain);
        text
    }

    fn parts(&self) -> (&str, &str) {
        // The canonical user part has no `@`.
        crate::syntax::cut(&self.0, b'@').unwrap_or_default()
    }
}

/// Without `sip:` or `sips:`.
fn strip_scheme(text: &str) -> &str {
    for scheme in ["sip:", "sips:"] {
        if let Some((head, rest)) = text.split_at_checked(scheme.len())
            && head.eq_ignore_ascii_case(scheme)
        {
            return rest;
        }
    }
    text
}

fn push_canonical(text: &mut String, user: &str) {
    // Nearly every user part: nothing to decode, nothing to escape.
    if user
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
    {
        text.push_str(user);
        return;
    }
    let decoded = percent_decode(user);
    for chunk in decoded.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control()
                || character.is_whitespace()
                || matches!(character, '@' | ':' | '%' | '"' | '<' | '>')
            {
                let mut buffer = [0; 4];
                character
                    .encode_utf8(&mut buffer)
                    .bytes()
                    .for_each(|byte| push_escape(text, byte));
            } else {
                text.push(character);
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_escape(text, byte));
    }
}

fn push_escape(text: &mut String, byte: u8) {
    use fmt::Write as _;
    // Writing to a String does not fail.
    let _ = write!(text, "%{byte:02x}");
}

impl FromStr for AddressOfRecord {
    type Err = AorError;
    fn from_str(text: &str) -> Result<Self, AorError> {
        Self::parse(text)
    }
}

impl AsRef<str> for AddressOfRecord {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AddressOfRecord {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AddressOfRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AddressOfRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(text: &str) -> String {
        AddressOfRecord::parse(text).unwrap().to_string()
    }

    #[test]
    fn the_form_is_canonical() {
        assert_eq!(aor("Alice@Example.TEST"), "alice@example.test");
        assert_eq!(
            aor("SIP:al%69ce@example.test:5061;transport=tls?x=y"),
            "alice@example.test"
        );
        assert_eq!(aor("sips:alice:secret@example.test."), "alice@example.test");
        assert_eq!(aor("sip:J%C3%BCrgen@example.test"), "jürgen@example.test");
    }

    #[test]
    fn dangerous_characters_stay_escaped() {
        assert_eq!(aor("sip:a%40b%3A@example.test"), "a%40b%3a@example.test");
        assert_eq!(aor("sip:a%00b%0D%0A@example.test"), "a%00b%0d%0a@example.test");
        assert_eq!(aor("sip:a%2500@example.test"), "a%2500@example.test");
        assert_eq!(aor("sip:%FF@example.test"), "%ff@example.test");
    }

    #[test]
    fn the_uri_form_parses_to_the_same_address() {
        for text in [
            "sip:a%40b@example.test",
            "sip:J%C3%BCrgen%20x@example.test",
            "a%25b@[2001:db8::1]",
            "a;b=c?d@h",
        ] {
            let first = AddressOfRecord::parse(text).unwrap();
            assert_eq!(
                AddressOfRecord::parse(&first.to_uri_string()).unwrap(),
                first,
                "{text}"
            );
            assert_eq!(AddressOfRecord::parse(first.as_str()).unwrap(), first, "{text}");
            assert!(
                super::super::Uri::from_str(&first.to_uri_string()).is_ok(),
                "{text}"
            );
        }
    }

    #[test]
    fn parts_are_told_apart() {
        let address = AddressOfRecord::parse("sip:bob@example.test").unwrap();
        assert_eq!((address.user(), address.domain()), ("bob", "example.test"));
        assert_eq!(address.to_uri_string(), "sip:bob@example.test");
    }

    #[test]
    fn other_things_are_refused() {
        for bad in [
            "",
            "alice",
            "@example.test",
            "alice@",
            "tel:+1",
            "sip:example.test",
            "alice@exa mple",
            "a@b@c",
            "a@b:x",
        ] {
            assert_eq!(AddressOfRecord::parse(bad), Err(AorError), "{bad}");
        }
    }
}
