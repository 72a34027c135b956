//! A copy of presence in memory: what a seed keeps for a pool without Redis, and the copy of tests.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use sip_types::AddressOfRecord;
use topology::Partition;

use crate::{CopiedPresence, PresenceCopy, PresenceState, Revision, StoreError, Written};

/// One user. Deleted users stay, with an empty text, until the partition is taken again.
struct Copied {
    revision: Revision,
    text: Bytes,
    written_at: u64,
    until: u64,
}

#[derive(Default)]
struct Copies {
    fences: HashMap<Partition, u64>,
    users: HashMap<Partition, BTreeMap<AddressOfRecord, Copied>>,
    failing: bool,
    /// How far the copy's clock was moved, milliseconds.
    moved: u64,
}

/// Tells the time, in milliseconds since any start.
type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// What a shared store does, and what can go wrong with one: it fails, loses everything, has a clock of its own.
///
/// It holds one entry for each user who ever published since it was empty, so the number of accounts is its bound.
pub struct MemoryPresenceCopy {
    copies: Mutex<Copies>,
    clock: Clock,
}

impl Default for MemoryPresenceCopy {
    /// Empty, with a clock that goes only by [`MemoryPresenceCopy::advance`].
    fn default() -> Self {
        MemoryPresenceCopy::new(|| 0)
    }
}

impl MemoryPresenceCopy {
    /// Empty. `clock` tells milliseconds and does not go back.
    pub fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        MemoryPresenceCopy {
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

    /// How many users have something in the copy.
    pub fn users(&self) -> usize {
        let copies = self.copies.lock();
        let users = copies.users.values().flat_map(BTreeMap::values);
        users.filter(|copied| !copied.text.is_empty()).count()
    }

    fn now(&self, copies: &Copies) -> u64 {
        (self.clock)().saturating_add(copies.moved)
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

    fn put(&mut self, partition: Partition, states: &[PresenceState], now: u64) {
        let copies = self.users.entry(partition).or_default();
        for state in states {
            if copies
                .get(&state.user)
                .is_none_or(|old| old.revision < state.revision)
            {
                let copied = Copied {
                    revision: state.revision,
                    text: state.text.clone(),
                    written_at: now,
                    until: now.saturating_add(state.lives_ms),
                };
                copies.insert(state.user.clone(), copied);
            }
        }
    }
}

#[async_trait]
impl PresenceCopy for MemoryPresenceCopy {
    async fn take(&self, partition: Partition, epoch: u64) -> Result<Vec<CopiedPresence>, StoreError> {
        let mut copies = self.copies.lock();
        copies.pass(partition, epoch)?;
        copies.fences.insert(partition, epoch);
        let now = self.now(&copies);
        let users = copies.users.entry(partition).or_default();
        users.retain(|_, copied| !copied.text.is_empty() && copied.until > now);
        let copied = |(user, copied): (&AddressOfRecord, &Copied)| CopiedPresence {
            user: user.clone(),
            text: copied.text.clone(),
            age_ms: now.saturating_sub(copied.written_at),
        };
        Ok(users.iter().map(copied).collect())
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
    ) -> Result<Written, StoreError> {
        let mut copies = self.copies.lock();
        if copies.pass(partition, epoch)? != Some(epoch) {
            return Ok(Written::HistoryLost);
        }
        let now = self.now(&copies);
        copies.put(partition, states, now);
        Ok(Written::Kept)
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
        as_of: Revision,
    ) -> Result<(), StoreError> {
        let mut copies = self.copies.lock();
        let same = copies.pass(partition, epoch)? == Some(epoch);
        copies.fences.insert(partition, epoch);
        let old = copies.users.entry(partition).or_default();
        old.retain(|_, copied| same && copied.revision > as_of);
        let now = self.now(&copies);
        copies.put(partition, states, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> Box<MemoryPresenceCopy> {
        Box::default()
    }

    crate::presence_copy_suite!(super::fresh);

    #[tokio::test]
    async fn what_is_of_no_use_any_more_is_found_by_nobody() {
        let copy = MemoryPresenceCopy::default();
        let partition = Partition::new(73).unwrap();
        copy.take(partition, 1).await.unwrap();
        let state = PresenceState {
            user: AddressOfRecord::parse("alice@example.test").unwrap(),
            revision: Revision(2),
            text: Bytes::from_static(b"here"),
            lives_ms: 1_000,
        };
        let written = copy.write(partition, 1, &[state]).await.unwrap();
        assert_eq!(written, Written::Kept);
        copy.advance(999);
        let found = copy.take(partition, 2).await.unwrap();
        assert_eq!(found.iter().map(|one| one.age_ms).collect::<Vec<_>>(), [999]);
        copy.advance(1);
        assert_eq!(copy.take(partition, 3).await.unwrap(), []);
        assert_eq!(copy.users(), 0);
    }
}
