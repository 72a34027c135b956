//! The shared copy of bindings: what lets the next owner of a partition take over.
//!
//! The owner of a partition decides from its own memory and writes through. The copy never decides anything; it refuses
//! those who are not the owner any more. One fence per partition says under which epoch the copy may be written:
//!
//! ```text
//!   fence == epoch of the write   it is kept
//!   fence  > epoch of the write   refused: somebody else took the partition
//!   fence  < epoch, or none       the copy is older than our taking: its history was lost; write the whole partition anew
//! ```
//!
//! Times are those of the caller's monotone clock ([`Timestamp`]). A copy keeps what remained when it was written against
//! a clock of its own, so that two members never compare their clocks.

use std::sync::Arc;

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use topology::Partition;

use crate::{Revision, StoreError, Timestamp, UserBindings};

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Written {
    /// The copy has it, or something newer.
    Kept,
    /// Nothing was written: the copy does not know that this epoch took the partition, so it lost other things too.
    HistoryLost,
}

/// Keeps a copy of every user's bindings, partition by partition.
///
/// # Errors
/// [`StoreError::Conflict`] from every call: a larger epoch took the partition; the caller is not its owner. Others as the
/// store fails: whether a write happened is unknown then, and it may be repeated.
#[async_trait]
pub trait BindingCopy: Send + Sync + 'static {
    /// Fences the partition: from now on writes under a smaller epoch are refused. Returns every user of it. What passed
    /// its deadline meanwhile is among it, with a deadline of `now`: somebody has to say that it ended. A repetition returns
    /// the same.
    async fn take(
        &self,
        partition: Partition,
        epoch: u64,
        now: Timestamp,
    ) -> Result<Vec<(AddressOfRecord, UserBindings)>, StoreError>;

    /// Stores states of users of this partition. An empty state deletes. A state whose revision is not larger than the
    /// stored (or deleted) one is ignored, so that writes may arrive out of order and repeatedly.
    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<Written, StoreError>;

    /// Writes the whole partition anew and fences it, after the copy lost its history: `users` is everybody with bindings
    /// or tombstones when `as_of` was the largest revision given. What this epoch wrote since then stays, everything else
    /// goes.
    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        as_of: Revision,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}
