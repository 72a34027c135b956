//! Authentication of SIP requests and signing of SIP messages, as pure logic.
//!
//! The crate knows the schemes (Digest of RFC 7616 and RFC 8760; NTLM in the form Lync-family clients speak,
//! MS-SIPAE and MS-NLMP), the nonces and windows that stop replay, which challenge suits which client, how
//! guessing is slowed down without locking anybody out, and how credentials are sealed at rest.
//!
//! It is **not** a user database, a policy or a network service. It opens nothing, reads no clock, makes no
//! random numbers and depends on no other crate of ours: header values come in as `&str`, time as Unix seconds
//! or `Instant`, randomness as bytes. Two roles use it from two sides: the registrar, which has the stored
//! verifiers, checks proofs ([`digest::verify`], [`ntlm::verify_authenticate`]); the front end, which has the
//! connections, issues challenges ([`challenge::choose`], [`nonce::NonceKey`]) and signs
//! ([`signature::SecurityAssociation`]).
//!
//! | To do this | Start at |
//! |---|---|
//! | decide what goes into a 401 | [`challenge`] |
//! | check a Digest answer | [`digest::DigestCredentials::parse`], [`nonce`], [`replay`], [`digest::verify`] |
//! | run an NTLM sign-in | [`signature::NtlmAuthorization::parse`], [`ntlm`] |
//! | sign and check messages afterwards | [`signature::SecurityAssociation`] |
//! | slow down guessing | [`throttle`] |
//! | read the pool's key file, seal credentials | [`key_file`], [`seal`] |
//!
//! **To extend it.** A new scheme is a module of its own with a parser that is total, a row or a variant in
//! [`challenge`], and vectors from its specification in its tests. A client that needs another challenge is one
//! row in the table of [`challenge`], with the client and its version.
//!
//! Invariants: no input panics or allocates more than its own length; everything compared with a secret is
//! compared in constant time; types that hold secrets wipe them when dropped and print nothing of them.

pub mod challenge;
pub mod digest;
mod error;
pub mod key_file;
pub mod nonce;
pub mod ntlm;
mod param;
pub mod replay;
pub mod seal;
pub mod signature;
pub mod throttle;

pub use error::AuthorizationError;
pub use param::scheme;
