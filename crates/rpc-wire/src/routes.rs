//! What whoever asks owners must know of the pool.

use std::sync::Arc;

use tokio::sync::watch;
use topology::{MemberId, Partition};

/// A live member that runs a role which owns partitions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OwnerMember {
    /// Its name.
    pub member: MemberId,
    /// Which of its lives.
    pub incarnation: u64,
    /// Where it is reached, as `host:port`; `None`: nowhere but in its own process.
    pub address: Option<Arc<str>>,
    /// True: it is this process.
    pub is_self: bool,
}

/// Who owns a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionOwner {
    /// The member.
    pub owner: OwnerMember,
    /// Under which epoch; larger than that of every owner before.
    pub epoch: u64,
}

/// The routing table of one set of keys.
pub trait OwnerRoutes: Send + Sync + 'static {
    /// The owner of a partition; `None`: nobody live, as far as is known here.
    fn owner(&self, partition: Partition) -> Option<PartitionOwner>;

    /// All live members that may own some, whether or not they own any now.
    fn members(&self) -> Vec<OwnerMember>;

    /// Told whenever one of the answers above may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
}
