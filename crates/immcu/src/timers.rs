//! What a conversation wants to be woken for.
//!
//! A heap with lazy deletion: whoever set a timer does not take it back, it looks at the state when it fires. Old entries
//! are swept when they outnumber what is alive, so that a busy conversation does not collect one per message.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

use rpc::LegId;

use crate::conversation::{ItemId, Side, Ticket};

/// Why a conversation wakes up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// What has not been sent of this message by now is not sent any more.
    Deadline(ItemId),
    /// A sender of this message stops waiting.
    Patience(ItemId),
    /// Calls for this message that have not come back by now never will.
    Lost(ItemId),
    /// The caller of this leg stops waiting.
    Open(LegId),
    /// A delivery that met an unreachable front end is tried again.
    Redeliver(Ticket),
    /// An invitation that met an unreachable front end is tried again.
    Rering(Side, LegId),
    /// A leg made for a page-mode sender may have been idle for too long.
    Idle(Side, LegId),
    /// The next typing indication may be sent to this side.
    Signal(Side),
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    /// Timers of one instant fire in the order in which they were set.
    order: u64,
    timer: Timer,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The heap keeps the largest on top: the earliest is the largest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The timers of one conversation.
#[derive(Default, Debug)]
pub(crate) struct Timers {
    heap: BinaryHeap<Entry>,
    order: u64,
}

impl Timers {
    /// Below this many entries nothing is swept.
    const SWEEP_FROM: usize = 64;

    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.order += 1;
        let order = self.order;
        self.heap.push(Entry { at, order, timer });
    }

    /// When the earliest fires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// The earliest that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.timer)
    }

    /// Drops timers that no longer mean anything, if they have become many beside `alive` things that may have one.
    pub(crate) fn sweep(&mut self, alive: usize, means_something: impl Fn(Timer) -> bool) {
        if self.heap.len() > Self::SWEEP_FROM && self.heap.len() / 4 > alive {
            self.heap.retain(|entry| means_something(entry.timer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_fire_by_time_then_in_the_order_they_were_set() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.set(start + Duration::from_secs(2), Timer::Deadline(ItemId(1)));
        timers.set(start + Duration::from_secs(1), Timer::Deadline(ItemId(2)));
        timers.set(start + Duration::from_secs(1), Timer::Deadline(ItemId(3)));
        assert_eq!(timers.pop_due(start), None);
        let later = start + Duration::from_secs(5);
        assert_eq!(timers.pop_due(later), Some(Timer::Deadline(ItemId(2))));
        assert_eq!(timers.pop_due(later), Some(Timer::Deadline(ItemId(3))));
        assert_eq!(timers.pop_due(later), Some(Timer::Deadline(ItemId(1))));
        assert_eq!(timers.pop_due(later), None);
    }

    #[test]
    fn dead_timers_are_swept_when_they_outnumber_the_living() {
        let start = Instant::now();
        let mut timers = Timers::default();
        for item in 0..1_000 {
            timers.set(start, Timer::Deadline(ItemId(item)));
            timers.sweep(1, |timer| timer == Timer::Deadline(ItemId(item)));
        }
        assert!(timers.heap.len() <= Timers::SWEEP_FROM + 1);
    }
}
