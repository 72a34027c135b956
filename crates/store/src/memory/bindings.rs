//! Bindings in memory, with expiry that never scans.
//!
//! Users are spread over shards, each behind its own lock. Deadlines are in one heap with **one** armed entry per user, at
//! or before the user's earliest deadline. A refresh moves a deadline later and does not touch the heap: when the entry
//! comes up, it is armed again for what is the earliest by then. An entry is only added when a deadline earlier than the
//! armed one appears, and the entry it supersedes is recognised by its time when it comes up. So a client that refreshes
//! all day costs no heap entry, and one that tries to grow the heap has to find ever earlier deadlines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use hashbrown::HashMap;
use parking_lot::Mutex;
use sip_types::AddressOfRecord;
use topology::MemberId;

use crate::{
    Binding, BindingStore, BindingTotals, BindingUpdate, Ended, MAX_TOMBSTONES, Revision, StoreError,
    SweepResult, Timestamp, Tombstone, UserBindings,
};

/// More than the cores of any machine it will run on, so that two sign-ins seldom meet.
const SHARDS: usize = 64;

/// Peers choose the keys: the seed differs from process to process.
type Hasher = foldhash::quality::RandomState;

struct User {
    state: Arc<UserBindings>,
    /// The time of this user's one valid entry in the heap.
    armed: Option<Timestamp>,
}

type Shard = Mutex<HashMap<AddressOfRecord, User, Hasher>>;

/// The location service of a pool of one process.
///
/// Lives as long as the process; a restart loses everything, and clients sign in again. Lock order: a shard, then the heap.
pub struct MemoryBindings {
    shards: Box<[Shard]>,
    hasher: Hasher,
    heap: Mutex<BinaryHeap<Reverse<(Timestamp, AddressOfRecord)>>>,
    /// One for all users, so that a user's revisions grow also after everything of that user was forgotten.
    last_revision: AtomicU64,
    users: AtomicU64,
    endpoints: AtomicU64,
}

impl Default for MemoryBindings {
    fn default() -> Self {
        MemoryBindings::new()
    }
}

impl MemoryBindings {
    /// Empty.
    pub fn new() -> Self {
        let hasher = Hasher::default();
        MemoryBindings {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(HashMap::with_hasher(hasher.clone())))
                .collect(),
            hasher,
            heap: Mutex::default(),
            last_revision: AtomicU64::new(Revision::NONE.0),
            users: AtomicU64::new(0),
            endpoints: AtomicU64::new(0),
        }
    }

    fn shard(&self, aor: &AddressOfRecord) -> &Shard {
        // The upper bits: the map inside uses the lower ones of the same hash.
        let index = (self.hasher.hash_one(aor) >> 48) as usize % SHARDS;
        &self.shards[index]
    }

    fn next_revision(&self) -> Revision {
        Revision(self.last_revision.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Makes sure the heap wakes us no later than this user's next deadline. Called with the user's shard locked.
    fn arm(&self, aor: &AddressOfRecord, user: &mut User) {
        let Some(deadline) = user.state.next_deadline() else {
            return;
        };
        if user.armed.is_none_or(|armed| deadline < armed) {
            user.armed = Some(deadline);
            self.heap.lock().push(Reverse((deadline, aor.clone())));
        }
    }

    fn count(&self, before: &UserBindings, after: &UserBindings) {
        let (before, after) = (before.bindings.len() as u64, after.bindings.len() as u64);
        if after >= before {
            self.endpoints.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.endpoints.fetch_sub(before - after, Ordering::Relaxed);
        }
        if before == 0 && after > 0 {
            self.users.fetch_add(1, Ordering::Relaxed);
        } else if before > 0 && after == 0 {
            self.users.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Heap entries that are due, at most `limit`.
    pub(crate) fn due(&self, now: Timestamp, limit: usize) -> Vec<(Timestamp, AddressOfRecord)> {
        let mut heap = self.heap.lock();
        let mut due = Vec::new();
        while due.len() < limit {
            match heap.peek() {
                Some(Reverse((at, _))) if *at <= now => due.extend(heap.pop().map(|Reverse(entry)| entry)),
                _ => break,
            }
        }
        due
    }

    /// When the sweep has something to do again.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.heap.lock().peek().map(|Reverse((at, _))| *at)
    }

    /// The state of a user.
    pub(crate) fn read(&self, aor: &AddressOfRecord) -> Arc<UserBindings> {
        let shard = self.shard(aor).lock();
        shard
            .get(aor)
            .map_or_else(|| Arc::new(UserBindings::none()), |user| user.state.clone())
    }

    /// A commit, see [`BindingStore::commit`].
    pub(crate) fn apply(
        &self,
        aor: &AddressOfRecord,
        expected: Revision,
        update: BindingUpdate,
        now: Timestamp,
    ) -> Result<Arc<UserBindings>, StoreError> {
        let mut shard = self.shard(aor).lock();
        let revision = shard.get(aor).map_or(Revision::NONE, |user| user.state.revision);
        if revision != expected {
            return Err(StoreError::Conflict(format!(
                "the bindings of {aor} have changed meanwhile"
            )));
        }
        let user = shard.entry(aor.clone()).or_insert_with(|| User {
            state: Arc::new(UserBindings::none()),
            armed: None,
        });
        let mut state = UserBindings::clone(&user.state);
        state.revision = self.next_revision();
        state
            .bindings
            .retain(|binding| !update.remove.contains(&binding.endpoint));
        if let Some(binding) = update.put {
            place(&mut state.bindings, binding);
        }
        bury(&mut state, update.tombstones, now);
        let state = Arc::new(state);
        self.count(&user.state, &state);
        user.state = state.clone();
        if state.is_empty() {
            shard.remove(aor);
        } else {
            self.arm(aor, user);
        }
        Ok(state)
    }

    /// Puts in a state that another owner worked out, whatever was here. Its revision stays; later ones are larger.
    pub(crate) fn insert(&self, aor: AddressOfRecord, state: Arc<UserBindings>) {
        self.raise_revision(state.revision);
        if state.is_empty() {
            self.remove(&aor);
            return;
        }
        let mut shard = self.shard(&aor).lock();
        let user = shard.entry(aor.clone()).or_insert_with(|| User {
            state: Arc::new(UserBindings::none()),
            armed: None,
        });
        self.count(&user.state, &state);
        user.state = state;
        self.arm(&aor, user);
    }

    /// Forgets a user, and returns what was known. The heap forgets when the armed entry comes up.
    pub(crate) fn remove(&self, aor: &AddressOfRecord) -> Option<Arc<UserBindings>> {
        let user = self.shard(aor).lock().remove(aor)?;
        self.count(&user.state, &UserBindings::none());
        Some(user.state)
    }

    /// Makes sure that the sweep comes by this user again, if its entry was taken from the heap for nothing.
    pub(crate) fn rearm(&self, aor: &AddressOfRecord) {
        let mut shard = self.shard(aor).lock();
        if let Some(user) = shard.get_mut(aor) {
            user.armed = None;
            self.arm(aor, user);
        }
    }

    /// The largest revision given so far.
    pub(crate) fn last_revision(&self) -> Revision {
        Revision(self.last_revision.load(Ordering::Relaxed))
    }

    /// Makes every later revision larger than this one.
    pub(crate) fn raise_revision(&self, above: Revision) {
        self.last_revision.fetch_max(above.0, Ordering::Relaxed);
    }

    /// Ends what is due of one user whose heap entry came up.
    pub(crate) fn end_due(&self, aor: AddressOfRecord, at: Timestamp, now: Timestamp) -> Option<Ended> {
        let mut shard = self.shard(&aor).lock();
        let user = shard.get_mut(&aor)?;
        if user.armed != Some(at) {
            return None;
        }
        user.armed = None;
        if user.state.next_deadline().is_none_or(|deadline| deadline > now) {
            self.arm(&aor, user);
            return None;
        }
        let mut state = UserBindings::clone(&user.state);
        state.revision = self.next_revision();
        let expired: Vec<_> = state
            .bindings
            .extract_if(.., |binding| binding.has_expired(now))
            .collect();
        let tombstones = expired
            .iter()
            .map(|binding| binding.tombstone(false, now))
            .collect();
        bury(&mut state, tombstones, now);
        let left = Arc::new(state);
        self.count(&user.state, &left);
        user.state = left.clone();
        if left.is_empty() {
            shard.remove(&aor);
        } else {
            self.arm(&aor, user);
        }
        Some(Ended { aor, expired, left })
    }
}

/// Adds tombstones, drops those past their time or beyond the bound.
fn bury(state: &mut UserBindings, tombstones: Vec<Tombstone>, now: Timestamp) {
    state.tombstones.retain(|old| {
        let superseded = tombstones.iter().any(|new| {
            new.endpoint == old.endpoint
                && new.member == old.member
                && new.connection == old.connection
                && new.call_id == old.call_id
        });
        old.until > now && !superseded
    });
    state.tombstones.extend(tombstones.into_iter().map(Arc::new));
    let excess = state.tombstones.len().saturating_sub(MAX_TOMBSTONES);
    state.tombstones.drain(..excess);
}

fn place(bindings: &mut Vec<Arc<Binding>>, binding: Binding) {
    let old = bindings.iter().position(|one| one.endpoint == binding.endpoint);
    match old {
        Some(index) if bindings[index].epoch == binding.epoch => bindings[index] = Arc::new(binding),
        Some(index) => {
            bindings.remove(index);
            bindings.push(Arc::new(binding));
        }
        None => bindings.push(Arc::new(binding)),
    }
}

#[async_trait]
impl BindingStore for MemoryBindings {
    async fn load(&self, aor: &AddressOfRecord) -> Result<Arc<UserBindings>, StoreError> {
        Ok(self.read(aor))
    }

    async fn commit(
        &self,
        aor: &AddressOfRecord,
        expected: Revision,
        update: BindingUpdate,
        now: Timestamp,
    ) -> Result<Arc<UserBindings>, StoreError> {
        self.apply(aor, expected, update, now)
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<SweepResult, StoreError> {
        let due = self.due(now, limit);
        let ended = due
            .into_iter()
            .filter_map(|(at, aor)| self.end_due(aor, at, now))
            .collect();
        let next = self.next_due();
        Ok(SweepResult { ended, next })
    }

    async fn binding_totals(&self) -> Result<BindingTotals, StoreError> {
        Ok(BindingTotals {
            users: self.users.load(Ordering::Relaxed),
            endpoints: self.endpoints.load(Ordering::Relaxed),
        })
    }

    async fn held_by(
        &self,
        member: &MemberId,
    ) -> Result<Vec<(AddressOfRecord, Arc<UserBindings>)>, StoreError> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let held = shard.iter().filter(|(_, user)| {
                let mut bindings = user.state.bindings.iter();
                bindings.any(|binding| binding.member == *member)
            });
            found.extend(held.map(|(aor, user)| (aor.clone(), user.state.clone())));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
