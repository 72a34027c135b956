//! NTLM as SIP uses it: an acceptor for the connectionless ("datagram") variant of MS-NLMP.
//!
//! ```text
//! client                                   front end                         registrar
//!   | REGISTER, gssapi-data=""                |                                  |
//!   |---------------------------------------->|                                  |
//!   |        401, gssapi-data=CHALLENGE       |  ChallengeMessage                |
//!   |<----------------------------------------|                                  |
//!   | REGISTER, gssapi-data=AUTHENTICATE      |                                  |
//!   |---------------------------------------->| challenge, AUTHENTICATE          |
//!   |                                         |--------------------------------->| verify_authenticate
//!   |                                         |                       SessionKey |
//!   |                                         |<---------------------------------|
//!   |       200, Authentication-Info: rspauth |  SecurityAssociation             |
//!   |<----------------------------------------|                                  |
//! ```
//!
//! The server challenges first; no NEGOTIATE message exists. The proof is checked where the NT hash is
//! ([`verify_authenticate`]); what leaves that place is only the [`SessionKey`] of this one sign-in, from which
//! the front end signs ([`MessageSigner`], usually through [`crate::signature::SecurityAssociation`]).
//!
//! Only NTLMv2 with 128-bit keys, key exchange and extended session security is spoken. NTLM is here for clients
//! that know nothing better; it can be relayed and its hash equals the password, so it is offered only where
//! [`crate::challenge`] allows it. A challenge must be used once and be forgotten after
//! [`CHALLENGE_LIFETIME`] seconds: both are the caller's, who keeps it.

mod authenticate;
mod challenge;
#[cfg(any(test, feature = "client"))]
pub mod client;
mod crypto;
mod flags;
mod proof;
mod rc4;
mod signer;
mod target_info;

#[cfg(test)]
mod tests;

pub use authenticate::{AuthenticateMessage, NtlmFault};
pub use challenge::ChallengeMessage;
pub use proof::{NtHash, SessionKey, verify_authenticate};
pub use signer::{MessageSigner, Signature};
pub use target_info::{TargetNames, channel_binding_hash};

/// How long a challenge may be answered, in seconds.
pub const CHALLENGE_LIFETIME: u64 = 60;
