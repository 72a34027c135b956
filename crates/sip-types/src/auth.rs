//! [`AuthParams`]: challenges and credentials.

use std::fmt;

use crate::limits;
use crate::syntax::{
    Class, SyntaxError, is_blank, is_token, quote, quoted_end, split_at, split_list, starts_quoted, trim,
    unquote,
};
use crate::text::SipStr;

/// A scheme and its parameters, as in `Digest realm="x", qop=auth` (RFC 3261 section 25.1, `challenge`).
///
/// Values are kept as they were received, quotes included, and looked up without regard to the name's case. Which
/// parameters a scheme must have is not checked here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthParams {
    scheme: SipStr,
    params: Vec<(SipStr, SipStr)>,
}

impl AuthParams {
    /// A scheme without parameters, to be extended with [`AuthParams::quoted`] and [`AuthParams::token`].
    pub fn new(scheme: impl Into<SipStr>) -> Self {
        Self {
            scheme: scheme.into(),
            params: Vec::new(),
        }
    }

    /// Adds `name="value"`.
    #[must_use]
    pub fn quoted(mut self, name: impl Into<SipStr>, value: &str) -> Self {
        self.params.push((name.into(), quote(value).into()));
        self
    }

    /// Adds `name=value`; what can not stand without quotes is quoted.
    #[must_use]
    pub fn token(mut self, name: impl Into<SipStr>, value: &str) -> Self {
        if !is_bare(value) {
            return self.quoted(name, value);
        }
        self.params.push((name.into(), SipStr::copy_from(value)));
        self
    }

    /// Parses `scheme name=value, name="value"`. A bare value may also be last: `version=4`.
    ///
    /// # Errors
    /// No scheme, no parameter, a name that is no token, an unterminated quote, an empty list item, more than
    /// [`limits::PARAMETERS`] parameters.
    pub fn parse(value: &SipStr) -> Result<Self, SyntaxError> {
        let text = trim(value);
        let end = text
            .bytes()
            .position(is_blank)
            .ok_or(SyntaxError("no authentication parameters"))?;
        let (scheme, list) = split_at(text, end);
        if !is_token(scheme) {
            return Err(SyntaxError("malformed authentication scheme"));
        }
        Ok(Self {
            scheme: value.slice_of(scheme),
            params: parse_params(value, list)?,
        })
    }

    /// Parses a list without a scheme, such as the `Authentication-Info` of RFC 3261.
    ///
    /// # Errors
    /// As [`AuthParams::parse`].
    pub fn parse_without_scheme(value: &SipStr) -> Result<Self, SyntaxError> {
        Ok(Self {
            scheme: SipStr::default(),
            params: parse_params(value, value)?,
        })
    }

    /// The scheme as written; empty if there is none.
    pub fn scheme(&self) -> &SipStr {
        &self.scheme
    }

    /// Whether the scheme is `scheme`, without regard to case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The first value of `name`, without quotes and escapes.
    pub fn get(&self, name: &str) -> Option<SipStr> {
        let raw = self.raw(name)?;
        Some(unquote(raw).unwrap_or_else(|| raw.clone()))
    }

    /// The first value of `name` as it stands in the message, quotes included.
    pub fn raw(&self, name: &str) -> Option<&SipStr> {
        self.params
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// How often `name` occurs; more than once is suspicious.
    pub fn count(&self, name: &str) -> usize {
        self.params
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .count()
    }

    /// All parameters in order, values raw.
    pub fn iter(&self) -> impl Iterator<Item = (&SipStr, &SipStr)> {
        self.params.iter().map(|(name, value)| (name, value))
    }
}

fn parse_params(value: &SipStr, list: &str) -> Result<Vec<(SipStr, SipStr)>, SyntaxError> {
    let mut params = Vec::with_capacity(12);
    for item in split_list(list) {
        if params.len() >= limits::PARAMETERS {
            return Err(SyntaxError("too many parameters"));
        }
        let (name, text) =
            crate::syntax::cut(item?, b'=').ok_or(SyntaxError("authentication parameter without value"))?;
        let (name, text) = (trim(name), trim(text));
        let good = if starts_quoted(text) {
            quoted_end(text) == Some(text.len())
        } else {
            is_bare(text)
        };
        if !is_token(name) || !good {
            return Err(SyntaxError("malformed authentication parameter"));
        }
        params.push((value.slice_of(name), value.slice_of(text)));
    }
    if params.is_empty() {
        Err(SyntaxError("no authentication parameters"))
    } else {
        Ok(params)
    }
}

/// What may stand without quotes: tokens, but also URIs and base64, which some clients forget to quote.
fn is_bare(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte == b';' || Class::BareValue.has(byte))
}

impl fmt::Display for AuthParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        let mut separator = if self.scheme.is_empty() { "" } else { " " };
        for (name, value) in &self.params {
            write!(f, "{separator}{name}={value}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Scheme and names only: the values are credentials.
impl fmt::Debug for AuthParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthParams")
            .field("scheme", &self.scheme)
            .field(
                "names",
                &self.params.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AuthParams, SyntaxError> {
        AuthParams::parse(&SipStr::copy_from(text))
    }

    #[test]
    fn digest_credentials_are_read() {
        let auth = parse(
            r#"Digest username="alice",realm="a \"b\", c", nonce="" ,uri=sip:example.test,nc=00000001, response="ab=="#,
        );
        assert!(auth.is_err(), "the last quote is open");
        let auth = parse(
            r#"Digest username="alice",realm="a \"b\", c", nonce="" ,uri=sip:example.test,nc=00000001, response="ab==""#,
        )
        .unwrap();
        assert!(auth.is("digest"));
        assert_eq!(auth.get("realm").unwrap(), "a \"b\", c");
        assert_eq!(auth.get("nonce").unwrap(), "");
        assert_eq!(auth.get("URI").unwrap(), "sip:example.test");
        assert_eq!(auth.raw("nc").unwrap(), "00000001");
        assert_eq!(auth.get("response").unwrap(), "ab==");
        assert_eq!(auth.get("none"), None);
    }

    #[test]
    fn a_bare_value_may_be_last() {
        let auth = parse("NTLM gssapi-data=\"\", version=4").unwrap();
        assert_eq!(auth.get("gssapi-data").unwrap(), "");
        assert_eq!(auth.get("version").unwrap(), "4");
    }

    #[test]
    fn a_list_without_scheme_is_read() {
        let info = AuthParams::parse_without_scheme(&"nextnonce=\"a\", qop=auth".into()).unwrap();
        assert_eq!(info.scheme(), "");
        assert_eq!(info.get("qop").unwrap(), "auth");
        assert_eq!(info.to_string(), "nextnonce=\"a\", qop=auth");
    }

    #[test]
    fn built_challenges_print_and_parse() {
        let auth = AuthParams::new("Digest")
            .quoted("realm", "a\"b")
            .token("algorithm", "MD5")
            .token("qop", "a b");
        assert_eq!(
            auth.to_string(),
            r#"Digest realm="a\"b", algorithm=MD5, qop="a b""#
        );
        assert_eq!(parse(&auth.to_string()).unwrap(), auth);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for bad in [
            "",
            "Digest",
            "Digest ",
            "Digest x",
            "Digest x=",
            "Digest x=\"y",
            "Digest x=y,",
            "Digest ,x=y",
            "Dig\"est x=y",
            "Digest a b=c",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        let many = (0..=limits::PARAMETERS)
            .map(|n| format!("p{n}=1"))
            .collect::<Vec<_>>()
            .join(",");
        assert!(parse(&format!("Digest {many}")).is_err());
    }

    #[test]
    fn debug_shows_no_values() {
        assert!(!format!("{:?}", parse("Digest response=\"secret\"").unwrap()).contains("secret"));
    }
}
