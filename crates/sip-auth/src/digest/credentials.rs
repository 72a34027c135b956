//! The `Authorization: Digest` value.

use zeroize::Zeroizing;

use crate::AuthorizationError::{self, Malformed, Missing, Unsupported};
use crate::digest::Algorithm;
use crate::param::{Params, set};

/// What a client sent in `Authorization: Digest ...`, syntactically checked and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestCredentials {
    /// The name the password belongs to, with quoted-pairs resolved.
    pub username: String,
    /// The realm the client was challenged for; the caller compares it with its own.
    pub realm: String,
    /// The nonce it answers.
    pub nonce: String,
    /// `digest-uri`: what the client says it asks for. See [`DigestCredentials::uri_is`].
    pub uri: String,
    /// The algorithm it chose.
    pub algorithm: Algorithm,
    /// How the response was computed.
    pub form: Form,
    /// `response`, decoded; as long as the algorithm's hash.
    pub(super) response: Vec<u8>,
}

/// The two ways to compute a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `qop=auth`: the count and the client's nonce are part of the hash.
    Auth {
        /// The client's own nonce.
        cnonce: String,
        /// `nc` as it stood, which is what was hashed.
        nc_text: String,
        /// `nc` as a number.
        nc: u32,
    },
    /// No `qop` (RFC 2069): nothing but the server's nonce protects against replay, so such a nonce must be
    /// taken once only ([`crate::replay::ReplayWindow::accept_once`]).
    ///
    /// libpurple's SIMPLE (Pidgin 2.14) answers `qop="auth"` this way, with a quoted `nc` that it does not hash.
    Rfc2069,
}

/// The parameters as they are met, before the rules between them are applied.
#[derive(Default)]
struct Fields {
    username: Option<String>,
    realm: Option<String>,
    nonce: Option<String>,
    uri: Option<String>,
    response: Option<Zeroizing<String>>,
    algorithm: Option<String>,
    qop: Option<String>,
    cnonce: Option<String>,
    nc: Option<String>,
}

impl DigestCredentials {
    /// Parses the value of an `Authorization` or `Proxy-Authorization` header.
    ///
    /// Total and bounded: at most 8 KiB and 64 parameters. Unknown parameters are skipped (RFC 7616 section
    /// 3.4). Parameters that should be tokens are accepted quoted and the other way round, since several
    /// clients mix them up and nothing depends on it.
    ///
    /// # Errors
    ///
    /// Another scheme, broken grammar, a parameter missing or standing twice, or an algorithm, `qop` or user
    /// name encoding that is never offered.
    pub fn parse(value: &str) -> Result<Self, AuthorizationError> {
        Fields::read(value)?.check()
    }

    /// Whether the digest was made for this request: its `uri` equals the Request-URI, byte for byte.
    ///
    /// RFC 7616 section 3.4.6 makes the check a duty. No known client needs more than equality; a client that
    /// writes `(null)` here (an open Lync-family client asked for Digest) is refused.
    #[must_use]
    pub fn uri_is(&self, request_uri: &str) -> bool {
        self.uri == request_uri
    }

    /// The nonce count; `None` in the RFC 2069 form.
    #[must_use]
    pub fn nonce_count(&self) -> Option<u32> {
        match self.form {
            Form::Auth { nc, .. } => Some(nc),
            Form::Rfc2069 => None,
        }
    }
}

impl Fields {
    fn read(value: &str) -> Result<Self, AuthorizationError> {
        let mut fields = Self::default();
        for param in Params::of(value, "Digest")? {
            let param = param?;
            let value = || param.value().into_owned();
            match param.name.to_ascii_lowercase().as_str() {
                "username" => set(&mut fields.username, value(), "username")?,
                "realm" => set(&mut fields.realm, value(), "realm")?,
                "nonce" => set(&mut fields.nonce, value(), "nonce")?,
                "uri" => set(&mut fields.uri, value(), "uri")?,
                "response" => set(&mut fields.response, Zeroizing::new(value()), "response")?,
                "algorithm" => set(&mut fields.algorithm, value(), "algorithm")?,
                "qop" => set(&mut fields.qop, value(), "qop")?,
                "cnonce" => set(&mut fields.cnonce, value(), "cnonce")?,
                "nc" => set(&mut fields.nc, value(), "nc")?,
                // RFC 7616 sections 3.4.3 and 3.4.4: neither is announced, so no client may use them.
                "username*" => return Err(Unsupported("username*")),
                "userhash" if !param.raw.eq_ignore_ascii_case("false") => {
                    return Err(Unsupported("userhash"));
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn check(self) -> Result<DigestCredentials, AuthorizationError> {
        let algorithm = match self.algorithm {
            None => Algorithm::Md5,
            Some(token) => Algorithm::from_token(&token).ok_or(Unsupported("algorithm"))?,
        };
        let form = match self.qop {
            None => Form::Rfc2069,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc_text = self.nc.ok_or(Missing("nc"))?;
                let nc = nonce_count(&nc_text).ok_or(Malformed("nc"))?;
                Form::Auth {
                    cnonce: self.cnonce.ok_or(Missing("cnonce"))?,
                    nc_text,
                    nc,
                }
            }
            Some(_) => return Err(Unsupported("qop")),
        };
        let response = hex::decode(self.response.ok_or(Missing("response"))?.as_bytes())
            .ok()
            .filter(|bytes| bytes.len() == algorithm.hash_len())
            .ok_or(Malformed("response"))?;
        Ok(DigestCredentials {
            username: self.username.ok_or(Missing("username"))?,
            realm: self.realm.ok_or(Missing("realm"))?,
            nonce: self.nonce.ok_or(Missing("nonce"))?,
            uri: self.uri.ok_or(Missing("uri"))?,
            algorithm,
            form,
            response,
        })
    }
}

/// `nc-value` is eight hex digits (RFC 7616 section 3.4); `from_str_radix` alone would take a sign too.
fn nonce_count(text: &str) -> Option<u32> {
    let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}
