//! Inviting a client to a session, and taking the invitation back.

use std::sync::Arc;
use std::time::Duration;

use rpc::{ClientFamily, EndpointId, FailureReason, InstantMessage, MessageId, Ring, RingAnswer};
use sip_bodies::ms_text_format::MsTextFormat;
use sip_bodies::sdp::{self, ImSession};
use sip_bodies::text::TextForm;
use sip_types::{HeaderName, Method, Request, Response};
use tokio::sync::oneshot;

use crate::dialect::outgoing;
use crate::flow::{Flow, From, Registration};
use crate::leg::{Leg, Undo};
use crate::service::FrontEndService;
use crate::trace;

/// Rings one endpoint until it answers, refuses or the patience ends.
pub(crate) async fn ring(service: &Arc<FrontEndService>, ring: Ring) -> Result<RingAnswer, FailureReason> {
    let (flow, registration) = service.find(&ring.address).ok_or(FailureReason::NotOwner)?;
    let span = trace::outgoing(&flow, &Method::Invite);
    let leg = Leg::ringing(ring.leg, &flow, &ring.address, ring.from.clone());
    service.legs.insert(ring.leg, Arc::clone(&leg));
    let (invite, text) = invite(service, &flow, &registration, &ring);
    let (key, response) = flow.send(service, invite.clone());
    if let Some(key) = key.filter(|key| !leg.invited(key.clone())) {
        flow.cancel(service, &key);
    }
    // The attempt is a task of its own: whoever asked may stop waiting, the INVITE still needs its ACK.
    let (sender, outcome) = oneshot::channel();
    let attempt = Attempt {
        service: Arc::clone(service),
        endpoint: registration.endpoint,
        leg,
        invite,
        text,
        patience: ring.patience,
    };
    service.spawn(async move {
        let outcome = attempt.run(response).await;
        // Who asked may have stopped waiting: the attempt has undone what it had to.
        let _nobody_waits: Result<(), _> = sender.send(outcome);
    });
    let answered = async { outcome.await.unwrap_or(Err(FailureReason::Internal)) };
    trace::outcome(span, answered).await
}

/// The INVITE, and the first text if it is in it. A client that has the text already is not given it again.
fn invite(
    service: &FrontEndService,
    flow: &Flow,
    registration: &Registration,
    ring: &Ring,
) -> (Request, Option<MessageId>) {
    let from = From {
        aor: &ring.from,
        display_name: &ring.from_display,
    };
    let mut builder = flow
        .new_request(service, Method::Invite, registration, &from, &ring.address.aor)
        .header(HeaderName::Contact, flow.contact(service))
        .header(HeaderName::Allow, crate::dispatch::ALLOW);
    let mut text = None;
    let wanted = |first: &&Arc<InstantMessage>| {
        registration.client.family == ClientFamily::Lync
            && !flow.has_message(&registration.endpoint, first.id)
    };
    if let Some(first) = ring.first_text.as_ref().filter(wanted) {
        let rendered = outgoing::message(ClientFamily::Lync, false, &first.content);
        if rendered.body.len() <= sip_bodies::ms_text_format::TEXT_BYTES / 16
            && TextForm::of(&rendered.content_type) == Some(TextForm::Plain)
        {
            // A header line may be 8 KiB: a longer text waits for the session.
            let format = MsTextFormat {
                content_type: rendered.content_type.to_string(),
                text: rendered.body,
            };
            builder = builder.header(HeaderName::MsTextFormat, format);
            text = Some(first.id);
        }
    }
    let offer = ImSession {
        address: flow.local().ip(),
        session_id: 0,
        port: flow.local().port(),
        uri: None,
        accept_types: sdp::ACCEPT_TYPES,
    };
    (builder.body(sdp::CONTENT_TYPE, offer.offer()).build(), text)
}

/// One INVITE of ours on its way.
struct Attempt {
    service: Arc<FrontEndService>,
    endpoint: EndpointId,
    leg: Arc<Leg>,
    invite: Request,
    /// The first text, if it stands in the invitation.
    text: Option<MessageId>,
    patience: Duration,
}

impl Attempt {
    async fn run(self, mut response: oneshot::Receiver<Response>) -> Result<RingAnswer, FailureReason> {
        let patience = tokio::time::sleep(self.patience);
        tokio::select! {
            answer = &mut response => self.conclude(answer.ok()),
            () = patience => {
                self.service.undo(&self.leg);
                // What the client says to the CANCEL comes later; it may even have answered.
                let service = Arc::clone(&self.service);
                service.spawn(async move { let _late: Result<_, _> = self.conclude(response.await.ok()); });
                Err(FailureReason::Timeout)
            }
        }
    }

    fn conclude(&self, answer: Option<Response>) -> Result<RingAnswer, FailureReason> {
        // No answer: the transaction timed out or the connection died.
        let Some(response) = answer else {
            self.service.forget(&self.leg);
            let gone = self.leg.flow.is_gone();
            return Err(if gone {
                FailureReason::Unavailable
            } else {
                FailureReason::Timeout
            });
        };
        if let Some(reason) = FailureReason::from_sip_status(response.status().code()) {
            self.service.forget(&self.leg);
            return Err(reason);
        }
        let Some(answered) = self.leg.answered(&self.invite, &response) else {
            // A 2xx without tag or Contact makes no dialog (RFC 3261 section 12.1.1).
            self.service.forget(&self.leg);
            return Err(FailureReason::EndpointFailed);
        };
        if !self.leg.flow.add_dialog(&answered.id, &self.leg) {
            // It answered and hung up in one breath.
            self.service.forget(&self.leg);
            return Err(FailureReason::Unavailable);
        }
        self.leg.flow.send_unanswered(&self.service, answered.ack.build());
        if !answered.wanted {
            self.service.undo(&self.leg);
            return Err(FailureReason::Cancelled);
        }
        let taken = self.text.filter(|_| takes_first_text(&response));
        if let Some(text) = taken {
            self.leg.flow.note_message(&self.endpoint, text);
        }
        Ok(RingAnswer {
            first_text_taken: taken.is_some(),
        })
    }
}

/// A callee that took the text from the invitation says so in Supported.
fn takes_first_text(response: &Response) -> bool {
    response.headers().get_all(&HeaderName::Supported).any(|value| {
        value
            .split(',')
            .any(|tag| tag.trim().eq_ignore_ascii_case("ms-text-format"))
    })
}

impl FrontEndService {
    /// Ends a leg from our side: CANCEL or BYE, whichever its state needs.
    pub(crate) fn undo(self: &Arc<Self>, leg: &Arc<Leg>) {
        match leg.end() {
            Undo::Nothing => {}
            Undo::Cancel(invite) => leg.flow.cancel(self, &invite),
            Undo::Bye(bye, dialog) => {
                self.legs.remove(&leg.id);
                leg.flow.remove_dialog(&dialog);
                // The answer to a BYE changes nothing: the session is over whatever it says.
                drop(leg.flow.send(self, bye.build()));
            }
        }
    }

    /// Forgets a leg whose other end is gone.
    pub(crate) fn forget(&self, leg: &Arc<Leg>) {
        self.legs.remove(&leg.id);
        if let Some(dialog) = leg.gone() {
            leg.flow.remove_dialog(&dialog);
        }
    }
}
