//! A map of bounded size. The one to go is one nobody asked for since its last turn (second chance).

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use foldhash::quality::RandomState;

pub(super) struct Bounded<K, V> {
    slots: HashMap<K, Slot<V>, RandomState>,
    turns: VecDeque<K>,
    capacity: usize,
}

struct Slot<V> {
    value: V,
    used: bool,
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    pub(super) fn new(capacity: usize, hasher: RandomState) -> Self {
        Bounded {
            slots: HashMap::with_hasher(hasher),
            turns: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let slot = self.slots.get_mut(key)?;
        slot.used = true;
        Some(&mut slot.value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.value = value;
            return;
        }
        while self.slots.len() >= self.capacity {
            let Some(oldest) = self.turns.pop_front() else {
                break;
            };
            match self.slots.get_mut(&oldest) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.turns.push_back(oldest);
                }
                Some(_) => drop(self.slots.remove(&oldest)),
                // It was removed; its turn is over.
                None => {}
            }
        }
        // Turns of what was removed stay until they come; so that they do not pile up they are swept now and then.
        if self.turns.len() >= 2 * self.capacity {
            let mut seen = std::collections::HashSet::with_capacity(self.slots.len());
            self.turns
                .retain(|key| self.slots.contains_key(key) && seen.insert(key.clone()));
        }
        self.turns.push_back(key.clone());
        self.slots.insert(key, Slot { value, used: false });
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.slots.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.turns.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(capacity: usize) -> Bounded<u32, u32> {
        Bounded::new(capacity, RandomState::default())
    }

    #[test]
    fn what_was_asked_for_is_spared_once() {
        let mut map = of(3);
        for key in 0..3 {
            map.insert(key, key);
        }
        assert!(map.get(&0).is_some());
        map.insert(3, 3);
        assert!(map.get(&1).is_none() && map.get(&0).is_some() && map.get(&3).is_some());
    }

    #[test]
    fn it_never_holds_more_than_it_may_however_it_is_used() {
        let mut map = of(8);
        for key in 0..10_000_u32 {
            map.insert(key % 20, key);
            if key % 3 == 0 {
                map.remove(&(key % 20));
            }
            map.get(&(key % 7));
            assert!(map.slots.len() <= 8 && map.turns.len() <= 16, "{key}");
        }
        map.clear();
        assert!(map.get(&1).is_none());
    }
}
