//! The shared copy of presence: what ends with endpoints and so is in no database, for the next owner of a partition.
//!
//! Fences, epochs and lost histories are as with [`BindingCopy`](crate::BindingCopy). Two things differ. The copy does not look into a
//! state: its owner writes and reads it. And owners write behind: a change is accepted first and copied a moment later, for the front
//! end that holds the endpoint knows it as well and tells the next owner.

use async_trait::async_trait;
use bytes::Bytes;
use sip_types::AddressOfRecord;
use topology::Partition;

use crate::{Revision, StoreError, Written};

/// What is to be copied of one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresenceState {
    /// Whose.
    pub user: AddressOfRecord,
    /// Orders the states of one user, also those of different owners.
    pub revision: Revision,
    /// What the owner wrote. Empty: nothing is left, and the user is deleted.
    pub text: Bytes,
    /// Milliseconds after which it is of no use to anybody. The copy may keep it longer.
    pub lives_ms: u64,
}

/// What was copied of one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopiedPresence {
    /// Whose.
    pub user: AddressOfRecord,
    /// What the owner before wrote.
    pub text: Bytes,
    /// Milliseconds since then, by the copy's own clock.
    pub age_ms: u64,
}

/// Keeps a copy of what users publish for as long as an endpoint is there, partition by partition.
///
/// # Errors
/// [`StoreError::Conflict`] from every call: a larger epoch took the partition; the caller is not its owner. Others as the
/// store fails: whether a write happened is unknown then, and it may be repeated.
#[async_trait]
pub trait PresenceCopy: Send + Sync + 'static {
    /// Fences the partition: from now on writes under a smaller epoch are refused. Returns every user of it. A repetition
    /// returns the same.
    async fn take(&self, partition: Partition, epoch: u64) -> Result<Vec<CopiedPresence>, StoreError>;

    /// Stores states of users of this partition. A state whose revision is not larger than the stored (or deleted) one is
    /// ignored, so that writes may arrive out of order and repeatedly.
    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
    ) -> Result<Written, StoreError>;

    /// Writes the whole partition anew and fences it, after the copy lost its history: `states` is everybody with something
    /// when `as_of` was the largest revision given. What this epoch wrote since then stays, everything else goes.
    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
        as_of: Revision,
    ) -> Result<(), StoreError>;
}
