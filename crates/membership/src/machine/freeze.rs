//! Whether to go on when the lease cannot be renewed.

use std::time::Instant;

use store::{Incarnation, Lease};
use topology::MemberId;

use super::{Effect, Machine};
use crate::role::PeerAnswer;

/// More than die in a minute.
const MOST_VANISHED: usize = 64;

/// What is known about the time without renewals.
pub(super) struct Freeze {
    /// Start of the last renewal that failed.
    failed: Option<Instant>,
    /// When to ask next.
    ask_at: Instant,
    asking: Option<Asking>,
}

struct Asking {
    started: Instant,
    peers: Vec<(MemberId, Incarnation)>,
    /// Whether this is everybody.
    all: bool,
}

impl Freeze {
    pub(super) fn new(now: Instant) -> Self {
        Freeze {
            failed: None,
            ask_at: now,
            asking: None,
        }
    }
}

impl Machine {
    /// Everybody who may be able to renew, and so to take over: who lives, and who vanished lately.
    fn peers(&self) -> impl Iterator<Item = &Lease> {
        let members = self.view.iter().flat_map(|view| &view.members);
        let others = members.filter(|lease| lease.member != self.lease.member);
        others.chain(self.vanished.iter().map(|(lease, _)| lease))
    }

    /// A renewal told who lives; `before` lived until then.
    pub(super) fn note_vanished(&mut self, before: &[Lease], members: &[Lease], now: Instant) {
        let lives = |lease: &Lease| members.iter().any(|other| other.member == lease.member);
        let remember = self.timing.remember;
        self.vanished
            .retain(|(lease, at)| !lives(lease) && now.saturating_duration_since(*at) < remember);
        // Who was draining has left, and said so by giving back its lease.
        let vanished = before.iter().filter(|lease| !lease.draining && !lives(lease));
        self.vanished.extend(vanished.map(|lease| (lease.clone(), now)));
        let excess = self.vanished.len().saturating_sub(MOST_VANISHED);
        self.vanished.drain(..excess);
    }

    /// A member is certainly dead, and its lease ended.
    pub(super) fn evicted(&mut self, member: &MemberId, now: Instant) {
        if let Some(view) = &mut self.view {
            view.members.retain(|lease| lease.member != *member);
            self.routes_dirty = true;
        }
        // Its partitions are free; the next view differs in nothing from this one, and is to be looked at all the same.
        self.look_again = true;
        self.renew_at = now;
    }

    /// When peers are to be asked how they are: from the time on at which they would say of themselves that they cannot
    /// renew.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        let confirmed = self.confirmed?;
        if self.freeze.asking.is_some() {
            return None;
        }
        if !self.suspects.is_empty() {
            return Some(self.freeze.ask_at);
        }
        let from = confirmed + self.timing.gap;
        self.peers().next().map(|_| from.max(self.freeze.ask_at))
    }

    pub(super) fn ask_peers(&mut self, now: Instant) {
        if self.next_ask().is_none_or(|at| now < at) {
            return;
        }
        let late = self
            .confirmed
            .is_some_and(|confirmed| now >= confirmed + self.timing.gap);
        let asked: Vec<Lease> = if late {
            self.peers().cloned().collect()
        } else {
            let suspects = self.suspects.iter();
            suspects.filter_map(|one| self.live_peer(one)).cloned().collect()
        };
        if asked.is_empty() {
            self.suspects.clear();
            return;
        }
        self.freeze.ask_at = now + self.timing.ask_timeout;
        self.freeze.asking = Some(Asking {
            started: now,
            peers: asked
                .iter()
                .map(|lease| (lease.member.clone(), lease.incarnation))
                .collect(),
            all: late,
        });
        self.effects.push_back(Effect::Ask(asked));
    }

    /// Peers answered, in the order they were asked; a missing answer is silence.
    pub fn heard(&mut self, answers: &[PeerAnswer], now: Instant) {
        let Some(asking) = self.freeze.asking.take() else {
            debug_assert!(false, "answers without a question");
            return;
        };
        let answer = |index: usize| answers.get(index).copied().unwrap_or(PeerAnswer::Silent);
        for (index, peer) in asking.peers.iter().enumerate() {
            let suspected = self.suspects.iter().position(|one| one == peer);
            let Some(suspected) = suspected else { continue };
            let suspect = self.suspects.swap_remove(suspected);
            if answer(index) == PeerAnswer::Refused {
                self.evictions.push(suspect);
            }
        }
        let gap = self.timing.gap;
        let cannot_renew = |index: usize| match answer(index) {
            PeerAnswer::Alive { renewed_ago } => renewed_ago.is_none_or(|ago| ago > gap),
            PeerAnswer::Refused => true,
            // It may well renew, and only this member not hear of it.
            PeerAnswer::Silent => false,
        };
        if asking.all
            && (0..asking.peers.len()).all(cannot_renew)
            && let Some(failed) = self.freeze.failed
        {
            self.go_on(failed.min(asking.started), now);
        }
        self.advance(now);
    }

    pub(super) fn renewal_failed(&mut self, started: Instant, now: Instant) {
        self.freeze.failed = Some(started);
        if self.peers().next().is_none() {
            // Nobody is known who could take over.
            self.go_on(started, now);
        }
    }

    /// At `since`, nobody could renew. That prolongs what counts still; what has ended is not revived, for in between
    /// somebody may have renewed and taken over.
    fn go_on(&mut self, since: Instant, now: Instant) {
        if now < self.ownership.valid_until() {
            self.ownership.freeze(since + self.timing.frozen_for);
        }
    }
}
