//! Is somebody who they claim to be?
//!
//! An account that does not exist, one that is disabled, one that may not use the scheme and a wrong password take the same
//! path: the same hashes are computed, over a dummy where there is nothing to compute them over, and what comes out
//! differs in nothing but a reason that only counters and the audit log see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::{Authenticate, Error, Identity, Proof, Refusal, SessionKey};
use sip_auth::digest::{self, Algorithm, DigestCredentials, Form};
use sip_auth::ntlm::{AuthenticateMessage, verify_authenticate};
use sip_auth::seal::SealError;
use sip_types::AddressOfRecord;

use crate::accounts::Known;
use crate::counters::{AuthResult, Scheme};
use crate::credentials::NameForm;
use crate::policy::{Limits, REGISTRATION};
use crate::service::Inner;

/// What a proof came to.
struct Verdict {
    scheme: Scheme,
    result: AuthResult,
    session_key: Option<SessionKey>,
}

impl Verdict {
    fn refused(scheme: Scheme, result: AuthResult) -> Self {
        Verdict {
            scheme,
            result,
            session_key: None,
        }
    }
}

/// What an account admits, worked out before its proof is looked at.
struct Admission<'a> {
    /// The account, if proofs for it can count at all.
    account: Option<&'a Known>,
    /// Why they cannot.
    refusal: AuthResult,
    allow_rfc2069: bool,
}

impl Inner {
    /// Verifies a proof.
    ///
    /// The answer to a source with many failures is held back: a refusal by the front end, for the time it names; a
    /// success here, unless the user has signed in from there before. Otherwise whoever guesses would only have to look
    /// for the answer that comes at once.
    pub(crate) async fn authenticate(
        &self,
        request: Authenticate,
    ) -> Result<Result<Identity, Refusal>, Error> {
        let now = tokio::time::Instant::now().into_std();
        let user = request.claimed.as_str();
        let held_back = self.address_throttle.lock().delay(request.peer, now);
        if !self.user_throttle.lock().may_try(user, request.peer, now) {
            // Not looked at and not counted as a failure: the guard ends however often somebody knocks.
            let scheme = scheme_of(&request.proof);
            return Ok(Err(self.refuse(
                &request,
                scheme,
                AuthResult::Throttled,
                held_back,
            )));
        }
        let known = self.accounts.get(&request.claimed).await?;
        let verdict = self.verify(&request, known.as_deref())?;
        match (verdict.result, known) {
            (AuthResult::Ok, Some(known)) => {
                Ok(Ok(self.accept(&request, &known, verdict, held_back, now).await))
            }
            (result, _) => {
                self.user_throttle.lock().record_failure(user, now);
                let delay = {
                    let mut throttle = self.address_throttle.lock();
                    throttle.record_failure(request.peer, now);
                    throttle.delay(request.peer, now)
                };
                Ok(Err(self.refuse(&request, verdict.scheme, result, delay)))
            }
        }
    }

    async fn accept(
        &self,
        request: &Authenticate,
        known: &Arc<Known>,
        verdict: Verdict,
        held_back: Duration,
        now: Instant,
    ) -> Identity {
        self.counters.auth(verdict.scheme, AuthResult::Ok);
        let user = request.claimed.as_str();
        let is_usual_place = self.user_throttle.lock().is_usual_place(user, request.peer, now);
        if !is_usual_place && !held_back.is_zero() {
            tokio::time::sleep(held_back).await;
        }
        self.user_throttle.lock().record_success(user, request.peer, now);
        Identity {
            aor: known.stored.account.aor.clone(),
            display_name: known.stored.account.display_name.clone(),
            session_key: verdict.session_key,
        }
    }

    fn refuse(&self, request: &Authenticate, scheme: Scheme, result: AuthResult, delay: Duration) -> Refusal {
        let reason = result.as_str();
        self.counters.auth(scheme, result);
        tracing::debug!(user = %telemetry::user(request.claimed.as_str()), reason, "sign-in refused");
        // Wrong passwords and invented users are everyday; the others tell an operator something.
        if matches!(
            result,
            AuthResult::Throttled | AuthResult::Disabled | AuthResult::NotAllowed
        ) {
            self.audit
                .refusal(request.peer.to_string(), request.claimed.to_string(), reason);
        }
        Refusal { reason, delay }
    }

    fn verify(&self, request: &Authenticate, known: Option<&Known>) -> Result<Verdict, Error> {
        let admission = self.admission(known)?;
        Ok(match &request.proof {
            Proof::Digest {
                credentials,
                method,
                realm,
            } => self.verify_digest(&request.claimed, credentials, method.as_str(), realm, &admission),
            Proof::Ntlm {
                server_challenge,
                authenticate,
            } => self.verify_ntlm(&request.claimed, *server_challenge, authenticate, &admission),
        })
    }

    fn admission<'a>(&self, known: Option<&'a Known>) -> Result<Admission<'a>, Error> {
        let refused = |refusal| Admission {
            account: None,
            refusal,
            allow_rfc2069: false,
        };
        let Some(known) = known else {
            return Ok(refused(AuthResult::UnknownUser));
        };
        if !known.stored.account.enabled {
            return Ok(refused(AuthResult::Disabled));
        }
        let policy = self
            .engine
            .effective(REGISTRATION, &known.assignment, &known.policies)?;
        let limits = Limits::of(&policy);
        if !limits.allow {
            return Ok(refused(AuthResult::NotAllowed));
        }
        Ok(Admission {
            account: Some(known),
            refusal: AuthResult::WrongPassword,
            allow_rfc2069: limits.allow_rfc2069,
        })
    }

    fn verify_digest(
        &self,
        claimed: &AddressOfRecord,
        credentials: &str,
        method: &str,
        offered_realm: &str,
        admission: &Admission<'_>,
    ) -> Verdict {
        let Ok(credentials) = DigestCredentials::parse(credentials) else {
            return Verdict::refused(Scheme::Unknown, AuthResult::Malformed);
        };
        let algorithm = credentials.algorithm;
        let scheme = match algorithm {
            Algorithm::Md5 => Scheme::DigestMd5,
            Algorithm::Sha256 => Scheme::DigestSha256,
        };
        let form = NameForm::of(&credentials.username, claimed);
        let offered = algorithm != Algorithm::Md5 || self.config.digest_md5;
        let admitted = offered && (credentials.form != Form::Rfc2069 || admission.allow_rfc2069);
        // A right digest for another realm or another user never counts (RFC 7616 section 3.3).
        let is_ours = credentials.realm == offered_realm && credentials.realm == self.vault.realm();
        let account = admission.account.filter(|_| admitted && is_ours);
        let ha1 = account.zip(form).and_then(|(known, form)| {
            self.opened(
                &known.stored.account.aor,
                self.vault.ha1(&known.stored, algorithm, form),
            )
        });
        // Not short-circuited: the same work whatever is known of the user.
        if digest::verify(ha1.as_ref(), &credentials, method, admission.allow_rfc2069) {
            return Verdict {
                scheme,
                result: AuthResult::Ok,
                session_key: None,
            };
        }
        let not_allowed = admission.account.is_some() && !admitted;
        Verdict::refused(
            scheme,
            if not_allowed {
                AuthResult::NotAllowed
            } else {
                admission.refusal
            },
        )
    }

    fn verify_ntlm(
        &self,
        claimed: &AddressOfRecord,
        server_challenge: [u8; 8],
        authenticate: &[u8],
        admission: &Admission<'_>,
    ) -> Verdict {
        let Ok(message) = AuthenticateMessage::parse(authenticate) else {
            return Verdict::refused(Scheme::Ntlm, AuthResult::Malformed);
        };
        let is_theirs = self.is_login_of(message.user(), message.domain(), claimed);
        let account = admission.account.filter(|_| self.config.ntlm && is_theirs);
        let hash = account
            .and_then(|known| self.opened(&known.stored.account.aor, self.vault.nt_hash(&known.stored)));
        // Not short-circuited: the same work whatever is known of the user.
        if let Some(key) = verify_authenticate(hash.as_ref(), server_challenge, &message) {
            return Verdict {
                scheme: Scheme::Ntlm,
                result: AuthResult::Ok,
                session_key: Some(SessionKey(*key.as_bytes())),
            };
        }
        let not_allowed = admission.account.is_some() && is_theirs && hash.is_none();
        Verdict::refused(
            Scheme::Ntlm,
            if not_allowed {
                AuthResult::NotAllowed
            } else {
                admission.refusal
            },
        )
    }

    /// Whether a login name of NTLM names this address: the address itself, or its user part with no domain or one of the
    /// pool's. Windows names do not tell capitals apart.
    fn is_login_of(&self, user: &str, domain: &str, claimed: &AddressOfRecord) -> bool {
        let domain = domain.to_lowercase();
        if !domain.is_empty() && !self.config.domains.contains(&domain) {
            return false;
        }
        if user.contains('@') {
            return AddressOfRecord::parse(user).is_ok_and(|named| named == *claimed);
        }
        user.to_lowercase() == claimed.user().to_lowercase()
    }

    /// An opened credential. One that does not open was damaged, moved from another account or sealed under another key
    /// file: it proves nothing, and an operator has to know.
    fn opened<T>(&self, aor: &AddressOfRecord, opened: Result<Option<T>, SealError>) -> Option<T> {
        opened.unwrap_or_else(|error| {
            if self.damage_log.allow(tokio::time::Instant::now().into_std()) {
                let user = telemetry::user(aor.as_str());
                tracing::error!(%user, %error, "a stored credential cannot be opened");
            }
            None
        })
    }
}

fn scheme_of(proof: &Proof) -> Scheme {
    match proof {
        Proof::Ntlm { .. } => Scheme::Ntlm,
        Proof::Digest { credentials, .. } => {
            match DigestCredentials::parse(credentials).map(|parsed| parsed.algorithm) {
                Ok(Algorithm::Md5) => Scheme::DigestMd5,
                Ok(Algorithm::Sha256) => Scheme::DigestSha256,
                Err(_) => Scheme::Unknown,
            }
        }
    }
}

#[cfg(test)]
mod tests;
