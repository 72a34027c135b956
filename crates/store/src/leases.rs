//! Leases of members and ownership of partitions: who is there, and who owns what.
//!
//! Each member renews **one** lease ([`LEASE_TTL_MS`]); what it owns hangs on it. The table of owners is changed only by
//! compare-and-set, so that at any time the store names one owner of a partition. Each change of owner gives the partition
//! a larger epoch, also across a loss of everything that was stored: the upper bits of an epoch are seconds of the
//! store's clock, as of those of registrations.
//!
//! ```text
//!               claim (nobody live owns it)              transfer (by its owner)
//!   nobody ----------------------------------> owner A ------------------------> owner B
//!      ^                                          |
//!      '------ lease of A ran out, or A left -----'        reassert: the table was lost, A says what it owns
//! ```

use async_trait::async_trait;
use topology::{MemberId, PARTITIONS, Partition, Partitioned, Role};

use crate::StoreError;

/// How long a member counts as live after it renewed its lease, in milliseconds of the store's clock.
pub const LEASE_TTL_MS: u64 = 15_000;

/// Tells two lives of one member apart: a number that is larger in the later one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Incarnation(pub u64);

/// What a member says of itself whenever it renews its lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Its name in the pool.
    pub member: MemberId,
    /// Which of its lives.
    pub incarnation: Incarnation,
    /// The roles it runs.
    pub roles: Vec<Role>,
    /// Where other members reach it, as `host:port`; `None`: nowhere.
    pub address: Option<String>,
    /// True: it leaves, and takes nothing new.
    pub draining: bool,
    /// Version of the program, for the operator.
    pub version: String,
}

/// Who owns a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The member.
    pub member: MemberId,
    /// Which of its lives.
    pub incarnation: Incarnation,
    /// Larger than that of every owner before.
    pub epoch: u64,
}

/// The owners of one set of keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnerTable {
    /// Grows with each change of this table; starts anew when the store loses it.
    pub version: u64,
    /// One entry of each partition; `None`: nobody ever owned it.
    owners: Vec<Option<Owner>>,
}

impl OwnerTable {
    /// Nobody owns anything.
    pub fn empty() -> Self {
        OwnerTable {
            version: 0,
            owners: vec![None; usize::from(PARTITIONS)],
        }
    }

    /// The last known owner of a partition. Whether it still lives is in [`PoolView::is_live`].
    pub fn owner(&self, partition: Partition) -> Option<&Owner> {
        self.owners[partition.index()].as_ref()
    }

    /// Puts an owner into the table.
    pub fn set(&mut self, partition: Partition, owner: Option<Owner>) {
        self.owners[partition.index()] = owner;
    }

    /// All entries, in order of their partitions.
    pub fn iter(&self) -> impl Iterator<Item = (Partition, Option<&Owner>)> {
        Partition::all().zip(self.owners.iter().map(Option::as_ref))
    }
}

/// The pool as the store sees it at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolView {
    /// The store's clock, milliseconds since 1970.
    pub now_ms: u64,
    /// Changes when the store has lost what was written (it was flushed, replaced, or failed over to an older copy): whoever
    /// owns something then asserts it again.
    pub history: u64,
    /// Live members, in order of their names.
    pub members: Vec<Lease>,
    /// The tables, in the order of [`Partitioned::ALL`]; `None`: it is of the version the caller said it knows.
    pub owners: [Option<OwnerTable>; Partitioned::COUNT],
}

impl PoolView {
    /// The lease of a live member.
    pub fn member(&self, member: &MemberId) -> Option<&Lease> {
        self.members.iter().find(|lease| lease.member == *member)
    }

    /// Whether this owner still lives, in the same life.
    pub fn is_live(&self, owner: &Owner) -> bool {
        self.member(&owner.member)
            .is_some_and(|lease| lease.incarnation == owner.incarnation)
    }
}

/// A version of each table, in the order of [`Partitioned::ALL`].
pub type TableVersions = [u64; Partitioned::COUNT];

/// No version of any table is known: the answer has all of them.
pub const UNKNOWN_TABLES: TableVersions = [0; Partitioned::COUNT];

/// Keeps leases and the tables of owners. Every call may be repeated: it names the life it speaks for. Who has no live lease
/// changes no table: such a call returns nothing, and the caller renews first.
///
/// # Errors
/// [`StoreError::Conflict`] from every call: a later life of this member holds the lease; this one must stop. Others as
/// the store fails.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Renews a lease, or takes it, and tells what the pool looks like. A table of which the caller knows the present version
    /// is left out; a `known` of 0 gets every table. Versions mean nothing across two histories: who sees another
    /// [`PoolView::history`] asks again with zeros.
    async fn renew(&self, lease: &Lease, known: TableVersions) -> Result<PoolView, StoreError>;

    /// Takes partitions that nobody live owns, for the holder of a lease. Returns those it owns now, with their epochs; one
    /// it owned before keeps its epoch.
    async fn claim(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, u64)>, StoreError>;

    /// Gives partitions from their owner to another live member. Those the giver does not own are left alone. Returns those
    /// that went over, with their new epochs.
    async fn transfer(
        &self,
        keys: Partitioned,
        giver: (&MemberId, Incarnation),
        receiver: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, u64)>, StoreError>;

    /// Says again what a member owns after the store lost its history: each entry stands unless the table names somebody else
    /// with the same epoch or any owner with a larger one. Returns those that stand.
    async fn reassert(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        owned: &[(Partition, u64)],
    ) -> Result<Vec<(Partition, u64)>, StoreError>;

    /// Gives a lease back: the member is gone at once, and whatever it still owns is nobody's. Harmless if it has none.
    async fn leave(&self, holder: (&MemberId, Incarnation)) -> Result<(), StoreError>;

    /// Ends the lease of somebody else who is certainly dead: nothing listens any more where it said it would. Harmless if
    /// that life has no lease.
    async fn evict(&self, member: &MemberId, incarnation: Incarnation) -> Result<(), StoreError>;

    /// Resolves when something may have changed since the call before: a hint that saves waiting for the next renewal. It
    /// may resolve too often, and never may resolve too seldom to rely on.
    async fn changed(&self);
}
