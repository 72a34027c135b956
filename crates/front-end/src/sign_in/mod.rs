//! Authentication: the challenge a client can cope with, and the proof it brings to the registrar.

mod ntlm;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::{Authenticate, Identity, Proof, Refusal};
use sip_auth::challenge::{self, Challenge, ClientHints};
use sip_auth::digest::{self, Algorithm, DigestCredentials, Form};
use sip_auth::nonce::{CheckedNonce, ConnectionClass, NonceFault, NonceScope, ReturnedOn};
use sip_auth::signature;
use sip_core::ServerKey;
use sip_types::{AddressOfRecord, HeaderName, Request, SipStr, StatusCode};
use telemetry::trace::Span;

use self::ntlm::{NTLM_REALM, NtlmProof};
pub(crate) use self::ntlm::{PendingNtlm, challenge_unsigned};
use crate::counters::Refused;
use crate::flow::{Flow, SignedIn};
use crate::method::Incoming;
use crate::service::{FrontEndService, sip_date, unix_now};
use crate::{client, dispatch, identity, trace};

/// A request that is being authenticated.
struct Attempt {
    service: Arc<FrontEndService>,
    flow: Arc<Flow>,
    key: ServerKey,
    request: Request,
    received: Instant,
    claimed: AddressOfRecord,
}

/// What the proof is for, beyond the registrar's verdict.
enum Scheme {
    /// The nonce, and whether the proof counts or only earns `stale=true`.
    Digest {
        nonce: Result<CheckedNonce, NonceFault>,
        nc: Option<u32>,
    },
    /// What the association that begins is made of.
    Ntlm(NtlmProof),
}

/// A request on a connection nobody has signed in on: challenge it, or verify the proof it carries.
pub(crate) fn begin(
    service: &Arc<FrontEndService>,
    flow: &Arc<Flow>,
    key: ServerKey,
    request: Request,
    received: Instant,
) {
    let claimed = match identity::claimed(&request) {
        Ok(claimed) => claimed,
        Err(denied) => {
            service.counters.refused(denied.why);
            let response = request.reply(denied.status).to_tag(&service.ids.tag()).build();
            return flow.respond(service, &key, response);
        }
    };
    let attempt = Attempt {
        service: Arc::clone(service),
        flow: Arc::clone(flow),
        key,
        request,
        received,
        claimed,
    };
    let offered = attempt.offered();
    let authorization = attempt
        .request
        .headers()
        .get_all(&HeaderName::Authorization)
        .find(|value| {
            let scheme = sip_auth::scheme(value);
            scheme.eq_ignore_ascii_case("Digest")
                || (scheme.eq_ignore_ascii_case("NTLM") && offered.contains(&Challenge::Ntlm))
        });
    match authorization {
        None => attempt.challenge(false),
        Some(value) if sip_auth::scheme(&value).eq_ignore_ascii_case("Digest") => {
            attempt.digest(&value, &offered)
        }
        Some(value) => attempt.ntlm(&value),
    }
}

impl Attempt {
    fn offered(&self) -> Vec<Challenge> {
        let headers = self.request.headers();
        let user_agent = headers.get(&HeaderName::UserAgent);
        let supported: Vec<SipStr> = headers.get_all(&HeaderName::Supported).collect();
        let supported = supported.iter().map(SipStr::as_str).collect::<Vec<_>>().join(",");
        let hints = ClientHints {
            user_agent: user_agent.as_deref(),
            has_epid: client::epid(&self.request).is_some(),
            supported: &supported,
            over_tls: self.flow.is_tls(),
            at_edge: false,
        };
        challenge::choose(&hints, self.service.config.offer)
    }

    fn scope(&self) -> NonceScope<'_> {
        scope(&self.service, &self.flow)
    }

    // === answers ===

    /// 401 with what this client can cope with.
    fn challenge(&self, stale: bool) {
        let realm = self.service.config.realm();
        let mut reply = self
            .request
            .reply(StatusCode::UNAUTHORIZED)
            .to_tag(&self.service.ids.tag());
        let nonce =
            self.service
                .nonces
                .issue(unix_now(), self.service.ids.number().to_le_bytes(), self.scope());
        for offered in self.offered() {
            let value = match offered {
                Challenge::DigestMd5 => digest::www_authenticate(Algorithm::Md5, realm, &nonce, stale),
                Challenge::DigestSha256 => digest::www_authenticate(Algorithm::Sha256, realm, &nonce, stale),
                Challenge::Ntlm => signature::www_authenticate(NTLM_REALM, &self.service.config.fqdn),
            };
            reply = reply.header(HeaderName::WwwAuthenticate, value);
        }
        self.flow.remember_nonce(nonce);
        let response = reply.header(HeaderName::Date, sip_date()).build();
        self.flow.respond(&self.service, &self.key, response);
    }

    /// 503 while too many sign in at once.
    fn overloaded(&self) {
        self.service.counters.refused(Refused::SignInRate);
        let response = self
            .request
            .reply(StatusCode::SERVICE_UNAVAILABLE)
            .to_tag(&self.service.ids.tag())
            .header(HeaderName::RetryAfter, self.service.retry_after())
            .build();
        self.flow.respond(&self.service, &self.key, response);
    }

    // === Digest ===

    fn digest(self, value: &SipStr, offered: &[Challenge]) {
        let Ok(credentials) = DigestCredentials::parse(value) else {
            return self.challenge(false);
        };
        let wanted = match credentials.algorithm {
            Algorithm::Md5 => Challenge::DigestMd5,
            Algorithm::Sha256 => Challenge::DigestSha256,
        };
        // RFC 7616 section 3.4.6: the digest URI is the Request-URI, and what was not offered does not count.
        if !offered.contains(&wanted) || !credentials.uri_is(self.request.uri()) {
            return self.challenge(false);
        }
        let returned = if self.flow.knows_nonce(&credentials.nonce) {
            ReturnedOn::SameConnection
        } else {
            ReturnedOn::OtherConnection
        };
        let nonce = self
            .service
            .nonces
            .check(&credentials.nonce, unix_now(), self.scope(), returned);
        if matches!(nonce, Err(NonceFault::Malformed | NonceFault::Forged)) {
            return self.challenge(false);
        }
        let nc = match credentials.form {
            Form::Rfc2069 => None,
            _ => credentials.nonce_count(),
        };
        let proof = Proof::Digest {
            credentials: value.detach(),
            method: self.request.method().clone(),
            realm: SipStr::copy_from(self.service.config.realm()),
        };
        self.verify(proof, Scheme::Digest { nonce, nc });
    }

    // === the verdict ===

    fn verify(self, proof: Proof, scheme: Scheme) {
        // Before any password work and any look-up: who is turned away must cost next to nothing.
        if !self.service.admit_sign_in() {
            return self.overloaded();
        }
        let service = Arc::clone(&self.service);
        let request = Authenticate {
            claimed: self.claimed.clone(),
            proof,
            peer: self.flow.peer(),
        };
        let span = trace::sign_in(&self.flow, &self.request);
        let current = span.enter();
        service.spawn_until_stop(async move {
            match self.service.registrar.authenticate(request).await {
                Ok(Ok(identity)) => self.accept(identity, scheme, span).await,
                Ok(Err(refusal)) => {
                    span.fail("refused");
                    drop(span);
                    self.refuse(&refusal).await;
                }
                Err(error) => {
                    span.fail("registrar");
                    tracing::warn!(%error, "the registrar cannot authenticate");
                    self.overloaded();
                }
            }
        });
        drop(current);
    }

    async fn accept(self, identity: Identity, scheme: Scheme, span: Span) {
        if self.flow.is_gone() {
            return;
        }
        let association = match scheme {
            Scheme::Digest { nonce: Err(_), .. } => return self.challenge(true),
            Scheme::Digest { nonce: Ok(nonce), nc } => {
                if !self.service.first_use(&nonce, nc) {
                    return self.refuse(&REPLAYED).await;
                }
                None
            }
            Scheme::Ntlm(proof) => match self.associate(&identity, &proof) {
                Ok(association) => Some(association),
                Err(refusal) => return self.refuse(&refusal).await,
            },
        };
        let who = Arc::new(SignedIn {
            aor: identity.aor,
            display_name: identity.display_name,
        });
        tracing::debug!(user = %telemetry::user(who.aor.as_str()), connection = %self.flow.id(), "signed in");
        self.service.sign_in(&self.flow, &who, association);
        dispatch::dispatch(Incoming {
            service: self.service,
            flow: self.flow,
            key: self.key,
            request: self.request,
            received: self.received,
            who,
            span,
        });
    }

    /// 401 again, later for those who guess.
    async fn refuse(self, refusal: &Refusal) {
        tracing::info!(
            user = %telemetry::user(self.claimed.as_str()),
            reason = refusal.reason,
            method = %self.request.method(),
            "sign-in refused"
        );
        let delay = refusal.delay.max(self.service.failed_from(self.flow.peer()));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.flow.is_gone() {
            return;
        }
        if self.flow.count_failed_proof() < PROOFS_BORNE {
            return self.challenge(false);
        }
        // The same for a wrong password, an unknown user and a disabled one. baresip 1.0 answers every 401 with the same
        // wrong proof, sixteen times, before it tells its user.
        let response = self
            .request
            .reply(StatusCode::FORBIDDEN)
            .to_tag(&self.service.ids.tag())
            .build();
        self.flow.respond(&self.service, &self.key, response);
    }
}

/// Failed proofs on one connection after which the answer is final.
const PROOFS_BORNE: u32 = 3;

const REPLAYED: Refusal = Refusal {
    reason: "replayed",
    delay: Duration::ZERO,
};

/// A Digest proof on a connection that carries an identity already proves nothing new, but it must not be good for
/// another connection afterwards.
pub(crate) fn use_up_proof(incoming: &Incoming) {
    for value in incoming.request.headers().get_all(&HeaderName::Authorization) {
        if let Ok(credentials) = DigestCredentials::parse(&value) {
            incoming
                .service
                .use_up(&credentials, scope(&incoming.service, &incoming.flow));
        }
    }
}

/// Where nonces given on this connection are good.
fn scope<'a>(service: &'a FrontEndService, flow: &Flow) -> NonceScope<'a> {
    let class = if flow.is_tls() {
        ConnectionClass::Tls
    } else {
        ConnectionClass::ClearText
    };
    NonceScope {
        realm: service.config.realm(),
        class,
        issuer: service.config.member.as_str(),
    }
}
