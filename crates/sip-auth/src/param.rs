//! The `scheme name=value, name="value"` grammar shared by all schemes (RFC 3261 section 25.1, RFC 7235
//! section 2.1), read without copying.

use std::borrow::Cow;

use crate::AuthorizationError;

/// Longest accepted value, in bytes: one header line.
pub(crate) const MAX_VALUE: usize = 8 * 1024;
/// Most parameters accepted in one value.
const MAX_PARAMS: usize = 64;

/// The authentication scheme of an `Authorization` or `WWW-Authenticate` value, as it stands.
///
/// Schemes compare without regard to case. An empty or blank value has the scheme `""`.
#[must_use]
pub fn scheme(value: &str) -> &str {
    split_scheme(value).0
}

/// Splits a value into its scheme and the text of its parameters.
fn split_scheme(value: &str) -> (&str, &str) {
    let value = value.trim_start_matches(is_blank);
    value.split_once(is_blank).unwrap_or((value, ""))
}

/// One `name=value` of a value.
pub(crate) struct Param<'a> {
    pub(crate) name: &'a str,
    /// The text as it stands, without the enclosing quotes; escapes are kept.
    pub(crate) raw: &'a str,
    quoted: bool,
}

impl<'a> Param<'a> {
    /// The value with `\x` of a quoted-string resolved (RFC 3261 section 25.1, `quoted-pair`).
    pub(crate) fn value(&self) -> Cow<'a, str> {
        if !self.quoted || !self.raw.contains('\\') {
            return Cow::Borrowed(self.raw);
        }
        let mut out = String::with_capacity(self.raw.len());
        let mut chars = self.raw.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.extend(chars.next()),
                c => out.push(c),
            }
        }
        Cow::Owned(out)
    }
}

/// The parameters of one value, in order. After an error the iteration ends.
pub(crate) struct Params<'a> {
    rest: &'a str,
    seen: usize,
}

impl<'a> Params<'a> {
    /// Begins reading `value`, which must be of the scheme `expected`.
    pub(crate) fn of(value: &'a str, expected: &'static str) -> Result<Self, AuthorizationError> {
        if value.len() > MAX_VALUE {
            return Err(AuthorizationError::Malformed("too long"));
        }
        // A control character has no place in a header value, and what is parsed here may reach a log.
        if value.bytes().any(|b| b == 0x7f || (b < 0x20 && b != b'\t')) {
            return Err(AuthorizationError::Malformed("control character"));
        }
        let (scheme, rest) = split_scheme(value);
        if !scheme.eq_ignore_ascii_case(expected) {
            return Err(AuthorizationError::OtherScheme(expected));
        }
        Ok(Self { rest, seen: 0 })
    }

    fn read(&mut self) -> Result<Option<Param<'a>>, AuthorizationError> {
        // RFC 7230 section 7: a recipient accepts empty list elements, and `Digest ,a=b` is met in the field.
        let rest = self.rest.trim_start_matches(|c| is_blank(c) || c == ',');
        if rest.is_empty() {
            self.rest = rest;
            return Ok(None);
        }
        if self.seen == MAX_PARAMS {
            return Err(AuthorizationError::Malformed("too many parameters"));
        }
        self.seen += 1;
        let (name, rest) = rest
            .split_once('=')
            .ok_or(AuthorizationError::Malformed("parameter without ="))?;
        let name = name.trim_end_matches(is_blank);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(AuthorizationError::Malformed("parameter name"));
        }
        let rest = rest.trim_start_matches(is_blank);
        let (raw, rest, quoted) = match rest.strip_prefix('"') {
            Some(text) => {
                let end = closing_quote(text).ok_or(AuthorizationError::Malformed("open quote"))?;
                (&text[..end], &text[end + 1..], true)
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim_end_matches(is_blank), &rest[end..], false)
            }
        };
        if !quoted && (raw.is_empty() || raw.contains(|c| c == '"' || is_blank(c))) {
            return Err(AuthorizationError::Malformed("parameter value"));
        }
        let rest = rest.trim_start_matches(is_blank);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(AuthorizationError::Malformed("text after a value"));
        }
        self.rest = rest;
        Ok(Some(Param { name, raw, quoted }))
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Param<'a>, AuthorizationError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.rest = "";
        }
        item
    }
}

/// Stores a parameter's value, refusing a second one.
pub(crate) fn set<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), AuthorizationError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(AuthorizationError::Duplicate(name)),
    }
}

/// Appends `, name="value"` (without the comma at the start of a list) with quotes and backslashes escaped.
///
/// Control characters become blanks: a value can never end the header line.
pub(crate) fn push_quoted(out: &mut String, name: &str, value: &str) {
    if !out.ends_with(' ') {
        out.push_str(", ");
    }
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Index of the quote that ends the quoted-string whose text begins here.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// `token` of RFC 3261 section 25.1.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Result<Vec<(String, String)>, AuthorizationError> {
        Params::of(value, "Digest")?
            .map(|p| p.map(|p| (p.name.into(), p.value().into())))
            .collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|&(n, v)| (n.into(), v.into())).collect()
    }

    #[test]
    fn quoted_bare_and_oddly_spaced_parameters_are_read() {
        let value = " digest\ta=\"x, \\\"y\\\\\" ,, b = c,d=\"\" , version=4";
        let expected = pairs(&[("a", "x, \"y\\"), ("b", "c"), ("d", ""), ("version", "4")]);
        assert_eq!(read(value), Ok(expected));
    }

    #[test]
    fn broken_values_are_refused() {
        for value in [
            "Digest a",
            "Digest =b",
            "Digest a=",
            "Digest a=\"b",
            "Digest a=\"b\\\"",
            "Digest a=b c",
            "Digest a=\"b\"c",
            "Digest a b=c",
            "Digest a=b\"c",
            "Digest a=\"b\0\"",
        ] {
            assert!(
                matches!(read(value), Err(AuthorizationError::Malformed(_))),
                "{value:?}"
            );
        }
        assert_eq!(read("Basic abc"), Err(AuthorizationError::OtherScheme("Digest")));
        assert_eq!(read(""), Err(AuthorizationError::OtherScheme("Digest")));
    }

    #[test]
    fn size_and_number_are_bounded() {
        let many = |n: usize| format!("Digest {}", "a=b,".repeat(n));
        assert!(read(&many(MAX_PARAMS)).is_ok());
        assert!(read(&many(MAX_PARAMS + 1)).is_err());
        assert!(read(&format!("Digest a={}", "b".repeat(MAX_VALUE))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(value in "\\PC*") {
            let _ = read(&format!("Digest {value}"));
            let _ = scheme(&value);
        }

        #[test]
        fn what_is_quoted_is_read_back(value in "[ -~äß€]{0,40}") {
            let mut out = String::from("Digest ");
            push_quoted(&mut out, "a", &value);
            push_quoted(&mut out, "b", "2");
            prop_assert_eq!(read(&out), Ok(pairs(&[("a", &value), ("b", "2")])));
        }
    }
}
