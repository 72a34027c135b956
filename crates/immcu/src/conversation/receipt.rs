//! Receipts go past every queue: a client may send one before it has answered the message it is about, and that message
//! is then still in flight.

use rpc::{EndpointId, FailureReason, ImMode, Path, Target};
use smallvec::smallvec;

use super::deliver::{Lane, Slot};
use super::item::Stage;
use super::{Conversation, ItemId};
use crate::effect::Turn;

impl Conversation {
    /// Sends a receipt to the one endpoint it belongs to.
    pub(super) fn send_receipt(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        item.stage = Stage::Flowing;
        item.undecided = 1;
        let Some(receiver) = item.receiver.clone() else {
            return;
        };
        match self.receipt_target(id, &receiver, true) {
            Some(target) => self.start_receipt(id, target, turn),
            None => self.path_failed(id, None, FailureReason::Unavailable, turn),
        }
    }

    /// In the endpoint's session if it has one, else outside. An endpoint that only takes sessions gets nothing without
    /// one: a receipt never rings.
    fn receipt_target(&self, id: ItemId, receiver: &EndpointId, in_session: bool) -> Option<Target> {
        let item = self.items.get(&id)?;
        let bound = item.endpoints.find(receiver);
        let leg = self.party(item.to).leg.as_ref();
        if let Some(leg) = leg.filter(|leg| in_session && leg.address.endpoint == *receiver) {
            return Some(Target {
                address: bound.unwrap_or(&leg.address).clone(),
                path: Path::Leg(leg.id),
            });
        }
        if item.endpoints.mode(receiver)? != ImMode::Page {
            return None;
        }
        Some(Target {
            address: bound?.clone(),
            path: Path::Page,
        })
    }

    fn start_receipt(&mut self, id: ItemId, target: Target, turn: &mut Turn<'_>) {
        let member = target.address.member.clone();
        let slot = Slot {
            target,
            lane: Lane::Receipt,
            relocated: false,
        };
        self.start_delivery(id, member, smallvec![slot], turn);
    }

    /// A receipt was not accepted. If the session it went into is gone it is tried once outside.
    pub(super) fn receipt_failed(
        &mut self,
        id: ItemId,
        slot: &Slot,
        reason: FailureReason,
        turn: &mut Turn<'_>,
    ) {
        let endpoint = &slot.target.address.endpoint;
        let in_session = matches!(slot.target.path, Path::Leg(_));
        if in_session
            && matches!(reason, FailureReason::NoSession | FailureReason::NotOwner)
            && let Some(target) = self.receipt_target(id, endpoint, false)
        {
            return self.start_receipt(id, target, turn);
        }
        self.path_failed(id, Some(endpoint), reason, turn);
    }
}
