//! [`Params`]: the `;name=value` list behind URIs and header values.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

use crate::limits;
use crate::syntax::{
    Class, SyntaxError, find_outside_quotes, is_token, quote, quoted_end, split_at, starts_quoted, trim,
    unquote,
};
use crate::text::SipStr;

/// A list of parameters, kept as it was received: order, case and unknown names survive.
///
/// Names are compared without regard to case (RFC 3261 section 7.3.1). If a name occurs twice, which only a
/// faulty peer does, the first one counts.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// `a=b;c` without the first semicolon. Invariant: checked by [`Params::parse`].
    raw: SipStr,
}

/// The value of one parameter, as received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParamValue(SipStr);

impl ParamValue {
    /// The value as it stands in the message, quotes included; empty for a parameter without value.
    pub fn raw(&self) -> &SipStr {
        &self.0
    }

    /// The value without quotes and escapes.
    pub fn text(&self) -> SipStr {
        unquote(&self.0).unwrap_or_else(|| self.0.clone())
    }
}

impl Params {
    /// No parameters.
    pub const fn new() -> Self {
        Self {
            raw: SipStr::from_static(""),
        }
    }

    /// Checks a list such as `;tag=1 ;x="a;b"; lr`. The leading semicolon may be missing.
    ///
    /// # Errors
    /// Empty parameters, names that are no tokens, unterminated quotes, and more than
    /// [`limits::PARAMETERS`] of them.
    pub fn parse(text: &SipStr) -> Result<Self, SyntaxError> {
        Self::parse_in(text, text)
    }

    /// The same for `text`, which is a piece of `owner`.
    pub(crate) fn parse_in(owner: &SipStr, text: &str) -> Result<Self, SyntaxError> {
        Ok(Self {
            raw: owner.slice_of(checked(text)?),
        })
    }

    /// The same for a piece of a list that was parsed before.
    pub(crate) fn parsed_before(owner: &SipStr, text: &str) -> Self {
        Self {
            raw: owner.slice_of(text.strip_prefix(';').unwrap_or(text)),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The list as received, without its first semicolon.
    pub fn as_raw(&self) -> &SipStr {
        &self.raw
    }

    /// All parameters in order: name and value as received (quotes included, empty if there is no value).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        each(&self.raw)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<ParamValue> {
        Some(ParamValue(self.raw.slice_of(self.find(name)?)))
    }

    /// The value of `name` without quotes: what most callers want.
    pub fn text(&self, name: &str) -> Option<SipStr> {
        let value = self.find(name)?;
        let raw = self.raw.slice_of(value);
        Some(if starts_quoted(value) {
            unquote(&raw).unwrap_or(raw)
        } else {
            raw
        })
    }

    /// Whether `name` is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The same list with `name` set to `value`: replaced in place, else added at the end.
    ///
    /// The value is quoted if it is no token (nor an IPv6 reference); an empty value makes a parameter without
    /// value. A `name` that is no token, or one parameter more than [`limits::PARAMETERS`], changes nothing.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        if !is_token(name) || (!self.has(name) && self.iter().count() >= limits::PARAMETERS) {
            return self.clone();
        }
        let mut list = String::with_capacity(
            self.raw
                .len()
                .saturating_add(name.len())
                .saturating_add(value.len()),
        );
        let mut found = false;
        for (known, old) in self.iter() {
            if !known.eq_ignore_ascii_case(name) {
                push_raw(&mut list, known, old);
            } else if !found {
                found = true;
                push(&mut list, name, value);
            }
        }
        if !found {
            push(&mut list, name, value);
        }
        Self { raw: list.into() }
    }

    /// The same list without `name`.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        if !self.has(name) {
            return self.clone();
        }
        let mut list = String::with_capacity(self.raw.len());
        for (known, value) in self.iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name)) {
            push_raw(&mut list, known, value);
        }
        Self { raw: list.into() }
    }
}

/// Equal lists have the same names and raw values in the same order; blanks around separators do not count.
impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

impl Hash for Params {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.iter().for_each(|param| param.hash(state));
    }
}

/// Prints each parameter with its semicolon: `;a=b;c`. Blanks around separators are not kept.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.iter() {
            f.write_char(';')?;
            f.write_str(name)?;
            if !value.is_empty() {
                f.write_char('=')?;
                f.write_str(value)?;
            }
        }
        Ok(())
    }
}

/// Checks the list in `text` and gives it without blanks and semicolon before it.
pub(crate) fn checked(text: &str) -> Result<&str, SyntaxError> {
    let text = trim(text);
    let list = trim(text.strip_prefix(';').unwrap_or(text));
    if list.is_empty() {
        return if text.is_empty() {
            Ok(list)
        } else {
            Err(SyntaxError("empty parameter"))
        };
    }
    let mut count = 0usize;
    let mut rest = Some(list);
    while let Some(list) = rest {
        let (one, tail) = next_param(list);
        check_param(one)?;
        count = count.saturating_add(1);
        rest = tail;
    }
    if count > limits::PARAMETERS {
        Err(SyntaxError("too many parameters"))
    } else {
        Ok(list)
    }
}

/// The parameters of a list that was checked: names and raw values.
pub(crate) fn each(list: &str) -> impl Iterator<Item = (&str, &str)> {
    let list = list.strip_prefix(';').unwrap_or(list);
    let mut rest = (!list.is_empty()).then_some(list);
    std::iter::from_fn(move || {
        let (one, tail) = next_param(rest?);
        rest = tail;
        Some(name_and_value(one))
    })
}

/// The first parameter of a list, and the rest behind its semicolon.
fn next_param(list: &str) -> (&str, Option<&str>) {
    match find_outside_quotes(list, b';') {
        Some(at) => {
            let (one, tail) = split_at(list, at);
            (trim(one), tail.get(1..))
        }
        None => (trim(list), None),
    }
}

fn name_and_value(one: &str) -> (&str, &str) {
    match crate::syntax::cut(one, b'=') {
        Some((name, value)) => (trim(name), trim(value)),
        None => (one, ""),
    }
}

/// `name`, `name=token`, `name="quoted"` or `name=[2001:db8::1]` (RFC 3261 section 25.1, generic-param).
///
/// A bare value may have any visible character but separators, since peers send URIs and base64 unquoted.
fn check_param(one: &str) -> Result<(), SyntaxError> {
    let (name, value) = name_and_value(one);
    if name.is_empty() || !Class::ParamName.has_all(name) {
        return Err(SyntaxError("malformed parameter name"));
    }
    if one.len() > name.len() && value.is_empty() {
        return Err(SyntaxError("parameter without its value"));
    }
    let good = if starts_quoted(value) {
        quoted_end(value) == Some(value.len())
    } else {
        Class::BareValue.has_all(value)
    };
    if good {
        Ok(())
    } else {
        Err(SyntaxError("malformed parameter value"))
    }
}

fn push(list: &mut String, name: &str, value: &str) {
    let bracketed = value.starts_with('[') && Class::BareValue.has_all(value);
    if value.is_empty() || is_token(value) || bracketed {
        push_raw(list, name, value);
    } else {
        push_raw(list, name, &quote(value));
    }
}

fn push_raw(list: &mut String, name: &str, value: &str) {
    if !list.is_empty() {
        list.push(';');
    }
    list.push_str(name);
    if !value.is_empty() {
        list.push('=');
        list.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Result<Params, SyntaxError> {
        Params::parse(&SipStr::copy_from(text))
    }

    #[test]
    fn values_are_found_without_regard_to_case() {
        let list = params(r#" ; Tag = 12 ;lr; name="a;\"b\"=c" ;host=[2001:db8::1]"#).unwrap();
        assert_eq!(list.text("tag").unwrap(), "12");
        assert!(list.has("LR"));
        assert_eq!(list.get("lr").unwrap().raw(), "");
        assert_eq!(list.text("name").unwrap(), "a;\"b\"=c");
        assert_eq!(list.text("host").unwrap(), "[2001:db8::1]");
        assert_eq!(list.get("none"), None);
    }

    #[test]
    fn prints_what_was_parsed_without_blanks() {
        let text = r#" ; Tag = 12 ;lr;x="a b""#;
        let list = params(text).unwrap();
        assert_eq!(list.to_string(), r#";Tag=12;lr;x="a b""#);
        assert_eq!(params(&list.to_string()).unwrap().to_string(), list.to_string());
    }

    #[test]
    fn malformed_lists_are_refused() {
        for bad in [
            ";", ";;", "a;;b", "a;", "=b", "a=", "a =", "a b", "a=b c", "a=\"b", "a=\"b\"c", "a\"b", "a=<b>",
            "ä",
        ] {
            assert!(params(bad).is_err(), "{bad:?}");
        }
        assert!(params("").unwrap().is_empty());
    }

    #[test]
    fn too_many_are_refused() {
        let list = |count: usize| (0..count).map(|n| format!(";p{n}")).collect::<String>();
        assert!(params(&list(limits::PARAMETERS)).is_ok());
        assert!(params(&list(limits::PARAMETERS + 1)).is_err());
    }

    #[test]
    fn setting_replaces_or_adds_and_quotes_where_needed() {
        let list = params("a=1;b;A=2").unwrap();
        assert_eq!(list.with("a", "x y").to_string(), ";a=\"x y\";b");
        assert_eq!(list.with("c", "").to_string(), ";a=1;b;A=2;c");
        assert_eq!(list.with("c", "[::1]").to_string(), ";a=1;b;A=2;c=[::1]");
        assert_eq!(list.with("bad name", "x"), list);
        assert_eq!(list.without("a").to_string(), ";b");
    }
}
