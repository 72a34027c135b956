//! What is remembered, in shards with a lock each. No lock is held across a wait.
//!
//! A question that began before a change of its shard is answered, but its answer is not kept: the shard's generation
//! has grown. A question that comes after a change never joins one that began before it: the change forgets it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::quality::RandomState;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use rpc::{EffectivePolicy, Error, Location};
use sip_types::AddressOfRecord;

use super::bounded::Bounded;

const SHARDS: usize = 64;
/// Kinds of policies remembered of one user. There are a handful; a peer that asks for invented ones gets errors, which are
/// not remembered.
const KINDS: usize = 32;
/// Questions of one shard after which those that everybody gave up are swept.
const SWEEP: usize = 256;

/// A question that is being asked, for everybody who wants to know.
pub(super) type Load<T> = Shared<BoxFuture<'static, Result<T, Error>>>;

/// What a cache has to say to a question.
pub(super) enum Found<T: Clone> {
    /// The answer.
    Here(T),
    /// It is to be asked for, together with others who want to know. Everybody says what came of it.
    Asked(Asked<T>),
    /// Nothing is remembered now.
    Closed,
}

/// A question on its way.
#[derive(Clone)]
pub(super) struct Asked<T: Clone> {
    pub(super) load: Load<T>,
    /// The generation in which it was asked.
    since: u64,
    /// Whether this caller is the first.
    pub(super) first: bool,
}

type Policies = Vec<(Arc<str>, Arc<EffectivePolicy>)>;
/// Questions on their way, with their generations. Whoever asks holds his question: one that everybody gave up is gone.
type Loads<K, T> = HashMap<K, (WeakShared<BoxFuture<'static, Result<T, Error>>>, u64), RandomState>;

struct Shard {
    /// Whether anything may be remembered.
    open: bool,
    /// Grows with each change.
    generation: u64,
    locations: Bounded<AddressOfRecord, Location>,
    unknown: Bounded<AddressOfRecord, ()>,
    policies: Bounded<AddressOfRecord, Policies>,
    loading: Loads<AddressOfRecord, Option<Location>>,
    loading_policies: Loads<(Arc<str>, AddressOfRecord), Arc<EffectivePolicy>>,
}

pub(super) struct Shards {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

impl Shards {
    pub(super) fn new(users: usize, unknown: usize) -> Self {
        // Users choose their names: the seed differs from process to process.
        let hasher = RandomState::default();
        let (users, unknown) = (users.div_ceil(SHARDS), unknown.div_ceil(SHARDS));
        let shard = |_| {
            Mutex::new(Shard {
                open: false,
                generation: 0,
                locations: Bounded::new(users, hasher.clone()),
                unknown: Bounded::new(unknown, hasher.clone()),
                policies: Bounded::new(users, hasher.clone()),
                loading: HashMap::with_hasher(hasher.clone()),
                loading_policies: HashMap::with_hasher(hasher.clone()),
            })
        };
        Shards {
            shards: (0..SHARDS).map(shard).collect(),
            hasher,
        }
    }

    fn of(&self, aor: &AddressOfRecord) -> &Mutex<Shard> {
        // The upper bits: the maps inside use the lower ones of the same hash.
        &self.shards[(self.hasher.hash_one(aor) >> 48) as usize % SHARDS]
    }

    // === questions ===

    pub(super) fn location<F>(
        &self,
        aor: &AddressOfRecord,
        ask: impl FnOnce() -> F,
    ) -> Found<Option<Location>>
    where
        F: Future<Output = Result<Option<Location>, Error>> + Send + 'static,
    {
        let mut shard = self.of(aor).lock();
        if !shard.open {
            return Found::Closed;
        }
        if let Some(location) = shard.locations.get(aor) {
            return Found::Here(Some(location.clone()));
        }
        if shard.unknown.get(aor).is_some() {
            return Found::Here(None);
        }
        let generation = shard.generation;
        join(&mut shard.loading, aor.clone(), generation, ask)
    }

    pub(super) fn policy<F>(
        &self,
        kind: &str,
        aor: &AddressOfRecord,
        ask: impl FnOnce() -> F,
    ) -> Found<Arc<EffectivePolicy>>
    where
        F: Future<Output = Result<Arc<EffectivePolicy>, Error>> + Send + 'static,
    {
        let mut shard = self.of(aor).lock();
        if !shard.open {
            return Found::Closed;
        }
        let known = shard.policies.get(aor);
        if let Some((_, policy)) = known.and_then(|known| known.iter().find(|(name, _)| **name == *kind)) {
            return Found::Here(policy.clone());
        }
        let generation = shard.generation;
        join(
            &mut shard.loading_policies,
            (Arc::from(kind), aor.clone()),
            generation,
            ask,
        )
    }

    // === answers ===

    /// The generation in which a question is asked that nobody joins.
    pub(super) fn generation(&self, aor: &AddressOfRecord) -> u64 {
        self.of(aor).lock().generation
    }

    /// Remembers an answer, unless something changed since it was asked for.
    pub(super) fn keep_location(&self, aor: &AddressOfRecord, location: &Option<Location>, since: u64) {
        self.of(aor).lock().keep_location(aor, location, since);
    }

    /// A question was answered: the next one is asked anew, or answered from here.
    pub(super) fn loaded_location(
        &self,
        aor: &AddressOfRecord,
        asked: &Asked<Option<Location>>,
        result: &Result<Option<Location>, Error>,
    ) {
        let mut shard = self.of(aor).lock();
        if leave(&mut shard.loading, aor, asked)
            && let Ok(location) = result
        {
            shard.keep_location(aor, location, asked.since);
        }
    }

    /// The same for a policy.
    pub(super) fn loaded_policy(
        &self,
        kind: &str,
        aor: &AddressOfRecord,
        asked: &Asked<Arc<EffectivePolicy>>,
        result: &Result<Arc<EffectivePolicy>, Error>,
    ) {
        let kind: Arc<str> = Arc::from(kind);
        let mut shard = self.of(aor).lock();
        let current = leave(&mut shard.loading_policies, &(kind.clone(), aor.clone()), asked);
        let Ok(policy) = result else { return };
        if !current || !shard.open || shard.generation != asked.since {
            return;
        }
        match shard.policies.get(aor) {
            Some(known) if known.len() < KINDS => known.push((kind, policy.clone())),
            Some(_) => {}
            None => shard.policies.insert(aor.clone(), vec![(kind, policy.clone())]),
        }
    }

    // === changes ===

    /// From now on every change is heard of.
    pub(super) fn open(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.forget_all();
            shard.open = true;
        }
    }

    /// From now on changes may be missed.
    pub(super) fn close(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.forget_all();
            shard.open = false;
        }
    }

    /// Bindings of a user changed.
    pub(super) fn forget_location(&self, aor: &AddressOfRecord) {
        let mut shard = self.of(aor).lock();
        shard.generation += 1;
        shard.forget_location(aor);
    }

    /// Anything else of a user changed.
    pub(super) fn forget_user(&self, aor: &AddressOfRecord) {
        let mut shard = self.of(aor).lock();
        shard.generation += 1;
        shard.forget_location(aor);
        shard.policies.remove(aor);
        shard.loading_policies.retain(|(_, whose), _| whose != aor);
    }

    /// Policies changed, of whomever.
    pub(super) fn forget_policies(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.generation += 1;
            shard.policies.clear();
            shard.loading_policies.clear();
        }
    }
}

impl Shard {
    fn keep_location(&mut self, aor: &AddressOfRecord, location: &Option<Location>, since: u64) {
        if !self.open || self.generation != since {
            return;
        }
        match location {
            Some(location) => {
                self.unknown.remove(aor);
                self.locations.insert(aor.clone(), location.clone());
            }
            None => {
                self.locations.remove(aor);
                self.unknown.insert(aor.clone(), ());
            }
        }
    }

    fn forget_location(&mut self, aor: &AddressOfRecord) {
        self.locations.remove(aor);
        self.unknown.remove(aor);
        self.loading.remove(aor);
    }

    fn forget_all(&mut self) {
        self.generation += 1;
        self.locations.clear();
        self.unknown.clear();
        self.policies.clear();
        self.loading.clear();
        self.loading_policies.clear();
    }
}

/// Joins whoever asks, or becomes the first who does.
fn join<K, T, F>(loading: &mut Loads<K, T>, key: K, generation: u64, ask: impl FnOnce() -> F) -> Found<T>
where
    K: Eq + Hash,
    T: Clone,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let current = loading
        .get(&key)
        .and_then(|(load, since)| Some((load.upgrade()?, *since)));
    if let Some((load, since)) = current {
        let first = false;
        return Found::Asked(Asked { load, since, first });
    }
    if loading.len() >= SWEEP {
        loading.retain(|_, (load, _)| load.upgrade().is_some());
    }
    let load = ask().boxed().shared();
    if let Some(weak) = load.downgrade() {
        loading.insert(key, (weak, generation));
    }
    let (since, first) = (generation, true);
    Found::Asked(Asked { load, since, first })
}

/// Forgets a question that was answered. False: it is no longer the one that counts, or somebody else was here before.
fn leave<K: Eq + Hash, T: Clone>(loading: &mut Loads<K, T>, key: &K, asked: &Asked<T>) -> bool {
    let current = loading.get(key).and_then(|(load, _)| load.upgrade());
    let is_current = current.is_some_and(|load| load.ptr_eq(&asked.load));
    if is_current {
        loading.remove(key);
    }
    is_current
}
