//! A copy of bindings in memory: what a seed keeps for a pool without Redis, and the copy of tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hashbrown::HashMap;
use parking_lot::Mutex;
use sip_types::AddressOfRecord;
use topology::Partition;

use crate::{Binding, BindingCopy, Revision, StoreError, Timestamp, Tombstone, UserBindings, Written};

/// One user, with times as they were written.
struct Copied {
    state: Arc<UserBindings>,
    /// The writer's clock when it wrote, and ours.
    written: (Timestamp, u64),
}

#[derive(Default)]
struct Copies {
    fences: HashMap<Partition, u64>,
    /// Deleted users stay, as empty states.
    users: HashMap<Partition, BTreeMap<AddressOfRecord, Copied>>,
    failing: bool,
    /// How far the copy's clock was moved, milliseconds.
    moved: u64,
}

/// Tells the time, in milliseconds since any start.
type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// What a shared store does, and what can go wrong with one: it fails, loses everything, has a clock of its own.
///
/// It holds one entry for each user who ever signed in since it was empty, so the number of accounts is its bound.
pub struct MemoryCopy {
    copies: Mutex<Copies>,
    clock: Clock,
}

impl Default for MemoryCopy {
    /// Empty, with a clock that goes only by [`MemoryCopy::advance`].
    fn default() -> Self {
        MemoryCopy::new(|| 0)
    }
}

impl MemoryCopy {
    /// Empty. `clock` tells milliseconds and does not go back.
    pub fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        MemoryCopy {
            copies: Mutex::default(),
            clock: Box::new(clock),
        }
    }

    /// Makes every call fail, or work again.
    pub fn set_failing(&self, failing: bool) {
        self.copies.lock().failing = failing;
    }

    /// Loses everything, fences too.
    pub fn lose_history(&self) {
        let mut copies = self.copies.lock();
        copies.fences.clear();
        copies.users.clear();
    }

    /// Moves the copy's own clock.
    pub fn advance(&self, milliseconds: u64) {
        self.copies.lock().moved += milliseconds;
    }

    fn now(&self, copies: &Copies) -> u64 {
        (self.clock)().saturating_add(copies.moved)
    }

    /// How many users have something in the copy.
    pub fn users(&self) -> usize {
        let copies = self.copies.lock();
        let users = copies.users.values().flat_map(BTreeMap::values);
        users.filter(|copied| !copied.state.is_empty()).count()
    }
}

impl Copies {
    /// The fence, if this epoch may pass it.
    fn pass(&self, partition: Partition, epoch: u64) -> Result<Option<u64>, StoreError> {
        if self.failing {
            return Err(StoreError::driver("the copy is away"));
        }
        let fence = self.fences.get(&partition).copied();
        match fence {
            Some(fence) if fence > epoch => Err(StoreError::Conflict(format!(
                "partition {partition} was taken under epoch {fence}, after {epoch}"
            ))),
            _ => Ok(fence),
        }
    }

    /// `written` is the writer's clock, and ours.
    fn put(
        &mut self,
        partition: Partition,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        written: (Timestamp, u64),
    ) {
        let copies = self.users.entry(partition).or_default();
        for (aor, state) in users {
            if copies
                .get(aor)
                .is_none_or(|old| old.state.revision < state.revision)
            {
                let state = state.clone();
                copies.insert(aor.clone(), Copied { state, written });
            }
        }
    }
}

/// The state as it reads `elapsed` milliseconds later on another member's clock.
fn carried(copied: &Copied, clock: u64, now: Timestamp) -> UserBindings {
    let (written, at) = copied.written;
    let elapsed = clock.saturating_sub(at);
    let moved = |time: Timestamp| {
        let remaining = time.0.saturating_sub(written.0).saturating_sub(elapsed);
        Timestamp(now.0.saturating_add(remaining))
    };
    let state = &copied.state;
    UserBindings {
        revision: state.revision,
        bindings: state
            .bindings
            .iter()
            .map(|binding| {
                Arc::new(Binding {
                    deadline: moved(binding.deadline),
                    ..Binding::clone(binding)
                })
            })
            .collect(),
        tombstones: state
            .tombstones
            .iter()
            .map(|tombstone| {
                Arc::new(Tombstone {
                    until: moved(tombstone.until),
                    ..Tombstone::clone(tombstone)
                })
            })
            .collect(),
    }
}

#[async_trait]
impl BindingCopy for MemoryCopy {
    async fn take(
        &self,
        partition: Partition,
        epoch: u64,
        now: Timestamp,
    ) -> Result<Vec<(AddressOfRecord, UserBindings)>, StoreError> {
        let mut copies = self.copies.lock();
        copies.pass(partition, epoch)?;
        copies.fences.insert(partition, epoch);
        let clock = self.now(&copies);
        let users = copies.users.entry(partition).or_default();
        users.retain(|_, copied| !copied.state.is_empty());
        Ok(users
            .iter()
            .map(|(aor, copied)| (aor.clone(), carried(copied, clock, now)))
            .collect())
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let mut copies = self.copies.lock();
        if copies.pass(partition, epoch)? != Some(epoch) {
            return Ok(Written::HistoryLost);
        }
        let clock = self.now(&copies);
        copies.put(partition, users, (now, clock));
        Ok(Written::Kept)
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        as_of: Revision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut copies = self.copies.lock();
        let same = copies.pass(partition, epoch)? == Some(epoch);
        copies.fences.insert(partition, epoch);
        let old = copies.users.entry(partition).or_default();
        old.retain(|_, copied| same && copied.state.revision > as_of);
        let clock = self.now(&copies);
        copies.put(partition, users, (now, clock));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> Box<MemoryCopy> {
        Box::default()
    }

    crate::copy_suite!(super::fresh);
}
