//! A bounded map that forgets what was touched longest ago.

use std::collections::BTreeMap;
use std::time::Instant;

/// Keys to values, in the order of their last touch as well.
///
/// Two sorted maps that hold the same keys: one by key, one by touch. Sorted rather than hashed, since peers
/// choose the keys.
///
/// Invariant: `by_touch` has exactly one entry per entry of `by_key`, under the touch stored there.
#[derive(Debug)]
pub(super) struct RecentMap<K, V> {
    by_key: BTreeMap<K, Entry<V>>,
    by_touch: BTreeMap<u64, K>,
    touches: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<V> {
    touch: u64,
    touched: Instant,
    value: V,
}

impl<K: Ord + Clone, V> RecentMap<K, V> {
    /// A map of at most `capacity` entries, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_touch: BTreeMap::new(),
            touches: 0,
            capacity: capacity.max(1),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Looks without touching.
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.by_key.get(key).map(|entry| &entry.value)
    }

    /// Touches the entry, making it if need be and then forgetting the one touched longest ago if the map is full.
    pub(super) fn touch(&mut self, key: K, now: Instant, new: impl FnOnce() -> V) -> &mut V {
        self.touches += 1;
        let touch = self.touches;
        match self.by_key.get(&key) {
            Some(entry) => drop(self.by_touch.remove(&entry.touch)),
            None if self.by_key.len() == self.capacity => self.forget_oldest(),
            None => {}
        }
        self.by_touch.insert(touch, key.clone());
        let entry = self.by_key.entry(key).or_insert_with(|| Entry {
            touch,
            touched: now,
            value: new(),
        });
        (entry.touch, entry.touched) = (touch, now);
        &mut entry.value
    }

    /// Forgets entries from the oldest on while `obsolete` says so of their last touch.
    pub(super) fn forget_while(&mut self, obsolete: impl Fn(Instant) -> bool) {
        while let Some((_, key)) = self.by_touch.first_key_value() {
            if !self.by_key.get(key).is_none_or(|entry| obsolete(entry.touched)) {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.by_touch.pop_first() {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Model: a list in the order of touches.
        #[test]
        fn it_keeps_the_latest_touched(
            capacity in 1usize..6, steps in prop::collection::vec((0u8..10, any::<bool>()), 0..100)
        ) {
            let begin = Instant::now();
            let mut map = RecentMap::new(capacity);
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (i, (key, sweep)) in steps.into_iter().enumerate() {
                let at = |i: usize| begin + Duration::from_secs(i as u64);
                if sweep {
                    map.forget_while(|touched| touched + Duration::from_secs(4) <= at(i));
                    model.retain(|(_, touched)| touched + 4 > i);
                }
                *map.touch(key, at(i), || 0) += 1;
                model.retain(|(k, _)| *k != key);
                model.push((key, i));
                if model.len() > capacity {
                    model.remove(0);
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.by_touch.len(), model.len());
                for key in 0..10 {
                    prop_assert_eq!(map.get(&key).is_some(), model.iter().any(|(k, _)| *k == key));
                }
            }
        }
    }
}
