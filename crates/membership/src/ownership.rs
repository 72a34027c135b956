//! What this member owns now, for hot paths: a few atomic loads, no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use topology::{PARTITIONS, Partition, Partitioned};

/// Whether what this member owns counts at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validity {
    /// Its lease was renewed in time.
    Confirmed,
    /// Nobody can renew: owners go on, nobody takes over. The pool is degraded, and serves.
    Frozen,
    /// Others may soon treat it as dead: it must answer that it is not the owner, and write nothing.
    Fenced,
}

/// What this member has to do with a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartitionState {
    /// Nothing.
    Elsewhere,
    /// It is the owner, and its role is loading.
    Taking {
        /// Of this ownership.
        epoch: u64,
    },
    /// It is the owner and works.
    Active {
        /// Of this ownership.
        epoch: u64,
    },
    /// It is the owner and finishes what it has begun; nothing new.
    Giving {
        /// Of this ownership.
        epoch: u64,
    },
}

impl PartitionState {
    /// State in the lower two bits: an epoch has less than 2^62.
    fn pack(self) -> u64 {
        match self {
            PartitionState::Elsewhere => 0,
            PartitionState::Taking { epoch } => epoch << 2 | 1,
            PartitionState::Active { epoch } => epoch << 2 | 2,
            PartitionState::Giving { epoch } => epoch << 2 | 3,
        }
    }

    fn unpack(cell: u64) -> Self {
        let epoch = cell >> 2;
        match cell & 3 {
            1 => PartitionState::Taking { epoch },
            2 => PartitionState::Active { epoch },
            3 => PartitionState::Giving { epoch },
            _ => PartitionState::Elsewhere,
        }
    }
}

/// The shared view of what this member owns. Cheap to clone; written by the membership alone.
///
/// Validity is computed from the instants of confirmations at each call, never from a flag: a process that was stopped for
/// a minute finds itself fenced by the first call after it, before any task of it ran.
#[derive(Clone, Debug)]
pub struct Ownership(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Instants are kept as nanoseconds since this one.
    base: Instant,
    /// Until when the last renewal counts. Written after the cells that belong to it, and read before them.
    lease_until: AtomicU64,
    /// Until when the last word of all peers counts, that they cannot renew either.
    frozen_until: AtomicU64,
    /// Start of the last successful renewal; [`NEVER`] before the first.
    renewed: AtomicU64,
    /// By the index of keys and partition.
    cells: [Box<[AtomicU64]>; Partitioned::COUNT],
}

const NEVER: u64 = u64::MAX;

impl Ownership {
    /// Owns nothing, and has never renewed. `now` is the begin of its time.
    pub(crate) fn new(now: Instant) -> Self {
        let cells = |_| (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect();
        Ownership(Arc::new(Inner {
            base: now,
            lease_until: AtomicU64::new(0),
            frozen_until: AtomicU64::new(0),
            renewed: AtomicU64::new(NEVER),
            cells: Partitioned::ALL.map(cells),
        }))
    }

    /// Of a process that is the whole pool: it owns everything always, with epoch 1, and needs no store.
    pub fn sole() -> Self {
        let ownership = Ownership::new(Instant::now());
        for keys in Partitioned::ALL {
            for partition in Partition::all() {
                ownership.set(keys, partition, PartitionState::Active { epoch: 1 });
            }
        }
        ownership.0.lease_until.store(u64::MAX, Ordering::Release);
        ownership
    }

    /// The epoch under which new work for this partition may be accepted here at `now`; `None`: this member is not its
    /// owner, or not yet, or not any more, or cannot be sure. Take `now` right before the call.
    pub fn epoch(&self, keys: Partitioned, partition: Partition, now: Instant) -> Option<u64> {
        if self.validity(now) == Validity::Fenced {
            return None;
        }
        match self.state(keys, partition) {
            PartitionState::Active { epoch } => Some(epoch),
            _ => None,
        }
    }

    /// The epoch under which work that was accepted earlier may still be finished at `now`: also while the partition is
    /// being given up.
    pub fn finishing_epoch(&self, keys: Partitioned, partition: Partition, now: Instant) -> Option<u64> {
        if self.validity(now) == Validity::Fenced {
            return None;
        }
        match self.state(keys, partition) {
            PartitionState::Active { epoch } | PartitionState::Giving { epoch } => Some(epoch),
            _ => None,
        }
    }

    /// What this member has to do with a partition, whether or not that counts now.
    pub fn state(&self, keys: Partitioned, partition: Partition) -> PartitionState {
        PartitionState::unpack(self.0.cells[keys.index()][partition.index()].load(Ordering::Acquire))
    }

    /// Whether what it owns counts at `now`.
    pub fn validity(&self, now: Instant) -> Validity {
        let now = self.nanos(now);
        if now < self.0.lease_until.load(Ordering::Acquire) {
            Validity::Confirmed
        } else if now < self.0.frozen_until.load(Ordering::Acquire) {
            Validity::Frozen
        } else {
            Validity::Fenced
        }
    }

    /// Time from the start of the last successful renewal to `now`; `None` before the first. This is what a peer that asks
    /// is answered.
    pub fn renewed_ago(&self, now: Instant) -> Option<Duration> {
        match self.0.renewed.load(Ordering::Acquire) {
            NEVER => None,
            renewed => Some(Duration::from_nanos(self.nanos(now).saturating_sub(renewed))),
        }
    }

    /// The first instant at which it is fenced if nothing is confirmed any more.
    pub(crate) fn valid_until(&self) -> Instant {
        let until = self.0.lease_until.load(Ordering::Acquire);
        let until = until.max(self.0.frozen_until.load(Ordering::Acquire));
        self.0.base + Duration::from_nanos(until)
    }

    pub(crate) fn set(&self, keys: Partitioned, partition: Partition, state: PartitionState) {
        self.0.cells[keys.index()][partition.index()].store(state.pack(), Ordering::Release);
    }

    /// A renewal that started at `started` succeeded.
    pub(crate) fn renewed(&self, started: Instant) {
        // There is one writer, so that this needs no exchange.
        let (before, started) = (self.0.renewed.load(Ordering::Acquire), self.nanos(started));
        if before == NEVER || before < started {
            self.0.renewed.store(started, Ordering::Release);
        }
    }

    /// What it owns counts until then. What the store said of partitions is in the cells already.
    pub(crate) fn confirm(&self, until: Instant) {
        self.0.lease_until.fetch_max(self.nanos(until), Ordering::AcqRel);
    }

    /// All peers said that they cannot renew.
    pub(crate) fn freeze(&self, until: Instant) {
        self.0.frozen_until.fetch_max(self.nanos(until), Ordering::AcqRel);
    }

    /// Nothing counts any more.
    pub(crate) fn revoke(&self) {
        self.0.lease_until.store(0, Ordering::Release);
        self.0.frozen_until.store(0, Ordering::Release);
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0.base);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Partitioned = Partitioned::Conversations;

    #[test]
    fn a_state_survives_packing() {
        let epoch = (1 << 53) - 1;
        for state in [
            PartitionState::Elsewhere,
            PartitionState::Taking { epoch },
            PartitionState::Active { epoch },
            PartitionState::Giving { epoch },
        ] {
            assert_eq!(PartitionState::unpack(state.pack()), state);
        }
    }

    #[test]
    fn an_epoch_counts_only_while_it_is_confirmed_and_only_if_active() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let partition = Partition::of_conversation("a", "b");
        let ownership = Ownership::new(start);
        ownership.set(KEYS, partition, PartitionState::Active { epoch: 7 });
        assert_eq!(
            ownership.epoch(KEYS, partition, start),
            None,
            "nothing confirmed yet"
        );
        assert_eq!(ownership.renewed_ago(start), None);

        ownership.renewed(after(1));
        ownership.confirm(after(11));
        assert_eq!(ownership.epoch(KEYS, partition, after(10)), Some(7));
        assert_eq!(ownership.epoch(KEYS, partition, after(11)), None);
        assert_eq!(ownership.epoch(Partitioned::Users, partition, after(10)), None);
        assert_eq!(ownership.renewed_ago(after(3)), Some(Duration::from_secs(2)));

        ownership.freeze(after(20));
        assert_eq!(ownership.validity(after(10)), Validity::Confirmed);
        assert_eq!(ownership.validity(after(19)), Validity::Frozen);
        assert_eq!(ownership.validity(after(20)), Validity::Fenced);

        ownership.set(KEYS, partition, PartitionState::Giving { epoch: 7 });
        assert_eq!(ownership.epoch(KEYS, partition, after(2)), None);
        assert_eq!(ownership.finishing_epoch(KEYS, partition, after(2)), Some(7));
        ownership.revoke();
        assert_eq!(ownership.finishing_epoch(KEYS, partition, after(2)), None);
    }

    #[test]
    fn a_process_that_is_the_whole_pool_owns_everything() {
        let ownership = Ownership::sole();
        let later = Instant::now() + Duration::from_secs(86_400 * 365);
        for keys in Partitioned::ALL {
            assert!(Partition::all().all(|one| ownership.epoch(keys, one, later) == Some(1)));
        }
    }
}
