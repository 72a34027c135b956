//! One client connection as the front end sees it: its transactions, its dialogs, who signed in on it and what it signs.
//!
//! Everything a connection owns hangs here, so that nothing of two users ever meets: Lync-family clients started in the
//! same second send equal Call-IDs and tags.

mod asking;
mod sessions;
mod who;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;
use rpc::{ClientFamily, ConnectionId, EndpointId, Epoch, InFlightRequest};
use sip_auth::signature::{SecurityAssociation, SignatureFault};
use sip_core::{ClientKey, DialogId, Received, ServerKey, TimedOut, Transactions};
use sip_transport::{CloseReason, Connection};
use sip_types::header::typed::Via;
use sip_types::{AddressOfRecord, HeaderName, Message, Method, Request, RequestBuilder, Response, SipStr};
use smallvec::SmallVec;
use telemetry::trace;

use self::asking::{Answered, Waiter};
use crate::client::Client;
use crate::config::Advertised;
use crate::counters::Refused;
use crate::leg::Leg;
use crate::presence::lync::held::Held;
use crate::presence::published::Published;
use crate::presence::watching::Watching;
use crate::recent::{Admission, Delivered, Recent};
use crate::service::{FrontEndService, now};
use crate::share::Share;
use crate::sign_in::{self, PendingNtlm};
use crate::signing;

/// RFC 3261 section 8.1.1.6.
const MAX_FORWARDS: u32 = 70;

/// Who signed in on a connection. From then on every request's From is checked against it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SignedIn {
    pub(crate) aor: AddressOfRecord,
    pub(crate) display_name: String,
}

/// An endpoint registered on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// Whose endpoint.
    pub(crate) aor: AddressOfRecord,
    pub(crate) endpoint: EndpointId,
    pub(crate) epoch: Epoch,
    pub(crate) client: Client,
    /// The registered Contact URI: Request-URI of what is sent to the endpoint.
    pub(crate) contact: SipStr,
    pub(crate) epid: Option<String>,
}

/// One client connection.
pub(crate) struct Flow {
    connection: Arc<Connection>,
    id: ConnectionId,
    /// Its subscriptions.
    pub(crate) watching: Watching,
    /// What its endpoint has published by PUBLISH.
    pub(crate) published: Published,
    /// What its endpoint has published by SERVICE.
    pub(crate) categories: Held,
    /// Invariant: never locked while a leg's state is being waited for, never held across an await.
    inner: Mutex<Inner>,
    /// Requests of the client that wait for another role, until the connection's task takes them over.
    begun: Mutex<Vec<InFlightRequest>>,
}

struct Inner {
    transactions: Transactions,
    /// Who waits for the final response of a request of ours.
    waiting: HashMap<ClientKey, Waiter>,
    dialogs: HashMap<DialogId, Arc<Leg>>,
    /// INVITEs of the client that the owner of the conversation has not decided on.
    invites: HashMap<ServerKey, Arc<Leg>>,
    /// Sessions whose 200 went out and whose ACK has not come, with the end of the patience for it.
    unacknowledged: SmallVec<[(Instant, Arc<Leg>); 1]>,
    signed_in: Option<Arc<SignedIn>>,
    registrations: SmallVec<[Registration; 1]>,
    association: Option<Box<SecurityAssociation>>,
    pending_ntlm: Option<Box<PendingNtlm>>,
    /// Proofs that were not accepted since the last sign-in.
    failed_proofs: u32,
    /// The last nonce this connection was given, until it signs in.
    nonce: Option<Box<str>>,
    recent: Recent,
    share: Share,
    /// The client refused a richer form than plain text.
    plain_only: bool,
    /// The client refused typing indications.
    no_typing: bool,
    /// When the client last did something of its own accord, or answered.
    active: Instant,
    /// The client was told to go, or is to find its connection closed: this member stops.
    parting: bool,
    /// Nothing new is begun on the connection, from either side: it is about to be closed.
    shut: bool,
    /// The connection is closed, or nothing may be sent on it any more because it is being closed.
    gone: bool,
}

/// Whether a connection can be closed because this member stops.
pub(crate) enum Parting {
    /// Something is under way on it, or its client was told to go and has not signed in elsewhere.
    NotYet,
    /// Now: nothing is sent on it any more, and these registrations are to be ended.
    Now(SmallVec<[Registration; 1]>),
    /// It is closed.
    Gone,
}

impl Flow {
    pub(crate) fn new(connection: &Arc<Connection>, service: &FrontEndService) -> Arc<Self> {
        Arc::new(Flow {
            connection: Arc::clone(connection),
            id: ConnectionId(service.config.first_connection + connection.id().get()),
            watching: Watching::default(),
            published: Published::default(),
            categories: Held::default(),
            inner: Mutex::new(Inner {
                transactions: Transactions::new(service.ids.number()),
                waiting: HashMap::new(),
                dialogs: HashMap::new(),
                invites: HashMap::new(),
                unacknowledged: SmallVec::new(),
                signed_in: None,
                registrations: SmallVec::new(),
                association: None,
                pending_ntlm: None,
                failed_proofs: 0,
                nonce: None,
                recent: Recent::default(),
                share: Share::new(service.config.requests_per_second),
                plain_only: false,
                no_typing: false,
                active: now(),
                parting: false,
                shut: false,
                gone: false,
            }),
            begun: Mutex::default(),
        })
    }

    // === the connection ===

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn peer(&self) -> IpAddr {
        self.connection.peer().ip()
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.connection.local()
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }

    /// Hash of the certificate this connection was opened with, for channel binding.
    pub(crate) fn tls_end_point(&self) -> Option<Arc<[u8]>> {
        self.connection.tls().map(|tls| Arc::clone(&tls.server_end_point))
    }

    pub(crate) fn set_keep_alive(&self, period: Duration, pong: bool) {
        self.connection.set_keepalive(period, pong);
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        self.connection.close(reason);
    }

    fn transport(&self) -> &'static str {
        if self.is_tls() { "TLS" } else { "TCP" }
    }

    /// Our Contact on this connection: an address that leads back to it. Linphone opens a new connection if what it finds
    /// there differs from the connection it has.
    pub(crate) fn contact(&self, service: &FrontEndService) -> String {
        own_contact(self.local(), self.is_tls(), service.config.advertise.as_ref())
    }

    // === requests that wait for another role ===

    /// Begins what a request asks for: its first step is taken before this returns, because owners of conversations keep
    /// messages in the order in which they were first asked. The rest is for the connection's task: the answer goes out on
    /// the connection, so that one wake-up does for both. Only to be called from that task.
    pub(crate) fn begin(&self, request: impl Future<Output = ()> + Send + 'static) {
        let mut request = Box::pin(request);
        if request
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return;
        }
        let request: InFlightRequest = match trace::is_recorded() {
            true => Box::pin(trace::carry(request)),
            false => request,
        };
        self.begun.lock().push(request);
    }

    /// What was begun since the last time.
    pub(crate) fn take_begun(&self) -> Vec<InFlightRequest> {
        std::mem::take(&mut self.begun.lock())
    }

    // === receiving ===

    /// Takes a message through signature check and transactions. `None`: it was dealt with.
    pub(crate) fn receive(
        &self,
        service: &Arc<FrontEndService>,
        mut message: Message,
        now: Instant,
    ) -> Option<Received> {
        let mut inner = self.inner.lock();
        let signed = inner.verify(&message);
        if let Err(fault) = signed {
            service.counters.refused(Refused::Signature);
            tracing::debug!(%fault, connection = %self.id(), "message with a bad signature");
            match &message {
                // A fresh sign-in on the same connection: the association ends, the challenge follows.
                Message::Request(request) if *request.method() == Method::Register => inner.sign_out(),
                // Neither can be challenged: what they refer to stays as it is.
                Message::Request(request) if matches!(request.method(), Method::Ack | Method::Cancel) => {
                    return None;
                }
                Message::Request(_) => {}
                Message::Response(_) => return None,
            }
        }
        if let Message::Request(request) = &mut message {
            request.set_source(self.connection.peer());
        }
        // A REGISTER comes by the clock: it says nothing about the person.
        if !matches!(&message, Message::Request(request) if *request.method() == Method::Register) {
            inner.active = now;
        }
        let received = inner.transactions.receive(message, now);
        match received {
            Received::Response { key, response, send } => {
                service.counters.response_in(response.status());
                if let Some(request) = send {
                    service.counters.request_out(request.method());
                    self.write_request(&mut inner, request);
                }
                if response.status().is_final() {
                    let answered = inner.answer(&key, response);
                    drop(inner);
                    match answered {
                        Answered::Told => {}
                        Answered::Heeds(subscription, response) => {
                            subscription.answered(service, Some(response.status()));
                        }
                        Answered::Again(response) => self.acknowledge_again(service, &response),
                    }
                }
                None
            }
            Received::Resend(response) | Received::Rejected(response) => {
                service.counters.response_out(response.status());
                self.write_response(&mut inner, response);
                None
            }
            Received::Absorbed | Received::Stray(_) => None,
            Received::Request(key, request) if signed.is_err() && *request.method() != Method::Register => {
                drop(inner);
                sign_in::challenge_unsigned(service, self, &key, &request);
                None
            }
            other => Some(other),
        }
    }

    /// RFC 3261 section 13.2.2.4: every repetition of a 2xx to an INVITE gets its ACK again.
    fn acknowledge_again(&self, service: &FrontEndService, response: &Response) {
        if !response.status().is_success() {
            return;
        }
        let Ok(cseq) = response.cseq() else { return };
        let leg = DialogId::of_response(response)
            .ok()
            .and_then(|id| self.leg_of(&id));
        if let Some(ack) = leg
            .filter(|_| cseq.method == Method::Invite)
            .and_then(|leg| leg.ack(cseq.number))
        {
            self.send_unanswered(service, ack.build());
        }
    }

    // === sending ===

    /// Answers a request. A response to a request that was answered already is dropped: the first answer stands.
    pub(crate) fn respond(&self, service: &FrontEndService, key: &ServerKey, response: Response) {
        service.counters.response_out(response.status());
        let mut inner = self.inner.lock();
        if response.status().is_final() {
            inner.invites.remove(key);
        }
        if inner.transactions.respond(key, &response, now()).is_ok() {
            self.write_response(&mut inner, response);
        }
    }

    /// Answers a request that never became a transaction.
    pub(crate) fn reject(&self, service: &FrontEndService, response: Response) {
        service.counters.response_out(response.status());
        self.write_response(&mut self.inner.lock(), response);
    }

    /// A request of ours outside any dialog, with everything but its own headers and body.
    pub(crate) fn new_request(
        &self,
        service: &FrontEndService,
        method: Method,
        registration: &Registration,
        from: &From<'_>,
        to: &AddressOfRecord,
    ) -> RequestBuilder {
        let to = to.to_uri_string();
        // MS-SIPRE: names the endpoint meant.
        let (epid_is, epid) = match &registration.epid {
            Some(epid) => (";epid=", epid.as_str()),
            None => ("", ""),
        };
        Request::builder(method.clone(), &registration.contact)
            .typed(&self.next_via())
            .header(HeaderName::MaxForwards, MAX_FORWARDS)
            .header(HeaderName::From, from.value(&service.ids.tag()))
            .header(HeaderName::To, format_args!("<{to}>{epid_is}{epid}"))
            .header(HeaderName::CallId, service.ids.call_id(&service.config.fqdn))
            .header(HeaderName::CSeq, format_args!("1 {method}"))
    }

    /// Top Via of a request of ours, with a branch of its own. `rport` makes belle-sip answer on this connection instead
    /// of opening another.
    pub(crate) fn next_via(&self) -> Via {
        let branch = self.inner.lock().transactions.next_branch();
        Via::with_rport(self.transport(), self.local(), &branch)
    }

    /// Sends what is never answered and so no transaction: the ACK of a 2xx, a BENOTIFY (MS-SIP).
    pub(crate) fn send_unanswered(&self, service: &FrontEndService, request: Request) {
        service.counters.request_out(request.method());
        self.write_request(&mut self.inner.lock(), request);
    }

    /// Takes an INVITE of ours back: sends the CANCEL now or after the first 1xx (RFC 3261 section 9.1).
    pub(crate) fn cancel(&self, service: &FrontEndService, key: &ClientKey) {
        let mut inner = self.inner.lock();
        if let Some(cancel) = inner.transactions.cancel(key, now()) {
            service.counters.request_out(cancel.method());
            self.write_request(&mut inner, cancel);
        }
    }

    fn write_request(&self, inner: &mut Inner, request: Request) -> bool {
        let request = match &mut inner.association {
            Some(association) => signing::sign_request(association, srand(), request),
            None => request,
        };
        self.connection
            .send(request.head().clone(), request.body().clone())
            .is_ok()
    }

    fn write_response(&self, inner: &mut Inner, response: Response) -> bool {
        let response = match &mut inner.association {
            Some(association) => signing::sign_response(association, srand(), response),
            None => response,
        };
        self.connection
            .send(response.head().clone(), response.body().clone())
            .is_ok()
    }
}

/// What a closed connection leaves behind, to be passed on to its owners.
pub(crate) struct Remains {
    pub(crate) registrations: SmallVec<[Registration; 1]>,
    pub(crate) legs: Vec<Arc<Leg>>,
}

/// The From of a request of ours: the authenticated sender.
pub(crate) struct From<'a> {
    pub(crate) aor: &'a AddressOfRecord,
    pub(crate) display_name: &'a str,
}

impl From<'_> {
    fn value(&self, tag: &str) -> String {
        let uri = self.aor.to_uri_string();
        if self.display_name.is_empty() {
            format!("<{uri}>;tag={tag}")
        } else {
            format!(
                "{} <{uri}>;tag={tag}",
                sip_types::syntax::quote(self.display_name)
            )
        }
    }
}

/// The Contact of this server on a connection to `local`.
fn own_contact(local: SocketAddr, tls: bool, advertised: Option<&Advertised>) -> String {
    let transport = if tls { "tls" } else { "tcp" };
    match advertised {
        None => format!("<sip:{local};transport={transport}>"),
        Some(Advertised { host, port }) => {
            let port = port.filter(|_| tls).unwrap_or(local.port());
            format!("<sip:{host}:{port};transport={transport}>")
        }
    }
}

/// Fresh randomness for a signature. Without any the signature is still right, only less surprising.
fn srand() -> [u8; 4] {
    let mut bytes = [0; 4];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::warn!(%error, "no randomness for a signature");
    }
    bytes
}

impl Inner {
    /// Checks the signature of a message on a connection that signs.
    fn verify(&mut self, message: &Message) -> Result<(), SignatureFault> {
        let Some(association) = &mut self.association else {
            return Ok(());
        };
        let status = match message {
            Message::Request(_) => None,
            Message::Response(response) => Some(response.status().code()),
        };
        signing::verify(association, message.headers(), status)
    }

    fn sign_out(&mut self) {
        self.signed_in = None;
        self.association = None;
    }
}

// === parting, and what the client has refused ===

impl Flow {
    /// When the client last did something of its own accord, or answered.
    pub(crate) fn last_active(&self) -> Instant {
        self.inner.lock().active
    }

    /// Whether this member is about to close the connection.
    pub(crate) fn is_parting(&self) -> bool {
        self.inner.lock().parting
    }

    /// This member is about to close the connection: its client does not register on it again. False: it was so before.
    pub(crate) fn set_parting(&self) -> bool {
        !std::mem::replace(&mut self.inner.lock().parting, true)
    }

    /// From now on nothing new is begun on this connection, from either side; what is under way goes on.
    pub(crate) fn shut(&self) {
        self.inner.lock().shut = true;
    }

    /// Whether nothing new is begun on this connection.
    pub(crate) fn is_shut(&self) -> bool {
        self.inner.lock().shut
    }

    /// Whether the connection can be closed: nothing is under way in either direction, and no Lync-family client that was
    /// told to go is still registered on it. `overdue`: it is closed whatever is under way.
    pub(crate) fn part(&self, overdue: bool) -> Parting {
        let mut inner = self.inner.lock();
        if inner.gone {
            return Parting::Gone;
        }
        let registrations = inner.registrations.iter();
        let told = registrations
            .filter(|known| known.client.family == ClientFamily::Lync)
            .count();
        // Our own notice is under way too, but nobody waits for its answer.
        let waits = inner.waiting.values().any(|waiter| !waiter.is_gone());
        let told = told > 0 && !inner.shut;
        if !overdue && (told || waits || inner.transactions.pending() > 0) {
            return Parting::NotYet;
        }
        inner.gone = true;
        Parting::Now(std::mem::take(&mut inner.registrations))
    }

    /// Whether the connection is closed: what it was asked will not be answered.
    pub(crate) fn is_gone(&self) -> bool {
        self.inner.lock().gone
    }

    // === what the client has refused ===

    pub(crate) fn plain_only(&self) -> bool {
        self.inner.lock().plain_only
    }

    pub(crate) fn set_plain_only(&self) {
        self.inner.lock().plain_only = true;
    }

    pub(crate) fn takes_typing(&self) -> bool {
        !self.inner.lock().no_typing
    }

    pub(crate) fn set_no_typing(&self) {
        self.inner.lock().no_typing = true;
    }

    pub(crate) fn admit_delivery(&self, endpoint: &EndpointId, id: rpc::MessageId) -> Admission {
        self.inner
            .lock()
            .recent
            .admit(Delivered::new(endpoint, id), now())
    }

    /// Whether the client was given this message already, or is being given it.
    pub(crate) fn has_message(&self, endpoint: &EndpointId, id: rpc::MessageId) -> bool {
        self.inner.lock().recent.knows(Delivered::new(endpoint, id))
    }

    /// The client took this message another way than by a delivery.
    pub(crate) fn note_message(&self, endpoint: &EndpointId, id: rpc::MessageId) {
        let message = Delivered::new(endpoint, id);
        let mut inner = self.inner.lock();
        if let Admission::Deliver = inner.recent.admit(message, now()) {
            inner.recent.finish(message, Ok(()));
        }
    }

    pub(crate) fn finish_delivery(
        &self,
        endpoint: &EndpointId,
        id: rpc::MessageId,
        outcome: Result<(), rpc::FailureReason>,
    ) {
        self.inner
            .lock()
            .recent
            .finish(Delivered::new(endpoint, id), outcome);
    }
}

// === time and the end ===

impl Flow {
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let watching = self.watching.next_expiry();
        let inner = self.inner.lock();
        let ack = inner.unacknowledged.iter().map(|(deadline, _)| *deadline).min();
        let transactions = inner.transactions.next_timeout();
        transactions.into_iter().chain(ack).chain(watching).min()
    }

    /// Does what is due; returns the sessions whose ACK never came.
    pub(crate) fn handle_timeout(&self, service: &Arc<FrontEndService>, now: Instant) -> Vec<Arc<Leg>> {
        let mut unheard = Vec::new();
        let mut inner = self.inner.lock();
        let mut overdue = Vec::new();
        inner.unacknowledged.retain(|(deadline, leg)| {
            let waits = *deadline > now;
            if !waits {
                overdue.push(Arc::clone(leg));
            }
            waits
        });
        for timed_out in inner.transactions.handle_timeout(now) {
            match timed_out {
                TimedOut::NoAnswer(key) => {
                    service.counters.timeout();
                    match inner.waiting.remove(&key) {
                        Some(Waiter::Subscription(subscription)) => unheard.push(subscription),
                        // Dropping the sender tells the waiter that there will be no answer.
                        Some(Waiter::Response(_)) | None => {}
                    }
                }
                TimedOut::Cancel(_, cancel) => {
                    service.counters.request_out(cancel.method());
                    self.write_request(&mut inner, cancel);
                }
                TimedOut::Trying(_, trying) => {
                    service.counters.response_out(trying.status());
                    self.write_response(&mut inner, trying);
                }
                TimedOut::NoAck(_) => service.counters.timeout(),
                TimedOut::Unanswered(_) => tracing::error!("a request was left without an answer"),
            }
        }
        if inner.waiting.is_empty() {
            inner.waiting = HashMap::new();
        }
        drop(inner);
        for subscription in unheard {
            subscription.answered(service, None);
        }
        overdue
    }

    /// The connection is gone: whoever waits is told, and what it held is returned.
    pub(crate) fn end(&self) -> Remains {
        let mut inner = self.inner.lock();
        inner.gone = true;
        inner.transactions.close();
        inner.waiting = HashMap::new();
        inner.unacknowledged = SmallVec::new();
        let mut legs: Vec<Arc<Leg>> = inner.dialogs.drain().map(|(_, leg)| leg).collect();
        legs.extend(inner.invites.drain().map(|(_, leg)| leg));
        inner.sign_out();
        Remains {
            registrations: std::mem::take(&mut inner.registrations),
            legs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_contact_is_where_the_client_is_or_where_clients_are_told_to_go() {
        let local = "192.0.2.1:5061".parse().unwrap();
        assert_eq!(
            own_contact(local, true, None),
            "<sip:192.0.2.1:5061;transport=tls>"
        );
        let six = "[2001:db8::1]:5061".parse().unwrap();
        assert_eq!(
            own_contact(six, true, None),
            "<sip:[2001:db8::1]:5061;transport=tls>"
        );

        let mut advertised = Advertised {
            host: "sip.example.com".to_owned(),
            port: None,
        };
        assert_eq!(
            own_contact(local, true, Some(&advertised)),
            "<sip:sip.example.com:5061;transport=tls>"
        );
        advertised.port = Some(443);
        assert_eq!(
            own_contact(local, true, Some(&advertised)),
            "<sip:sip.example.com:443;transport=tls>"
        );
        let clear = "192.0.2.1:5060".parse().unwrap();
        assert_eq!(
            own_contact(clear, false, Some(&advertised)),
            "<sip:sip.example.com:5060;transport=tcp>",
            "the port for TLS is not that of clear text"
        );
    }
}
