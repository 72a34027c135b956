//! [`NameAddr`]: an address with a display name and parameters.

use std::fmt;

use crate::params::Params;
use crate::syntax::{
    SyntaxError, is_blank, is_token_byte, quote, quoted_end, split_at, starts_quoted, trim, unquote,
};
use crate::text::SipStr;
use crate::uri::Uri;

/// The value of From, To, Contact, Route and their like: `"Name" <uri>;params` (RFC 3261 section 20.10).
///
/// The form without brackets, `sip:a@example.com;tag=1`, is read too: everything behind the first semicolon then
/// belongs to the header, not to the URI. It is always printed with brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameAddr {
    /// The name without quotes and escapes; `None` if there was none or an empty one.
    pub display_name: Option<SipStr>,
    /// The address.
    pub uri: Uri,
    /// The header's parameters, such as `tag`.
    pub params: Params,
}

impl NameAddr {
    /// A bare address.
    pub fn new(uri: Uri) -> Self {
        Self {
            display_name: None,
            uri,
            params: Params::new(),
        }
    }

    /// The same address with one parameter set; see [`Params::with`].
    #[must_use]
    pub fn with_param(mut self, name: &str, value: &str) -> Self {
        self.params = self.params.with(name, value);
        self
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<SipStr> {
        self.params.text("tag").filter(|tag| !tag.is_empty())
    }

    /// Parses one value (not a comma separated list).
    ///
    /// # Errors
    /// Unbalanced quotes or brackets, a display name that is neither quoted nor made of tokens, blanks inside the
    /// brackets, a malformed URI or parameter list, and a URI with headers but without brackets (RFC 3261 section 20.10).
    pub fn parse(value: &SipStr) -> Result<Self, SyntaxError> {
        let parts = Parts::of(trim(value))?;
        Ok(Self {
            display_name: match parts.name {
                // Without quotes there is nothing to undo.
                name if starts_quoted(name) => unquote(&value.slice_of(name)).filter(|name| !name.is_empty()),
                "" => None,
                name => Some(value.slice_of(name)),
            },
            uri: Uri::parse_in(value, parts.uri)?,
            params: Params::parse_in(value, parts.params)?,
        })
    }
}

/// The pieces of an address, not looked into.
pub(crate) struct Parts<'a> {
    /// The display name, with its quotes.
    name: &'a str,
    uri: &'a str,
    /// With the first semicolon.
    pub(crate) params: &'a str,
}

impl<'a> Parts<'a> {
    /// Cuts a trimmed value.
    pub(crate) fn of(text: &'a str) -> Result<Self, SyntaxError> {
        if starts_quoted(text) {
            let end = quoted_end(text).ok_or(SyntaxError("unterminated quoted string"))?;
            let (name, rest) = split_at(text, end);
            let rest = trim(rest)
                .strip_prefix('<')
                .ok_or(SyntaxError("no address after the display name"))?;
            return Self::after_bracket(name, rest);
        }
        // A token display name has no colon, a URI has one: whichever comes first tells the form.
        match memchr::memchr2(b'<', b':', text.as_bytes()) {
            Some(at) if text.as_bytes().get(at) == Some(&b'<') => {
                let (name, rest) = split_at(text, at);
                let name = trim(name);
                if !is_token_name(name) {
                    return Err(SyntaxError("display name needs quotes"));
                }
                Self::after_bracket(name, rest.get(1..).unwrap_or_default())
            }
            Some(_) => Self::without_brackets(text),
            None => Err(SyntaxError("no address")),
        }
    }

    fn after_bracket(name: &'a str, rest: &'a str) -> Result<Self, SyntaxError> {
        let (uri, params) =
            crate::syntax::cut(rest, b'>').ok_or(SyntaxError("unterminated angle bracket"))?;
        let params = trim(params);
        if !params.is_empty() && !params.starts_with(';') {
            return Err(SyntaxError("text after the address"));
        }
        Ok(Self { name, uri, params })
    }

    fn without_brackets(text: &'a str) -> Result<Self, SyntaxError> {
        let end = memchr::memchr(b';', text.as_bytes()).unwrap_or(text.len());
        let (uri, params) = split_at(text, end);
        if memchr::memchr2(b'?', b',', uri.as_bytes()).is_some() {
            return Err(SyntaxError("address with headers or comma needs angle brackets"));
        }
        Ok(Self {
            name: "",
            uri: trim(uri),
            params,
        })
    }
}

/// A display name of tokens and blanks. Letters beyond ASCII are let through: clients write them unquoted, and
/// they can not be taken for a separator.
fn is_token_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| is_token_byte(byte) || is_blank(byte) || byte >= 0x80)
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.display_name {
            write!(f, "{} ", quote(name))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NameAddr, SyntaxError> {
        NameAddr::parse(&SipStr::copy_from(text))
    }

    #[test]
    fn all_forms_are_read() {
        let full = parse(r#""Watson, \"T\"" <sip:t@example.org;lr>;tag=a1"#).unwrap();
        assert_eq!(full.display_name.as_deref(), Some("Watson, \"T\""));
        assert_eq!(full.uri.to_string(), "sip:t@example.org;lr");
        assert_eq!(full.tag().unwrap(), "a1");
        let tokens = parse("A. G.  Bell <sip:a@example.org>").unwrap();
        assert_eq!(tokens.display_name.as_deref(), Some("A. G.  Bell"));
        let tight = parse("Bell<sip:a@example.org> ; tag = x").unwrap();
        assert_eq!(tight.tag().unwrap(), "x");
        assert_eq!(parse("\"\" <sip:a@example.org>").unwrap().display_name, None);
    }

    #[test]
    fn without_brackets_the_parameters_belong_to_the_header() {
        let addr = parse("sip:a@example.org;tag=7;x").unwrap();
        assert_eq!(addr.uri.to_string(), "sip:a@example.org");
        assert_eq!(addr.tag().unwrap(), "7");
        assert_eq!(addr.to_string(), "<sip:a@example.org>;tag=7;x");
        assert!(parse("sip:a@example.org?Route=%3Csip:x%3E").is_err());
    }

    #[test]
    fn a_bracket_in_a_parameter_is_not_the_address() {
        let addr = parse("sip:a@example.org;x=\"<sip:b@example.org>\"").unwrap();
        assert_eq!(addr.params.text("x").unwrap(), "<sip:b@example.org>");
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for bad in [
            "",
            "Name",
            "\"Name",
            "\"Name\" sip:a@h",
            "<sip:a@h",
            "< sip:a@h>",
            "<sip:a@h >",
            "<sip:a@h> x",
            "<sip:a@h>;",
            "<sip:a@h>;;",
            "Bell, A <sip:a@h>",
            "<>",
            "\"a\" \"b\" <sip:a@h>",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn print_and_parse_are_inverse() {
        for text in ["\"a \\\\ b\" <sip:a@h>;tag=1", "<tel:+1-201-555>;x", "<sip:h>"] {
            let addr = parse(text).unwrap();
            assert_eq!(addr.to_string(), text);
            assert_eq!(parse(&addr.to_string()).unwrap(), addr);
        }
    }
}
