//! One NTLM sign-in on one connection.

use std::sync::Arc;

use crate::ntlm::{MessageSigner, SessionKey, Signature};
use crate::param::push_quoted;
use crate::replay::SlidingWindow;
use crate::signature::{MessageFields, NtlmAuthorization, ProtocolVersion, SignedFields};

/// Why a message of a signed-in client is not accepted.
///
/// Answer a request with 401 and a fresh challenge; drop a response. Count it; the peer's doing or an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The message carries no signature.
    #[error("message is not signed")]
    Missing,
    /// It names another security association.
    #[error("message names another security association")]
    OtherAssociation,
    /// The signature is not the client's over this text.
    #[error("message signature is wrong")]
    Wrong,
    /// The signature is right, but its `cnum` was seen before or is far behind.
    #[error("message repeats a cnum")]
    Replayed,
}

/// A security association: the keys of one sign-in, what it is called, and both counters.
///
/// Owned by the connection it was made on, never shared with another. About 500 bytes; the texts that are the
/// same in the whole pool are shared.
#[derive(Debug)]
pub struct SecurityAssociation {
    opaque: Box<str>,
    realm: Arc<str>,
    targetname: Arc<str>,
    version: ProtocolVersion,
    signer: MessageSigner,
    /// Last `snum` sent.
    sent: u64,
    /// `cnum`s received.
    received: SlidingWindow,
}

impl SecurityAssociation {
    /// Begins an association from the session key of a verified sign-in.
    ///
    /// `opaque` is the name the challenge carried; `realm` and `targetname` are the server's own, as in its
    /// challenges; `version` is the client's ([`NtlmAuthorization::version`] of the AUTHENTICATE message).
    #[must_use]
    pub fn new(
        opaque: &str,
        realm: Arc<str>,
        targetname: Arc<str>,
        version: ProtocolVersion,
        key: &SessionKey,
    ) -> Self {
        let signer = MessageSigner::server(key);
        let received = SlidingWindow::default();
        Self {
            opaque: opaque.into(),
            realm,
            targetname,
            version,
            signer,
            sent: 0,
            received,
        }
    }

    /// The association's name.
    #[must_use]
    pub fn opaque(&self) -> &str {
        &self.opaque
    }

    /// The protocol version in use.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Checks a message of the client: its name for the association, the signature, then the count.
    ///
    /// The count is taken only of a message whose signature is right, so that a forger cannot use counts up.
    ///
    /// # Errors
    ///
    /// [`SignatureFault`]; nothing has changed then.
    pub fn verify(
        &mut self,
        authorization: &NtlmAuthorization<'_>,
        message: &MessageFields<'_>,
    ) -> Result<(), SignatureFault> {
        let signature = authorization.signature.ok_or(SignatureFault::Missing)?;
        if authorization.opaque != Some(&*self.opaque) {
            return Err(SignatureFault::OtherAssociation);
        }
        let fields = SignedFields {
            scheme: "NTLM",
            rand: signature.crand,
            num: signature.cnum_text,
            realm: authorization.realm,
            targetname: authorization.targetname,
            message: *message,
        };
        if !self
            .signer
            .verify(|sink| fields.pieces(self.version, sink), &signature.response)
        {
            return Err(SignatureFault::Wrong);
        }
        if self.received.accept(signature.cnum) {
            Ok(())
        } else {
            Err(SignatureFault::Replayed)
        }
    }

    /// Signs a message to the client: the value of its `Authentication-Info` header.
    ///
    /// `message` must be what will stand on the wire, `P-Asserted-Identity` and `Expires` included; only
    /// `Via` and this header may change afterwards. `srand` is fresh randomness. Counts `snum` up.
    #[must_use]
    pub fn sign(&mut self, srand: [u8; 4], message: &MessageFields<'_>) -> String {
        self.sent += 1;
        let (srand, snum) = (hex::encode_upper(srand), self.sent.to_string());
        let fields = SignedFields {
            scheme: "NTLM",
            rand: &srand,
            num: &snum,
            realm: &self.realm,
            targetname: &self.targetname,
            message: *message,
        };
        let rspauth = self.signer.sign(|sink| fields.pieces(self.version, sink));
        self.authentication_info(rspauth, &srand, &snum)
    }

    fn authentication_info(&self, rspauth: Signature, srand: &str, snum: &str) -> String {
        let mut out = String::with_capacity(192);
        out.push_str("NTLM ");
        push_quoted(&mut out, "rspauth", &rspauth.to_string());
        push_quoted(&mut out, "srand", srand);
        push_quoted(&mut out, "snum", snum);
        push_quoted(&mut out, "opaque", &self.opaque);
        push_quoted(&mut out, "qop", "auth");
        push_quoted(&mut out, "targetname", &self.targetname);
        push_quoted(&mut out, "realm", &self.realm);
        out
    }
}
