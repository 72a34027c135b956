//! A script around one conversation: people with endpoints, virtual time, and everything the machine wants done laid out
//! to be looked at and answered.
//!
//! Lookups are answered at once from the script's own directory; deliveries, invitations and archive records wait until
//! the test answers them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rpc::{
    Binding, ClientFamily, ConnectionId, Content, ConversationKey, Deliver, EndpointAddress, EndpointId,
    Epoch, FailureReason, ImMode, InstantMessage, LegId, MessageId, MessageKind, Open, Opened, Path, Ring,
    RingAnswer, Signal, Submit, Typing,
};
use sip_types::{AddressOfRecord, SipStr};
use tokio::sync::oneshot;
use topology::MemberId;

use super::{Conversation, Side, Ticket};
use crate::archive::ArchiveMode;
use crate::effect::{
    Appended, Call, CallError, Effect, Event, FirstText, Outcome, Prepared, PreparedOpen, Purpose, Subject,
    Tell, Turn,
};
use crate::endpoints::Endpoints;
use crate::limits::Limits;

pub(crate) fn aor(name: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{name}@example.test")).unwrap()
}

/// A binding written as `endpoint@member`. An endpoint whose name begins with `s` takes sessions, others take pages.
pub(crate) fn binding(user: &str, spec: &str, epoch: u64) -> Binding {
    let (endpoint, member) = spec.split_once('@').unwrap_or((spec, "fe1"));
    let mode = if endpoint.starts_with('s') {
        ImMode::Session
    } else {
        ImMode::Page
    };
    Binding {
        address: EndpointAddress {
            aor: aor(user),
            endpoint: EndpointId::new(endpoint),
            epoch: Epoch(epoch),
            member: MemberId::new(member),
            connection: ConnectionId(epoch),
        },
        contact: format!("sip:{user}@{endpoint}.invalid"),
        instance: None,
        epid: None,
        reg_id: None,
        gruu: None,
        expires_in: 600,
        family: ClientFamily::Simple,
        mode,
        user_agent: None,
    }
}

/// A text from `user/endpoint` to another user, with an id that is also its content and its `imdn.Message-ID`.
pub(crate) fn text(from: &str, to: &str, id: &str) -> Arc<InstantMessage> {
    let (user, endpoint) = from.split_once('/').unwrap();
    Arc::new(InstantMessage {
        id: message_id(id),
        from: aor(user),
        from_display: user.to_owned(),
        from_endpoint: EndpointId::new(endpoint),
        to: aor(to),
        to_endpoint: None,
        kind: MessageKind::Text,
        content: Content {
            content_type: SipStr::from_static("text/plain"),
            body: Bytes::copy_from_slice(id.as_bytes()),
        },
        imdn_id: Some(SipStr::copy_from(id)),
        subject: None,
    })
}

/// A receipt about the text with this id.
pub(crate) fn receipt(from: &str, to: &str, about: &str) -> Arc<InstantMessage> {
    let mut message = InstantMessage::clone(&text(from, to, &format!("receipt-{about}-{from}")));
    message.kind = MessageKind::Receipt {
        about: SipStr::copy_from(about),
    };
    Arc::new(message)
}

/// A delivery that waits for its answer.
#[derive(Debug)]
pub(crate) struct Delivering {
    pub(crate) ticket: Ticket,
    pub(crate) member: MemberId,
    pub(crate) deliver: Deliver,
    pub(crate) sent: Instant,
}

impl Delivering {
    /// The message, and for each target `endpoint` or `endpoint:leg`.
    pub(crate) fn describe(&self) -> String {
        let targets = self.deliver.targets.iter().map(|target| match target.path {
            Path::Page => target.address.endpoint.to_string(),
            Path::Leg(_) => format!("{}:leg", target.address.endpoint),
        });
        format!(
            "{} -> {}",
            name_of(self.deliver.message.id),
            targets.collect::<Vec<_>>().join(" ")
        )
    }
}

/// An answer that was promised.
pub(crate) struct Promise<T>(oneshot::Receiver<Result<T, FailureReason>>);

impl<T> Promise<T> {
    /// The answer, if it came. It comes at most once: the sender is consumed.
    pub(crate) fn answer(&mut self) -> Option<Result<T, FailureReason>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => panic!("a promise was dropped without an answer"),
        }
    }
}

pub(crate) struct Script {
    pub(crate) conversation: Conversation,
    pub(crate) now: Instant,
    pub(crate) directory: BTreeMap<AddressOfRecord, Vec<Binding>>,
    pub(crate) mode: ArchiveMode,
    pub(crate) deliveries: VecDeque<Delivering>,
    pub(crate) rings: VecDeque<(Side, Ring)>,
    pub(crate) appends: VecDeque<(Subject, MessageId)>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) tells: VecDeque<(MemberId, Tell)>,
    pub(crate) bound: BTreeSet<LegId>,
    pub(crate) events: Vec<Event>,
    /// Lookups are held back here instead of being answered when this is set.
    pub(crate) hold: Option<VecDeque<Call>>,
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(32);

impl Script {
    pub(crate) fn between(one: &str, other: &str) -> Self {
        Script::with_limits(one, other, Limits::default())
    }

    pub(crate) fn with_limits(one: &str, other: &str, limits: Limits) -> Self {
        let key = ConversationKey::new(&aor(one), &aor(other));
        let now = Instant::now();
        let mut directory = BTreeMap::new();
        directory.insert(aor(one), Vec::new());
        directory.insert(aor(other), Vec::new());
        Script {
            conversation: Conversation::new(key, Arc::new(limits), 1_000),
            now,
            directory,
            mode: ArchiveMode::Off,
            deliveries: VecDeque::new(),
            rings: VecDeque::new(),
            appends: VecDeque::new(),
            outcomes: Vec::new(),
            tells: VecDeque::new(),
            bound: BTreeSet::new(),
            events: Vec::new(),
            hold: None,
        }
    }

    /// Signs the endpoints in, each a little later than the one before.
    pub(crate) fn signed_in(mut self, user: &str, specs: &[&str]) -> Self {
        for spec in specs {
            self.sign_in(user, spec);
        }
        self
    }

    pub(crate) fn sign_in(&mut self, user: &str, spec: &str) {
        let epoch = self
            .directory
            .values()
            .map(|bindings| bindings.len() as u64)
            .sum::<u64>()
            + 1;
        self.sign_in_with_epoch(user, spec, epoch);
    }

    pub(crate) fn sign_in_with_epoch(&mut self, user: &str, spec: &str, epoch: u64) {
        let new = binding(user, spec, epoch);
        let bindings = self.directory.entry(aor(user)).or_default();
        bindings.retain(|old| old.address.endpoint != new.address.endpoint);
        bindings.push(new);
    }

    pub(crate) fn sign_out(&mut self, user: &str, endpoint: &str) {
        if let Some(bindings) = self.directory.get_mut(&aor(user)) {
            bindings.retain(|binding| binding.address.endpoint.as_str() != endpoint);
        }
    }

    pub(crate) fn endpoints(&self, aor: &AddressOfRecord) -> Endpoints {
        Endpoints::new(self.directory.get(aor).cloned().unwrap_or_default().into())
    }

    /// Feeds one input and lays out what it brought about.
    pub(crate) fn feed(&mut self, input: impl FnOnce(&mut Conversation, &mut Turn<'_>)) {
        let mut out = Vec::new();
        let mut turn = Turn {
            now: self.now,
            window: 4_096,
            out: &mut out,
        };
        input(&mut self.conversation, &mut turn);
        for effect in out {
            self.lay_out(effect);
        }
    }

    fn lay_out(&mut self, effect: Effect) {
        match effect {
            Effect::Call(call) => self.call(call),
            Effect::Tell(member, tell) => {
                if let Tell::StopRinging(leg) = &tell {
                    self.rings.retain(|(_, ring)| ring.leg != *leg);
                }
                self.tells.push_back((member, tell));
            }
            Effect::Answer(reply, answer) => drop(reply.send(answer)),
            Effect::AnswerOpen(reply, answer) => drop(reply.send(answer)),
            Effect::Outcome(outcome) => self.outcomes.push(outcome),
            Effect::Bind(leg) => assert!(self.bound.insert(leg), "a leg is bound once"),
            Effect::Forget(leg) => assert!(self.bound.remove(&leg), "a leg is forgotten once"),
            Effect::Count(event) => self.events.push(event),
        }
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Deliver {
                ticket,
                member,
                deliver,
            } => self.deliveries.push_back(Delivering {
                ticket,
                member,
                deliver,
                sent: self.now,
            }),
            Call::Ring { side, ring, .. } => self.rings.push_back((side, ring)),
            Call::Append { subject, message, .. } => self.appends.push_back((subject, message.id)),
            lookup => match &mut self.hold {
                Some(held) => held.push_back(lookup),
                None => self.look_up(lookup),
            },
        }
    }

    /// Answers a lookup from the directory.
    pub(crate) fn look_up(&mut self, call: Call) {
        match call {
            Call::Prepare { item, message, .. } => {
                let prepared = Prepared {
                    endpoints: self.endpoints(&message.to),
                    mode: match message.kind {
                        MessageKind::Text => self.mode,
                        MessageKind::Receipt { .. } => ArchiveMode::Off,
                    },
                    message,
                    original: None,
                };
                self.feed(|conversation, turn| conversation.prepared(item, Ok(prepared), turn));
            }
            Call::PrepareOpen { open, .. } => {
                let caller = self.endpoints(&open.from).find(&open.from_endpoint).cloned();
                let mode = self.mode;
                let result = caller
                    .ok_or(FailureReason::Unavailable)
                    .map(|caller| PreparedOpen {
                        caller,
                        callee: self.endpoints(&open.to),
                        first_text: open.first_text.clone().map(|message| FirstText {
                            message,
                            original: None,
                            mode,
                        }),
                    });
                self.feed(|conversation, turn| conversation.open_prepared(open.leg, result, turn));
            }
            Call::Locate { purpose, aor } => self.locate(purpose, &aor),
            Call::Append { .. } | Call::Deliver { .. } | Call::Ring { .. } => unreachable!("not a lookup"),
        }
    }

    fn locate(&mut self, purpose: Purpose, aor: &AddressOfRecord) {
        let endpoints = self.endpoints(aor);
        self.feed(|conversation, turn| conversation.located(purpose, &endpoints, turn));
    }

    pub(crate) fn submit(&mut self, message: &Arc<InstantMessage>) -> Promise<()> {
        self.submit_in(message, None, PATIENCE)
    }

    pub(crate) fn submit_in(
        &mut self,
        message: &Arc<InstantMessage>,
        leg: Option<LegId>,
        patience: Duration,
    ) -> Promise<()> {
        let (reply, promise) = oneshot::channel();
        let submit = Submit {
            message: message.clone(),
            leg,
            patience,
        };
        self.feed(|conversation, turn| conversation.submit(submit, reply, turn));
        Promise(promise)
    }

    pub(crate) fn open(
        &mut self,
        leg: u128,
        from: &str,
        to: &str,
        first_text: Option<&Arc<InstantMessage>>,
    ) -> Promise<Opened> {
        let (user, endpoint) = from.split_once('/').unwrap();
        let (reply, promise) = oneshot::channel();
        let open = Open {
            leg: LegId(leg),
            from: aor(user),
            from_display: user.to_owned(),
            from_endpoint: EndpointId::new(endpoint),
            to: aor(to),
            to_endpoint: None,
            first_text: first_text.cloned(),
            patience: PATIENCE,
        };
        self.feed(|conversation, turn| conversation.open(open, reply, turn));
        Promise(promise)
    }

    pub(crate) fn cancel(&mut self, leg: u128) {
        self.feed(|conversation, turn| conversation.cancel(LegId(leg), turn));
    }

    pub(crate) fn leave(&mut self, leg: LegId) {
        self.feed(|conversation, turn| conversation.leave(leg, turn));
    }

    pub(crate) fn typing(&mut self, from: &str, to: &str, typing: Typing) {
        let (user, endpoint) = from.split_once('/').unwrap();
        let signal = Signal {
            from: aor(user),
            from_endpoint: EndpointId::new(endpoint),
            to: aor(to),
            leg: None,
            typing,
        };
        self.feed(|conversation, turn| conversation.signal(signal, turn));
    }

    /// Lets time pass, waking the conversation whenever it wants to.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.conversation.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.feed(Conversation::handle_timeout);
        }
        self.now = until;
    }

    /// What is being delivered, as text.
    pub(crate) fn delivering(&self) -> Vec<String> {
        self.deliveries.iter().map(Delivering::describe).collect()
    }

    /// Answers the oldest delivery for all its targets.
    pub(crate) fn answer_delivery(&mut self, outcome: Result<(), FailureReason>) {
        let delivering = self.deliveries.pop_front().expect("something is being delivered");
        let outcomes = vec![outcome; delivering.deliver.targets.len()];
        self.feed(|conversation, turn| conversation.delivered(delivering.ticket, Ok(outcomes), turn));
    }

    /// Answers the oldest delivery to this endpoint.
    pub(crate) fn answer_delivery_to(&mut self, endpoint: &str, outcome: Result<(), FailureReason>) {
        let position = self
            .deliveries
            .iter()
            .position(|delivering| {
                delivering
                    .deliver
                    .targets
                    .iter()
                    .any(|target| target.address.endpoint.as_str() == endpoint)
            })
            .expect("something is being delivered to it");
        self.deliveries.swap(0, position);
        self.answer_delivery(outcome);
    }

    /// The front end of the oldest delivery cannot be reached.
    pub(crate) fn lose_front_end(&mut self) {
        let delivering = self.deliveries.pop_front().expect("something is being delivered");
        self.feed(|conversation, turn| {
            conversation.delivered(delivering.ticket, Err(CallError::Unreachable), turn);
        });
    }

    /// Endpoints that ring.
    pub(crate) fn ringing(&self) -> Vec<String> {
        self.rings
            .iter()
            .map(|(_, ring)| ring.address.endpoint.to_string())
            .collect()
    }

    fn take_ring(&mut self, endpoint: &str) -> (Side, Ring) {
        let position = self
            .rings
            .iter()
            .position(|(_, ring)| ring.address.endpoint.as_str() == endpoint)
            .expect("the endpoint rings");
        self.rings.remove(position).unwrap()
    }

    /// The endpoint answers; returns its leg.
    pub(crate) fn pick_up(&mut self, endpoint: &str, first_text_taken: bool) -> LegId {
        let (side, ring) = self.take_ring(endpoint);
        let answer = RingAnswer { first_text_taken };
        self.feed(|conversation, turn| conversation.rung(side, ring.leg, Ok(Ok(answer)), turn));
        ring.leg
    }

    /// The endpoint does not take the session.
    pub(crate) fn hang_up(&mut self, endpoint: &str, reason: FailureReason) {
        let (side, ring) = self.take_ring(endpoint);
        self.feed(|conversation, turn| conversation.rung(side, ring.leg, Ok(Err(reason)), turn));
    }

    /// The archive answers the oldest record.
    pub(crate) fn archive(&mut self, appended: Appended) -> MessageId {
        let (subject, id) = self.appends.pop_front().expect("something is being archived");
        self.feed(|conversation, turn| conversation.appended(subject, &id, appended, turn));
        id
    }

    /// Legs that were ended since the last call.
    pub(crate) fn ended_legs(&mut self) -> Vec<LegId> {
        let ended = self.tells.iter().filter_map(|(_, tell)| match tell {
            Tell::EndLeg(leg) => Some(*leg),
            _ => None,
        });
        let ended = ended.collect();
        self.tells.clear();
        ended
    }
}

/// The names tests have given to messages: the place of a name is its id.
static NAMES: parking_lot::Mutex<Vec<String>> = parking_lot::Mutex::new(Vec::new());

/// The id of a message that a test calls by this name.
pub(crate) fn message_id(name: &str) -> MessageId {
    let mut names = NAMES.lock();
    let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    MessageId(place as u128)
}

/// What tests call the message with this id.
pub(crate) fn name_of(id: MessageId) -> String {
    NAMES.lock()[usize::try_from(id.0).unwrap()].clone()
}
