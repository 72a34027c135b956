//! Calls to front ends that deliver, and what becomes of their answers.

use std::time::Instant;

use rpc::{Deliver, FailureReason, LegId, Path, Target, TargetOutcome};
use smallvec::{SmallVec, smallvec};
use topology::MemberId;

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
    /// The copies for a page-mode endpoint of this owner.
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
    /// In the order of the call's targets; one whose outcome is known is taken out.
    slots: SmallVec<[Option<Slot>; 2]>,
    /// How often the front end could not be reached.
    retries: usize,
    since: Instant,
}

#[cfg(test)]
impl Delivery {
    /// The endpoint of a target that is not decided yet.
    pub(super) fn waits_for(&self, target: usize) -> Option<rpc::EndpointId> {
        let slot = self.slots.get(target)?.as_ref()?;
        Some(slot.target.address.endpoint.clone())
    }
}

impl Conversation {
    pub(super) fn start_delivery(&mut self, id: ItemId, member: MemberId, slots: Slots, turn: &mut Turn<'_>) {
        if let Some(item) = self.items.get_mut(&id) {
            item.reached = true;
        }
        let delivery = Delivery {
            item: id,
            member,
            slots: slots.into_iter().map(Some).collect(),
            retries: 0,
            since: turn.now,
        };
        self.send(delivery, turn);
    }

    /// Calls the front end, under a new ticket.
    fn send(&mut self, mut delivery: Delivery, turn: &mut Turn<'_>) {
        delivery.slots.retain(|slot| slot.is_some());
        let ticket = self.new_ticket();
        if let Some(item) = self.items.get(&delivery.item) {
            turn.call(Call::Deliver {
                ticket,
                member: delivery.member.clone(),
                deliver: Deliver {
                    message: item.message.clone(),
                    targets: delivery
                        .slots
                        .iter()
                        .flatten()
                        .map(|slot| slot.target.clone())
                        .collect(),
                    patience: item.deadline.saturating_duration_since(turn.now),
                    progress: None,
                },
            });
        }
        self.deliveries.insert(ticket, delivery);
    }

    /// What a front end said about one target before it knew about all of them.
    pub(crate) fn target_delivered(
        &mut self,
        ticket: Ticket,
        (target, outcome): TargetOutcome,
        turn: &mut Turn<'_>,
    ) {
        let Some(delivery) = self.deliveries.get_mut(&ticket) else {
            return;
        };
        let item = delivery.item;
        let slot = delivery.slots.get_mut(target).and_then(Option::take);
        if delivery.slots.iter().all(Option::is_none) {
            self.deliveries.remove(&ticket);
        }
        if let Some(slot) = slot {
            self.slot_answered(item, slot, outcome, turn);
        }
        self.pump(turn);
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
                    if let Some(slot) = slot {
                        self.slot_answered(delivery.item, slot, outcome, turn);
                    }
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
        for slot in delivery.slots.into_iter().flatten() {
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
            slots: smallvec![Some(slot)],
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
        let Some(mut slot) = delivery.slots.pop().flatten() else {
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
                delivery.slots.push(Some(slot));
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
        let side = match slot.lane {
            Lane::Session(side) => {
                self.party_mut(side).session.in_flight = false;
                side
            }
            Lane::Page(side) => side,
            Lane::Receipt => return,
        };
        let owner = self.owner(side);
        self.lanes.done(owner, &slot.target.address.endpoint);
    }
}
