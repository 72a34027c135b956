//! Accounts in memory, so that a sign-in storm does not wait for a database.
//!
//! Two bounded sets per shard: accounts that exist, and addresses that are known not to. They are kept apart, so that
//! somebody who asks for invented users cannot push out real ones. What is cached stays until it is changed
//! ([`AccountCache::forget`]) or until its place is needed; credentials are in here as they are in the store, sealed.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;
use rpc::Error;
use sip_types::AddressOfRecord;
use store::{AccountStore, PolicyStore, StoredAccount};
use tokio::sync::Semaphore;

use crate::error::store_failed;
use crate::policy::{Assignment, CachedPolicies};

const SHARDS: usize = 64;

/// Peers choose the keys: the seed differs from process to process.
type Hasher = foldhash::quality::RandomState;

/// An account, what was granted to it, and the policies worked out for it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) stored: StoredAccount,
    pub(crate) assignment: Assignment,
    pub(crate) policies: CachedPolicies,
    pub(crate) display_name: Arc<str>,
}

/// A map of bounded size. The one to go is one nobody asked for since its last turn (second chance).
struct Bounded<V> {
    slots: HashMap<AddressOfRecord, Slot<V>, Hasher>,
    turns: VecDeque<AddressOfRecord>,
    capacity: usize,
}

struct Slot<V> {
    value: V,
    used: AtomicBool,
}

impl<V: Clone> Bounded<V> {
    fn new(capacity: usize, hasher: Hasher) -> Self {
        Bounded {
            slots: HashMap::with_hasher(hasher),
            turns: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    fn get(&self, aor: &AddressOfRecord) -> Option<V> {
        let slot = self.slots.get(aor)?;
        slot.used.store(true, Ordering::Relaxed);
        Some(slot.value.clone())
    }

    fn insert(&mut self, aor: AddressOfRecord, value: V) {
        self.remove(&aor);
        while self.slots.len() >= self.capacity {
            let Some(oldest) = self.turns.pop_front() else {
                break;
            };
            let spared = self
                .slots
                .get(&oldest)
                .is_some_and(|slot| slot.used.swap(false, Ordering::Relaxed));
            if spared {
                self.turns.push_back(oldest);
            } else {
                self.slots.remove(&oldest);
            }
        }
        self.turns.push_back(aor.clone());
        let used = AtomicBool::new(false);
        self.slots.insert(aor, Slot { value, used });
    }

    fn remove(&mut self, aor: &AddressOfRecord) {
        if self.slots.remove(aor).is_some() {
            // A walk over one shard, and only when an administrator changes something.
            self.turns.retain(|other| other != aor);
        }
    }
}

struct Shard {
    known: Bounded<Arc<Known>>,
    unknown: Bounded<()>,
    /// Grows with each change: a read that began before it is not kept.
    generation: u64,
}

enum Cached {
    Known(Arc<Known>),
    Unknown,
    Missing { generation: u64 },
}

/// The cache. Reads that miss go to the store one at a time per stripe, so that many who ask for one user ask once.
pub(crate) struct AccountCache {
    shards: Box<[RwLock<Shard>]>,
    loaders: Box<[Semaphore]>,
    hasher: Hasher,
    accounts: Arc<dyn AccountStore>,
    policies: Arc<dyn PolicyStore>,
}

impl AccountCache {
    /// Keeps about `known` accounts and `unknown` addresses that are not.
    pub(crate) fn new(
        accounts: Arc<dyn AccountStore>,
        policies: Arc<dyn PolicyStore>,
        known: usize,
        unknown: usize,
    ) -> Self {
        let hasher = Hasher::default();
        let shard = |_| {
            RwLock::new(Shard {
                known: Bounded::new(known.div_ceil(SHARDS), hasher.clone()),
                unknown: Bounded::new(unknown.div_ceil(SHARDS), hasher.clone()),
                generation: 0,
            })
        };
        AccountCache {
            shards: (0..SHARDS).map(shard).collect(),
            loaders: (0..SHARDS).map(|_| Semaphore::new(1)).collect(),
            hasher,
            accounts,
            policies,
        }
    }

    fn index(&self, aor: &AddressOfRecord) -> usize {
        // The upper bits: the maps inside use the lower ones of the same hash.
        (self.hasher.hash_one(aor) >> 48) as usize % SHARDS
    }

    fn cached(&self, index: usize, aor: &AddressOfRecord) -> Cached {
        let shard = self.shards[index].read();
        if let Some(known) = shard.known.get(aor) {
            Cached::Known(known)
        } else if shard.unknown.get(aor).is_some() {
            Cached::Unknown
        } else {
            Cached::Missing {
                generation: shard.generation,
            }
        }
    }

    /// An account; `None` if there is none.
    pub(crate) async fn get(&self, aor: &AddressOfRecord) -> Result<Option<Arc<Known>>, Error> {
        let index = self.index(aor);
        match self.cached(index, aor) {
            Cached::Known(known) => return Ok(Some(known)),
            Cached::Unknown => return Ok(None),
            Cached::Missing { .. } => {}
        }
        let _one_loader = self.loaders[index].acquire().await;
        match self.cached(index, aor) {
            Cached::Known(known) => Ok(Some(known)),
            Cached::Unknown => Ok(None),
            Cached::Missing { generation } => {
                let loaded = self.load(aor).await?;
                self.keep(index, aor, &loaded, generation);
                Ok(loaded)
            }
        }
    }

    async fn load(&self, aor: &AddressOfRecord) -> Result<Option<Arc<Known>>, Error> {
        let Some(stored) = self.accounts.account(aor).await.map_err(store_failed)? else {
            return Ok(None);
        };
        let grants = self.policies.grants(aor).await.map_err(store_failed)?;
        Ok(Some(Arc::new(Known {
            assignment: Assignment {
                site: stored.account.site.clone(),
                grants,
            },
            policies: CachedPolicies::default(),
            display_name: Arc::from(stored.account.display_name.as_str()),
            stored,
        })))
    }

    fn keep(&self, index: usize, aor: &AddressOfRecord, loaded: &Option<Arc<Known>>, generation: u64) {
        let mut shard = self.shards[index].write();
        if shard.generation != generation {
            return;
        }
        match loaded {
            Some(known) => shard.known.insert(aor.clone(), known.clone()),
            None => shard.unknown.insert(aor.clone(), ()),
        }
    }

    /// Drops what is cached of a user, after the store was changed.
    pub(crate) fn forget(&self, aor: &AddressOfRecord) {
        let mut shard = self.shards[self.index(aor)].write();
        shard.generation += 1;
        shard.known.remove(aor);
        shard.unknown.remove(aor);
    }

    /// Drops everything, after a change that concerns many.
    pub(crate) fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.generation += 1;
            let (known, unknown) = (shard.known.capacity, shard.unknown.capacity);
            shard.known = Bounded::new(known, self.hasher.clone());
            shard.unknown = Bounded::new(unknown, self.hasher.clone());
        }
    }
}

#[cfg(test)]
mod tests;
