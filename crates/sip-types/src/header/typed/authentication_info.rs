//! `Authentication-Info`: RFC 3261 section 20.6, and the form with a scheme that Lync-family clients need.

use std::fmt;
use std::ops::Deref;

use crate::auth::AuthParams;
use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::syntax::{SyntaxError, is_blank, is_token, split_at, trim};
use crate::text::SipStr;

/// What a server proves about itself: a list of parameters, with a scheme before it or (Digest) without.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticationInfo(pub AuthParams);

/// Reads the list in either form: a scheme is a token followed by a blank and another name.
fn parse_info(value: &SipStr) -> Result<AuthParams, SyntaxError> {
    let text = trim(value);
    let blank = text.bytes().position(is_blank).unwrap_or(text.len());
    let (first, rest) = split_at(text, blank);
    if is_token(first) && !trim(rest).starts_with('=') {
        AuthParams::parse(value)
    } else {
        AuthParams::parse_without_scheme(value)
    }
}

impl TypedHeader for AuthenticationInfo {
    const NAME: HeaderName = HeaderName::AuthenticationInfo;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        parse_info(value).map(Self).map_err(HeaderError::syntax::<Self>)
    }
}

impl Deref for AuthenticationInfo {
    type Target = AuthParams;
    fn deref(&self) -> &AuthParams {
        &self.0
    }
}

impl fmt::Display for AuthenticationInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Without the values: they are proofs.
impl fmt::Debug for AuthenticationInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn both_forms_are_read() {
        let digest: AuthenticationInfo = check("nextnonce=\"47364c\" , qop = auth", "nextnonce=\"47364c\", qop=auth");
        assert_eq!((digest.scheme().as_str(), digest.get("qop").unwrap().as_str()), ("", "auth"));
        let spaced: AuthenticationInfo = check("qop = auth", "qop=auth");
        assert_eq!(spaced.scheme(), "");
        let ntlm: AuthenticationInfo = check("NTLM rspauth=\"01\", snum=\"1\"", "NTLM rspauth=\"01\", snum=\"1\"");
        assert!(ntlm.is("NTLM"));
        assert_eq!(ntlm.get("snum").unwrap(), "1");
    }

    #[test]
    fn other_forms_are_refused() {
        refuse::<AuthenticationInfo>(&["", "NTLM", "NTLM x", "qop=", "qop=\"a", "qop=a,"]);
    }
}
