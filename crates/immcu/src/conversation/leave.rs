//! The end of a session: both legs end, but what is on its way through them is decided first.

use rpc::LegId;

use super::{Conversation, Side};
use crate::effect::{Tell, Turn};
use crate::timers::Timer;

impl Conversation {
    /// A leg ended: its endpoint hung up, or its connection died.
    pub(crate) fn leave(&mut self, leg: LegId, turn: &mut Turn<'_>) {
        self.candidate_left(leg);
        for side in Side::BOTH {
            if self.party(side).leg.as_ref().is_some_and(|held| held.id == leg) {
                // What is in flight in it comes back as failed and then takes another way.
                self.drop_leg(side, turn);
            }
        }
        self.cancel(leg, turn);
    }

    /// Ends a leg whose session is over as soon as nothing is on its way through it: messages for it are delivered
    /// first, and senders in it get their answers first.
    pub(super) fn end_closing_leg(&mut self, side: Side, turn: &mut Turn<'_>) {
        let party = self.party(side);
        let Some(leg) = &party.leg else { return };
        if !leg.closing || !party.session.is_idle() {
            return;
        }
        let id = leg.id;
        let asks = self
            .items
            .values()
            .any(|item| item.leg == Some(id) && !item.waiters.is_empty());
        if asks {
            return;
        }
        if let Some(leg) = self.party_mut(side).leg.take() {
            turn.tell(leg.address.member, Tell::EndLeg(id));
            turn.forget(id);
        }
    }

    /// A leg that was made for a page-mode sender ends when nothing was said for long. Legs of a session between two
    /// endpoints are theirs to end.
    pub(super) fn check_idle_leg(&mut self, side: Side, id: LegId, turn: &mut Turn<'_>) {
        let other_has_leg = self.party(side.other()).leg.is_some();
        let idle = self.limits.leg_idle;
        let Some(leg) = &mut self.party_mut(side).leg else {
            return;
        };
        if leg.id != id || !leg.rung {
            return;
        }
        let due = leg.last_used + idle;
        if !other_has_leg && due <= turn.now {
            leg.closing = true;
        } else {
            let next = due.max(turn.now + idle / 2);
            self.timers.set(next, Timer::Idle(side, id));
        }
    }
}
