//! Who is signed in on a connection, what it proved, and which endpoints it registered.

use std::sync::Arc;

use rpc::{Binding, EndpointId, Epoch};
use sip_auth::signature::SecurityAssociation;
use sip_types::AddressOfRecord;
use smallvec::SmallVec;

use super::{Flow, Registration, SignedIn};
use crate::service::now;
use crate::sign_in::PendingNtlm;

impl Flow {
    pub(crate) fn signed_in(&self) -> Option<Arc<SignedIn>> {
        self.inner.lock().signed_in.clone()
    }

    /// From now on the connection carries this identity and, for signing schemes, this association.
    ///
    /// Returns the registrations of somebody else who was signed in before: they end.
    pub(crate) fn sign_in(
        &self,
        who: Arc<SignedIn>,
        association: Option<SecurityAssociation>,
    ) -> SmallVec<[Registration; 1]> {
        let mut inner = self.inner.lock();
        let is_foreign = |registration: &Registration| registration.aor != who.aor;
        let former = inner
            .registrations
            .iter()
            .filter(|known| is_foreign(known))
            .cloned()
            .collect();
        inner.registrations.retain(|known| !is_foreign(known));
        inner.signed_in = Some(who);
        inner.association = association.map(Box::new);
        inner.nonce = None;
        inner.failed_proofs = 0;
        drop(inner);
        self.connection.set_authenticated();
        former
    }

    /// The identity is gone: the next request is challenged again.
    pub(crate) fn sign_out(&self) {
        self.inner.lock().sign_out();
    }

    pub(crate) fn set_pending_ntlm(&self, pending: PendingNtlm) {
        self.inner.lock().pending_ntlm = Some(Box::new(pending));
    }

    /// A challenge is compared with once.
    pub(crate) fn take_pending_ntlm(&self) -> Option<PendingNtlm> {
        self.inner.lock().pending_ntlm.take().map(|pending| *pending)
    }

    /// Counts a proof that was not accepted; how many there were.
    pub(crate) fn count_failed_proof(&self) -> u32 {
        let mut inner = self.inner.lock();
        inner.failed_proofs = inner.failed_proofs.saturating_add(1);
        inner.failed_proofs
    }

    pub(crate) fn remember_nonce(&self, nonce: String) {
        self.inner.lock().nonce = Some(nonce.into_boxed_str());
    }

    /// Whether this connection was given this nonce.
    pub(crate) fn knows_nonce(&self, nonce: &str) -> bool {
        self.inner.lock().nonce.as_deref() == Some(nonce)
    }

    /// Takes a token for one more request.
    pub(crate) fn admit_request(&self) -> bool {
        self.inner.lock().share.admit(now())
    }

    /// Whether the client may search for people once more.
    pub(crate) fn admit_search(&self) -> bool {
        self.inner.lock().share.admit_search(now())
    }

    /// Whether more than the share has come for longer than is borne.
    pub(crate) fn exceeds_for_too_long(&self) -> bool {
        self.inner.lock().share.exceeds_for_too_long(now())
    }

    // === registrations ===

    /// False if the connection is gone or belongs to somebody else by now: the registration has to be undone.
    pub(crate) fn keep_registration(&self, registration: Registration) -> bool {
        let mut inner = self.inner.lock();
        let is_owner = inner
            .signed_in
            .as_ref()
            .is_some_and(|who| who.aor == registration.aor);
        if inner.gone || !is_owner {
            return false;
        }
        inner
            .registrations
            .retain(|known| known.endpoint != registration.endpoint);
        inner.registrations.push(registration);
        true
    }

    /// Forgets one endpoint, or all of them.
    pub(crate) fn forget_registration(&self, endpoint: Option<&EndpointId>) {
        self.inner
            .lock()
            .registrations
            .retain(|known| endpoint.is_some_and(|endpoint| known.endpoint != *endpoint));
    }

    /// The registration with exactly this epoch, unless nothing may be sent to it any more.
    pub(crate) fn registration(&self, endpoint: &EndpointId, epoch: Epoch) -> Option<Registration> {
        let inner = self.inner.lock();
        if inner.shut {
            return None;
        }
        inner
            .registrations
            .iter()
            .find(|known| known.endpoint == *endpoint && known.epoch == epoch)
            .cloned()
    }

    pub(crate) fn registrations(&self) -> SmallVec<[Registration; 1]> {
        self.inner.lock().registrations.clone()
    }

    /// The epoch under which an endpoint of a user is registered here.
    pub(crate) fn epoch(&self, aor: &AddressOfRecord, endpoint: &EndpointId) -> Option<Epoch> {
        let inner = self.inner.lock();
        let found = inner
            .registrations
            .iter()
            .find(|registration| registration.aor == *aor && registration.endpoint == *endpoint);
        found.map(|registration| registration.epoch)
    }

    pub(crate) fn is_registered(&self) -> bool {
        !self.inner.lock().registrations.is_empty()
    }

    /// The endpoint that speaks here; a client that did not register is named after its connection.
    pub(crate) fn endpoint(&self) -> EndpointId {
        let inner = self.inner.lock();
        match inner.registrations.first() {
            Some(registration) => registration.endpoint.clone(),
            None => EndpointId::new(&format!("connection:{}", self.connection.id())),
        }
    }

    /// Seconds granted to the endpoint of this connection, out of all bindings of the user.
    pub(crate) fn registered_expiry(&self, bindings: &[Binding]) -> Option<u32> {
        let inner = self.inner.lock();
        bindings
            .iter()
            .find(|binding| {
                inner
                    .registrations
                    .iter()
                    .any(|known| known.endpoint == binding.address.endpoint)
            })
            .map(|binding| binding.expires_in)
    }
}
