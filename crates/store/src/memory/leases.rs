//! Leases and owners in memory: what a seed keeps for a pool without Redis, the shared store of tests, and the model that
//! other backends are held against.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use topology::{MemberId, Partition, Partitioned};

use crate::{
    Incarnation, LEASE_TTL_MS, Lease, LeaseStore, Owner, OwnerTable, PoolView, StoreError, TableVersions,
};

/// Bits of an epoch below the seconds: a partition changes its owner less than a million times in a second, and an epoch
/// stays below 2^53, so that every script language can hold it.
const EPOCH_COUNTER_BITS: u32 = 20;

/// Tells the time, in milliseconds since 1970.
type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

struct Held {
    lease: Lease,
    until_ms: u64,
}

struct State {
    history: u64,
    /// Only live ones matter; those that ran out are dropped with the next renewal of anybody.
    leases: BTreeMap<MemberId, Held>,
    tables: [OwnerTable; Partitioned::COUNT],
}

impl State {
    fn new(history: u64) -> Self {
        State {
            history,
            leases: BTreeMap::new(),
            tables: Partitioned::ALL.map(|_| OwnerTable::empty()),
        }
    }

    fn is_live(&self, member: &MemberId, incarnation: Incarnation, now_ms: u64) -> bool {
        self.leases
            .get(member)
            .is_some_and(|held| held.lease.incarnation == incarnation && held.until_ms > now_ms)
    }

    /// A life that was superseded must learn it from whatever it asks.
    fn refuse_superseded(
        &self,
        member: &MemberId,
        incarnation: Incarnation,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        match self.leases.get(member) {
            Some(held) if held.until_ms > now_ms && held.lease.incarnation > incarnation => Err(
                StoreError::Conflict(format!("a later life of {member} holds the lease")),
            ),
            _ => Ok(()),
        }
    }

    /// Gives a partition to a member, with an epoch larger than any it had.
    fn hand(
        &mut self,
        keys: Partitioned,
        partition: Partition,
        to: (&MemberId, Incarnation),
        now_ms: u64,
    ) -> u64 {
        let table = &mut self.tables[keys.index()];
        let by_clock = (now_ms / 1_000) << EPOCH_COUNTER_BITS;
        let before = table.owner(partition).map_or(0, |owner| owner.epoch);
        let epoch = by_clock.max(before + 1);
        let owner = Owner {
            member: to.0.clone(),
            incarnation: to.1,
            epoch,
        };
        table.set(partition, Some(owner));
        epoch
    }
}

fn names(owner: &Owner, holder: (&MemberId, Incarnation)) -> bool {
    owner.member == *holder.0 && owner.incarnation == holder.1
}

/// The leases and tables of a pool, for as long as this value lives. It has no clock of its own.
pub struct MemoryLeases {
    clock: Clock,
    ttl_ms: u64,
    state: Mutex<State>,
    changed: Notify,
}

impl MemoryLeases {
    /// Empty, with leases of [`LEASE_TTL_MS`]. `clock` tells milliseconds since 1970 and does not go back.
    pub fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        MemoryLeases::with_ttl(LEASE_TTL_MS, clock)
    }

    /// The same with leases that last `ttl_ms` milliseconds.
    pub fn with_ttl(ttl_ms: u64, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let history = clock();
        MemoryLeases {
            clock: Box::new(clock),
            ttl_ms,
            state: Mutex::new(State::new(history)),
            changed: Notify::new(),
        }
    }

    /// Forgets everything, as a store does that was flushed or replaced: a new history begins.
    pub fn lose_everything(&self) {
        let now_ms = (self.clock)();
        let mut state = self.state.lock();
        let history = now_ms.max(state.history + 1);
        *state = State::new(history);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Changes one table on behalf of a live holder, and tells those who wait if anything was changed. A holder without a
    /// live lease changes nothing.
    fn change<T>(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        change: impl FnOnce(&mut State, u64) -> (Vec<T>, bool),
    ) -> Result<Vec<T>, StoreError> {
        let now_ms = (self.clock)();
        let mut state = self.state.lock();
        state.refuse_superseded(holder.0, holder.1, now_ms)?;
        if !state.is_live(holder.0, holder.1, now_ms) {
            return Ok(Vec::new());
        }
        let (result, changed) = change(&mut state, now_ms);
        if changed {
            state.tables[keys.index()].version += 1;
            drop(state);
            self.changed.notify_waiters();
        }
        Ok(result)
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn renew(&self, lease: &Lease, known: TableVersions) -> Result<PoolView, StoreError> {
        let now_ms = (self.clock)();
        let mut state = self.state.lock();
        state.refuse_superseded(&lease.member, lease.incarnation, now_ms)?;
        let count = state.leases.len();
        state.leases.retain(|_, held| held.until_ms > now_ms);
        let held = Held {
            lease: lease.clone(),
            until_ms: now_ms + self.ttl_ms,
        };
        let before = state.leases.insert(lease.member.clone(), held);
        let news = before.is_none_or(|before| before.lease != *lease) || state.leases.len() != count;
        let view = PoolView {
            now_ms,
            history: state.history,
            members: state.leases.values().map(|held| held.lease.clone()).collect(),
            owners: Partitioned::ALL.map(|keys| {
                let table = &state.tables[keys.index()];
                let asked = known[keys.index()];
                (asked == 0 || asked != table.version).then(|| table.clone())
            }),
        };
        drop(state);
        if news {
            self.changed.notify_waiters();
        }
        Ok(view)
    }

    async fn claim(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, u64)>, StoreError> {
        self.change(keys, holder, |state, now_ms| {
            let mut owned = Vec::with_capacity(partitions.len());
            let mut changed = false;
            for &partition in partitions {
                match state.tables[keys.index()].owner(partition) {
                    Some(owner) if names(owner, holder) => owned.push((partition, owner.epoch)),
                    Some(owner) if state.is_live(&owner.member, owner.incarnation, now_ms) => {}
                    _ => {
                        owned.push((partition, state.hand(keys, partition, holder, now_ms)));
                        changed = true;
                    }
                }
            }
            (owned, changed)
        })
    }

    async fn transfer(
        &self,
        keys: Partitioned,
        giver: (&MemberId, Incarnation),
        receiver: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, u64)>, StoreError> {
        self.change(keys, giver, |state, now_ms| {
            if !state.is_live(receiver.0, receiver.1, now_ms) {
                return (Vec::new(), false);
            }
            let mut gone = Vec::with_capacity(partitions.len());
            for &partition in partitions {
                let owner = state.tables[keys.index()].owner(partition);
                if owner.is_some_and(|owner| names(owner, giver)) {
                    gone.push((partition, state.hand(keys, partition, receiver, now_ms)));
                }
            }
            let changed = !gone.is_empty();
            (gone, changed)
        })
    }

    async fn reassert(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        owned: &[(Partition, u64)],
    ) -> Result<Vec<(Partition, u64)>, StoreError> {
        self.change(keys, holder, |state, _| {
            let mut standing = Vec::with_capacity(owned.len());
            let mut changed = false;
            let table = &mut state.tables[keys.index()];
            for &(partition, epoch) in owned {
                match table.owner(partition) {
                    Some(owner) if names(owner, holder) && owner.epoch == epoch => {}
                    Some(owner) if owner.epoch >= epoch => continue,
                    _ => {
                        let owner = Owner {
                            member: holder.0.clone(),
                            incarnation: holder.1,
                            epoch,
                        };
                        table.set(partition, Some(owner));
                        changed = true;
                    }
                }
                standing.push((partition, epoch));
            }
            (standing, changed)
        })
    }

    async fn leave(&self, holder: (&MemberId, Incarnation)) -> Result<(), StoreError> {
        let now_ms = (self.clock)();
        let mut state = self.state.lock();
        state.refuse_superseded(holder.0, holder.1, now_ms)?;
        if state.is_live(holder.0, holder.1, now_ms) {
            state.leases.remove(holder.0);
            drop(state);
            self.changed.notify_waiters();
        }
        Ok(())
    }

    async fn evict(&self, member: &MemberId, incarnation: Incarnation) -> Result<(), StoreError> {
        let now_ms = (self.clock)();
        let mut state = self.state.lock();
        if state.is_live(member, incarnation, now_ms) {
            state.leases.remove(member);
            drop(state);
            self.changed.notify_waiters();
        }
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::UNKNOWN_TABLES;
    use crate::suite::leases::{LeaseBench, lease};

    struct Bench {
        store: MemoryLeases,
        now_ms: Arc<AtomicU64>,
    }

    #[async_trait]
    impl LeaseBench for Bench {
        fn store(&self) -> &dyn LeaseStore {
            &self.store
        }

        fn ttl_ms(&self) -> u64 {
            LEASE_TTL_MS
        }

        async fn pass(&self, ms: u64) {
            self.now_ms.fetch_add(ms, Ordering::Relaxed);
        }

        async fn lose_everything(&self) {
            self.store.lose_everything();
        }
    }

    async fn fresh() -> Box<Bench> {
        let now_ms = Arc::new(AtomicU64::new(1_800_000_000_000));
        let clock = now_ms.clone();
        let store = MemoryLeases::new(move || clock.load(Ordering::Relaxed));
        Box::new(Bench { store, now_ms })
    }

    crate::lease_suite!(super::fresh);

    #[tokio::test]
    async fn a_change_wakes_who_waits_and_a_plain_renewal_does_not() {
        let bench = fresh().await;
        let store = &bench.store;
        store.renew(&lease("fe1", 1), UNKNOWN_TABLES).await.unwrap();

        let mut changed = std::pin::pin!(store.changed());
        let mut woken = async || tokio::select! { biased; () = &mut changed => true, () = std::future::ready(()) => false };
        assert!(!woken().await);
        store.renew(&lease("fe1", 1), UNKNOWN_TABLES).await.unwrap();
        assert!(!woken().await, "nothing changed");
        store.renew(&lease("fe2", 1), UNKNOWN_TABLES).await.unwrap();
        assert!(woken().await, "fe2 came");
    }
}
