//! [`Transactions`]: all transactions of one flow, both ways.

use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::{Equivalent, HashMap};
use sip_types::{Message, Method, Request, Response, SipStr, StatusCode};

use super::ids::IdSource;
use super::machines::{Client, Server};
use super::outgoing;
use super::timers::{Owner, Timers};
use crate::transaction::client_invite::OnCancel;
use crate::transaction::key::{Key, KeyBytes, Lookup, RequestIdentity, client_key, key_of_response};
use crate::transaction::{OnClientTimeout, OnRequest, OnResponse, OnServerTimeout, RespondError};

/// How many unanswered requests one flow may have, unless the caller says otherwise.
pub const MAX_PENDING: usize = 256;

/// How many times more answered INVITEs may wait for their ACK or absorb repetitions.
const LINGERING_FACTOR: usize = 16;

/// Names a request that a peer sent, until it is answered. Cloning counts a reference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServerKey(Key);

/// Names a request that we sent, until its outcome is known. Cloning counts a reference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClientKey(Key);

impl Equivalent<ServerKey> for Lookup<'_> {
    fn equivalent(&self, key: &ServerKey) -> bool {
        self.is(&key.0)
    }
}

impl Equivalent<ClientKey> for Lookup<'_> {
    fn equivalent(&self, key: &ClientKey) -> bool {
        self.is(&key.0)
    }
}

/// What a message turned out to be.
#[derive(Clone, Debug)]
pub enum Received {
    /// A new request: answer it with [`Transactions::respond`].
    Request(ServerKey, Request),
    /// A CANCEL for `invite`. Answer the CANCEL with 200 and, if `invite` is still unanswered, that one with 487
    /// (RFC 3261 section 9.2). A CANCEL that finds no INVITE never comes here: it is `Rejected` with 481.
    Cancel {
        /// The CANCEL itself, a transaction of its own.
        cancel: (ServerKey, Request),
        /// The INVITE to be given up.
        invite: ServerKey,
    },
    /// An ACK for a 2xx. It is no transaction: find its dialog.
    Ack(Request),
    /// A response to a request of ours: provisional, or the final one. Only an INVITE can get more than one final
    /// response, all 2xx: each wants its ACK (RFC 6026 section 7.2).
    Response {
        /// Whose response.
        key: ClientKey,
        /// The response.
        response: Response,
        /// Write this before anything else: the ACK of a refused INVITE.
        send: Option<Request>,
    },
    /// Nothing to do: a repetition, or the ACK of a refused INVITE.
    Absorbed,
    /// A response to no request of ours, or to one that is over. Drop it; but a 2xx to an INVITE created a dialog
    /// that somebody should end.
    Stray(Response),
    /// A repeated request: write its stored response again.
    Resend(Response),
    /// A request that gets no further than here: write this answer.
    Rejected(Response),
}

/// What the passing of time did.
#[derive(Clone, Debug)]
pub enum TimedOut {
    /// No final response came and none will be taken any more. Treat it as a 408 from nowhere (section 8.1.3.1).
    NoAnswer(ClientKey),
    /// An INVITE rings for too long: write this CANCEL. A final response or `NoAnswer` follows.
    Cancel(ClientKey, Request),
    /// An answer takes its time: write this 100.
    Trying(ServerKey, Response),
    /// The ACK of a refused INVITE never came.
    NoAck(ServerKey),
    /// We did not answer a request in time. An answer could only be misread now and will be refused. This is a
    /// defect of ours or of something we depend on.
    Unanswered(ServerKey),
}

/// Why a request can not be sent as a transaction: always a defect of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartError {
    /// The request has no top Via with a branch.
    #[error("the request has no branch")]
    NoBranch,
    /// There is a transaction with that branch and method.
    #[error("the branch is in use")]
    BranchInUse,
    /// An ACK is no transaction, and a CANCEL is made by [`Transactions::cancel`].
    #[error("the method is not for a transaction of its own")]
    Method,
}

/// The transactions of one flow (one connection): requests of the peer, and ours.
///
/// Since each flow has its own, equal branches, Call-IDs and tags of different users never meet; Lync-family clients
/// that start in the same second have them equal.
///
/// Messages and time go in, what to do comes out; the caller writes the messages. An idle flow holds no memory but
/// this value.
///
/// Invariants: a request handed out as [`Received::Request`] is answered once at most; a request given to
/// [`Transactions::start`] has one outcome, its final response or [`TimedOut::NoAnswer`] or [`Transactions::close`]
/// (then further 2xx to an INVITE); every transaction has a deadline.
#[derive(Debug)]
pub struct Transactions {
    ids: IdSource,
    max_pending: usize,
    /// How many of `servers` are unanswered.
    pending: usize,
    servers: HashMap<ServerKey, Server, FixedState>,
    clients: HashMap<ClientKey, Client, FixedState>,
    timers: Timers,
}

impl Transactions {
    /// The transactions of a new flow. `random_seed` comes from a random generator and is used for nothing else.
    pub fn new(random_seed: u64) -> Self {
        Self::with_max_pending(random_seed, MAX_PENDING)
    }

    /// The same with another limit on unanswered requests; beyond it the peer gets 503.
    pub fn with_max_pending(random_seed: u64, max_pending: usize) -> Self {
        let ids = IdSource::new(random_seed);
        // Peers choose what is hashed, but not the seed, and the tables are bounded: the worst they could do is to
        // make a look-up compare `max_pending` keys.
        let hasher = FixedState::with_seed(ids.hash_seed());
        Self {
            ids,
            max_pending,
            pending: 0,
            servers: HashMap::with_hasher(hasher.clone()),
            clients: HashMap::with_hasher(hasher),
            timers: Timers::default(),
        }
    }

    /// A branch for the Via of the next request.
    pub fn next_branch(&mut self) -> SipStr {
        self.ids.next_branch()
    }

    /// A tag for a From or To.
    pub fn next_tag(&mut self) -> SipStr {
        self.ids.next_tag()
    }

    /// A Call-ID.
    pub fn next_call_id(&mut self) -> SipStr {
        self.ids.next_call_id()
    }

    /// How many of the peer's requests are unanswered.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether there is no transaction at all.
    pub fn is_idle(&self) -> bool {
        self.servers.is_empty() && self.clients.is_empty()
    }

    // === messages from the peer ===

    /// Takes a message that arrived on the flow. Ask [`Transactions::next_timeout`] again afterwards.
    pub fn receive(&mut self, message: Message, now: Instant) -> Received {
        match message {
            Message::Request(request) => self.receive_request(request, now),
            Message::Response(response) => self.receive_response(response, now),
        }
    }

    fn receive_request(&mut self, request: Request, now: Instant) -> Received {
        let Ok(identity) = RequestIdentity::of(&request) else {
            return match request.method() {
                // Nothing is ever answered to an ACK.
                Method::Ack => Received::Absorbed,
                _ => self.reject(&request, StatusCode::BAD_REQUEST),
            };
        };
        match request.method() {
            Method::Ack => return self.receive_ack(request, &identity),
            Method::Cancel => return self.receive_cancel(request, &identity, now),
            _ => {}
        }
        let key = identity.key(request.method());
        if let Some(server) = self.servers.get(&Lookup(&key)) {
            return repeated(server);
        }
        if self.pending >= self.max_pending || self.servers.len() >= self.max_pending * LINGERING_FACTOR {
            return self.reject(&request, StatusCode::SERVICE_UNAVAILABLE);
        }
        Received::Request(self.open_server(&key, &request, now), request)
    }

    /// §17.2.3: an ACK belongs to the INVITE with its branch if that was refused, else to a dialog.
    fn receive_ack(&mut self, ack: Request, identity: &RequestIdentity) -> Received {
        let same_tag = |server: &Server, tag: &SipStr| {
            let response = server.awaiting_ack().and_then(|response| response.to().ok());
            response.is_some_and(|to| to.tag().as_ref() == Some(tag))
        };
        let by_identity = self
            .servers
            .get_key_value(&Lookup(&identity.key(&Method::Invite)));
        let found = by_identity.or_else(|| {
            let (key, tag) = identity.key_of_untagged_invite()?;
            self.servers
                .get_key_value(&Lookup(&key))
                .filter(|(_, server)| same_tag(server, tag))
        });
        let Some(key) = found.map(|(key, _)| key.clone()) else {
            return Received::Ack(ack);
        };
        match self.update_server(&key, Server::handle_ack) {
            Some(OnRequest::Deliver) | None => Received::Ack(ack),
            Some(OnRequest::Absorb | OnRequest::Resend(_)) => Received::Absorbed,
        }
    }

    fn receive_cancel(&mut self, cancel: Request, identity: &RequestIdentity, now: Instant) -> Received {
        let key = identity.key(&Method::Cancel);
        if let Some(server) = self.servers.get(&Lookup(&key)) {
            return repeated(server);
        }
        let invite = self
            .servers
            .get_key_value(&Lookup(&identity.key(&Method::Invite)));
        match invite.map(|(key, _)| key.clone()) {
            // There is one CANCEL for an INVITE at most, so that it needs no limit of its own.
            Some(invite) => Received::Cancel {
                cancel: (self.open_server(&key, &cancel, now), cancel),
                invite,
            },
            None => self.reject(&cancel, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        }
    }

    fn receive_response(&mut self, response: Response, now: Instant) -> Received {
        let Ok(key) = key_of_response(&response) else {
            return Received::Stray(response);
        };
        let Some(key) = self
            .clients
            .get_key_value(&Lookup(&key))
            .map(|(key, _)| key.clone())
        else {
            return Received::Stray(response);
        };
        let status = response.status();
        let invite = self.clients.get(&key).and_then(Client::invite).cloned();
        let send = match self.update_client(&key, |client| client.handle_response(status, now)) {
            None | Some(OnResponse::Absorb) => return Received::Absorbed,
            Some(OnResponse::Deliver) => None,
            Some(OnResponse::DeliverAndAck) => invite.map(|invite| outgoing::ack(&invite, &response)),
        };
        Received::Response { key, response, send }
    }

    fn reject(&mut self, request: &Request, status: StatusCode) -> Received {
        let mut reply = request.reply(status).to_tag(&self.ids.next_tag());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            reply = reply.header(sip_types::HeaderName::RetryAfter, RETRY_AFTER_SECONDS);
        }
        Received::Rejected(reply.build())
    }

    // === the user of the transactions ===

    /// Answers a request. On `Ok` write the response; on an error do not.
    ///
    /// # Errors
    /// [`RespondError::AlreadyAnswered`] for the second final response, and when the transaction is over;
    /// [`RespondError::ProvisionalNotAllowed`] for a 1xx other than 100 to a request other than INVITE.
    pub fn respond(
        &mut self,
        key: &ServerKey,
        response: &Response,
        now: Instant,
    ) -> Result<(), RespondError> {
        self.update_server(key, |server| server.respond(response, now))
            .unwrap_or(Err(RespondError::AlreadyAnswered))
    }

    /// Starts a request of ours, which must have a Via with a branch of [`Transactions::next_branch`]. Write it then.
    ///
    /// # Errors
    /// The request is not fit for a transaction; see [`StartError`].
    pub fn start(&mut self, request: &Request, now: Instant) -> Result<ClientKey, StartError> {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Err(StartError::Method);
        }
        let branch = request.headers().branch().ok_or(StartError::NoBranch)?;
        let key = client_key(&branch, request.method());
        if self.clients.contains_key(&Lookup(&key)) {
            return Err(StartError::BranchInUse);
        }
        Ok(self.open_client(&key, Client::new(request, now)))
    }

    /// Gives up an INVITE of ours. `Some` is the CANCEL to write now; otherwise it is too late, or being cancelled. A
    /// final response or [`TimedOut::NoAnswer`] follows in any case, and that response may be a 2xx.
    pub fn cancel(&mut self, key: &ClientKey, now: Instant) -> Option<Request> {
        let invite = self.clients.get(key).and_then(Client::invite).cloned()?;
        match self.update_client(key, |client| client.cancel(now))? {
            OnCancel::Send => Some(self.open_cancel(&invite, now)),
            OnCancel::TooLate => None,
        }
    }

    /// The flow is gone: ends everything and gives the requests of ours that have no outcome yet (section 17.1.4:
    /// treat each as a 503).
    pub fn close(&mut self) -> Vec<ClientKey> {
        let waiting = self
            .clients
            .drain()
            .filter(|(_, client)| client.is_pending())
            .map(|(key, _)| key)
            .collect();
        self.servers.clear();
        self.pending = 0;
        self.timers.clear();
        self.shrink();
        waiting
    }

    // === time ===

    /// When [`Transactions::handle_timeout`] wants to be called. Ask again after every other call.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due. The result is empty when it was called early.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<TimedOut> {
        let mut events = Vec::new();
        while let Some(owner) = self.timers.take_due(now) {
            match owner {
                Owner::Client(key) => events.extend(self.client_timeout(key, now)),
                Owner::Server(key) => events.extend(self.server_timeout(key)),
            }
        }
        events
    }

    fn client_timeout(&mut self, key: ClientKey, now: Instant) -> Option<TimedOut> {
        let invite = self.clients.get(&key).and_then(Client::invite).cloned();
        match self.update_client(&key, |client| client.handle_timeout(now))? {
            OnClientTimeout::NoAnswer => Some(TimedOut::NoAnswer(key)),
            OnClientTimeout::Cancel => {
                invite.map(|invite| TimedOut::Cancel(key, self.open_cancel(&invite, now)))
            }
            OnClientTimeout::End => None,
        }
    }

    fn server_timeout(&mut self, key: ServerKey) -> Option<TimedOut> {
        match self.update_server(&key, Server::handle_timeout)? {
            OnServerTimeout::Trying(response) => Some(TimedOut::Trying(key, response)),
            OnServerTimeout::NoAck => Some(TimedOut::NoAck(key)),
            OnServerTimeout::Unanswered => Some(TimedOut::Unanswered(key)),
            OnServerTimeout::End => None,
        }
    }

    // === the tables ===

    fn open_server(&mut self, key: &KeyBytes, request: &Request, now: Instant) -> ServerKey {
        let server = Server::new(request.clone(), now);
        let key = ServerKey(Key::new(key, self.ids.next_serial()));
        self.pending += 1;
        self.timers.update(key.0.serial, None, server.next_timeout(), || {
            Owner::Server(key.clone())
        });
        self.servers.insert(key.clone(), server);
        key
    }

    fn open_client(&mut self, key: &KeyBytes, client: Client) -> ClientKey {
        let key = ClientKey(Key::new(key, self.ids.next_serial()));
        self.timers.update(key.0.serial, None, client.next_timeout(), || {
            Owner::Client(key.clone())
        });
        self.clients.insert(key.clone(), client);
        key
    }

    /// The CANCEL of `invite`, with a transaction that waits for its response.
    fn open_cancel(&mut self, invite: &Request, now: Instant) -> Request {
        let cancel = outgoing::cancel(invite);
        // A machine cancels once, so that the branch can not be in use.
        if let Some(branch) = cancel.top_via().ok().and_then(|via| via.branch()) {
            self.open_client(&client_key(&branch, &Method::Cancel), Client::new(&cancel, now));
        }
        cancel
    }

    /// Lets a server machine act, then brings deadline, count and table in line. `None` if it is gone.
    fn update_server<R>(&mut self, key: &ServerKey, act: impl FnOnce(&mut Server) -> R) -> Option<R> {
        let (found, server) = self.servers.get_key_value_mut(key)?;
        if found.0.serial != key.0.serial {
            return None;
        }
        let (deadline, was_pending) = (server.next_timeout(), server.is_pending());
        let result = act(server);
        let ended = server.is_terminated();
        self.pending -= usize::from(was_pending && !server.is_pending());
        self.timers
            .update(key.0.serial, deadline, server.next_timeout(), || {
                Owner::Server(key.clone())
            });
        if ended {
            self.servers.remove(key);
            self.shrink();
        }
        Some(result)
    }

    /// The same for a client machine.
    fn update_client<R>(&mut self, key: &ClientKey, act: impl FnOnce(&mut Client) -> R) -> Option<R> {
        let (found, client) = self.clients.get_key_value_mut(key)?;
        if found.0.serial != key.0.serial {
            return None;
        }
        let deadline = client.next_timeout();
        let result = act(client);
        let ended = client.is_terminated();
        self.timers
            .update(key.0.serial, deadline, client.next_timeout(), || {
                Owner::Client(key.clone())
            });
        if ended {
            self.clients.remove(key);
            self.shrink();
        }
        Some(result)
    }

    /// Gives back the memory of empty tables: most flows are idle most of the time.
    fn shrink(&mut self) {
        if self.servers.is_empty() {
            self.servers.shrink_to_fit();
        }
        if self.clients.is_empty() {
            self.clients.shrink_to_fit();
        }
    }
}

/// `Retry-After` of a 503 for too many unanswered requests.
const RETRY_AFTER_SECONDS: u32 = 5;

fn repeated(server: &Server) -> Received {
    match server.handle_request() {
        OnRequest::Resend(response) => Received::Resend(response),
        OnRequest::Absorb | OnRequest::Deliver => Received::Absorbed,
    }
}

#[cfg(test)]
mod tests;
