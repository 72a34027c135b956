//! Two ends of a flow, a link that may lose, repeat and delay, and a clock that only the test winds.
//!
//! Messages travel as bytes and are parsed on arrival. What the machines ask to be written is written; the rest is
//! kept for the test. Everything follows from the seed.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_types::typed::Via;
use sip_types::{HeaderName, Message, Method, Request, Response, StatusCode};

use crate::{ClientKey, Received, ServerKey, TimedOut, Transactions};

/// A request out of its text, which ends with the empty line.
pub(crate) fn request(text: &str) -> Request {
    match Message::parse(Bytes::copy_from_slice(text.as_bytes()), Bytes::new()) {
        Ok(Message::Request(request)) => request,
        other => panic!("not a request: {other:?}"),
    }
}

/// A response out of its text.
pub(crate) fn response(text: &str) -> Response {
    match Message::parse(Bytes::copy_from_slice(text.as_bytes()), Bytes::new()) {
        Ok(Message::Response(response)) => response,
        other => panic!("not a response: {other:?}"),
    }
}

/// A small generator of pseudo-random numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Whether an event of this probability in percent happens.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Alice,
    Bob,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Side::Alice => Side::Bob,
            Side::Bob => Side::Alice,
        }
    }
}

/// How the link behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) latency: Duration,
    /// Up to this much more, so that messages overtake each other.
    pub(crate) jitter: Duration,
    pub(crate) loss_percent: u64,
    pub(crate) repeat_percent: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss_percent: 0,
            repeat_percent: 0,
        }
    }
}

/// What an end learned.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Received(Received),
    TimedOut(TimedOut),
}

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) transactions: Transactions,
    /// Oldest first.
    pub(crate) events: VecDeque<Event>,
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) alice: End,
    pub(crate) bob: End,
    pub(crate) link: Link,
    /// Every message ever written, with its sender.
    pub(crate) written: Vec<(Side, Message)>,
    random: Random,
    in_flight: BTreeMap<(Instant, u64), (Side, Message)>,
    sent: u64,
}

impl Pair {
    pub(crate) fn new(seed: u64) -> Self {
        let end = |seed| End {
            transactions: Transactions::new(seed),
            events: VecDeque::new(),
        };
        Self {
            now: Instant::now(),
            alice: end(seed),
            bob: end(!seed),
            link: Link::default(),
            written: Vec::new(),
            random: Random(seed),
            in_flight: BTreeMap::new(),
            sent: 0,
        }
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Alice => &mut self.alice,
            Side::Bob => &mut self.bob,
        }
    }

    /// Puts a message on the link.
    pub(crate) fn write(&mut self, from: Side, message: impl Into<Message>) {
        let message = message.into();
        self.written.push((from, message.clone()));
        let copies = match (
            self.random.percent(self.link.loss_percent),
            self.random.percent(self.link.repeat_percent),
        ) {
            (true, _) => 0,
            (false, repeated) => 1 + u64::from(repeated),
        };
        for _ in 0..copies {
            let jitter = self.random.below(self.link.jitter.as_micros() as u64 + 1);
            let arrival = self.now + self.link.latency + Duration::from_micros(jitter);
            self.sent += 1;
            self.in_flight
                .insert((arrival, self.sent), (from.other(), message.clone()));
        }
    }

    /// Starts a transaction of `from` and writes its request.
    pub(crate) fn start(&mut self, from: Side, request: &Request) -> ClientKey {
        let now = self.now;
        let key = self.end(from).transactions.start(request, now).unwrap();
        self.write(from, request.clone());
        key
    }

    /// Answers with a status and a tag; writes nothing if the answer is refused.
    pub(crate) fn respond(
        &mut self,
        from: Side,
        key: &ServerKey,
        request: &Request,
        status: StatusCode,
    ) -> bool {
        let response = request.reply(status).to_tag("answer").build();
        let now = self.now;
        let taken = self.end(from).transactions.respond(key, &response, now).is_ok();
        if taken {
            self.write(from, response);
        }
        taken
    }

    /// Does the next thing that happens before `until`: an arrival or a timeout. `false` if there is none.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        let arrival = self.in_flight.first_key_value().map(|((at, _), _)| *at);
        let timers = [
            self.alice.transactions.next_timeout(),
            self.bob.transactions.next_timeout(),
        ];
        let next = timers.into_iter().chain([arrival]).flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        if arrival == Some(next)
            && let Some((_, (to, message))) = self.in_flight.pop_first()
        {
            self.deliver(to, message);
        }
        self.fire(Side::Alice);
        self.fire(Side::Bob);
        true
    }

    /// Lets everything happen that happens within `time`.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    fn deliver(&mut self, to: Side, message: Message) {
        let message = Message::parse(message.head().clone(), message.body().clone()).unwrap();
        let now = self.now;
        let received = self.end(to).transactions.receive(message, now);
        match &received {
            Received::Resend(response) | Received::Rejected(response) => self.write(to, response.clone()),
            Received::Response {
                send: Some(request), ..
            } => self.write(to, request.clone()),
            _ => {}
        }
        self.end(to).events.push_back(Event::Received(received));
    }

    fn fire(&mut self, side: Side) {
        let now = self.now;
        for event in self.end(side).transactions.handle_timeout(now) {
            match &event {
                TimedOut::Cancel(_, request) => self.write(side, request.clone()),
                TimedOut::Trying(_, response) => self.write(side, response.clone()),
                _ => {}
            }
            self.end(side).events.push_back(Event::TimedOut(event));
        }
    }

    // === what tests ask ===

    /// The oldest event of an end, which there must be.
    pub(crate) fn next(&mut self, side: Side) -> Event {
        self.end(side).events.pop_front().expect("an event")
    }

    /// The oldest event, which must be a new request.
    pub(crate) fn next_request(&mut self, side: Side) -> (ServerKey, Request) {
        match self.next(side) {
            Event::Received(Received::Request(key, request)) => (key, request),
            other => panic!("not a request: {other:?}"),
        }
    }

    /// The oldest event, which must be a response; its status.
    pub(crate) fn next_status(&mut self, side: Side) -> u16 {
        match self.next(side) {
            Event::Received(Received::Response { response, .. }) => response.status().code(),
            other => panic!("not a response: {other:?}"),
        }
    }

    /// Methods and statuses an end wrote, in order.
    pub(crate) fn written_by(&self, side: Side) -> Vec<String> {
        let lines = self
            .written
            .iter()
            .filter(|(from, _)| *from == side)
            .map(|(_, message)| match message {
                Message::Request(request) => request.method().to_string(),
                Message::Response(response) => response.status().code().to_string(),
            });
        lines.collect()
    }

    /// Nothing is under way and nothing is remembered.
    pub(crate) fn assert_idle(&self) {
        assert!(self.in_flight.is_empty());
        for end in [&self.alice, &self.bob] {
            assert!(end.transactions.is_idle(), "{:?}", end.transactions);
            assert_eq!(end.transactions.next_timeout(), None);
            assert_eq!(end.transactions.pending(), 0);
        }
    }
}

impl End {
    /// A request out of any dialog, with a branch of this end.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        let via = Via::new(
            "TLS",
            "alice.example.test",
            None,
            &self.transactions.next_branch(),
        );
        let (tag, call_id) = (self.transactions.next_tag(), self.transactions.next_call_id());
        Request::builder(method.clone(), "sip:bob@example.test")
            .typed(&via)
            .header(HeaderName::MaxForwards, 70)
            .header(HeaderName::From, format!("<sip:alice@example.test>;tag={tag}"))
            .header(HeaderName::To, "<sip:bob@example.test>")
            .header(HeaderName::CallId, call_id)
            .header(HeaderName::CSeq, format!("1 {method}"))
            .header(HeaderName::Contact, "<sip:alice@192.0.2.1:5061;transport=tls>")
            .build()
    }
}
