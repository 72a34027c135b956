//! Taking over a session that stood before this owner: a front end says which legs it holds.

use rpc::{HeldLeg, Opened};

use super::{Conversation, Leg, Side};
use crate::effect::{Effect, Turn};
use crate::timers::Timer;

impl Conversation {
    /// A front end holds this leg. If it is known, nothing changes; if its side has another one, that one is newer, made by
    /// this owner, and the held one ends.
    pub(crate) fn hold(&mut self, held: HeldLeg, turn: &mut Turn<'_>) {
        let known = |side: &Side| {
            self.party(*side)
                .leg
                .as_ref()
                .is_some_and(|leg| leg.id == held.leg)
        };
        if Side::BOTH.iter().any(known) {
            return;
        }
        let side = self.side_of_held(&held);
        if self.party(side).leg.is_some() {
            turn.tell(held.address.member, crate::effect::Tell::EndLeg(held.leg));
            return;
        }
        turn.out.push(Effect::Bind(held.leg));
        let rung = held.rung;
        let leg = Leg {
            id: held.leg,
            address: held.address,
            rung,
            // Whoever opened it has its answer: what a repeated open is told says nothing new.
            opened: Opened {
                first_text_taken: false,
            },
            closing: false,
            last_used: turn.now,
        };
        let id = leg.id;
        self.establish(side, leg, turn);
        if rung {
            self.timers
                .set(turn.now + self.limits.leg_idle, Timer::Idle(side, id));
        }
        self.pump(turn);
    }

    /// In a conversation with oneself the leg that was rung is that of the high side, as if it had been rung here.
    fn side_of_held(&self, held: &HeldLeg) -> Side {
        if !self.is_self() {
            return self.side_of(&held.address.aor, &held.address.endpoint, None);
        }
        if held.rung { Side::High } else { Side::Low }
    }
}
