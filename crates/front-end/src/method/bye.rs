//! BYE: one side of a session ends it.

use sip_types::StatusCode;

use super::Incoming;
use crate::identity::Destination;

/// Answers a BYE.
pub(crate) fn handle(incoming: &Incoming, destination: Option<&Destination>) {
    if destination.is_some() {
        return without_tag(incoming);
    }
    match incoming.flow.accept_in_dialog(&incoming.request) {
        Ok(leg) => {
            incoming.answer(StatusCode::OK);
            incoming.service.forget(&leg);
            incoming.service.leave(&leg);
        }
        Err(status) => incoming.answer(status),
    }
}

/// SIPE 1.25 gives up a pending INVITE by a BYE without To tag instead of a CANCEL: there is no dialog to end
/// (RFC 3261 section 15.1.2), but the invitation of that Call-ID is taken back.
fn without_tag(incoming: &Incoming) {
    incoming.answer(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
    let (Ok(call_id), Ok(from)) = (incoming.request.call_id(), incoming.request.from()) else {
        return;
    };
    if let Some(leg) = incoming.flow.pending_invite(&call_id, from.tag()) {
        incoming.service.cancel(&leg);
    }
}
