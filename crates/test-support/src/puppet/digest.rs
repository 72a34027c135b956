//! The client's side of Digest (RFC 7616, RFC 8760), written apart from the product's.

use anyhow::{Context, Result, ensure};
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// A Digest challenge, with its fields open to a test that wants to forge one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Realm as the server wrote it.
    pub realm: String,
    /// Nonce as the server wrote it.
    pub nonce: String,
    /// `MD5` or `SHA-256`.
    pub algorithm: String,
    /// The server's opaque string, to be repeated.
    pub opaque: Option<String>,
    /// The protection offered; `auth` always.
    pub qop: String,
    /// Whether the server says that only the nonce was too old.
    pub stale: bool,
}

impl Digest {
    /// Reads one `WWW-Authenticate` value.
    ///
    /// # Errors
    /// It is not a Digest challenge with realm, nonce and qop.
    pub fn parse(value: &str) -> Result<Digest> {
        let rest = value
            .strip_prefix("Digest ")
            .with_context(|| format!("not Digest: {value}"))?;
        let get = |name: &str| param(rest, name);
        let qop = get("qop").context("no qop")?;
        ensure!(
            qop.split(',').any(|q| q.trim() == "auth"),
            "qop {qop} without auth"
        );
        Ok(Digest {
            realm: get("realm").context("no realm")?,
            nonce: get("nonce").context("no nonce")?,
            algorithm: get("algorithm").unwrap_or_else(|| "MD5".into()),
            opaque: get("opaque"),
            qop,
            stale: get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// The `Authorization` value for one request with `qop=auth`.
    #[must_use]
    pub fn answer(&self, user: &str, password: &str, method: &str, uri: &str, count: u32) -> String {
        let (realm, nonce, cnonce) = (&self.realm, &self.nonce, "0a4f113b");
        let secret = self.hash(&format!("{user}:{realm}:{password}"));
        let what = self.hash(&format!("{method}:{uri}"));
        let response = self.hash(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:auth:{what}"));
        let algorithm = &self.algorithm;
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={algorithm}, qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""
        );
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        value
    }

    fn hash(&self, text: &str) -> String {
        if self.algorithm.eq_ignore_ascii_case("SHA-256") {
            hex::encode(Sha256::digest(text))
        } else {
            hex::encode(Md5::digest(text))
        }
    }
}

/// One parameter of a comma-separated list, unquoted. Commas inside quotes do not separate.
pub(super) fn param(list: &str, name: &str) -> Option<String> {
    let mut quoted = false;
    list.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .find_map(|item| {
        let (n, v) = item.split_once('=')?;
        n.trim()
            .eq_ignore_ascii_case(name)
            .then(|| v.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values were computed with Python's hashlib from the formula of RFC 7616
    /// section 3.4.1.
    #[test]
    fn both_algorithms_give_the_known_answers() {
        let line = r#"Digest realm="a, b", nonce="n1", qop="auth", algorithm=MD5, opaque="o""#;
        let md5 = Digest::parse(line).unwrap();
        assert_eq!((md5.realm.as_str(), md5.opaque.as_deref()), ("a, b", Some("o")));
        let answer = md5.answer("alice", "secret", "REGISTER", "sip:example.test", 1);
        assert!(
            answer.contains("response=\"0aa7724a8ed85ba8f77c585475b7ebf9\""),
            "{answer}"
        );
        let sha = Digest {
            algorithm: "SHA-256".into(),
            ..md5
        };
        let answer = sha.answer("alice", "secret", "REGISTER", "sip:example.test", 1);
        assert!(
            answer.contains("response=\"6cf2a064a5f781b166d1e2f92d78c3ddc3cc1d209ea736af751a77af01108e47\""),
            "{answer}"
        );
    }
}
