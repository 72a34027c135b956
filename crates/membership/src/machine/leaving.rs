//! How a member leaves: first what it owns, then the lease.

use std::time::Instant;

use topology::Partitioned;

use super::{Effect, Machine, Phase, Slots};

/// How far a member has left.
///
/// ```text
///   Serving --drain--> HandingOver --nothing left that another could take,--> Finishing --roles are done,--> Leaving --> Gone
///    ^ \                ^            or the deadline                                    or the deadline
///    |  hand over -> Emptying --drain
///    '---- take back ---'
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It takes part.
    Serving,
    /// Its lease says that it leaves; what it owns goes to others, as far as there are others. It stays a member, and serves
    /// what it has, until it is told to leave, or to take part again: clients are still connected here.
    Emptying,
    /// Its lease says that it leaves; what it owns goes to others.
    HandingOver {
        /// After this, what is left is given up without a receiver.
        deadline: Instant,
    },
    /// Roles finish what could not be handed over.
    Finishing {
        /// After this it leaves whatever they do.
        deadline: Instant,
    },
    /// Nothing counts any more; the lease is given back.
    Leaving {
        /// After this it runs out by itself.
        deadline: Instant,
    },
    /// Over.
    Gone,
    /// Over: a later life of the same member holds the lease.
    Superseded,
}

impl Stage {
    /// Whether there is nothing more to do.
    pub fn is_over(self) -> bool {
        matches!(self, Stage::Gone | Stage::Superseded)
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Stage::HandingOver { deadline } | Stage::Finishing { deadline } | Stage::Leaving { deadline } => {
                Some(deadline)
            }
            Stage::Serving | Stage::Emptying | Stage::Gone | Stage::Superseded => None,
        }
    }
}

impl Machine {
    /// Begins to hand over what it owns, and takes nothing new; it stays a member. Does nothing to one that leaves.
    pub fn hand_over(&mut self, now: Instant) {
        if self.stage == Stage::Serving {
            self.stage = Stage::Emptying;
            self.lease.draining = true;
            self.renew_at = now;
        }
        self.advance(now);
    }

    /// Takes part again after [`Machine::hand_over`], and gets its share back from the others. Does nothing to one that leaves.
    pub fn take_back(&mut self, now: Instant) {
        if self.stage == Stage::Emptying {
            self.stage = Stage::Serving;
            self.lease.draining = false;
            self.renew_at = now;
        }
        self.advance(now);
    }

    /// Begins to leave. What it owns is handed over until `deadline`; a second call can only bring that nearer.
    pub fn drain(&mut self, deadline: Instant, now: Instant) {
        match &mut self.stage {
            Stage::Serving | Stage::Emptying => {
                self.stage = Stage::HandingOver { deadline };
                self.lease.draining = true;
                self.renew_at = now;
            }
            Stage::HandingOver { deadline: before }
            | Stage::Finishing { deadline: before }
            | Stage::Leaving { deadline: before } => *before = deadline.min(*before),
            Stage::Gone | Stage::Superseded => {}
        }
        self.advance(now);
    }

    /// Moves on to the next stage where it is time.
    pub(super) fn advance_leaving(&mut self, now: Instant) {
        if let Stage::HandingOver { deadline } = self.stage
            && (now >= deadline || self.has_handed_over())
        {
            let deadline = deadline.min(now) + self.timing.give_timeout;
            self.stage = Stage::Finishing { deadline };
        }
        if let Stage::Finishing { .. } = self.stage {
            self.give_all();
        }
        if let Stage::Finishing { deadline } = self.stage
            && (now >= deadline || !self.is_working())
        {
            // Before the store hears of it: others may claim at once when it has.
            self.ownership.revoke();
            let deadline = now + self.timing.call_timeout * 2;
            self.stage = Stage::Leaving { deadline };
        }
        if let Stage::Leaving { deadline } = self.stage
            && now >= deadline
        {
            self.left();
        }
    }

    /// What is loaded, also what was loaded only now, is finished and written out.
    fn give_all(&mut self) {
        for keys in Partitioned::ALL {
            for (partition, _) in self.slots[keys.index()].held() {
                if let Phase::Active(epoch) = self.slots[keys.index()].get(partition) {
                    self.give(keys, partition, epoch);
                }
            }
        }
    }

    /// Of a member that hands over: whether everything it holds would be placed here again, or nothing is left. Only what was
    /// renewed as draining counts: before, others do not know.
    pub fn has_handed_over(&self) -> bool {
        let Some(view) = &self.view else { return true };
        let own = view
            .members
            .iter()
            .find(|lease| lease.member == self.lease.member);
        if own.is_none_or(|lease| !lease.draining) || self.dirty {
            return false;
        }
        Partitioned::ALL.into_iter().all(|keys| {
            if self.slots[keys.index()].on_the_way() > 0 {
                return false;
            }
            let mut held = self.slots[keys.index()].held().into_iter();
            held.all(|(partition, _)| self.placed[keys.index()].is_here(partition))
        })
    }

    /// Whether a role still has something to finish.
    fn is_working(&self) -> bool {
        self.slots.iter().any(Slots::is_working)
    }

    pub(super) fn leave_failed(&mut self, now: Instant) {
        if self.stage.deadline().is_some_and(|deadline| now >= deadline) {
            self.left();
        }
    }

    pub(super) fn left(&mut self) {
        self.stage = Stage::Gone;
        self.effects.push_back(Effect::Gone);
    }
}
