//! The response itself (RFC 7616 section 3.4.1).

use subtle::ConstantTimeEq;

use crate::digest::{Algorithm, DigestCredentials, Form, Ha1, Hash};

/// Whether `credentials` prove knowledge of the password behind `ha1`, for a request of this method.
///
/// `ha1` is `None` for an unknown or disabled account, or one without a verifier for the algorithm: the same
/// hashes are computed over a dummy and the answer is false. A verifier of another algorithm than the
/// credentials' counts as none. The comparison takes the same time wherever the responses differ.
///
/// `allow_rfc2069` admits responses without `qop`, for the libpurple SIMPLE client (see [`Form::Rfc2069`]), and
/// only with MD5, the one algorithm RFC 2069 knows. Without it such a response is worth nothing.
///
/// This is only the proof: nonce, replay, realm and `uri` are the caller's other steps (module documentation).
#[must_use]
pub fn verify(ha1: Option<&Ha1>, credentials: &DigestCredentials, method: &str, allow_rfc2069: bool) -> bool {
    let algorithm = credentials.algorithm;
    let form_allowed = match credentials.form {
        Form::Auth { .. } => true,
        Form::Rfc2069 => allow_rfc2069 && algorithm == Algorithm::Md5,
    };
    let ha1 = ha1.filter(|ha1| ha1.algorithm() == algorithm);
    let known = ha1.is_some();
    let expected = match ha1 {
        Some(ha1) => response(&ha1.0, credentials, method),
        None => response(
            &Hash {
                algorithm,
                bytes: [0; 32].into(),
            },
            credentials,
            method,
        ),
    };
    let equal: bool = expected.as_bytes().ct_eq(&credentials.response).into();
    equal & known & form_allowed
}

/// The response that belongs to a HA1 and everything else in the credentials.
pub(super) fn response(ha1: &Hash, credentials: &DigestCredentials, method: &str) -> Hash {
    let algorithm = credentials.algorithm;
    let ha1 = ha1.hex();
    let ha2 = algorithm
        .hash(&[method.as_bytes(), credentials.uri.as_bytes()])
        .hex();
    let nonce = credentials.nonce.as_bytes();
    match &credentials.form {
        Form::Auth { cnonce, nc_text, .. } => algorithm.hash(&[
            ha1.as_bytes(),
            nonce,
            nc_text.as_bytes(),
            cnonce.as_bytes(),
            b"auth",
            ha2.as_bytes(),
        ]),
        Form::Rfc2069 => algorithm.hash(&[ha1.as_bytes(), nonce, ha2.as_bytes()]),
    }
}
