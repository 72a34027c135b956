//! [`MediaType`]: the value of a `Content-Type`, wherever it stands (SIP header, CPIM part, `ms-text-format`).
//!
//! RFC 2045 section 5.1 with the quoted strings of RFC 3261.

use std::borrow::Cow;

/// A content type, borrowed from the text it was parsed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaType<'a> {
    kind: &'a str,
    subtype: &'a str,
    parameters: &'a str,
}

impl<'a> MediaType<'a> {
    /// Reads `type/subtype *( ; parameter )`. `None` if type or subtype is missing or not a token.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
        let (kind, subtype) = essence.split_once('/')?;
        let (kind, subtype) = (kind.trim(), subtype.trim());
        (is_token(kind) && is_token(subtype)).then_some(Self {
            kind,
            subtype,
            parameters,
        })
    }

    /// The part before the slash, as written.
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// The part after the slash, as written.
    pub fn subtype(&self) -> &'a str {
        self.subtype
    }

    /// Whether this is `essence` (`type/subtype`), whatever its parameters. Types compare without case.
    pub fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
        })
    }

    /// All parameters in order: name and value as written, quotes included.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        split_parameters(self.parameters).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim(), value.trim())
        })
    }

    /// The first parameter of this name, without its quotes. Names compare without case.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        self.parameters()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| unquote(value))
    }

    /// The type without the parameter `name`, the rest as it was written.
    pub fn without(&self, name: &str) -> String {
        let mut printed = format!("{}/{}", self.kind, self.subtype);
        for part in split_parameters(self.parameters) {
            let candidate = part.split_once('=').map_or(part, |(candidate, _)| candidate);
            if !candidate.trim().eq_ignore_ascii_case(name) {
                printed.push(';');
                printed.push_str(part.trim());
            }
        }
        printed
    }
}

/// The pieces between semicolons that stand outside quotes; empty ones are skipped.
fn split_parameters(parameters: &str) -> impl Iterator<Item = &str> {
    let mut rest = parameters;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = end_of_parameter(rest);
            let (part, tail) = rest.split_at(end);
            // The semicolon is one byte long; at the end of the text there is none.
            rest = tail.get(1..).unwrap_or_default();
            if !part.trim().is_empty() {
                return Some(part);
            }
        }
        None
    })
}

fn end_of_parameter(text: &str) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return position,
            _ => {}
        }
    }
    text.len()
}

fn unquote(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(value);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            // A backslash at the very end escapes nothing.
            '\\' => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    Cow::Owned(plain)
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~#$&^{}|".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn type_and_parameters_are_found_without_regard_to_case() {
        let media = MediaType::parse("Text/Plain ; Charset=\"utf-8\"; msgr=QQ==").unwrap();
        assert!(media.is("text/plain"));
        assert!(!media.is("text/html"));
        assert_eq!(media.parameter("charset").as_deref(), Some("utf-8"));
        assert_eq!(
            media.parameter("MSGR").as_deref(),
            Some("QQ=="),
            "padding belongs to the value"
        );
        assert_eq!(media.parameter("boundary"), None);
    }

    #[test]
    fn quotes_hide_semicolons_and_escapes_are_undone() {
        let media = MediaType::parse(r#"multipart/mixed;boundary="a;\"b\\";x=1"#).unwrap();
        assert_eq!(media.parameter("boundary").as_deref(), Some(r#"a;"b\"#));
        assert_eq!(media.parameter("x").as_deref(), Some("1"));
    }

    #[test]
    fn a_removed_parameter_leaves_the_others_as_written() {
        let media = MediaType::parse("text/plain; charset=UTF-8;msgr=WAAt; x=\"a;b\"").unwrap();
        assert_eq!(media.without("msgr"), "text/plain;charset=UTF-8;x=\"a;b\"");
    }

    #[test]
    fn half_a_type_is_none() {
        for text in [
            "",
            "text",
            "text/",
            "/plain",
            "te xt/plain",
            "text/pl@in",
            ";charset=utf-8",
        ] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_type_or_none(text in ".{0,80}") {
            if let Some(media) = MediaType::parse(&text) {
                let _ = media.parameter("charset");
                let stripped = media.without("msgr");
                prop_assert!(MediaType::parse(&stripped).is_some_and(|again| again.parameter("msgr").is_none()));
            }
        }
    }
}
