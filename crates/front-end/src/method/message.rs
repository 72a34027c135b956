//! MESSAGE (RFC 3428): text, receipts and typing, inside a session or outside.

use std::sync::Arc;

use rpc::{FailureReason, InstantMessage, MessageKind, Signal, Submit};
use sip_types::{AddressOfRecord, HeaderName, StatusCode};

use super::Incoming;
use crate::counters::Refused;
use crate::dialect::incoming::{self, Said};
use crate::identity::Destination;
use crate::leg::Leg;
use crate::message_id::{Source, message_id};

/// Answers a MESSAGE.
pub(crate) fn handle(incoming: Incoming, destination: Option<Destination>) {
    let (to, leg) = match destination {
        Some(Destination::User(to)) => (to, None),
        Some(Destination::Server) => return incoming.answer(StatusCode::METHOD_NOT_ALLOWED),
        None => match incoming.flow.accept_in_dialog(&incoming.request) {
            Ok(leg) => (leg.peer.clone(), Some(leg)),
            Err(status) => return incoming.answer(status),
        },
    };
    let said = match incoming::read(&incoming.request, &incoming.who.aor) {
        Ok(said) => said,
        Err(refusal) => {
            incoming.service.counters.refused(Refused::Unsupported);
            return incoming.respond(refusal.answer(incoming.reply(refusal.status)));
        }
    };
    match said {
        Said::Typing(typing) => {
            incoming.answer(StatusCode::OK);
            signal(&incoming, to, leg.as_deref(), typing);
        }
        Said::Text { content, imdn_id } => {
            submit(incoming, to, leg, MessageKind::Text, content, imdn_id);
        }
        Said::Receipt { content, about } => {
            submit(incoming, to, leg, MessageKind::Receipt { about }, content, None);
        }
    }
}

/// Passes a typing indication to the owner of the conversation.
pub(crate) fn signal(incoming: &Incoming, to: AddressOfRecord, leg: Option<&Leg>, typing: rpc::Typing) {
    let signal = Signal {
        from: incoming.who.aor.clone(),
        from_endpoint: incoming.flow.endpoint(),
        to,
        leg: leg.map(|leg| leg.id),
        typing,
    };
    let immcu = incoming.service.immcu.clone();
    incoming.flow.begin(async move {
        if let Err(error) = immcu.signal(signal).await {
            tracing::debug!(%error, "typing indication not passed on");
        }
    });
}

/// Makes the domain's message out of what a request said.
pub(crate) fn instant_message(
    incoming: &Incoming,
    to: AddressOfRecord,
    kind: MessageKind,
    content: rpc::Content,
    imdn_id: Option<sip_types::SipStr>,
) -> InstantMessage {
    let from_endpoint = incoming.flow.endpoint();
    let source = Source {
        sender: &incoming.who.aor,
        endpoint: &from_endpoint,
        to: &to,
        own_id: imdn_id.as_deref(),
    };
    InstantMessage {
        id: message_id(&source, &incoming.request),
        from: incoming.who.aor.clone(),
        from_display: incoming.who.display_name.clone(),
        from_endpoint,
        to,
        to_endpoint: None,
        kind,
        content,
        imdn_id,
        subject: incoming.request.headers().get(&HeaderName::Subject),
    }
}

fn submit(
    incoming: Incoming,
    to: AddressOfRecord,
    leg: Option<Arc<Leg>>,
    kind: MessageKind,
    content: rpc::Content,
    imdn_id: Option<sip_types::SipStr>,
) {
    let mut message = instant_message(&incoming, to, kind, content, imdn_id);
    let flow = Arc::clone(&incoming.flow);
    flow.begin(async move {
        if leg.is_none() {
            match incoming
                .service
                .endpoint_meant(&message.to, &incoming.request)
                .await
            {
                Ok(endpoint) => message.to_endpoint = endpoint,
                Err(reason) => return incoming.answer_failure(reason),
            }
        }
        let submit = Submit {
            message: Arc::new(message),
            leg: leg.map(|leg| leg.id),
            patience: incoming.service.config.delivery_time,
        };
        match incoming.service.immcu.submit(submit).await {
            Ok(Ok(())) => incoming.answer(StatusCode::OK),
            // A receipt about a text that asked for none: linphone 5.1 sends one for every text and repeats it until it
            // is taken. It has no reader, so it is taken and counted.
            Ok(Err(FailureReason::UnknownMessage)) => {
                incoming.service.counters.refused(Refused::UnpairedReceipt);
                incoming.answer(StatusCode::OK);
            }
            Ok(Err(reason)) => incoming.answer_failure(reason),
            Err(error) => incoming.answer_error(&error),
        }
    });
}
