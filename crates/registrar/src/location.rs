//! Where users are, ready to be handed out.
//!
//! A lookup happens for every message; a REGISTER once in minutes. So the list of a user's bindings is made when it
//! changes and shared by all who look it up: one hash, one shared lock of one shard, two reference counts.
//!
//! `expires_in` of a binding in here is as of the time the list was made, and a refresh does not make it anew. Who needs it
//! right (the answer to a REGISTER, an administrator) gets a list made for the occasion.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;
use rpc::{Binding, ClientFamily, ConnectionId, EndpointAddress, EndpointId, Epoch, ImMode};
use sip_types::AddressOfRecord;
use store::{Revision, Timestamp, UserBindings};
use topology::Partition;

const SHARDS: usize = 64;

/// Peers choose the keys: the seed differs from process to process.
type Hasher = foldhash::quality::RandomState;

struct Entry {
    revision: Revision,
    display_name: Arc<str>,
    bindings: Arc<[Binding]>,
}

/// The index of everybody who is signed in.
pub(crate) struct Locations {
    shards: Box<[RwLock<HashMap<AddressOfRecord, Entry, Hasher>>]>,
    hasher: Hasher,
    users: AtomicI64,
    simple: AtomicI64,
    lync: AtomicI64,
}

/// How many are signed in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Online {
    pub(crate) users: u64,
    pub(crate) simple: u64,
    pub(crate) lync: u64,
}

impl Locations {
    pub(crate) fn new() -> Self {
        let hasher = Hasher::default();
        Locations {
            shards: (0..SHARDS)
                .map(|_| RwLock::new(HashMap::with_hasher(hasher.clone())))
                .collect(),
            hasher,
            users: AtomicI64::new(0),
            simple: AtomicI64::new(0),
            lync: AtomicI64::new(0),
        }
    }

    fn shard(&self, aor: &AddressOfRecord) -> &RwLock<HashMap<AddressOfRecord, Entry, Hasher>> {
        // The upper bits: the map inside uses the lower ones of the same hash.
        &self.shards[(self.hasher.hash_one(aor) >> 48) as usize % SHARDS]
    }

    /// Name and bindings of a user who is signed in somewhere.
    pub(crate) fn get(&self, aor: &AddressOfRecord) -> Option<(Arc<str>, Arc<[Binding]>)> {
        let shard = self.shard(aor).read();
        let entry = shard.get(aor).filter(|entry| !entry.bindings.is_empty())?;
        Some((entry.display_name.clone(), entry.bindings.clone()))
    }

    /// Takes a newer state over; an older one than what is here changes nothing, in whatever order two changes arrive.
    ///
    /// A user without bindings stays for as long as the store remembers tombstones: that is what tells a late older state
    /// from a new one. `display_name` is for a user not seen before.
    pub(crate) fn apply(
        &self,
        aor: &AddressOfRecord,
        state: &UserBindings,
        display_name: &Arc<str>,
        now: Timestamp,
    ) {
        let bindings: Arc<[Binding]> = bindings_of(aor, state, now).into();
        let mut shard = self.shard(aor).write();
        if state.is_empty() {
            if shard
                .get(aor)
                .is_some_and(|entry| entry.revision < state.revision)
                && let Some(entry) = shard.remove(aor)
            {
                self.count(&entry.bindings, &[]);
            }
            return;
        }
        let entry = shard.entry(aor.clone()).or_insert_with(|| Entry {
            revision: Revision::NONE,
            display_name: display_name.clone(),
            bindings: Arc::new([]),
        });
        if entry.revision < state.revision {
            self.count(&entry.bindings, &bindings);
            entry.revision = state.revision;
            entry.bindings = bindings;
        }
    }

    /// Drops every user of a partition: somebody else answers for them now.
    pub(crate) fn forget_partition(&self, partition: Partition) {
        for shard in &self.shards {
            let mut shard = shard.write();
            let of_it = shard.extract_if(|aor, _| Partition::of_user(aor.as_str()) == partition);
            for (_, entry) in of_it {
                self.count(&entry.bindings, &[]);
            }
        }
    }

    /// Everybody who is signed in somewhere.
    pub(crate) fn users(&self) -> Vec<AddressOfRecord> {
        let mut users = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let online = shard.iter().filter(|(_, entry)| !entry.bindings.is_empty());
            users.extend(online.map(|(aor, _)| aor.clone()));
        }
        users
    }

    /// Gives a user another name.
    pub(crate) fn rename(&self, aor: &AddressOfRecord, display_name: &str) {
        if let Some(entry) = self.shard(aor).write().get_mut(aor)
            && &*entry.display_name != display_name
        {
            entry.display_name = Arc::from(display_name);
        }
    }

    pub(crate) fn online(&self) -> Online {
        let read = |counter: &AtomicI64| counter.load(Ordering::Relaxed).max(0).unsigned_abs();
        Online {
            users: read(&self.users),
            simple: read(&self.simple),
            lync: read(&self.lync),
        }
    }

    fn count(&self, before: &[Binding], after: &[Binding]) {
        let users = i64::from(!after.is_empty()) - i64::from(!before.is_empty());
        let of =
            |list: &[Binding], family| list.iter().filter(|binding| binding.family == family).count() as i64;
        for (counter, family) in [
            (&self.simple, ClientFamily::Simple),
            (&self.lync, ClientFamily::Lync),
        ] {
            counter.fetch_add(of(after, family) - of(before, family), Ordering::Relaxed);
        }
        self.users.fetch_add(users, Ordering::Relaxed);
    }
}

/// The address of a stored binding.
pub(crate) fn address_of(aor: &AddressOfRecord, binding: &store::Binding) -> EndpointAddress {
    EndpointAddress {
        aor: aor.clone(),
        endpoint: EndpointId::new(&binding.endpoint),
        epoch: Epoch(binding.epoch),
        member: binding.member.clone(),
        connection: ConnectionId(binding.connection),
    }
}

/// The bindings of a state as callers see them, with `expires_in` as of `now`. Those past their deadline are left out.
pub(crate) fn bindings_of(aor: &AddressOfRecord, state: &UserBindings, now: Timestamp) -> Vec<Binding> {
    let live = state.bindings.iter().filter(|binding| !binding.has_expired(now));
    let made = live.map(|binding| Binding {
        address: address_of(aor, binding),
        contact: binding.contact.clone(),
        instance: binding.instance.clone(),
        epid: binding.epid.clone(),
        reg_id: binding.reg_id,
        gruu: binding.gruu.clone(),
        expires_in: binding.deadline.seconds_from(now),
        family: if binding.lync {
            ClientFamily::Lync
        } else {
            ClientFamily::Simple
        },
        mode: if binding.session {
            ImMode::Session
        } else {
            ImMode::Page
        },
        user_agent: binding.user_agent.clone(),
    });
    made.collect()
}

#[cfg(test)]
mod tests;
