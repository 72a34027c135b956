//! The way out: what is next in a lane goes to the front end that holds the endpoint, and what it says comes back.

use std::time::Instant;

use rpc::{Deliver, FailureReason, LegId, Path, Target};
use smallvec::{SmallVec, smallvec};
use topology::MemberId;

use super::lanes::InLeg;
use super::{Conversation, ItemId, Side, Ticket};
use crate::effect::{Call, CallError, Delivered, Event, Purpose, Turn};
use crate::endpoints::Endpoints;
use crate::limits::{RETRY_PAUSES, RETRY_TOTAL};
use crate::timers::Timer;

/// The queue a delivery came from, which goes on when it is decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    /// The session of this side.
    Session(Side),
    /// The copies of this side's page-mode endpoint.
    Page(Side),
    /// No queue: a receipt.
    Receipt,
}

/// One endpoint in a delivery.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) target: Target,
    pub(super) lane: Lane,
    /// Its registration was looked up again once already.
    pub(super) relocated: bool,
}

pub(super) type Slots = SmallVec<[Slot; 2]>;

/// One message on its way to endpoints of one front end.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) item: ItemId,
    member: MemberId,
    slots: Slots,
    /// How often the front end could not be reached.
    retries: usize,
    since: Instant,
}

/// A message that leaves its lane now.
struct Start {
    item: ItemId,
    slot: Slot,
}

type Starts = SmallVec<[Start; 4]>;

impl Conversation {
    /// Starts everything that can start. Called at the end of every input.
    pub(super) fn pump(&mut self, turn: &mut Turn<'_>) {
        let mut starts = Starts::new();
        for side in Side::BOTH {
            self.tend_ringing(side, turn);
            self.pump_session(side, &mut starts, turn);
            self.pump_pages(side, &mut starts);
        }
        self.start_all(starts, turn);
        for side in Side::BOTH {
            self.end_closing_leg(side, turn);
        }
    }

    /// The head of the session lane goes into the leg; without a leg it rings.
    fn pump_session(&mut self, side: Side, starts: &mut Starts, turn: &mut Turn<'_>) {
        while self.party(side).session.in_flight.is_none() && self.party(side).ringing.is_none() {
            let Some(id) = self.party(side).session.queue.front().copied() else {
                return;
            };
            self.copy_to_skipped(side, id);
            let Some(leg) = &self.party(side).leg else {
                if !self.ring_for(side, id, turn) {
                    self.leave_session_lane(side, id, turn);
                }
                continue;
            };
            // A copy sent to this endpoint before it had a session goes first.
            if !self.party(side).pages.is_idle(&leg.address.endpoint) {
                return;
            }
            if self
                .items
                .get(&id)
                .is_some_and(|item| item.is_copied_to(&leg.address.endpoint))
            {
                self.leave_session_lane(side, id, turn);
                continue;
            }
            if let Some(start) = self.start_in_leg(side, id, turn) {
                starts.push(start);
            }
            return;
        }
    }

    /// The page-mode endpoint that got no copy because it held the session gets one if it does not hold it any more.
    fn copy_to_skipped(&mut self, side: Side, id: ItemId) {
        let party = &mut self.parties[side.index()];
        let holder = party.leg.as_ref().map(|leg| &leg.address.endpoint);
        if let Some(item) = self.items.get_mut(&id)
            && item.skipped.as_ref() != holder
            && let Some(endpoint) = item.skipped.take()
        {
            item.undecided += 1;
            party.pages.push(&endpoint, id);
        }
    }

    /// The way through a session is closed for this message: nobody is there to ring, or the endpoint that has the
    /// session gets a copy anyway.
    fn leave_session_lane(&mut self, side: Side, id: ItemId, turn: &mut Turn<'_>) {
        self.party_mut(side).session.queue.pop_front();
        self.path_failed(id, None, FailureReason::Unavailable, turn);
    }

    fn start_in_leg(&mut self, side: Side, id: ItemId, turn: &mut Turn<'_>) -> Option<Start> {
        let item = self.items.get(&id)?;
        let party = &mut self.parties[side.index()];
        let leg = party.leg.as_mut()?;
        if let Some(bound) = item.endpoints.find(&leg.address.endpoint)
            && bound.epoch > leg.address.epoch
        {
            leg.address = bound.clone();
        }
        leg.last_used = turn.now;
        party.session.queue.pop_front();
        party.session.in_flight = Some(InLeg {
            item: id,
            leg: leg.id,
            endpoint: leg.address.endpoint.clone(),
        });
        let target = Target {
            address: leg.address.clone(),
            path: Path::Leg(leg.id),
        };
        Some(Start {
            item: id,
            slot: Slot {
                target,
                lane: Lane::Session(side),
                relocated: false,
            },
        })
    }

    fn pump_pages(&mut self, side: Side, starts: &mut Starts) {
        let party = &mut self.parties[side.index()];
        let in_leg = party.session.in_flight.as_ref().map(|held| &held.endpoint);
        for lane in party.pages.iter_mut() {
            // One message in flight per endpoint, whichever way it takes.
            if in_leg == Some(&lane.endpoint) {
                continue;
            }
            let Some(id) = lane.start() else { continue };
            let Some(address) = self
                .items
                .get(&id)
                .and_then(|item| item.endpoints.find(&lane.endpoint))
            else {
                debug_assert!(
                    false,
                    "a lane holds only undecided messages that know its endpoint"
                );
                lane.done();
                continue;
            };
            let target = Target {
                address: address.clone(),
                path: Path::Page,
            };
            starts.push(Start {
                item: id,
                slot: Slot {
                    target,
                    lane: Lane::Page(side),
                    relocated: false,
                },
            });
        }
    }

    /// One delivery per message and front end.
    fn start_all(&mut self, mut starts: Starts, turn: &mut Turn<'_>) {
        while !starts.is_empty() {
            let first = starts.remove(0);
            let member = first.slot.target.address.member.clone();
            let mut slots: Slots = smallvec![first.slot];
            starts.retain(|start| {
                let together = start.item == first.item && start.slot.target.address.member == member;
                if together {
                    slots.push(start.slot.clone());
                }
                !together
            });
            self.start_delivery(first.item, member, slots, turn);
        }
    }

    pub(super) fn start_delivery(&mut self, id: ItemId, member: MemberId, slots: Slots, turn: &mut Turn<'_>) {
        if let Some(item) = self.items.get_mut(&id) {
            item.reached = true;
        }
        let delivery = Delivery {
            item: id,
            member,
            slots,
            retries: 0,
            since: turn.now,
        };
        self.send(delivery, turn);
    }

    /// Calls the front end, under a new ticket.
    fn send(&mut self, delivery: Delivery, turn: &mut Turn<'_>) {
        let ticket = self.new_ticket();
        if let Some(item) = self.items.get(&delivery.item) {
            turn.call(Call::Deliver {
                ticket,
                member: delivery.member.clone(),
                deliver: Deliver {
                    message: item.message.clone(),
                    targets: delivery.slots.iter().map(|slot| slot.target.clone()).collect(),
                    patience: item.deadline.saturating_duration_since(turn.now),
                },
            });
        }
        self.deliveries.insert(ticket, delivery);
    }

    /// What a front end said to a [`Call::Deliver`].
    pub(crate) fn delivered(&mut self, ticket: Ticket, result: Delivered, turn: &mut Turn<'_>) {
        let Some(delivery) = self.deliveries.remove(&ticket) else {
            return;
        };
        match result {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for slot in delivery.slots {
                    // A front end that forgets a target has a defect; the message is not accepted there.
                    let outcome = outcomes.next().unwrap_or(Err(FailureReason::Internal));
                    self.slot_answered(delivery.item, slot, outcome, turn);
                }
            }
            Err(CallError::Unreachable) => self.retry_delivery(delivery, turn),
            Err(CallError::Failed) => self.delivery_failed(delivery, FailureReason::EndpointFailed, turn),
        }
        self.pump(turn);
    }

    fn retry_delivery(&mut self, mut delivery: Delivery, turn: &mut Turn<'_>) {
        let deadline = self.items.get(&delivery.item).map(|item| item.deadline);
        let at = RETRY_PAUSES.get(delivery.retries).map(|pause| turn.now + *pause);
        match (at, deadline) {
            (Some(at), Some(deadline)) if at < deadline && at <= delivery.since + RETRY_TOTAL => {
                delivery.retries += 1;
                let ticket = self.new_ticket();
                self.deliveries.insert(ticket, delivery);
                self.timers.set(at, Timer::Redeliver(ticket));
            }
            _ => self.delivery_failed(delivery, FailureReason::Unavailable, turn),
        }
    }

    pub(super) fn redeliver(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Some(delivery) = self.deliveries.remove(&ticket) {
            turn.count(Event::Retried);
            self.send(delivery, turn);
        }
    }

    fn delivery_failed(&mut self, delivery: Delivery, reason: FailureReason, turn: &mut Turn<'_>) {
        for slot in delivery.slots {
            self.slot_failed(delivery.item, slot, reason, turn);
        }
    }

    /// The calls for this message never came back.
    pub(super) fn lose_deliveries(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let lost: SmallVec<[Ticket; 2]> = self
            .deliveries
            .iter()
            .filter(|(_, delivery)| delivery.item == id)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in lost {
            turn.count(Event::Lost);
            if let Some(delivery) = self.deliveries.remove(&ticket) {
                self.delivery_failed(delivery, FailureReason::Timeout, turn);
            }
        }
    }

    fn slot_answered(
        &mut self,
        id: ItemId,
        slot: Slot,
        outcome: Result<(), FailureReason>,
        turn: &mut Turn<'_>,
    ) {
        let overdue = self.items.get(&id).is_none_or(|item| item.overdue);
        match outcome {
            Ok(()) => {
                self.free_lane(&slot);
                self.path_accepted(id, &slot.target.address.endpoint, turn);
            }
            Err(FailureReason::NotOwner) if !slot.relocated && !overdue => self.relocate(id, slot, turn),
            Err(reason) => self.slot_failed(id, slot, reason, turn),
        }
    }

    /// The front end does not hold this registration: look it up once more. Its lane waits.
    fn relocate(&mut self, id: ItemId, mut slot: Slot, turn: &mut Turn<'_>) {
        turn.count(Event::NotOwner);
        slot.relocated = true;
        let ticket = self.new_ticket();
        let aor = slot.target.address.aor.clone();
        let delivery = Delivery {
            item: id,
            member: slot.target.address.member.clone(),
            slots: smallvec![slot],
            retries: 0,
            since: turn.now,
        };
        self.deliveries.insert(ticket, delivery);
        turn.call(Call::Locate {
            purpose: Purpose::Deliver(ticket),
            aor,
        });
    }

    /// The registration of a target was looked up again.
    pub(super) fn target_located(&mut self, ticket: Ticket, endpoints: &Endpoints, turn: &mut Turn<'_>) {
        let Some(mut delivery) = self.deliveries.remove(&ticket) else {
            return;
        };
        let Some(mut slot) = delivery.slots.pop() else {
            return;
        };
        if self.items.get(&delivery.item).is_none_or(|item| item.overdue) {
            return self.slot_failed(delivery.item, slot, FailureReason::Timeout, turn);
        }
        match endpoints.find(&slot.target.address.endpoint) {
            Some(newest) if *newest != slot.target.address => {
                slot.target.address = newest.clone();
                self.refresh_leg(&slot);
                delivery.member = newest.member.clone();
                delivery.slots.push(slot);
                self.send(delivery, turn);
            }
            _ => self.slot_failed(delivery.item, slot, FailureReason::NotOwner, turn),
        }
    }

    fn refresh_leg(&mut self, slot: &Slot) {
        if let (Lane::Session(side), Path::Leg(id)) = (slot.lane, slot.target.path)
            && let Some(leg) = &mut self.party_mut(side).leg
            && leg.id == id
        {
            leg.address = slot.target.address.clone();
        }
    }

    fn slot_failed(&mut self, id: ItemId, slot: Slot, reason: FailureReason, turn: &mut Turn<'_>) {
        match (slot.lane, slot.target.path) {
            (Lane::Receipt, _) => self.receipt_failed(id, &slot, reason, turn),
            (Lane::Session(side), Path::Leg(leg)) => self.leg_failed(side, leg, id, &slot, reason, turn),
            (Lane::Session(_) | Lane::Page(_), _) => {
                self.free_lane(&slot);
                self.path_failed(id, Some(&slot.target.address.endpoint), reason, turn);
            }
        }
    }

    /// A message did not get through a session. If that is because the session is gone, the message takes the way it
    /// would take now, once: it keeps its place at the head of the lane.
    fn leg_failed(
        &mut self,
        side: Side,
        leg: LegId,
        id: ItemId,
        slot: &Slot,
        reason: FailureReason,
        turn: &mut Turn<'_>,
    ) {
        self.free_lane(slot);
        let held = self.party(side).leg.as_ref().is_some_and(|held| held.id == leg);
        if held && matches!(reason, FailureReason::NoSession | FailureReason::NotOwner) {
            self.drop_leg(side, turn);
        }
        let gone = match reason {
            FailureReason::NoSession | FailureReason::NotOwner => true,
            // The session ended while this was on its way: silence and trouble say nothing about the recipient.
            FailureReason::Timeout | FailureReason::Unavailable | FailureReason::EndpointFailed => !held,
            _ => false,
        };
        match self.items.get_mut(&id) {
            Some(item) if gone && !item.rerouted && !item.overdue => {
                item.rerouted = true;
                turn.count(Event::Rerouted);
                self.party_mut(side).session.push(id);
            }
            _ => self.path_failed(id, Some(&slot.target.address.endpoint), reason, turn),
        }
    }

    /// The lane a slot came from may go on.
    fn free_lane(&mut self, slot: &Slot) {
        match slot.lane {
            Lane::Session(side) => self.party_mut(side).session.in_flight = None,
            Lane::Page(side) => self.party_mut(side).pages.done(&slot.target.address.endpoint),
            Lane::Receipt => {}
        }
    }
}
