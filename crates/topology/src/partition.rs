//! Partitions: the unit in which the keys of a role are owned.
//!
//! A key (an address of record, a conversation) falls into one of [`PARTITIONS`] partitions by a hash that is part of the
//! contract between members: every version of every member must compute the same. A partition is placed on one of the
//! live members of its role by rendezvous hashing, so that a member that comes or goes moves only what it takes or leaves.

use std::fmt;

use crate::MemberId;

/// How many partitions each [`Partitioned`] set of keys has.
pub const PARTITIONS: u16 = 1_024;

/// Keys that are partitioned together, with one table of owners for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Partitioned {
    /// Addresses of record: registrar, and whatever else works per user, so that a user's common path stays on one member.
    Users,
    /// Conversations: immcu.
    Conversations,
    /// Addresses of record again, for presence: the same partitions as [`Partitioned::Users`], and so the same placement where
    /// the same members run both roles, but owned apart, since they need not.
    Presentities,
}

impl Partitioned {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// All, in the order of their tables.
    pub const ALL: [Partitioned; Self::COUNT] = [
        Partitioned::Users,
        Partitioned::Conversations,
        Partitioned::Presentities,
    ];

    /// The name in keys of stores, in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Partitioned::Users => "users",
            Partitioned::Conversations => "conversations",
            Partitioned::Presentities => "presentities",
        }
    }

    /// Its place in arrays with one entry of each.
    pub const fn index(self) -> usize {
        match self {
            Partitioned::Users => 0,
            Partitioned::Conversations => 1,
            Partitioned::Presentities => 2,
        }
    }
}

impl fmt::Display for Partitioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of the [`PARTITIONS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Partition(u16);

impl Partition {
    /// The partition with this number; `None` from [`PARTITIONS`] on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < PARTITIONS {
            Some(Partition(number))
        } else {
            None
        }
    }

    /// All of them, in order.
    pub fn all() -> impl ExactSizeIterator<Item = Partition> {
        (0..PARTITIONS).map(Partition)
    }

    /// Where a user belongs. `aor` is the address of record as it is
    /// printed: `user@domain`, lower case.
    pub fn of_user(aor: &str) -> Self {
        let hash = mix(fnv(FNV_OFFSET, aor.as_bytes()));
        Partition((hash % u64::from(PARTITIONS)) as u16)
    }

    /// Where the conversation of two users belongs, in whatever order they are named.
    pub fn of_conversation(one: &str, other: &str) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let hash = fnv(fnv(FNV_OFFSET, low.as_bytes()), &[0]);
        let hash = mix(fnv(hash, high.as_bytes()));
        Partition((hash % u64::from(PARTITIONS)) as u16)
    }

    /// Its number, below [`PARTITIONS`].
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its place in an array of [`PARTITIONS`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The member it is to be owned by, of those that may: the one with the highest score (rendezvous hashing). The order
    /// of `members` does not matter. `None` if there are none.
    pub fn place<'a>(self, members: impl IntoIterator<Item = &'a MemberId>) -> Option<&'a MemberId> {
        members
            .into_iter()
            .max_by_key(|member| (self.score(member), *member))
    }

    fn score(self, member: &MemberId) -> u64 {
        mix(fnv(
            fnv(FNV_OFFSET, member.as_str().as_bytes()),
            &self.0.to_le_bytes(),
        ))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, carried on from `hash`.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

/// The finalizer of SplitMix64: names that differ in one digit end up far apart.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: usize) -> Vec<MemberId> {
        (1..=count).map(|n| MemberId::new(&format!("fe{n}"))).collect()
    }

    fn shares(members: &[MemberId]) -> Vec<usize> {
        let placed: Vec<_> = Partition::all().filter_map(|one| one.place(members)).collect();
        let count = |member| placed.iter().filter(|owner| **owner == member).count();
        members.iter().map(count).collect()
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        // A change of these numbers is a change of the contract between members.
        assert_eq!(Partition::of_user("alice@example.test").number(), 73);
        assert_eq!(Partition::of_user("bob@example.test").number(), 238);
        let both = Partition::of_conversation("alice@example.test", "bob@example.test");
        assert_eq!(both.number(), 1000);
        assert_eq!(
            both,
            Partition::of_conversation("bob@example.test", "alice@example.test")
        );
        let placed: Vec<_> = (0..4)
            .filter_map(Partition::new)
            .filter_map(|one| one.place(&members(3)).cloned())
            .collect();
        assert_eq!(
            placed.iter().map(MemberId::as_str).collect::<Vec<_>>(),
            ["fe3", "fe3", "fe2", "fe1"]
        );
    }

    #[test]
    fn members_get_about_equal_shares() {
        for count in [2, 3, 5, 12] {
            let fair = usize::from(PARTITIONS) / count;
            for share in shares(&members(count)) {
                assert!(
                    share > fair * 6 / 10 && share < fair * 14 / 10,
                    "{count} members: {share}"
                );
            }
        }
    }

    #[test]
    fn a_member_that_goes_moves_only_what_it_had() {
        let all = members(5);
        let left: Vec<_> = all.iter().filter(|one| one.as_str() != "fe3").collect();
        for partition in Partition::all() {
            let before = partition.place(&all);
            let after = partition.place(left.iter().copied());
            if before.map(MemberId::as_str) != Some("fe3") {
                assert_eq!(before, after);
            }
        }
    }

    #[test]
    fn users_spread_over_partitions() {
        let mut counts = vec![0_u32; usize::from(PARTITIONS)];
        for user in 0..80_000 {
            counts[Partition::of_user(&format!("user{user}@example.test")).index()] += 1;
        }
        assert!(counts.iter().all(|count| (30..140).contains(count)));
    }

    #[test]
    fn nobody_owns_anything_where_there_are_no_members() {
        assert_eq!(Partition::new(0).and_then(|one| one.place(&[])), None);
        assert_eq!(Partition::new(PARTITIONS), None);
    }
}
