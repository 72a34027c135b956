//! Signed SIP messages: what Lync-family clients demand after an NTLM sign-in (MS-SIPAE).
//!
//! From the 200 that ends the sign-in, both sides sign every message. The server does so in
//! `Authentication-Info`, the client in `Authorization` (of responses as well). A client silently drops what is
//! not signed, so signing is the last step before sending and covers the message as it will stand on the wire.
//!
//! * [`SignedFields`] is the text that is signed, [`MessageFields`] the part of it that comes from the message;
//! * [`NtlmAuthorization`] is what the client sends;
//! * [`SecurityAssociation`] is one sign-in on one connection: keys, counters, the replay window.

mod association;
mod authorization;
#[cfg(any(test, feature = "client"))]
pub mod client;
mod fields;

#[cfg(test)]
mod tests;

pub use association::{SecurityAssociation, SignatureFault};
pub use authorization::{ClientSignature, NtlmAuthorization, www_authenticate, www_authenticate_token};
pub use fields::{MessageFields, ProtocolVersion, SignedFields};
