//! The `WWW-Authenticate: Digest` value.

use crate::digest::Algorithm;
use crate::param::push_quoted;

/// Builds one `WWW-Authenticate` value for one algorithm.
///
/// Two algorithms are two header fields (RFC 3261 section 7.3.1 forbids joining challenges in one), the preferred
/// one first, since a client takes the topmost it knows (RFC 8760 sections 2.3 and 2.4). `stale` tells a client
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
