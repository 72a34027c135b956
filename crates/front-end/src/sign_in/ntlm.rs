//! Sign-in by NTLM as Lync-family clients do it in SIP (MS-SIPAE): the server challenges first, and from the proof on
//! every message is signed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::{Identity, Proof, Refusal};
use sip_auth::ntlm::{
    AuthenticateMessage, CHALLENGE_LIFETIME, ChallengeMessage, SessionKey, TargetNames, channel_binding_hash,
};
use sip_auth::signature::{self, NtlmAuthorization, ProtocolVersion, SecurityAssociation};
use sip_core::ServerKey;
use sip_types::{HeaderName, Method, Request, SipStr, StatusCode};

use super::{Attempt, Scheme};
use crate::flow::Flow;
use crate::service::{FrontEndService, sip_date, unix_now};
use crate::signing;

/// The realm of signing schemes: a free text that enters every signature.
pub(super) const NTLM_REALM: &str = "SIP Communications Service";

/// A challenge of ours that waits for its answer on one connection.
pub(crate) struct PendingNtlm {
    opaque: String,
    server_challenge: [u8; 8],
    /// The CHALLENGE message as sent: a client's MIC covers it.
    message: ChallengeMessage,
    issued: Instant,
}

/// What a client answered to a challenge.
pub(super) struct NtlmProof {
    pending: PendingNtlm,
    version: ProtocolVersion,
    authenticate: Vec<u8>,
}

impl Attempt {
    pub(super) fn ntlm(self, value: &SipStr) {
        let Ok(authorization) = NtlmAuthorization::parse(value) else {
            return self.challenge(false);
        };
        match authorization.token {
            // A signature of an association this connection no longer has.
            None => self.challenge(false),
            Some(token) if token.is_empty() => self.ntlm_challenge(),
            Some(authenticate) => {
                // A challenge is compared with once, and not for long.
                let pending = self.flow.take_pending_ntlm().filter(|pending| {
                    authorization.opaque == Some(pending.opaque.as_str())
                        && pending.issued.elapsed() < Duration::from_secs(CHALLENGE_LIFETIME)
                });
                let Some(pending) = pending else {
                    return self.challenge(false);
                };
                let proof = Proof::Ntlm {
                    server_challenge: pending.server_challenge,
                    authenticate: authenticate.clone(),
                };
                let version = authorization.version;
                self.verify(
                    proof,
                    Scheme::Ntlm(NtlmProof {
                        pending,
                        version,
                        authenticate,
                    }),
                );
            }
        }
    }

    /// 401 with the CHALLENGE message, under a name for the association that may follow.
    fn ntlm_challenge(&self) {
        let mut server_challenge = [0; 8];
        if let Err(error) = getrandom::fill(&mut server_challenge) {
            tracing::error!(%error, "no randomness for a challenge");
            return self.overloaded();
        }
        let fqdn = &self.service.config.fqdn;
        let opaque = self.service.ids.tag();
        let message = ChallengeMessage::new(server_challenge, &TargetNames::from_fqdn(fqdn), unix_now());
        let value = signature::www_authenticate_token(&opaque, message.as_bytes(), NTLM_REALM, fqdn);
        self.flow.set_pending_ntlm(PendingNtlm {
            opaque,
            server_challenge,
            message,
            issued: Instant::now(),
        });
        let response = self
            .request
            .reply(StatusCode::UNAUTHORIZED)
            .to_tag(&self.service.ids.tag())
            .header(HeaderName::WwwAuthenticate, value)
            .header(HeaderName::Date, sip_date())
            .build();
        self.flow.respond(&self.service, &self.key, response);
    }

    /// Begins the association once the registrar has found the proof right. What the proof covers is trusted from here
    /// on: the channel the client bound it to, and whether it carries a MIC.
    pub(super) fn associate(
        &self,
        identity: &Identity,
        proof: &NtlmProof,
    ) -> Result<SecurityAssociation, Refusal> {
        let key = identity
            .session_key
            .as_ref()
            .ok_or_else(|| refusal("no_session_key"))?;
        let key = SessionKey::from_bytes(key.0);
        let message = AuthenticateMessage::parse(&proof.authenticate).map_err(|_| refusal("malformed"))?;
        if message
            .channel_binding()
            .is_some_and(|bound| !self.is_bound_to(bound))
        {
            return Err(refusal("channel_binding"));
        }
        if message.has_mic() && !message.mic_is_right(&key, proof.pending.message.as_bytes()) {
            return Err(refusal("mic"));
        }
        let targetname = Arc::clone(&self.service.targetname);
        let realm = Arc::from(NTLM_REALM);
        let mut association =
            SecurityAssociation::new(&proof.pending.opaque, realm, targetname, proof.version, &key);
        if proof.version.signs_sign_in() {
            signing::verify(&mut association, self.request.headers(), None)
                .map_err(|_| refusal("unsigned"))?;
        }
        Ok(association)
    }

    /// Whether a channel binding is that of this connection (RFC 5929 section 4): a proof taken on another server's
    /// connection is worth nothing here.
    fn is_bound_to(&self, bound: [u8; 16]) -> bool {
        self.flow.tls_end_point().is_some_and(|hash| {
            let data = [b"tls-server-end-point:", hash.as_ref()].concat();
            channel_binding_hash(&data) == bound
        })
    }
}

fn refusal(reason: &'static str) -> Refusal {
    Refusal {
        reason,
        delay: Duration::ZERO,
    }
}

/// Answers a request whose signature is missing or wrong: Lync-family clients sign it (again) and repeat it.
pub(crate) fn challenge_unsigned(service: &FrontEndService, flow: &Flow, key: &ServerKey, request: &Request) {
    debug_assert!(*request.method() != Method::Ack, "an ACK is never answered");
    let response = request
        .reply(StatusCode::UNAUTHORIZED)
        .to_tag(&service.ids.tag())
        .header(
            HeaderName::WwwAuthenticate,
            signature::www_authenticate(NTLM_REALM, &service.config.fqdn),
        )
        .header(HeaderName::Date, sip_date())
        .build();
    flow.respond(service, key, response);
}
