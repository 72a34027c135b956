//! The presentities in memory, and how they get there.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use rpc::presence::AccessRules;
use rpc::{EndpointId, Error, Freshness};
use sip_types::AddressOfRecord;
use store::{StoreError, StoredPresence};
use tokio::sync::Mutex as Turn;
use topology::Partition;

use super::loading::{Changes, Loaded, Loading};
use super::streams::Stream;
use super::{Inner, dependency_failed, unavailable};
use crate::contacts::ContactBook;
use crate::counters::Counters;
use crate::policy::{PRESENCE_POLICY, PresencePolicy};
use crate::presentity::{self, Presentity};
use crate::publications::Publications;
use crate::stored;
use crate::time::Now;

/// How often a presentity is read again because its account changed meanwhile.
const ATTEMPTS: u32 = 4;

const SHARDS: usize = 64;

/// In place of a count of changes: the copy has something else.
const NOT_COPIED: u64 = u64::MAX;

/// A front end that follows a presentity.
pub(super) struct Follower {
    pub(super) stream: Arc<Stream>,
    /// Endpoints of the presentity itself are there.
    pub(super) own: bool,
    /// The next document may go out then. Monotone milliseconds.
    pub(super) next_at: u64,
    /// A newer document than it has waits.
    pub(super) is_due: bool,
    /// News of watchers wait.
    pub(super) watchers_due: bool,
}

/// What changes of a presentity in memory.
pub(super) struct State {
    pub(super) presentity: Presentity,
    pub(super) followers: Vec<Follower>,
    /// It is in memory no more: whoever still holds it loads it again.
    pub(super) is_gone: bool,
    /// The alarm is set for then. Monotone milliseconds.
    pub(super) wake_at: Option<u64>,
    /// The count of volatile changes that are copied, or wait to be.
    pub(super) copied: u64,
    /// There were organisational groups in the contact list when it was last looked up.
    pub(super) shows_groups: bool,
}

/// A presentity in memory.
pub(super) struct Entry {
    pub(super) user: AddressOfRecord,
    partition: Partition,
    /// Held by whoever changes it.
    pub(super) turn: Arc<Turn<()>>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
struct Shard {
    entries: Mutex<HashMap<AddressOfRecord, Arc<Entry>, foldhash::fast::FixedState>>,
    loading: Loading,
}

/// All presentities in memory.
pub(super) struct Entries {
    shards: Vec<Shard>,
    hasher: foldhash::fast::RandomState,
    counters: Arc<Counters>,
}

impl Entries {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Entries {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            counters,
        }
    }

    fn shard(&self, user: &AddressOfRecord) -> &Shard {
        let hash = self.hasher.hash_one(user);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[at]
    }

    pub(super) fn get(&self, user: &AddressOfRecord) -> Option<Arc<Entry>> {
        self.shard(user).entries.lock().get(user).cloned()
    }

    /// Everybody in memory.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        let entries = |shard: &Shard| shard.entries.lock().values().cloned().collect::<Vec<_>>();
        self.shards.iter().flat_map(entries).collect()
    }

    /// Those of a partition in memory.
    pub(super) fn of(&self, partition: Partition) -> Vec<Arc<Entry>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let entries = shard.entries.lock();
            found.extend(
                entries
                    .values()
                    .filter(|entry| entry.partition == partition)
                    .cloned(),
            );
        }
        found
    }

    /// Something changed that may concern anybody: whoever loads somebody right now begins anew.
    pub(super) fn all_changed(&self) {
        for shard in &self.shards {
            shard.loading.all_changed();
        }
    }

    /// The account changed: whoever loads it right now reads it again.
    pub(super) fn account_changed(&self, user: &AddressOfRecord) {
        self.shard(user).loading.changed(user);
    }

    /// Takes in what was loaded while the count of changes was `seen`, unless somebody was faster; `copied`: the count of volatile
    /// changes the copy has. `None`: the account changed meanwhile.
    fn insert(
        &self,
        presentity: Presentity,
        copied: u64,
        (changes, seen): (&Changes, u64),
    ) -> Option<Arc<Entry>> {
        let user = presentity.user().clone();
        let shard = self.shard(&user);
        let mut entries = shard.entries.lock();
        if let Some(faster) = entries.get(&user) {
            return Some(faster.clone());
        }
        if changes.count() != seen {
            return None;
        }
        let entry = Arc::new(Entry {
            user: user.clone(),
            partition: Partition::of_user(user.as_str()),
            turn: Arc::new(Turn::new(())),
            state: Mutex::new(State {
                presentity,
                followers: Vec::new(),
                is_gone: false,
                wake_at: None,
                copied,
                shows_groups: false,
            }),
        });
        entries.insert(user, entry.clone());
        self.counters.presentities.fetch_add(1, Ordering::Relaxed);
        Some(entry)
    }

    /// Forgets a presentity if nothing is lost by that: nobody follows it or is about to change it.
    pub(super) fn forget_if_idle(&self, entry: &Arc<Entry>) {
        let mut entries = self.shard(&entry.user).entries.lock();
        let Ok(_turn) = entry.turn.try_lock() else {
            return;
        };
        let mut state = entry.state.lock();
        if state.is_idle() {
            self.remove(&mut entries, entry, &mut state);
        }
    }

    /// Forgets a presentity whose account is gone, or that is another member's.
    pub(super) fn forget(&self, entry: &Arc<Entry>) {
        let mut entries = self.shard(&entry.user).entries.lock();
        let mut state = entry.state.lock();
        self.remove(&mut entries, entry, &mut state);
    }

    fn remove<S: BuildHasher>(
        &self,
        entries: &mut HashMap<AddressOfRecord, Arc<Entry>, S>,
        entry: &Arc<Entry>,
        state: &mut State,
    ) {
        if !std::mem::replace(&mut state.is_gone, true) {
            entries.remove(&entry.user);
            self.counters.presentities.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Entry {
    pub(super) fn partition(&self) -> Partition {
        self.partition
    }

    /// The state, to change what is shown of it. Whoever waited for the store may find it gone.
    ///
    /// # Errors
    /// Unavailable: it is in memory no more, and what it is about is for whoever loads it next.
    pub(super) fn present(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock();
        if state.is_gone {
            return Err(unavailable("the user was forgotten meanwhile"));
        }
        Ok(state)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state.lock().is_gone
    }
}

impl State {
    /// Whether nothing is lost by forgetting it.
    pub(super) fn is_idle(&mut self) -> bool {
        self.followers.retain(|follower| follower.stream.is_open());
        self.followers.is_empty() && self.presentity.is_idle()
    }
}

impl Inner {
    /// A presentity, loaded if it is not in memory. `None`: no such user.
    pub(super) async fn load(self: &Arc<Self>, user: &AddressOfRecord) -> Result<Option<Arc<Entry>>, Error> {
        self.check_running()?;
        self.partitions.check(user)?;
        if let Some(entry) = self.entries.get(user) {
            return Ok(Some(entry));
        }
        let begin = |changes| {
            let (inner, user) = (self.clone(), user.clone());
            async move { inner.read(&user, &changes).await }
        };
        self.entries.shard(user).loading.load(user, begin).await
    }

    /// Reads a presentity into memory.
    async fn read(self: &Arc<Self>, user: &AddressOfRecord, changes: &Changes) -> Loaded {
        for _ in 0..ATTEMPTS {
            // First of all: whatever is found out below is void if somebody counts a change after this.
            let seen = changes.count();
            self.partitions.check(user)?;
            if let Some(entry) = self.entries.get(user) {
                return Ok(Some(entry));
            }
            let Some(account) = self.account(user).await? else {
                self.drop_legacy(user);
                return Ok(None);
            };
            let stored = self.read_stored(user).await?;
            let contacts = match account.policy.privacy_mode {
                true => Some(self.read_contacts(user).await?),
                false => None,
            };
            let now = self.now();
            let mut publications = stored.publications;
            let (endings, is_less) = match self.copying.legacies.get(user) {
                Some(legacy) => legacy.restore(&mut publications, &account.live, self.limits.grace, now),
                None => (BTreeMap::new(), false),
            };
            let copied = match is_less {
                true => NOT_COPIED,
                false => publications.volatile_changes(),
            };
            let loaded = presentity::Loaded {
                user: user.clone(),
                display_name: account.display_name,
                policy: account.policy,
                publications,
                endings,
                rules: stored.rules,
                acknowledged: stored.acknowledged,
                contacts,
            };
            let presentity = Presentity::new(loaded, self.next_version(user), now, &self.limits);
            if let Some(entry) = self.entries.insert(presentity, copied, (changes, seen)) {
                self.copying.legacies.take(user);
                self.settle(&entry, &mut entry.state.lock(), now);
                return Ok(Some(entry));
            }
        }
        Err(unavailable("the account changes all the time"))
    }

    /// What the registrar knows of a user; `None`: no such user.
    pub(super) async fn account(&self, user: &AddressOfRecord) -> Result<Option<Account>, Error> {
        let lookup = self.registrar.lookup(user, Freshness::Cached).await;
        let Some(location) = lookup.map_err(dependency_failed)? else {
            return Ok(None);
        };
        let policy = self.registrar.policy(PRESENCE_POLICY.name, user).await;
        let policy = policy.map_err(dependency_failed)?;
        let bindings = location.bindings.iter();
        Ok(Some(Account {
            display_name: location.display_name.clone(),
            policy: PresencePolicy::read(&policy),
            live: bindings.map(|binding| binding.address.endpoint.clone()).collect(),
        }))
    }

    /// What is stored of a user but the contact list.
    pub(super) async fn read_stored(&self, user: &AddressOfRecord) -> Result<Stored, Error> {
        let stored = self.store.presence(user).await;
        stored
            .and_then(|stored| Stored::read(user, stored, self.now()))
            .map_err(|error| self.store_failed(error))
    }

    pub(super) async fn read_contacts(&self, user: &AddressOfRecord) -> Result<ContactBook, Error> {
        let stored = self.store.contacts(user).await;
        let stored = stored.map_err(|error| self.store_failed(error))?;
        Ok(ContactBook::new(stored))
    }
}

/// What the registrar knows of a user.
pub(super) struct Account {
    /// The name people see.
    pub(super) display_name: String,
    pub(super) policy: PresencePolicy,
    /// Endpoints that are signed in.
    pub(super) live: BTreeSet<EndpointId>,
}

/// What was stored of a user, understood.
pub(super) struct Stored {
    pub(super) publications: Publications,
    pub(super) rules: Option<(AccessRules, u64)>,
    pub(super) acknowledged: Vec<AddressOfRecord>,
}

impl Stored {
    fn read(user: &AddressOfRecord, stored: StoredPresence, now: Now) -> Result<Self, StoreError> {
        let mut publications = Publications::default();
        for one in stored.publications {
            let ends_at = one.expires_at.map(|at| now.monotone(at));
            publications.restore(stored::publication_from_store(one)?, ends_at);
        }
        let rules = match &stored.rules {
            None => None,
            Some(rules) => Some((stored::rules_from_store(user, rules)?, rules.revision)),
        };
        Ok(Stored {
            publications,
            rules,
            acknowledged: stored.acknowledged,
        })
    }
}
