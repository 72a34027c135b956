//! Digest (RFC 7616 as SIP uses it: RFC 3261 section 22.4 and RFC 8760), the server's side.
//!
//! One nonce, one realm, `qop="auth"`, and two algorithms: MD5, which every stock client knows, and SHA-256.
//! SHA-512/256 and the `-sess` variants are not offered and not accepted; neither is `userhash`.
//!
//! The stored verifier is [`Ha1`]. It is as good as the password to whoever reads it, so it lives sealed
//! ([`crate::seal`]) in the registrar's store and never leaves that role.
//!
//! A complete check is four steps, and skipping one is a hole:
//! 1. [`DigestCredentials::parse`];
//! 2. the nonce: [`crate::nonce::NonceKey::check`], then [`crate::replay::ReplayWindow`];
//! 3. [`DigestCredentials::uri_is`] the request's Request-URI, and `realm` is ours;
//! 4. [`verify`] with the account's [`Ha1`], or with `None` when there is no such account.

mod challenge;
#[cfg(any(test, feature = "client"))]
pub mod client;
mod credentials;
mod verify;

#[cfg(test)]
mod tests;

pub use challenge::www_authenticate;
pub use credentials::{DigestCredentials, Form};
pub use verify::verify;

use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A hash algorithm of Digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `MD5`, RFC 2617. Also what an absent `algorithm` parameter means (RFC 7616 section 3.3).
    Md5,
    /// `SHA-256`, RFC 8760.
    Sha256,
}

impl Algorithm {
    /// The token that names the algorithm in a header.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The algorithm a token names, without regard to case.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256]
            .into_iter()
            .find(|a| token.eq_ignore_ascii_case(a.token()))
    }

    /// Length of its hashes in bytes: 16 or 32.
    #[must_use]
    pub fn hash_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 => 32,
        }
    }

    /// The hash of `parts` joined by colons, which is how Digest builds everything it hashes.
    fn hash(self, parts: &[&[u8]]) -> Hash {
        match self {
            Self::Md5 => Hash::of::<Md5>(self, parts),
            Self::Sha256 => Hash::of::<Sha256>(self, parts),
        }
    }
}

/// Output of an [`Algorithm`], wiped on drop since a HA1 is one.
#[derive(Clone)]
struct Hash {
    algorithm: Algorithm,
    bytes: Zeroizing<[u8; 32]>,
}

impl Hash {
    fn of<D: Digest>(algorithm: Algorithm, parts: &[&[u8]]) -> Self {
        let mut state = D::new();
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                state.update(b":");
            }
            state.update(part);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        bytes
            .iter_mut()
            .zip(state.finalize())
            .for_each(|(to, from)| *to = from);
        Self { algorithm, bytes }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.hash_len()]
    }

    /// In lower-case hex, the form in which hashes are hashed again (RFC 7616 section 3.4.1, `LHEX`).
    fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.as_bytes()))
    }
}

/// `H(username ":" realm ":" password)`: the verifier of one account under one algorithm.
///
/// Knowing it is enough to sign in, so it is wiped on drop and `Debug` shows only the algorithm.
#[derive(Clone)]
pub struct Ha1(Hash);

impl Ha1 {
    /// Computes the verifier, each text as its UTF-8 bytes.
    ///
    /// `username` and `realm` must be exactly what the client will send; another realm is another verifier.
    #[must_use]
    pub fn compute(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> Self {
        Self(algorithm.hash(&[username.as_bytes(), realm.as_bytes(), password.as_bytes()]))
    }

    /// A verifier read back from a store; `None` if the length is not the algorithm's.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.hash_len() {
            return None;
        }
        let mut hash = Zeroizing::new([0; 32]);
        hash[..bytes.len()].copy_from_slice(bytes);
        Some(Self(Hash {
            algorithm,
            bytes: hash,
        }))
    }

    /// The algorithm it was computed with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The raw hash, for the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ha1({})", self.algorithm().token())
    }
}
