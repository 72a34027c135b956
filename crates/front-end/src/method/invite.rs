//! INVITE with `m=message`: a session of instant messages. The dialog ends here; the other side is another leg.

use std::sync::Arc;

use bytes::Bytes;
use rpc::{Content, FailureReason, InstantMessage, MessageKind, Open};
use sip_bodies::ms_text_format::MsTextFormat;
use sip_bodies::sdp::{self, ImSession, SessionDescription};
use sip_bodies::text::TextForm;
use sip_types::{AddressOfRecord, HeaderName, Response, SipStr, StatusCode};

use super::{Incoming, message};
use crate::counters::Refused;
use crate::identity::Destination;
use crate::leg::Leg;

/// Lync-family clients look for the group chat server under this name right after sign-in and wait for the answer.
const GROUP_CHAT_PROBE: &str = "ocschat";

/// Answers an INVITE.
pub(crate) fn handle(incoming: Incoming, destination: Option<Destination>) {
    match destination {
        Some(Destination::User(callee)) => initial(incoming, callee),
        Some(Destination::Server) => incoming.answer(StatusCode::NOT_FOUND),
        None => refresh(&incoming),
    }
}

/// A re-INVITE changes nothing we hold: the session is what we answered first, so it is answered again.
fn refresh(incoming: &Incoming) {
    match incoming.flow.accept_in_dialog(&incoming.request) {
        Ok(leg) => match answer(incoming, &leg.peer) {
            Some(sdp) => incoming.respond(accepted(incoming, sdp, false)),
            None => incoming.answer(StatusCode::NOT_ACCEPTABLE_HERE),
        },
        Err(status) => incoming.answer(status),
    }
}

/// Our side of the session the request offers; `None` if it offers no `m=message`.
fn answer(incoming: &Incoming, peer: &AddressOfRecord) -> Option<Bytes> {
    let offer = SessionDescription::parse(incoming.request.body()).ok()?;
    let local = incoming.flow.local();
    let ours = ImSession {
        address: local.ip(),
        session_id: 0,
        port: local.port(),
        uri: Some(&peer.to_uri_string()),
        accept_types: sdp::ACCEPT_TYPES,
    };
    ours.answer(&offer)
}

fn initial(incoming: Incoming, callee: AddressOfRecord) {
    if callee.user() == GROUP_CHAT_PROBE {
        return incoming.answer(StatusCode::TEMPORARILY_UNAVAILABLE);
    }
    let Some(sdp) = answer(&incoming, &callee) else {
        // RFC 3261 section 13.3.1.3: nothing in the offer is acceptable; 304 is "media type not available".
        incoming.service.counters.refused(Refused::Unsupported);
        let warning = format!("304 {} \"only m=message sessions\"", incoming.service.config.fqdn);
        let reply = incoming
            .reply(StatusCode::NOT_ACCEPTABLE_HERE)
            .header(HeaderName::Warning, warning);
        return incoming.respond(reply.build());
    };
    let first_text = match first_text(&incoming, &callee) {
        Ok(text) => text,
        Err(status) => return incoming.answer(status),
    };
    let id = incoming.service.ids.leg();
    let caller = (incoming.who.aor.clone(), incoming.flow.endpoint());
    let leg = Leg::answering(id, &incoming.flow, caller, callee.clone(), &incoming.request);
    incoming.service.legs.insert(id, Arc::clone(&leg));
    incoming.flow.add_invite(incoming.key.clone(), Arc::clone(&leg));
    let mut open = Open {
        leg: leg.id,
        from: incoming.who.aor.clone(),
        from_display: incoming.who.display_name.clone(),
        from_endpoint: incoming.flow.endpoint(),
        to: callee,
        to_endpoint: None,
        first_text,
        patience: incoming.service.config.ring_time,
    };
    let service = Arc::clone(&incoming.service);
    service.spawn_in_order(async move {
        match incoming.service.endpoint_meant(&open.to, &incoming.request).await {
            Ok(endpoint) => open.to_endpoint = endpoint,
            Err(reason) => {
                incoming.service.forget(&leg);
                return incoming.answer_failure(reason);
            }
        }
        let decision = incoming.service.immcu.open(open).await;
        match decision {
            Ok(Ok(opened)) => establish(&incoming, &leg, accepted(&incoming, sdp, opened.first_text_taken)),
            Ok(Err(reason)) => {
                incoming.service.forget(&leg);
                incoming.answer_failure(reason);
            }
            Err(error) => {
                incoming.service.forget(&leg);
                incoming.answer_error(&error);
            }
        }
    });
}

/// The first text of a Lync-family invitation stands in `ms-text-format` (and is sent again as a MESSAGE unless the
/// answer says it was taken).
fn first_text(
    incoming: &Incoming,
    callee: &AddressOfRecord,
) -> Result<Option<Arc<InstantMessage>>, StatusCode> {
    let Some(value) = incoming.request.headers().get(&HeaderName::MsTextFormat) else {
        return Ok(None);
    };
    let format = match MsTextFormat::parse(&value) {
        Ok(Some(format)) => format,
        Ok(None) => return Ok(None),
        Err(sip_bodies::BodyError::TooLarge(_)) => return Err(StatusCode::REQUEST_ENTITY_TOO_LARGE),
        Err(_) => return Err(StatusCode::BAD_REQUEST),
    };
    if TextForm::of(&format.content_type).is_none() {
        // An envelope or something else that has to be looked into: the caller sends it again as a MESSAGE.
        return Ok(None);
    }
    let content = Content {
        content_type: SipStr::from(format.content_type),
        body: format.text,
    };
    let text = message::instant_message(incoming, callee.clone(), MessageKind::Text, content, None);
    Ok(Some(Arc::new(text)))
}

/// The owner opened the session: the caller's INVITE gets its 200 and the dialog exists.
fn establish(incoming: &Incoming, leg: &Arc<Leg>, response: Response) {
    match leg.accept(&incoming.request, &response) {
        Some(accepted) if incoming.flow.add_dialog(&accepted.id, leg) => {
            incoming.respond(response);
            leg.announce();
            incoming.flow.await_ack(leg);
            if !accepted.wanted {
                incoming.service.undo(leg);
            }
        }
        // The connection died while the owner decided.
        _ => {
            incoming.service.forget(leg);
            incoming.service.leave(leg);
            incoming.answer_failure(FailureReason::Cancelled);
        }
    }
}

/// The 200, with SDP that names the callee as Lync-family clients expect it.
fn accepted(incoming: &Incoming, sdp: Bytes, first_text_taken: bool) -> Response {
    let mut reply = incoming
        .reply(StatusCode::OK)
        .header(HeaderName::Contact, incoming.flow.contact(&incoming.service))
        .header(HeaderName::Allow, crate::dispatch::ALLOW);
    if first_text_taken {
        reply = reply.header(HeaderName::Supported, "ms-text-format");
    }
    reply.body(sdp::CONTENT_TYPE, sdp).build()
}
