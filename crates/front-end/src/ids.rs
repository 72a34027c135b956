//! Tags, Call-IDs and leg numbers: unique in the pool, unguessable enough for peers that only see their own.

use std::sync::atomic::{AtomicU64, Ordering};

use rpc::LegId;

/// Makes identifiers from one random seed and a counter.
pub(crate) struct Ids {
    seed: [u64; 2],
    next: AtomicU64,
}

impl Ids {
    /// `seed`: 16 random bytes, different in every process.
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_le_bytes(seed);
        Ids {
            seed: [seed as u64, (seed >> 64) as u64],
            next: AtomicU64::new(0),
        }
    }

    /// A number that no other call returns and that shows nothing of the counter.
    pub(crate) fn number(&self) -> u64 {
        // SplitMix64: a bijection, so distinct counters give distinct numbers.
        let step = self
            .next
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed[0].wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A tag (RFC 3261 section 19.3 asks for 32 random bits at least).
    pub(crate) fn tag(&self) -> String {
        format!("{:016x}", self.number())
    }

    /// A Call-ID.
    pub(crate) fn call_id(&self, host: &str) -> String {
        format!("{:016x}@{host}", self.number())
    }

    /// A leg.
    pub(crate) fn leg(&self) -> LegId {
        LegId((u128::from(self.seed[1]) << 64) | u128::from(self.number()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_and_depend_on_the_seed() {
        let ids = Ids::new([7; 16]);
        let tags: HashSet<String> = (0..10_000).map(|_| ids.tag()).collect();
        assert_eq!(tags.len(), 10_000);
        assert_ne!(Ids::new([8; 16]).leg(), Ids::new([7; 16]).leg());
    }
}
