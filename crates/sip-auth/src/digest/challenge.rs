//! The `WWW-Authenticate: Digest` value.

use crate::digest::Algorithm;
use crate::param::push_quoted;

/// Builds one `WWW-Authenticate` value for one algorithm.
///
/// Two algorithms are two header fields, the preferred one first (RFC 8760 section 2.3 forbids joining them in
/// one field by leaving no room for it, and stock clients read one challenge per field). `stale` tells a client
/// whose digest was right that only its nonce was too old, so it answers again without asking for the password
/// (RFC 7616 section 3.3).
#[must_use]
pub fn www_authenticate(algorithm: Algorithm, realm: &str, nonce: &str, stale: bool) -> String {
    let mut out = String::with_capacity(80 + realm.len() + nonce.len());
    out.push_str("Digest ");
    push_quoted(&mut out, "realm", realm);
    push_quoted(&mut out, "nonce", nonce);
    push_quoted(&mut out, "qop", "auth");
    out.push_str(", algorithm=");
    out.push_str(algorithm.token());
    if stale {
        out.push_str(", stale=true");
    }
    out
}
