//! The client's side of Digest, for the load tool and for puppets in tests.

use crate::AuthorizationError::{self, Missing, Unsupported};
use crate::digest::verify::response;
use crate::digest::{Algorithm, DigestCredentials, Form, Ha1};
use crate::param::{Params, push_quoted, set};

/// A `WWW-Authenticate: Digest` challenge as a client keeps it, to answer with a growing count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The realm to look the password up for.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// The algorithm asked for.
    pub algorithm: Algorithm,
    /// Whether only the nonce of the previous answer was at fault.
    pub stale: bool,
}

impl Challenge {
    /// Parses the value of one `WWW-Authenticate` header.
    ///
    /// # Errors
    ///
    /// Another scheme, broken grammar, or an algorithm this crate lacks.
    pub fn parse(value: &str) -> Result<Self, AuthorizationError> {
        let (mut realm, mut nonce, mut algorithm, mut stale) = (None, None, None, false);
        for param in Params::of(value, "Digest")? {
            let param = param?;
            match param.name.to_ascii_lowercase().as_str() {
                "realm" => set(&mut realm, param.value().into_owned(), "realm")?,
                "nonce" => set(&mut nonce, param.value().into_owned(), "nonce")?,
                "algorithm" => {
                    let known = Algorithm::from_token(&param.value()).ok_or(Unsupported("algorithm"))?;
                    set(&mut algorithm, known, "algorithm")?;
                }
                "stale" => stale = param.value().eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        Ok(Self {
            realm: realm.ok_or(Missing("realm"))?,
            nonce: nonce.ok_or(Missing("nonce"))?,
            algorithm: algorithm.unwrap_or(Algorithm::Md5),
            stale,
        })
    }

    /// The `Authorization` value that answers this challenge for one request.
    ///
    /// `nc` starts at 1 and grows by one with each use of the nonce; `cnonce` is the caller's randomness.
    #[must_use]
    pub fn answer(&self, who: (&str, &str), request: (&str, &str), cnonce: &str, nc: u32) -> String {
        let ((username, password), (method, uri)) = (who, request);
        let form = Form::Auth {
            cnonce: cnonce.into(),
            nc_text: format!("{nc:08x}"),
            nc,
        };
        self.authorization(username, password, method, uri, form)
    }

    /// The same in the form of RFC 2069, as libpurple's SIMPLE answers.
    #[must_use]
    pub fn answer_rfc2069(&self, who: (&str, &str), request: (&str, &str)) -> String {
        let ((username, password), (method, uri)) = (who, request);
        self.authorization(username, password, method, uri, Form::Rfc2069)
    }

    fn authorization(&self, username: &str, password: &str, method: &str, uri: &str, form: Form) -> String {
        let credentials = DigestCredentials {
            username: username.into(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.into(),
            algorithm: self.algorithm,
            form,
            response: Vec::new(),
        };
        let ha1 = Ha1::compute(self.algorithm, username, &self.realm, password);
        let response = response(&ha1.0, &credentials, method).hex();
        let mut out = String::from("Digest ");
        push_quoted(&mut out, "username", username);
        push_quoted(&mut out, "realm", &self.realm);
        push_quoted(&mut out, "nonce", &self.nonce);
        push_quoted(&mut out, "uri", uri);
        push_quoted(&mut out, "response", &response);
        out.push_str(", algorithm=");
        out.push_str(self.algorithm.token());
        if let Form::Auth { cnonce, nc_text, .. } = &credentials.form {
            push_quoted(&mut out, "cnonce", cnonce);
            out.push_str(", qop=auth, nc=");
            out.push_str(nc_text);
        }
        out
    }
}
