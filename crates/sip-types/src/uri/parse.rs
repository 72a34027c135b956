//! Taking a URI apart.

use super::{Kind, Parts, Span, UriError, hex_pair, parse_host_port};
use crate::limits;
use crate::syntax::{Class, SyntaxError, split_at};

/// Finds the parts of `text` and checks them.
pub(super) fn parts(raw: &str) -> Result<Parts, UriError> {
    if raw.len() > limits::START_LINE {
        return Err(UriError("too long"));
    }
    let (scheme, rest) = crate::syntax::cut(raw, b':').ok_or(UriError("no scheme"))?;
    if !is_scheme(scheme) {
        return Err(UriError("malformed scheme"));
    }
    if rest.is_empty() {
        return Err(UriError("nothing after the scheme"));
    }
    let mut parts = Parts {
        scheme: offset(scheme.len())?,
        ..Parts::default()
    };
    let whole = Whole(raw);
    if scheme.eq_ignore_ascii_case("sip") {
        parts.kind = Kind::Sip;
        sip(&whole, rest, &mut parts)?;
    } else if scheme.eq_ignore_ascii_case("sips") {
        parts.kind = Kind::Sips;
        sip(&whole, rest, &mut parts)?;
    } else if scheme.eq_ignore_ascii_case("tel") {
        parts.kind = Kind::Tel;
        tel(&whole, rest, &mut parts)?;
    } else if !Class::Uri.has_all(rest) {
        return Err(UriError("character that must be escaped"));
    }
    if !parts.params.range().is_empty() {
        check_params(raw.get(parts.params.range()).unwrap_or_default())?;
    }
    Ok(parts)
}

/// The whole text, to turn its pieces into positions.
struct Whole<'a>(&'a str);

impl Whole<'_> {
    fn span(&self, piece: &str) -> Result<Span, UriError> {
        let start = (piece.as_ptr() as usize)
            .checked_sub(self.0.as_ptr() as usize)
            .ok_or(UriError("too long"))?;
        let end = start.checked_add(piece.len()).ok_or(UriError("too long"))?;
        Ok(Span {
            start: offset(start)?,
            end: offset(end)?,
        })
    }
}

fn offset(position: usize) -> Result<u16, UriError> {
    u16::try_from(position).map_err(|_| UriError("too long"))
}

/// `user:password@host:port;params?headers`, everything but the host optional.
fn sip(whole: &Whole<'_>, rest: &str, parts: &mut Parts) -> Result<(), UriError> {
    // The user part may have `;`, `?`, `/` and `:` unescaped, but nothing may have an unescaped `@`: its first
    // occurrence ends the user part, and a second one is found by the checks of the other parts.
    let rest = match crate::syntax::cut(rest, b'@') {
        Some((userinfo, rest)) => {
            let (user, password) = match crate::syntax::cut(userinfo, b':') {
                Some((user, password)) => (user, Some(password)),
                None => (userinfo, None),
            };
            if user.is_empty() || !escaped(user, Class::User) {
                return Err(UriError("malformed user part"));
            }
            if !password.is_none_or(|password| escaped(password, Class::Password)) {
                return Err(UriError("malformed password"));
            }
            parts.user = Some(whole.span(user)?);
            parts.password = password.map(|password| whole.span(password)).transpose()?;
            rest
        }
        None => rest,
    };
    let (rest, headers) =
        crate::syntax::cut(rest, b'?').map_or((rest, None), |(rest, headers)| (rest, Some(headers)));
    if let Some(headers) = headers {
        check_headers(headers)?;
        parts.headers = whole.span(headers)?;
    }
    let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
    let (host, params) = split_at(rest, end);
    let host_port = parse_host_port(host)?;
    parts.host = whole.span(host_port.host)?;
    parts.port = host_port.port;
    parts.params = whole.span(params)?;
    Ok(())
}

/// RFC 3966: a number, global with `+` or local, and parameters.
fn tel(whole: &Whole<'_>, rest: &str, parts: &mut Parts) -> Result<(), UriError> {
    let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
    let (number, params) = split_at(rest, end);
    let digits = number.strip_prefix('+').unwrap_or(number);
    let visual = |byte: u8| matches!(byte, b'-' | b'.' | b'(' | b')' | b'*' | b'#');
    if digits.is_empty()
        || !digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || visual(byte))
    {
        return Err(UriError("malformed telephone number"));
    }
    parts.host = whole.span(number)?;
    parts.params = whole.span(params)?;
    Ok(())
}

fn check_params(params: &str) -> Result<(), UriError> {
    crate::params::checked(params).map_err(|SyntaxError(why)| UriError(why))?;
    // Unlike those of headers, the parameters of a URI have neither quotes nor blanks.
    if !escaped(params, Class::UriParam) {
        return Err(UriError("malformed parameter"));
    }
    Ok(())
}

fn check_headers(headers: &str) -> Result<(), UriError> {
    let good = headers.split('&').all(|header| {
        crate::syntax::cut(header, b'=').is_some_and(|(name, value)| {
            !name.is_empty() && escaped(name, Class::UriHeader) && escaped(value, Class::UriHeader)
        })
    });
    if good {
        Ok(())
    } else {
        Err(UriError("malformed headers"))
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Whether `text` has only bytes of `class` and whole `%XX` escapes.
fn escaped(text: &str, class: Class) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !class.has(*byte)) {
        let Some((b'%', tail)) = rest.get(at..).and_then(<[u8]>::split_first) else {
            return false;
        };
        let Some((_, tail)) = hex_pair(tail) else {
            return false;
        };
        rest = tail;
    }
    true
}
