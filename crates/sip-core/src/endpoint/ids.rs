//! [`IdSource`]: branches, tags and Call-IDs.

use std::hash::Hasher as _;
#[expect(
    deprecated,
    reason = "the only SipHash of the standard library that takes a key; its output is stable"
)]
use std::hash::SipHasher;

use sip_types::SipStr;
use sip_types::typed::MAGIC_COOKIE;

/// Makes identifiers out of a random seed and a counter: the same seed gives the same ones.
///
/// Each is the keyed hash (SipHash-2-4) of the counter, so that who has seen some of them can not tell the next ones
/// (RFC 3261 section 19.3 wants tags unguessable); branches also carry the counter itself, so that two of one source
/// are never equal.
#[derive(Clone, Debug)]
pub struct IdSource {
    seed: u64,
    counter: u64,
}

/// What an identifier is for: equal counters give unrelated values.
#[derive(Clone, Copy)]
enum Purpose {
    Branch = 1,
    Tag = 2,
    CallId = 3,
    Hash = 4,
}

impl IdSource {
    /// A source of its own for each `seed`, which must come from a random generator.
    pub const fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    /// A new branch for a `Via`: the magic cookie, 16 hexadecimal digits and the counter (section 8.1.1.7).
    pub fn next_branch(&mut self) -> SipStr {
        let value = self.next(Purpose::Branch);
        SipStr::from(format!("{MAGIC_COOKIE}{value:016x}{:x}", self.counter))
    }

    /// A new tag for a `From` or `To`: 16 hexadecimal digits (section 19.3).
    pub fn next_tag(&mut self) -> SipStr {
        let value = self.next(Purpose::Tag);
        SipStr::from(format!("{value:016x}"))
    }

    /// A new `Call-ID`: 32 hexadecimal digits (section 8.1.1.4).
    pub fn next_call_id(&mut self) -> SipStr {
        let (first, second) = (self.next(Purpose::CallId), self.next(Purpose::CallId));
        SipStr::from(format!("{first:016x}{second:016x}"))
    }

    /// The next serial number, never zero.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        self.counter
    }

    /// A seed for hash tables, not to be guessed from the identifiers.
    pub(crate) fn hash_seed(&self) -> u64 {
        self.value(Purpose::Hash, 0)
    }

    fn next(&mut self, purpose: Purpose) -> u64 {
        let counter = self.next_serial();
        self.value(purpose, counter)
    }

    #[expect(deprecated, reason = "see the import")]
    fn value(&self, purpose: Purpose, counter: u64) -> u64 {
        let mut hasher = SipHasher::new_with_keys(self.seed, !self.seed);
        hasher.write(&counter.to_be_bytes());
        hasher.write(&[purpose as u8]);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let (mut one, mut two, mut other) = (IdSource::new(1), IdSource::new(1), IdSource::new(2));
        assert_eq!(one.next_branch(), two.next_branch());
        assert_eq!(one.next_tag(), two.next_tag());
        assert_ne!(one.next_tag(), other.next_tag());
    }

    #[test]
    fn nothing_repeats() {
        let mut source = IdSource::new(7);
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(source.next_branch()));
            assert!(seen.insert(source.next_tag()));
            assert!(seen.insert(source.next_call_id()));
        }
    }

    #[test]
    fn a_branch_has_the_cookie_and_a_tag_enough_digits() {
        let mut source = IdSource::new(7);
        assert!(source.next_branch().starts_with("z9hG4bK"));
        assert_eq!(source.next_tag().len(), 16);
        assert_eq!(source.next_call_id().len(), 32);
    }
}
