//! The way out: what is next for an endpoint leaves now, if nothing is in flight to it.

use rpc::{EndpointId, FailureReason, Path, Target};
use smallvec::{SmallVec, smallvec};

use super::deliver::{Lane, Slot, Slots};
use super::{Conversation, ItemId, Side};
use crate::effect::Turn;

/// A message that leaves its queue now.
struct Start {
    item: ItemId,
    slot: Slot,
}

impl Start {
    fn new(item: ItemId, lane: Lane, target: Target) -> Self {
        let relocated = false;
        Start {
            item,
            slot: Slot {
                target,
                lane,
                relocated,
            },
        }
    }
}

type Starts = SmallVec<[Start; 4]>;

impl Conversation {
    /// Starts everything that can start. Called at the end of every input.
    pub(super) fn pump(&mut self, turn: &mut Turn<'_>) {
        let mut starts = Starts::new();
        for side in Side::BOTH {
            self.tend_ringing(side, turn);
            self.pump_session(side, &mut starts, turn);
        }
        self.pump_copies(&mut starts, turn);
        self.start_all(starts, turn);
        for side in Side::BOTH {
            self.end_closing_leg(side, turn);
        }
    }

    /// The head of the session lane goes into the leg; without a leg it rings.
    fn pump_session(&mut self, side: Side, starts: &mut Starts, turn: &mut Turn<'_>) {
        let owner = self.owner(side);
        while !self.party(side).session.in_flight && self.party(side).ringing.is_none() {
            let Some(id) = self.party(side).session.queue.front().copied() else {
                return;
            };
            self.copy_to_skipped(side, id);
            let Some(endpoint) = self
                .party(side)
                .leg
                .as_ref()
                .map(|leg| leg.address.endpoint.clone())
            else {
                if !self.ring_for(side, id, turn) {
                    self.leave_session_lane(side, id, turn);
                }
                continue;
            };
            if self.lanes.must_wait(owner, &endpoint, id) {
                return;
            }
            if self.is_pointless(id, &endpoint) || !self.lanes.lane(owner, &endpoint).begin(id) {
                self.leave_session_lane(side, id, turn);
            } else {
                starts.extend(self.start_in_leg(side, id, turn));
                return;
            }
        }
    }

    /// Whether the endpoint that has the session gets a copy of this message anyway, has said it itself, or is not the
    /// one it was sent to.
    fn is_pointless(&self, id: ItemId, endpoint: &EndpointId) -> bool {
        let Some(item) = self.items.get(&id) else {
            return true;
        };
        item.is_copied_to(endpoint)
            || !item.is_for(endpoint)
            || self.except(&item.message.from_endpoint) == Some(endpoint)
    }

    /// The page-mode endpoint that got no copy because it held the session gets one if it does not hold it any more.
    fn copy_to_skipped(&mut self, side: Side, id: ItemId) {
        let owner = self.owner(side);
        let holder = self.parties[side.index()]
            .leg
            .as_ref()
            .map(|leg| &leg.address.endpoint);
        if let Some(item) = self.items.get_mut(&id)
            && item.skipped.as_ref() != holder
            && let Some(endpoint) = item.skipped.take()
        {
            item.undecided += 1;
            self.lanes.push(owner, &endpoint, id);
        }
    }

    /// The way through a session is closed for this message: nobody is there to ring, the endpoint that has the session
    /// needs it not, or has been given a later one. A message is never delivered out of order; its sender is told instead.
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
        party.session.in_flight = true;
        let target = Target {
            address: leg.address.clone(),
            path: Path::Leg(leg.id),
        };
        Some(Start::new(id, Lane::Session(side), target))
    }

    fn pump_copies(&mut self, starts: &mut Starts, turn: &mut Turn<'_>) {
        let mut too_late: SmallVec<[ItemId; 2]> = SmallVec::new();
        for lane in self.lanes.iter_mut() {
            // An endpoint that may still take an earlier text from its invitation gets later ones afterwards.
            let ringing = self.parties[lane.owner.index()].ringing.as_ref();
            if ringing.is_some_and(|ringing| ringing.offers_message_to(&lane.endpoint)) {
                continue;
            }
            while let Some(id) = lane.next_copy() {
                let item = self.items.get(&id);
                let Some(address) = item.and_then(|item| item.endpoints.find(&lane.endpoint)) else {
                    debug_assert!(
                        false,
                        "a lane holds only undecided messages that know its endpoint"
                    );
                    continue;
                };
                if !lane.begin(id) {
                    too_late.push(id);
                    continue;
                }
                let target = Target {
                    address: address.clone(),
                    path: Path::Page,
                };
                starts.push(Start::new(id, Lane::Page(lane.owner), target));
                break;
            }
        }
        for id in too_late {
            self.path_failed(id, None, FailureReason::Unavailable, turn);
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
}
