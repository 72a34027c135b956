//! `Warning`: RFC 3261 section 20.43.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::syntax::{is_blank, parse_u16, quote, split_at, trim, unquote};
use crate::text::SipStr;

/// More about a status, for people: `307 isi.edu "Session parameter 'foo' not understood"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Three digits.
    pub code: u16,
    /// The host, or a pseudonym, of who warns.
    pub agent: SipStr,
    /// The text without quotes and escapes.
    pub text: SipStr,
}

impl Warning {
    /// The value; `None` if the code has not three digits or the agent is empty or has blanks, commas or quotes.
    pub fn new(code: u16, agent: &str, text: &str) -> Option<Self> {
        let good = (100..=999).contains(&code) && is_agent(agent);
        good.then(|| Self { code, agent: SipStr::copy_from(agent), text: SipStr::copy_from(text) })
    }
}

/// A host with port, or a token.
fn is_agent(agent: &str) -> bool {
    !agent.is_empty() && agent.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'<' | b'>'))
}

impl TypedHeader for Warning {
    const NAME: HeaderName = HeaderName::Warning;
    const COMMA_SEPARATED: bool = true;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        let bad = HeaderError::invalid::<Self>("not code, agent and quoted text");
        let word = |text: &'_ str| text.bytes().position(is_blank);
        let text = trim(value);
        let (code, rest) = split_at(text, word(text).ok_or(bad.clone())?);
        let rest = trim(rest);
        let (agent, text) = split_at(rest, word(rest).ok_or(bad.clone())?);
        let code = Some(code).filter(|code| code.len() == 3).and_then(|code| parse_u16(code).ok());
        let text = unquote(&value.slice_of(trim(text)));
        match (code, text) {
            (Some(code @ 100..=999), Some(text)) if is_agent(agent) => {
                Ok(Self { code, agent: value.slice_of(agent), text })
            }
            _ => Err(bad),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.agent, quote(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn three_parts_are_read() {
        let warning: Warning = check(r#"307 isi.edu:5060  "a, \"b\"""#, r#"307 isi.edu:5060 "a, \"b\"""#);
        assert_eq!((warning.code, warning.text.as_str()), (307, "a, \"b\""));
        assert_eq!(Warning::new(399, "fe1", "x").unwrap().to_string(), "399 fe1 \"x\"");
        assert!(Warning::new(99, "fe1", "x").is_none());
        assert!(Warning::new(399, "fe 1", "x").is_none());
    }

    #[test]
    fn other_forms_are_refused() {
        refuse::<Warning>(&["", "399", "399 a", "399 a b", "399 a \"b", "1812 a \"b\"", "099 a \"b\"", "39x a \"b\"", "399 a \"b\" c"]);
    }
}
