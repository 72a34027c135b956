//! Sessions: INVITE with an offer of text messages, MESSAGEs in the dialog, BYE.

use super::request::{Body, Draft};
use super::{Endpoint, Purpose, State, Timers, Work};
use sip_types::{HeaderName, Response, typed};
use std::time::Instant;

/// One session, seen from the caller: the dialog as far as it is known (RFC 3261 section 12).
#[derive(Debug)]
pub(super) struct Call {
    pub(super) work: Work,
    size: usize,
    messages: u32,
    sent: u32,
    step: Step,
    id: String,
    from: String,
    /// With the peer's tag once it is known.
    to: String,
    /// The remote target: the peer's Contact.
    target: String,
    /// The route set, as header lines.
    routes: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Inviting,
    Talking,
    Leaving,
}

impl Call {
    fn draft(&self, method: &'static str, body: Body) -> Draft {
        Draft {
            method,
            uri: self.target.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            call_id: self.id.clone(),
            extra: self.routes.clone(),
            body,
            answered_challenge: false,
        }
    }

    /// Takes over what the answer to INVITE says about the dialog.
    fn establish(&mut self, response: &Response) {
        let headers = response.headers();
        if let Some(to) = headers.get(&HeaderName::To) {
            self.to = to.to_string();
        }
        let contact = headers.first::<typed::Contact>().ok();
        if let Some(target) = contact.as_ref().and_then(typed::Contact::address) {
            self.target = target.uri.to_string();
        }
        // RFC 3261 section 12.1.2: the route set is the Record-Route in reverse.
        let recorded: Vec<_> = headers.list::<typed::RecordRoute>().unwrap_or_default();
        self.routes = recorded
            .iter()
            .rev()
            .map(|route| format!("Route: {route}\r\n"))
            .collect();
    }
}

impl Endpoint {
    pub(super) fn begin_call(&self, state: &mut State, work: Work, size: usize, messages: u32, now: Instant) {
        let call = Call {
            size,
            messages,
            sent: 0,
            step: Step::Inviting,
            id: self.run.unique(),
            from: format!("<{}>;tag={}", self.address, self.run.unique()),
            to: format!("<{}>", work.to.address),
            target: work.to.address.clone(),
            routes: String::new(),
            work,
        };
        let mut draft = call.draft("INVITE", Body::Document("application/sdp", offer(&self.user)));
        draft.extra = self.contact(state);
        self.send(state, draft, Purpose::Call(Box::new(call)), now);
    }

    pub(super) fn call_answered(
        &self,
        state: &mut State,
        timers: &mut Timers,
        mut call: Box<Call>,
        sent: Instant,
        response: &Response,
        now: Instant,
    ) {
        let number = response.cseq().map_or(0, |cseq| cseq.number);
        if call.step == Step::Inviting {
            call.establish(response);
            // RFC 3261 sections 13.2.2.4 and 17.1.1.3: the number of the INVITE, whatever the answer was.
            self.send_numbered(state, &call.draft("ACK", Body::Empty), number);
        }
        if !response.status().is_success() {
            let what = format!(
                "{:?}: {} {}",
                call.step,
                response.status().code(),
                response.reason()
            );
            return self.failed(state, timers, what, call.work.next(now), now);
        }
        self.run.part_done(sent);
        if call.step == Step::Leaving {
            self.run.unit_done(call.work.since);
            if let Some(next) = call.work.next(now).filter(|_| self.run.is_active()) {
                self.begin_locked(state, next, now);
            }
            return;
        }
        let draft = if call.sent < call.messages {
            call.step = Step::Talking;
            call.sent += 1;
            call.draft("MESSAGE", Body::TextUpTo(call.size))
        } else {
            call.step = Step::Leaving;
            call.draft("BYE", Body::Empty)
        };
        self.send(state, draft, Purpose::Call(call), now);
    }

    /// The Contact of requests that make a dialog, as a header line.
    pub(super) fn contact(&self, state: &State) -> String {
        let Some(connection) = &state.connection else {
            return String::new();
        };
        let transport = if connection.is_tls() { "tls" } else { "tcp" };
        format!(
            "Contact: <sip:{}@{};transport={transport}>\r\n",
            self.user,
            connection.local()
        )
    }
}

/// A session description of one text message stream, over SIP itself.
pub(super) fn offer(user: &str) -> String {
    format!(
        "v=0\r\no={user} 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=message 5060 sip null\r\na=accept-types:text/plain\r\n"
    )
}
