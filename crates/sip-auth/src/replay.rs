//! Counts that may be used once: `nc` of a Digest nonce, `cnum` of a signed connection.

use std::collections::BTreeMap;

use crate::nonce::{CheckedNonce, LIFETIME_SAME_CONNECTION};

/// A sliding window over numbers that must not repeat, 64 wide.
///
/// A number above the highest so far is new. One of the 63 below it is accepted once, since requests may overtake
/// each other on their way through a client's own queues. Everything older is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlidingWindow {
    highest: u32,
    /// Bit `i` is set when `highest - i` was seen.
    seen: u64,
}

impl SlidingWindow {
    /// Takes `number` if it was not taken before and is not too old. Zero is never taken: counts start at one.
    #[must_use]
    pub fn accept(&mut self, number: u32) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.highest {
            self.seen = self.seen.checked_shl(number - self.highest).unwrap_or(0) | 1;
            self.highest = number;
            return true;
        }
        let bit = 1u64.checked_shl(self.highest - number).unwrap_or(0);
        let fresh = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }

    /// Refuses every number from now on.
    fn close(&mut self) {
        (self.highest, self.seen) = (u32::MAX, u64::MAX);
    }
}

/// The counts seen of every nonce that is still good.
///
/// Bounded and exact: at the bound the oldest nonce is forgotten *and no nonce as old as it is taken again*, so
/// that forgetting never lets a replay through; the client concerned is challenged anew. Forgetting what has
/// expired is a step at the old end of a sorted map, no scan. An entry takes about 50 bytes.
#[derive(Debug)]
pub struct ReplayWindow {
    /// By age, since [`CheckedNonce`] sorts so.
    nonces: BTreeMap<CheckedNonce, SlidingWindow>,
    capacity: usize,
    /// Unknown nonces issued at or before this time may be forgotten ones.
    forgotten_up_to: Option<u64>,
}

impl ReplayWindow {
    /// Follows at most `capacity` nonces at once.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            nonces: BTreeMap::new(),
            capacity: capacity.max(1),
            forgotten_up_to: None,
        }
    }

    /// Whether `nc` is new for this nonce; from then on it is not.
    ///
    /// Ask only after the digest was found right. Otherwise somebody who has seen a nonce could use up its
    /// counts.
    #[must_use]
    pub fn accept(&mut self, nonce: &CheckedNonce, nc: u32, now_unix: u64) -> bool {
        self.window(nonce, now_unix)
            .is_some_and(|window| window.accept(nc))
    }

    /// Whether the nonce was never used; from then on it is used up. For answers without a count (RFC 2069).
    #[must_use]
    pub fn accept_once(&mut self, nonce: &CheckedNonce, now_unix: u64) -> bool {
        self.window(nonce, now_unix).is_some_and(|window| {
            let fresh = *window == SlidingWindow::default();
            window.close();
            fresh
        })
    }

    /// Number of nonces followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nonces.len()
    }

    /// Whether no nonce is followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonces.is_empty()
    }

    /// The window of `nonce`, made if need be; `None` if the nonce may have been forgotten.
    fn window(&mut self, nonce: &CheckedNonce, now_unix: u64) -> Option<&mut SlidingWindow> {
        self.drop_expired(now_unix);
        if !self.nonces.contains_key(nonce) {
            if self.forgotten_up_to.is_some_and(|time| nonce.issued_at() <= time) {
                return None;
            }
            if self.nonces.len() == self.capacity {
                let oldest = self.nonces.first_key_value()?.0.issued_at();
                if nonce.issued_at() <= oldest {
                    return None;
                }
                self.nonces.pop_first();
                self.forget(oldest);
            }
        }
        Some(self.nonces.entry(*nonce).or_default())
    }

    /// Drops nonces no check would let through any more.
    fn drop_expired(&mut self, now_unix: u64) {
        while let Some(oldest) = self.nonces.first_entry() {
            let issued_at = oldest.key().issued_at();
            if issued_at.saturating_add(LIFETIME_SAME_CONNECTION) > now_unix {
                break;
            }
            oldest.remove();
            // The clock may be set back later, and then the nonce would be good once more.
            self.forget(issued_at);
        }
    }

    fn forget(&mut self, issued_at: u64) {
        self.forgotten_up_to = self.forgotten_up_to.max(Some(issued_at));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::nonce::{ConnectionClass, NonceKey, NonceScope, ReturnedOn};

    const NOW: u64 = 1_800_000_000;

    fn nonce(issued_at: u64, id: u8) -> CheckedNonce {
        let scope = NonceScope {
            realm: "r",
            class: ConnectionClass::Tls,
            issuer: "",
        };
        let key = NonceKey::new(&[1; 32], None);
        key.check(
            &key.issue(issued_at, [id; 8], scope),
            issued_at,
            scope,
            ReturnedOn::SameConnection,
        )
        .unwrap()
    }

    #[test]
    fn a_count_is_taken_once_per_nonce() {
        let mut window = ReplayWindow::new(10);
        let (a, b) = (nonce(NOW, 1), nonce(NOW, 2));
        assert!(window.accept(&a, 1, NOW));
        assert!(!window.accept(&a, 1, NOW));
        assert!(window.accept(&b, 1, NOW));
        assert!(window.accept(&a, 2, NOW));
        assert!(!window.accept(&a, 0, NOW));
    }

    #[test]
    fn a_count_may_come_late_but_not_too_late() {
        let mut window = SlidingWindow::default();
        assert!(window.accept(100));
        assert!(window.accept(37));
        assert!(!window.accept(37));
        assert!(!window.accept(36));
        assert!(window.accept(u32::MAX));
        assert!(!window.accept(100));
    }

    #[test]
    fn a_nonce_without_count_is_taken_once_and_not_mixed_with_counts() {
        let mut window = ReplayWindow::new(10);
        let (a, b) = (nonce(NOW, 1), nonce(NOW, 2));
        assert!(window.accept_once(&a, NOW));
        assert!(!window.accept_once(&a, NOW));
        assert!(!window.accept(&a, 1, NOW));
        assert!(window.accept(&b, 1, NOW));
        assert!(!window.accept_once(&b, NOW));
    }

    #[test]
    fn what_expired_is_dropped_and_stays_refused_when_the_clock_is_set_back() {
        let mut window = ReplayWindow::new(10);
        let old = nonce(NOW, 1);
        assert!(window.accept(&old, 1, NOW));
        let later = NOW + LIFETIME_SAME_CONNECTION;
        assert!(window.accept(&nonce(later, 2), 1, later));
        assert_eq!(window.len(), 1);
        assert!(!window.accept(&old, 1, NOW));
    }

    #[test]
    fn at_the_bound_the_oldest_goes_and_cannot_be_replayed() {
        let mut window = ReplayWindow::new(3);
        for i in 0..5u8 {
            assert!(window.accept(&nonce(NOW + u64::from(i), i), 1, NOW + 5));
            assert!(window.len() <= 3);
        }
        for i in 0..5u8 {
            assert!(!window.accept(&nonce(NOW + u64::from(i), i), 1, NOW + 5), "{i}");
        }
        assert!(window.accept(&nonce(NOW + 4, 4), 2, NOW + 5));
    }

    proptest! {
        /// Model: the set of all pairs ever taken. Nothing may be taken twice, whatever is evicted, and while
        /// nothing is evicted everything within 64 of the highest must be taken.
        #[test]
        fn nothing_is_ever_taken_twice(
            uses in prop::collection::vec((0u8..12, 1u32..80), 1..300), capacity in 1usize..12
        ) {
            let mut window = ReplayWindow::new(capacity);
            let mut taken = HashSet::new();
            for (id, nc) in uses {
                if window.accept(&nonce(NOW + u64::from(id), id), nc, NOW + 20) {
                    prop_assert!(taken.insert((id, nc)));
                }
                prop_assert!(window.len() <= capacity);
            }
        }

        #[test]
        fn the_window_agrees_with_its_model(numbers in prop::collection::vec(1u32..200, 1..200)) {
            let mut window = SlidingWindow::default();
            let (mut taken, mut highest) = (HashSet::new(), 0);
            for n in numbers {
                let expected = !taken.contains(&n) && n + 63 >= highest;
                prop_assert_eq!(window.accept(n), expected, "{}", n);
                if expected {
                    taken.insert(n);
                    highest = highest.max(n);
                }
            }
        }
    }
}
