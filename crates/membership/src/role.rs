//! What membership asks of others: of roles that they take and give partitions, of peers that they say how they are.

use std::time::Duration;

use async_trait::async_trait;
use store::Lease;
use topology::{Partition, Partitioned};

/// A role could not take a partition; it is asked again within about a second.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TakeError(pub String);

/// A role whose work is shared out by partition.
///
/// Calls for one partition never overlap; calls for different ones do. Whether work is accepted is decided by
/// [`Ownership`](crate::Ownership), not by what was called here last: it turns active only after `take` returned, stops being
/// so before `give` or `lost` is called, and does not count while the member is fenced.
#[async_trait]
pub trait PartitionedRole: Send + Sync + 'static {
    /// By which keys.
    fn keys(&self) -> Partitioned;

    /// Loads what the last owner left of this partition. After `Ok` it is active here. Dropped if it takes longer than
    /// [`Timing::take_timeout`](crate::Timing::take_timeout).
    ///
    /// # Errors
    /// [`TakeError`]: it could not be loaded, nothing of it is kept, and the call comes again while the partition is ours.
    async fn take(&self, partition: Partition, epoch: u64) -> Result<(), TakeError>;

    /// Finishes what was begun, writes out what the next owner needs, and forgets the partition. Nothing new is accepted
    /// any more. Cut off by `lost` after [`Timing::give_timeout`](crate::Timing::give_timeout).
    async fn give(&self, partition: Partition);

    /// Forgets the partition at once: another is the owner, and nothing may be written.
    async fn lost(&self, partition: Partition);

    /// The shared store lost its contents and these partitions are still owned here: writes what the store ought to have.
    /// The role paces itself. The call is dropped at the stop.
    async fn reassert(&self, partitions: Vec<Partition>);
}

/// What became of a question to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerAnswer {
    /// It answered.
    Alive {
        /// Time since the start of its last successful renewal ([`Ownership::renewed_ago`](crate::Ownership::renewed_ago) at
        /// the peer when it answered); `None`: it never renewed.
        renewed_ago: Option<Duration>,
    },
    /// Its host answered that nothing listens there: the process is dead. Nothing less counts as this.
    Refused,
    /// No answer in time, or another error.
    Silent,
}

/// Asks other members how they are.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Asks all of them at once; the answers are in the order of the leases, one for each (a missing one counts as silence).
    /// Dropped after [`Timing::ask_timeout`](crate::Timing::ask_timeout), so that each peer needs a shorter limit.
    async fn ask(&self, peers: &[Lease]) -> Vec<PeerAnswer>;
}
