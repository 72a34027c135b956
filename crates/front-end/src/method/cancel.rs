//! CANCEL (RFC 3261 section 9.2): the caller takes a pending INVITE back.

use std::sync::Arc;

use sip_core::ServerKey;
use sip_types::{Request, StatusCode};

use crate::flow::Flow;
use crate::service::FrontEndService;

/// Answers a CANCEL that matched `invite` and asks the owner to stop; the INVITE gets its 487 from the owner's answer.
pub(crate) fn handle(
    service: &Arc<FrontEndService>,
    flow: &Arc<Flow>,
    key: &ServerKey,
    cancel: &Request,
    invite: &ServerKey,
) {
    let response = cancel.reply(StatusCode::OK).to_tag(&service.ids.tag()).build();
    flow.respond(service, key, response);
    if let Some(leg) = flow.invite_leg(invite) {
        service.cancel(&leg);
    }
}
