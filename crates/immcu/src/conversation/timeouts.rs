//! What time does to a conversation, and what a repeated lookup is for.
//!
//! A message has three times in a row: at its *deadline* what was not sent is withdrawn; when the sender's *patience*
//! ends it is told that nobody answered in time; a while later calls that never came back count as *lost*.

use rpc::FailureReason;

use super::item::Stage;
use super::{Conversation, ItemId, Side};
use crate::effect::{Effect, Purpose, Turn};
use crate::endpoints::Endpoints;
use crate::limits::LOST_AFTER;
use crate::rank::{more_telling, told};
use crate::timers::Timer;

impl Conversation {
    /// Time has come for what [`Conversation::next_timeout`] announced. Calling it early or late is harmless.
    pub(crate) fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        while let Some(timer) = self.timers.pop_due(turn.now) {
            self.fire(timer, turn);
        }
        self.memory.trim(turn.now, self.limits.memory, turn.window);
        self.pump(turn);
    }

    fn fire(&mut self, timer: Timer, turn: &mut Turn<'_>) {
        match timer {
            Timer::Deadline(id) => self.message_overdue(id, turn),
            Timer::Patience(id) => self.patience_over(id, turn),
            Timer::Lost(id) => self.lose_deliveries(id, turn),
            Timer::Open(leg) => self.open_overdue(leg, turn),
            Timer::Redeliver(ticket) => self.redeliver(ticket, turn),
            Timer::Rering(side, leg) => self.ring_again(side, leg, turn),
            Timer::Idle(side, leg) => self.check_idle_leg(side, leg, turn),
            Timer::Signal(side) => self.signal_due(side, turn),
        }
    }

    fn message_overdue(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        item.overdue = true;
        let (to, stage, until) = (item.to, item.stage, item.until);
        if stage != Stage::Flowing {
            self.refuse(id, FailureReason::Timeout, turn);
            return self.advance(turn);
        }
        self.timers.set(until, Timer::Patience(id));
        self.timers.set(until + LOST_AFTER, Timer::Lost(id));
        for _ in 0..self.lanes.withdraw(id) {
            self.path_failed(id, None, FailureReason::Timeout, turn);
        }
        // An invitation that carries the message and that others wait for is not taken back: it is in flight.
        let carried = self
            .party(to)
            .ringing
            .as_ref()
            .is_some_and(|ringing| ringing.carries(id));
        let stays = carried && self.ringing_is_wanted(to);
        if !stays && self.party_mut(to).session.withdraw(id) {
            let reason = self.silence(to);
            self.path_failed(id, None, reason, turn);
        }
    }

    /// What somebody is told whose time is over: nobody answered, unless an endpoint that rang said something better.
    pub(super) fn silence(&self, side: Side) -> FailureReason {
        let worst = self
            .party(side)
            .ringing
            .as_ref()
            .and_then(|ringing| ringing.worst());
        more_telling(worst, FailureReason::Timeout)
    }

    fn patience_over(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        let reason = told(Some(more_telling(item.worst, FailureReason::Timeout)));
        let mut index = 0;
        while let Some(waiter) = item.waiters.get(index) {
            if waiter.until > turn.now {
                index += 1;
                continue;
            }
            let waiter = item.waiters.remove(index);
            turn.out.push(Effect::Answer(waiter.reply, Err(reason)));
        }
    }

    /// Somebody was looked up again.
    pub(crate) fn located(&mut self, purpose: Purpose, endpoints: &Endpoints, turn: &mut Turn<'_>) {
        match purpose {
            Purpose::Deliver(ticket) => self.target_located(ticket, endpoints, turn),
            Purpose::Ring(side, leg) => self.candidate_located(side, leg, endpoints, turn),
            Purpose::Signal(side, signal) => self.signal_located(side, *signal, endpoints, turn),
        }
        self.pump(turn);
    }

    /// Drops timers of what is over, now and then.
    pub(super) fn sweep_timers(&mut self) {
        let alive = self.items.len() + self.opens.len() + self.deliveries.len();
        let (items, deliveries) = (&self.items, &self.deliveries);
        self.timers.sweep(alive, |timer| match timer {
            Timer::Deadline(id) | Timer::Patience(id) | Timer::Lost(id) => items.contains_key(&id),
            Timer::Redeliver(ticket) => deliveries.contains_key(&ticket),
            Timer::Open(_) | Timer::Rering(..) | Timer::Idle(..) | Timer::Signal(_) => true,
        });
    }
}
