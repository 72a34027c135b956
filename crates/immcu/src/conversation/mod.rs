//! One two-party conversation as a state machine: an input and the time in, [`Effect`]s out.
//!
//! A conversation is the unordered pair of two addresses of record. It has two sides; a side has at most one *leg* (the
//! dialog of one of its endpoints), may be *ringing* to get one, and has page-mode endpoints beside it:
//!
//! ```text
//!            submit / open                                            Deliver / Ring
//!  sender  ----------------->  intake (FIFO: looked up, archived)  -----+
//!                                                                       v
//!                        +------------------------- side of the recipient ------------------------+
//!                        | session lane: queue -> leg, or ringing until somebody takes the session |
//!                        | page lane of each page-mode endpoint: queue -> copy                     |
//!                        +-------------------------------------------------------------------------+
//! ```
//!
//! Each input is one method that takes a [`Turn`]; whoever drives the machine executes the effects in their order and
//! feeds what comes back. After every input `next_timeout` says when [`Conversation::handle_timeout`] wants to be called.
//!
//! Invariants, checked by the simulation in `simulation/`:
//! * every submit and every open gets exactly one answer, and a success only after an endpoint accepted;
//! * an endpoint gets the messages of the conversation in their order, one at a time, each once;
//! * when nothing is undecided, nobody rings.

mod deliver;
mod hold;
mod item;
mod lanes;
mod leave;
mod open;
mod pump;
mod receipt;
mod ringing;
mod signal;
mod submit;
mod timeouts;

#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rpc::{ConversationKey, EndpointAddress, EndpointId, FailureReason, ImMode, LegId, Opened, Path, Target};
use sip_types::AddressOfRecord;

use self::deliver::Delivery;
use self::item::Item;
use self::lanes::{EndpointLanes, SessionLane};
use self::open::PendingOpen;
use self::ringing::Ringing;
use self::signal::SignalState;
use crate::effect::{Effect, Tell, Turn};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::timers::Timers;

/// A message within its conversation, numbered in the order of submits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct ItemId(pub(crate) u64);

/// One call to a front end that delivers. A repeated call has a ticket of its own, so that a late answer of the first
/// is not taken for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Ticket(pub(crate) u64);

/// One of the two parties, in the order of the conversation's key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Side {
    Low,
    High,
}

impl Side {
    pub(crate) const BOTH: [Side; 2] = [Side::Low, Side::High];

    pub(crate) const fn other(self) -> Side {
        match self {
            Side::Low => Side::High,
            Side::High => Side::Low,
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Side::Low => 0,
            Side::High => 1,
        }
    }
}

/// An established session between one endpoint and the pool.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    /// Where it is, with the newest epoch that was seen.
    pub(crate) address: EndpointAddress,
    /// The pool rang for it; otherwise the endpoint opened it.
    pub(crate) rung: bool,
    /// What the opening endpoint was answered, for a repeated open.
    pub(crate) opened: Opened,
    /// The session is over; the leg ends when what is on its way through it is decided.
    pub(crate) closing: bool,
    /// When something was last said in it.
    pub(crate) last_used: Instant,
}

/// What one side has.
#[derive(Default, Debug)]
struct Party {
    leg: Option<Leg>,
    ringing: Option<Ringing>,
    session: SessionLane,
    signal: SignalState,
}

/// How much a conversation adds to the gauges of its process.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Gauges {
    /// Legs that are established.
    pub(crate) legs: usize,
    /// Sides that ring.
    pub(crate) ringing: usize,
    /// Message ids remembered.
    pub(crate) remembered: usize,
}

/// The state machine of one conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    key: ConversationKey,
    limits: Arc<Limits>,
    /// Legs are named by counting from a random number.
    next_leg: u128,
    next_item: u64,
    next_ticket: u64,
    parties: [Party; 2],
    /// The endpoints of both sides.
    lanes: EndpointLanes,
    items: HashMap<ItemId, Item, RandomState>,
    /// Messages that do not flow yet, in order.
    intake: VecDeque<ItemId>,
    opens: Vec<PendingOpen>,
    deliveries: HashMap<Ticket, Delivery, RandomState>,
    memory: Memory,
    timers: Timers,
}

impl Conversation {
    /// A conversation in which nothing was said yet. `seed` is random: the legs it makes are named from it.
    pub(crate) fn new(key: ConversationKey, limits: Arc<Limits>, seed: u128) -> Self {
        Conversation {
            key,
            limits,
            next_leg: seed,
            // From somewhere in the lower half: the answer of a call made for a conversation that was given away must not be
            // taken for one of its successor.
            next_item: (seed >> 65) as u64,
            next_ticket: (seed >> 65) as u64,
            parties: Default::default(),
            lanes: EndpointLanes::default(),
            items: HashMap::default(),
            intake: VecDeque::new(),
            opens: Vec::new(),
            deliveries: HashMap::default(),
            memory: Memory::default(),
            timers: Timers::default(),
        }
    }

    /// When [`Conversation::handle_timeout`] wants to be called, if ever. A conversation without a deadline is not over:
    /// see [`Conversation::is_idle`].
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let forgotten = self.memory.empty_at(self.limits.memory);
        match (self.timers.next(), forgotten) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Whether the conversation holds nothing that a new one would lack.
    pub(crate) fn is_idle(&self) -> bool {
        self.items.is_empty()
            && self.opens.is_empty()
            && self.memory.is_empty()
            && self
                .parties
                .iter()
                .all(|party| party.leg.is_none() && party.ringing.is_none() && party.signal.is_quiet())
    }

    /// Whether somebody waits for something to be decided.
    pub(crate) fn is_busy(&self) -> bool {
        !self.items.is_empty() || !self.opens.is_empty()
    }

    pub(crate) fn gauges(&self) -> Gauges {
        Gauges {
            legs: self.parties.iter().filter(|party| party.leg.is_some()).count(),
            ringing: self
                .parties
                .iter()
                .filter(|party| party.ringing.is_some())
                .count(),
            remembered: self.memory.len(),
        }
    }

    fn party(&self, side: Side) -> &Party {
        &self.parties[side.index()]
    }

    fn party_mut(&mut self, side: Side) -> &mut Party {
        &mut self.parties[side.index()]
    }

    /// Who is on this side.
    fn aor(&self, side: Side) -> &AddressOfRecord {
        let (low, high) = self.key.parties();
        match side {
            Side::Low => low,
            Side::High => high,
        }
    }

    /// Notes to self: both sides are the same person.
    fn is_self(&self) -> bool {
        let (low, high) = self.key.parties();
        low == high
    }

    /// The side whose endpoints these are: in a conversation with oneself both sides have the same ones, and an endpoint
    /// has one queue all the same.
    fn owner(&self, side: Side) -> Side {
        if self.is_self() { Side::Low } else { side }
    }

    /// The side an endpoint speaks from. In a conversation with oneself it is the side that has (or rings) the endpoint,
    /// and the low one for everybody else.
    fn side_of(&self, from: &AddressOfRecord, endpoint: &EndpointId, leg: Option<LegId>) -> Side {
        if !self.is_self() {
            return if from == self.key.parties().0 {
                Side::Low
            } else {
                Side::High
            };
        }
        let high = self.party(Side::High);
        let has_leg = high
            .leg
            .as_ref()
            .is_some_and(|held| Some(held.id) == leg || held.address.endpoint == *endpoint);
        let rings = high
            .ringing
            .as_ref()
            .is_some_and(|ringing| ringing.rings(endpoint));
        if has_leg || rings { Side::High } else { Side::Low }
    }

    /// The endpoint that must not be served because the message came from it: only in a conversation with oneself.
    fn except<'a>(&self, sender: &'a EndpointId) -> Option<&'a EndpointId> {
        self.is_self().then_some(sender)
    }

    fn new_item(&mut self) -> ItemId {
        self.next_item += 1;
        ItemId(self.next_item)
    }

    fn new_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn new_leg(&mut self) -> LegId {
        self.next_leg = self.next_leg.wrapping_add(1);
        LegId(self.next_leg)
    }

    /// Gives a side its leg. An older leg of that side ends; ringing for that side is over; a leg of the other side that
    /// was about to end stays.
    fn establish(&mut self, side: Side, leg: Leg, turn: &mut Turn<'_>) {
        let id = leg.id;
        if let Some(old) = self.party_mut(side).leg.replace(leg)
            && old.id != id
        {
            turn.tell(old.address.member, Tell::EndLeg(old.id));
            turn.forget(old.id);
        }
        if let Some(other) = &mut self.party_mut(side.other()).leg {
            other.closing = false;
        }
        if let Some(ringing) = self.party_mut(side).ringing.take() {
            self.ringing_won(side, ringing, None, turn);
        }
    }

    /// A leg of this side is gone. If the other side has one too, the session is over.
    fn drop_leg(&mut self, side: Side, turn: &mut Turn<'_>) {
        if let Some(leg) = self.party_mut(side).leg.take() {
            turn.forget(leg.id);
            if let Some(other) = &mut self.party_mut(side.other()).leg {
                other.closing = true;
            }
        }
    }

    /// Something happened in this leg.
    fn touch(&mut self, side: Side, leg: LegId, now: Instant) {
        if let Some(held) = &mut self.party_mut(side).leg
            && held.id == leg
        {
            held.last_used = now;
        }
    }

    /// Where a typing indication goes if there is a session.
    fn leg_target(&self, side: Side) -> Option<Target> {
        let leg = self.party(side).leg.as_ref()?;
        Some(Target {
            address: leg.address.clone(),
            path: Path::Leg(leg.id),
        })
    }
}

/// Whether somebody with these endpoints can be sent anything.
fn reachable(endpoints: &crate::endpoints::Endpoints, except: Option<&EndpointId>) -> bool {
    endpoints.has(ImMode::Session, except) || endpoints.has(ImMode::Page, except)
}

/// Answers everybody who waits for one open.
fn answer_open(
    replies: impl IntoIterator<Item = crate::effect::Reply<Opened>>,
    answer: Result<Opened, FailureReason>,
    turn: &mut Turn<'_>,
) {
    for reply in replies {
        turn.out.push(Effect::AnswerOpen(reply, answer));
    }
}
