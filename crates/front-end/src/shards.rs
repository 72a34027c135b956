//! A hash map cut into shards, so that connections on different cores do not wait for each other.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::RwLock;

const SHARDS: usize = 16;

/// A concurrent map of cheap-to-clone values. No guard leaves it, so nothing can be held across an await.
pub(crate) struct Shards<K, V> {
    shards: [RwLock<HashMap<K, V, RandomState>>; SHARDS],
    hasher: RandomState,
}

impl<K: Hash + Eq, V: Clone> Shards<K, V> {
    pub(crate) fn new() -> Self {
        let hasher = RandomState::default();
        Shards {
            shards: std::array::from_fn(|_| RwLock::new(HashMap::with_hasher(hasher.clone()))),
            hasher,
        }
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, V, RandomState>> {
        // The top bits choose the shard; the map itself uses the lower ones.
        let index = (self.hasher.hash_one(key) >> 60) as usize % SHARDS;
        self.shards.get(index).unwrap_or(&self.shards[0])
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.shard(&key).write().insert(key, value);
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.shard(key).read().get(key).cloned()
    }

    pub(crate) fn remove(&self, key: &K) -> Option<V> {
        self.shard(key).write().remove(key)
    }

    /// All values at some moment during the call.
    pub(crate) fn values(&self) -> Vec<V> {
        self.shards
            .iter()
            .flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inserted_is_found_until_it_is_removed() {
        let map = Shards::new();
        for number in 0..1_000u64 {
            map.insert(number, number * 2);
        }
        assert_eq!(map.len(), 1_000);
        assert_eq!(map.get(&7), Some(14));
        assert_eq!(map.remove(&7), Some(14));
        assert_eq!(map.get(&7), None);
        assert_eq!(map.len(), 999);
        assert_eq!(map.values().len(), 999);
    }
}
