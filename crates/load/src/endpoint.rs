//! One user's client: signs in, stays signed in, sends what a load asks for and answers what comes.
//!
//! There is no task per endpoint beside that of its connection: everything happens in the calls of
//! [`sip_transport::Handler`], so that what an endpoint says to one wake-up leaves in one write.

mod answer;
mod page;
mod presence;
mod register;
mod request;
mod session;

use crate::run::Run;
use bytes::Bytes;
use parking_lot::Mutex;
use presence::Own;
use register::Credentials;
use request::{Draft, write_request};
use session::Call;
use sip_transport::{CloseReason, Connection, Handler};
use sip_types::{Message, Response, StatusCode};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// After this a request that was not answered counts as failed (64 times T1, RFC 3261 section 17.1.2.2).
const TIMEOUT: Duration = Duration::from_secs(32);

/// How long a sender waits after a failure before it goes on, so that a server that refuses is not flooded.
const PENALTY: Duration = Duration::from_millis(200);

/// One user.
#[derive(Debug)]
pub(crate) struct Endpoint {
    index: usize,
    /// `sip:user@domain`.
    address: String,
    user: String,
    /// Whether it registers; otherwise it only says to a relay whose pair it belongs to.
    registers: bool,
    run: Arc<Run>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Arc<Connection>>,
    credentials: Option<Credentials>,
    cseq: u32,
    /// Requests without a final answer, by the number in their CSeq.
    waiting: HashMap<u32, Waiting>,
    /// Whom to tell that the sign-in is done.
    signing_in: Option<oneshot::Sender<Result<(), Refused>>>,
    /// Work to begin again when the penalty is over.
    again: Vec<Work>,
    /// What it published, and knows of its contacts.
    presence: Own,
}

/// Why a sign-in failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// In words that can be counted.
    pub what: String,
    /// The server was busy and said when to come back (RFC 3261 section 21.5.4).
    pub retry_after: Option<Duration>,
}

impl<T: Into<String>> From<T> for Refused {
    fn from(what: T) -> Self {
        Self {
            what: what.into(),
            retry_after: None,
        }
    }
}

#[derive(Debug)]
struct Waiting {
    draft: Draft,
    purpose: Purpose,
    sent: Instant,
}

/// What an answer is for.
#[derive(Debug)]
enum Purpose {
    Register,
    Page(Work),
    Call(Box<Call>),
    /// A PUBLISH with this serial number.
    Publish(u32),
    Subscribe,
}

/// Something to do with another endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// Whom with.
    pub to: Arc<Endpoint>,
    /// What.
    pub what: Exchange,
    /// When it was due.
    pub since: Instant,
    /// Whether it is done over and over, the next when one is over.
    pub again: bool,
}

/// What two endpoints do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A MESSAGE outside of a dialog.
    Page {
        /// Bytes of the whole message.
        size: usize,
    },
    /// A session.
    Session {
        /// Bytes of each message.
        size: usize,
        /// How many.
        messages: u32,
    },
}

impl Work {
    /// What follows when this is over.
    fn next(self, now: Instant) -> Option<Self> {
        self.again.then_some(Self { since: now, ..self })
    }
}

/// When an endpoint has to do something by itself.
#[derive(Debug)]
pub(crate) struct Timers {
    /// Keep-alive, and a look for requests that were never answered.
    upkeep: Instant,
    /// The registration runs out.
    refresh: Option<Instant>,
    /// The penalty is over.
    again: Option<Instant>,
    /// There are contacts that are not subscribed to yet.
    subscribe: Option<Instant>,
}

impl Endpoint {
    /// The user with this number. `registers`: false for a relay.
    pub(crate) fn new(index: usize, prefix: &str, registers: bool, run: &Arc<Run>) -> Arc<Self> {
        let user = format!("{prefix}{index}");
        let address = format!("sip:{user}@{}", run.domain);
        Arc::new(Self {
            index,
            address,
            user,
            registers,
            run: Arc::clone(run),
            state: Mutex::default(),
        })
    }

    /// Which user it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Tells when the sign-in that is about to begin is over.
    pub(crate) fn expect_sign_in(&self) -> oneshot::Receiver<Result<(), Refused>> {
        let (tell, told) = oneshot::channel();
        self.state.lock().signing_in = Some(tell);
        told
    }

    /// Begins something.
    pub(crate) fn begin(&self, work: Work) {
        self.begin_locked(&mut self.state.lock(), work, Instant::now());
    }

    /// Closes the connection.
    pub(crate) fn leave(&self) {
        self.state.lock().leave();
    }

    fn begin_locked(&self, state: &mut State, work: Work, now: Instant) {
        match work.what {
            Exchange::Page { size } => self.begin_page(state, work, size, now),
            Exchange::Session { size, messages } => self.begin_call(state, work, size, messages, now),
        }
    }

    /// Sends a request and remembers what for.
    fn send(&self, state: &mut State, draft: Draft, purpose: Purpose, now: Instant) {
        state.cseq += 1;
        let number = state.cseq;
        self.send_numbered(state, &draft, number);
        state.waiting.insert(
            number,
            Waiting {
                draft,
                purpose,
                sent: now,
            },
        );
    }

    /// Writes a request whose answer nobody waits for, or is waited for already.
    fn send_numbered(&self, state: &mut State, draft: &Draft, number: u32) {
        let Some(connection) = state.connection.clone() else {
            return;
        };
        let credentials = state
            .credentials
            .as_mut()
            .and_then(|known| known.header(self, draft));
        let branch = self.run.unique();
        let (head, body) = write_request(&connection, draft, number, &branch, credentials.as_deref());
        if let Err(error) = connection.send(head, body) {
            self.run.error(format!("send: {error}"));
        }
    }

    fn take_response(&self, state: &mut State, timers: &mut Timers, response: &Response, now: Instant) {
        let Ok(cseq) = response.cseq() else {
            return self.run.error("answer without CSeq");
        };
        if response.status().is_provisional() {
            return;
        }
        let Some(waiting) = state.waiting.remove(&cseq.number) else {
            return;
        };
        let status = response.status();
        let challenged =
            status == StatusCode::UNAUTHORIZED || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        if challenged && !waiting.draft.answered_challenge {
            return self.answer_challenge(state, waiting, response, now);
        }
        match waiting.purpose {
            Purpose::Register => self.registered(state, timers, response, now),
            Purpose::Page(work) => self.page_answered(state, timers, work, response, now),
            Purpose::Call(call) => self.call_answered(state, timers, call, waiting.sent, response, now),
            Purpose::Publish(serial) => self.published(state, timers, serial, response, now),
            Purpose::Subscribe => self.subscribed(response),
        }
    }

    /// Something failed: it is counted, and begun again a little later if it is work.
    fn failed(&self, state: &mut State, timers: &mut Timers, what: String, work: Option<Work>, now: Instant) {
        self.run.error(what);
        if let Some(work) = work.filter(|_| self.run.is_active()) {
            state.again.push(work);
            timers.again.get_or_insert(now + PENALTY);
        }
    }

    fn upkeep(&self, state: &mut State, timers: &mut Timers, now: Instant) {
        timers.upkeep = now + self.run.ping;
        if let Some(connection) = &state.connection {
            // A connection that is being closed needs none.
            let _ = connection.ping();
        }
        let late: Vec<u32> = state
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.sent + TIMEOUT <= now)
            .map(|(number, _)| *number)
            .collect();
        for waiting in late
            .into_iter()
            .filter_map(|number| state.waiting.remove(&number))
            .collect::<Vec<_>>()
        {
            let what = format!("{} not answered", waiting.draft.method);
            self.failed(state, timers, what, waiting.purpose.work(now), now);
        }
    }
}

impl Purpose {
    /// What to begin again if it failed.
    fn work(self, now: Instant) -> Option<Work> {
        match self {
            Self::Register | Self::Publish(_) | Self::Subscribe => None,
            Self::Page(work) => work.next(now),
            Self::Call(call) => call.work.next(now),
        }
    }
}

impl Handler for Endpoint {
    type Session = Timers;

    fn accepted(&self, connection: &Arc<Connection>) -> Timers {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.connection = Some(Arc::clone(connection));
        if self.registers {
            self.register(&mut state, now);
        } else {
            // What the relay reads first; everything behind it goes to the other one of the pair.
            let pair = Bytes::from(format!("PAIR {}\n", self.index / 2));
            let sent = connection
                .send(pair, Bytes::new())
                .map_err(|error| error.to_string().into());
            state.signed_in(sent);
        }
        Timers {
            upkeep: now + self.run.ping,
            refresh: None,
            again: None,
            subscribe: None,
        }
    }

    fn message(&self, connection: &Arc<Connection>, timers: &mut Timers, message: Message, now: Instant) {
        match message {
            Message::Request(request) => self.answer(connection, &request),
            Message::Response(response) => {
                self.take_response(&mut self.state.lock(), timers, &response, now);
            }
        }
    }

    fn timer(&self, _: &Arc<Connection>, timers: &mut Timers, now: Instant) {
        let mut state = self.state.lock();
        if timers.upkeep <= now {
            self.upkeep(&mut state, timers, now);
        }
        if timers.refresh.take_if(|at| *at <= now).is_some() {
            self.register(&mut state, now);
        }
        if timers.subscribe.take_if(|at| *at <= now).is_some() {
            self.subscribe(&mut state, timers, now);
        }
        if timers.again.take_if(|at| *at <= now).is_some() {
            for work in std::mem::take(&mut state.again) {
                self.begin_locked(&mut state, work, now);
            }
        }
    }

    fn next_timer(&self, timers: &Timers) -> Option<Instant> {
        [
            Some(timers.upkeep),
            timers.refresh,
            timers.again,
            timers.subscribe,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn closed(&self, _: &Arc<Connection>, _: &mut Timers, reason: CloseReason) {
        let mut state = self.state.lock();
        // Who left, or is told as the outcome of its sign-in, did not lose a connection.
        let lost = state.connection.take().is_some() && state.signing_in.is_none();
        // Work holds other endpoints, which may hold this one.
        state.waiting.clear();
        state.again.clear();
        state.signed_in(Err(format!("connection closed: {}", reason.name()).into()));
        if lost {
            self.run.error(format!("connection closed: {}", reason.name()));
        }
    }
}

impl State {
    fn leave(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close(CloseReason::Finished);
        }
    }

    fn signed_in(&mut self, outcome: Result<(), Refused>) {
        if let Some(tell) = self.signing_in.take() {
            // Nobody waits any more if it took too long.
            let _ = tell.send(outcome);
        }
    }
}
