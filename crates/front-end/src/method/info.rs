//! INFO inside a session: Lync-family typing.

use rpc::Typing;
use sip_bodies::keyboard_activity::KeyboardActivity;
use sip_types::{HeaderName, StatusCode};

use super::{Incoming, message};
use crate::counters::Refused;
use crate::identity::Destination;

/// How long a Lync-family typing indication holds: the client repeats it while its user goes on.
const REFRESH_SECONDS: u32 = 60;

/// Answers an INFO.
pub(crate) fn handle(incoming: &Incoming, destination: Option<&Destination>) {
    if destination.is_some() {
        return incoming.answer(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
    }
    let leg = match incoming.flow.accept_in_dialog(&incoming.request) {
        Ok(leg) => leg,
        Err(status) => return incoming.answer(status),
    };
    let Ok(activity) = KeyboardActivity::parse(incoming.request.body()) else {
        incoming.service.counters.refused(Refused::Unsupported);
        let reply = incoming
            .reply(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .header(HeaderName::Accept, sip_bodies::keyboard_activity::CONTENT_TYPE);
        return incoming.respond(reply.build());
    };
    incoming.answer(StatusCode::OK);
    let typing = match activity {
        KeyboardActivity::Typing => Typing::Active {
            refresh: REFRESH_SECONDS,
        },
        KeyboardActivity::Idle => Typing::Idle,
    };
    message::signal(incoming, leg.peer.clone(), Some(&leg), typing);
}
