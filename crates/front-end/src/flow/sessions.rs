//! The sessions of a connection: INVITEs that wait, and dialogs.

use std::sync::Arc;

use hashbrown::HashMap;
use sip_core::{DialogId, ServerKey, timer};
use sip_types::{Request, SipStr, StatusCode};

use super::Flow;
use crate::leg::Leg;
use crate::service::now;

impl Flow {
    /// An INVITE of the client waits for the owner's decision.
    pub(crate) fn add_invite(&self, key: ServerKey, leg: Arc<Leg>) {
        self.inner.lock().invites.insert(key, leg);
    }

    /// The leg of a pending INVITE.
    pub(crate) fn invite_leg(&self, key: &ServerKey) -> Option<Arc<Leg>> {
        self.inner.lock().invites.get(key).cloned()
    }

    /// The leg of a pending INVITE with this Call-ID and From tag.
    pub(crate) fn pending_invite(&self, call_id: &str, from_tag: Option<SipStr>) -> Option<Arc<Leg>> {
        let inner = self.inner.lock();
        inner
            .invites
            .values()
            .find(|leg| leg.was_invited_by(call_id, from_tag.as_deref()))
            .cloned()
    }

    /// False if the connection is gone: then nobody would ever end the dialog.
    pub(crate) fn add_dialog(&self, id: &DialogId, leg: &Arc<Leg>) -> bool {
        let mut inner = self.inner.lock();
        if !inner.gone {
            inner.dialogs.insert(id.clone(), Arc::clone(leg));
        }
        !inner.gone
    }

    /// The 200 to the client's INVITE goes out: its ACK is due within 64 T1 (RFC 3261 section 13.3.1.4).
    pub(crate) fn await_ack(&self, leg: &Arc<Leg>) {
        let mut inner = self.inner.lock();
        if !inner.gone {
            let deadline = now() + timer::TIMEOUT;
            inner.unacknowledged.push((deadline, Arc::clone(leg)));
        }
        drop(inner);
        self.connection.wake();
    }

    /// The ACK came.
    pub(crate) fn acknowledged(&self, ack: &Request) {
        let Ok(id) = DialogId::of_request(ack) else { return };
        let Some(leg) = self.leg_of(&id) else { return };
        self.inner
            .lock()
            .unacknowledged
            .retain(|(_, waiting)| waiting.id != leg.id);
    }

    pub(crate) fn remove_dialog(&self, id: &DialogId) {
        let mut inner = self.inner.lock();
        if let Some(leg) = inner.dialogs.remove(id) {
            inner.unacknowledged.retain(|(_, waiting)| waiting.id != leg.id);
        }
        if inner.dialogs.is_empty() {
            // An idle connection keeps nothing.
            inner.dialogs = HashMap::new();
        }
    }

    /// The leg a request belongs to.
    pub(crate) fn leg_of(&self, id: &DialogId) -> Option<Arc<Leg>> {
        self.inner.lock().dialogs.get(id).cloned()
    }

    /// Matches a request to its dialog and checks its CSeq (RFC 3261 section 12.2.2).
    ///
    /// # Errors
    /// 481 without a dialog, 500 out of order.
    pub(crate) fn accept_in_dialog(&self, request: &Request) -> Result<Arc<Leg>, StatusCode> {
        let id = DialogId::of_request(request).map_err(|_| StatusCode::BAD_REQUEST)?;
        let leg = self
            .leg_of(&id)
            .ok_or(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)?;
        leg.receive(request)?;
        Ok(leg)
    }
}
