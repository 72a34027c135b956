//! Bindings of the partitions a member owns: decided from memory, written through to the shared copy.
//!
//! | Event | What happens |
//! |---|---|
//! | a commit | applied in memory, then written through and awaited: what a client was told is shared |
//! | the copy fails | the commit stands; the user is *dirty* until [`PartitionedBindings::flush`] brought it over |
//! | the copy lost its history | the partition is written anew by the next flush |
//! | the copy says that a larger epoch took the partition | it is dropped here, the call fails with `NotOwner` |
//!
//! A user is dirty from the moment memory changed until the copy has it, so that a call that is cancelled in between
//! leaves nothing forgotten. Revisions go on above the epoch and above those of every state taken over. Epochs are seconds
//! of the lease store's clock in their upper bits, so revisions of a later owner are larger than all before, also where the
//! copy was lost in between.
//!
//! Lock order: a partition, then what [`MemoryBindings`] locks. No lock is held while the copy is asked.

mod held;
mod serving;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sip_types::AddressOfRecord;
use topology::Partition;

use self::held::Held;
use crate::memory::MemoryBindings;
use crate::{BindingCopy, Revision, StoreError, Timestamp, UserBindings, Written};

/// Peers choose the keys.
type Hasher = foldhash::quality::RandomState;

/// Users and their states.
type Users = Vec<(AddressOfRecord, Arc<UserBindings>)>;

/// Failures of the copy that end a flush.
const MAX_FAILURES: u32 = 4;

/// What [`PartitionedBindings::flush`] did.
#[derive(Debug)]
pub struct Flushed {
    /// Users brought over.
    pub written: usize,
    /// Partitions that turned out to be somebody else's; they are dropped.
    pub fenced: Vec<Partition>,
    /// The last failure of the copy, if there was one: not everything is over.
    pub failed: Option<StoreError>,
}

/// The location service of one member of a pool: every user of the partitions it owns.
///
/// Who owns what is decided elsewhere; this is told by [`Self::take`], [`Self::give`] and [`Self::drop_partition`]. One
/// caller at a time may call these three for a partition; everything else may be called by anybody at any time.
pub struct PartitionedBindings {
    memory: MemoryBindings,
    copy: Arc<dyn BindingCopy>,
    partitions: Box<[Mutex<Option<Held>>]>,
    /// Index of the partition at which the next flush begins.
    flush_from: AtomicUsize,
}

impl PartitionedBindings {
    /// Owns nothing yet.
    pub fn new(copy: Arc<dyn BindingCopy>) -> Self {
        PartitionedBindings {
            memory: MemoryBindings::new(),
            copy,
            partitions: Partition::all().map(|_| Mutex::default()).collect(),
            flush_from: AtomicUsize::new(0),
        }
    }

    /// Takes a partition over under this epoch: reads its users from the copy, fences it, and serves it from then on. A
    /// repetition changes nothing. If it is held here under a smaller epoch, somebody else may have had it in between: it is
    /// dropped first, whatever comes of the rest. Returns how many users came over.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`]: it was taken under a larger epoch. Others as the copy fails: it is not served then; repeat.
    pub async fn take(&self, partition: Partition, epoch: u64, now: Timestamp) -> Result<usize, StoreError> {
        match &mut *self.slot(partition).lock() {
            Some(held) if held.epoch > epoch => return Err(not_owner(partition)),
            Some(held) if held.epoch == epoch => {
                self.stay(held);
                return Ok(held.users.len());
            }
            slot => {
                if let Some(old) = slot.take() {
                    self.forget(old);
                }
            }
        }
        let users = match self.copy.take(partition, epoch, now).await {
            Err(StoreError::Conflict(text)) => return Err(StoreError::NotOwner(text)),
            other => other?,
        };
        let mut slot = self.slot(partition).lock();
        self.memory.raise_revision(Revision(epoch));
        let mut held = Held::new(epoch);
        for (aor, state) in users {
            held.users.insert(aor.clone());
            self.memory.insert(aor, Arc::new(state));
        }
        let count = held.users.len();
        *slot = Some(held);
        Ok(count)
    }

    /// Brings over what is dirty, then drops the partition and returns the users that were there. From the call on it takes
    /// no more commits. Nothing if it is not held.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`]: somebody took it already; it is dropped. Others as the copy fails: it is served on. After a
    /// cancelled call, [`Self::take`] with the same epoch makes it serve on, another call gives it.
    pub async fn give(&self, partition: Partition, now: Timestamp) -> Result<Users, StoreError> {
        let epoch = match &mut *self.slot(partition).lock() {
            Some(held) => {
                held.leaving = true;
                held.epoch
            }
            None => return Ok(Vec::new()),
        };
        match self.flush_partition(partition, now, usize::MAX).await {
            Ok(_) => Ok(self.lose(partition, epoch)),
            Err(error) => {
                if let Some(held) = &mut *self.slot(partition).lock() {
                    self.stay(held);
                }
                Err(error)
            }
        }
    }

    /// Drops a partition without a word to the copy: it is somebody else's. Returns the users that were there.
    pub fn drop_partition(&self, partition: Partition) -> Users {
        let held = self.slot(partition).lock().take();
        held.map_or_else(Vec::new, |held| self.forget(held))
    }

    /// What is served here, with the epochs, in order of the partitions.
    pub fn owned(&self) -> Vec<(Partition, u64)> {
        let epoch = |partition| {
            let slot = self.slot(partition).lock();
            let held = slot.as_ref().filter(|held| !held.leaving)?;
            Some((partition, held.epoch))
        };
        Partition::all().filter_map(epoch).collect()
    }

    /// How many users the copy may not have in their newest state, those included that are being written. After a loss of
    /// history every user of the partition counts.
    pub fn dirty(&self) -> usize {
        let slots = self.partitions.iter();
        slots
            .map(|slot| slot.lock().as_ref().map_or(0, Held::dirty))
            .sum()
    }

    /// Brings over what is dirty, and writes anew the partitions of which the copy lost the history, until at least `limit`
    /// users are over: call it again and again, at the rate the shared store is to be loaded with. It gives up after some
    /// failures, for each may take the copy's patience, and goes on behind them the next time: part of a copy may be away.
    pub async fn flush(&self, now: Timestamp, limit: usize) -> Flushed {
        let mut flushed = Flushed {
            written: 0,
            fenced: Vec::new(),
            failed: None,
        };
        let mut failures = 0;
        let first = self.flush_from.load(Ordering::Relaxed);
        let others = Partition::all().take(first);
        for partition in Partition::all().skip(first).chain(others) {
            if flushed.written >= limit || failures >= MAX_FAILURES {
                self.flush_from.store(partition.index(), Ordering::Relaxed);
                break;
            }
            let left = limit - flushed.written;
            match self.flush_partition(partition, now, left).await {
                Ok(count) => flushed.written += count,
                Err(StoreError::NotOwner(_)) => flushed.fenced.push(partition),
                Err(error) => {
                    failures += 1;
                    flushed.failed = Some(error);
                }
            }
        }
        flushed
    }

    /// Writes a whole partition anew, after the copy lost its history. Returns how many users there were; nothing is done
    /// for a partition that is not held.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`]: somebody else took it; it is dropped. Others as the copy fails: repeat.
    pub async fn reassert(&self, partition: Partition, now: Timestamp) -> Result<usize, StoreError> {
        let (epoch, losses, users, as_of) = match &*self.slot(partition).lock() {
            Some(held) => {
                let users: Users = held.users.iter().map(|aor| self.with_state(aor)).collect();
                (held.epoch, held.losses, users, self.memory.last_revision())
            }
            None => return Ok(0),
        };
        let result = self.copy.replace(partition, epoch, &users, as_of, now).await;
        self.unless_fenced(partition, epoch, result)?;
        if let Some(held) = self.slot(partition).lock().as_mut()
            && held.epoch == epoch
        {
            held.repaired = held.repaired.max(losses);
            held.dirty.retain(|_, revision| *revision > as_of);
        }
        Ok(users.len())
    }

    fn slot(&self, partition: Partition) -> &Mutex<Option<Held>> {
        &self.partitions[partition.index()]
    }

    fn with_state(&self, aor: &AddressOfRecord) -> (AddressOfRecord, Arc<UserBindings>) {
        (aor.clone(), self.memory.read(aor))
    }

    /// Goes on with a partition that was about to leave. A sweep meanwhile may have passed over its users.
    fn stay(&self, held: &mut Held) {
        if std::mem::take(&mut held.leaving) {
            for aor in &held.users {
                self.memory.rearm(aor);
            }
        }
    }

    /// Takes everybody out of memory.
    fn forget(&self, held: Held) -> Users {
        let users = held.users.into_iter();
        users
            .filter_map(|aor| self.memory.remove(&aor).map(|state| (aor, state)))
            .collect()
    }

    /// Drops a partition unless it is held under another epoch by now.
    fn lose(&self, partition: Partition, epoch: u64) -> Users {
        let mut slot = self.slot(partition).lock();
        match slot.take_if(|held| held.epoch == epoch) {
            Some(held) => self.forget(held),
            None => Vec::new(),
        }
    }

    /// Drops the partition if the copy says that it is somebody else's.
    fn unless_fenced<T>(
        &self,
        partition: Partition,
        epoch: u64,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match result {
            Err(StoreError::Conflict(text)) => {
                self.lose(partition, epoch);
                Err(StoreError::NotOwner(text))
            }
            other => other,
        }
    }

    /// Writes states through. The users are dirty already, and stay it unless the copy has them.
    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let result = self.copy.write(partition, epoch, users, now).await;
        let written = self.unless_fenced(partition, epoch, result)?;
        let mut slot = self.slot(partition).lock();
        let Some(held) = slot.as_mut().filter(|held| held.epoch == epoch) else {
            return Ok(());
        };
        match written {
            Written::Kept => {
                for (aor, state) in users {
                    if held.dirty.get(aor).is_some_and(|dirty| *dirty <= state.revision) {
                        held.dirty.remove(aor);
                    }
                }
            }
            Written::HistoryLost => held.losses += 1,
        }
        Ok(())
    }

    /// Brings over what is dirty of one partition; about `limit` users.
    async fn flush_partition(
        &self,
        partition: Partition,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let (epoch, users) = match &*self.slot(partition).lock() {
            None => return Ok(0),
            Some(held) if held.must_rewrite() => (held.epoch, None),
            Some(held) => {
                let dirty = held.dirty.iter().take(limit);
                let state = |(aor, revision): (&AddressOfRecord, &Revision)| {
                    let (aor, state) = self.with_state(aor);
                    // Somebody of whom nothing is left has no revision in memory.
                    let revision = state.revision.max(*revision);
                    let state = if state.revision == revision {
                        state
                    } else {
                        Arc::new(UserBindings {
                            revision,
                            ..UserBindings::none()
                        })
                    };
                    (aor, state)
                };
                (held.epoch, Some(dirty.map(state).collect::<Users>()))
            }
        };
        let Some(users) = users else {
            return self.reassert(partition, now).await;
        };
        if users.is_empty() {
            return Ok(0);
        }
        self.write(partition, epoch, &users, now).await?;
        let lost = self
            .slot(partition)
            .lock()
            .as_ref()
            .is_some_and(Held::must_rewrite);
        if lost {
            return self.reassert(partition, now).await;
        }
        Ok(users.len())
    }
}

fn not_owner(partition: Partition) -> StoreError {
    StoreError::NotOwner(format!("partition {partition} of the users is not owned here"))
}

#[cfg(test)]
mod tests;
