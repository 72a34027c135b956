//! Which presentities are this member's: all of them, or those of the partitions it owns in a pool.
//!
//! What must survive is in the database. What ends with an endpoint is in the copy the pool shares, and is published again by the
//! front end that holds the endpoint when it follows the next owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rpc::presence::PresenceNews;
use rpc::{Error, Fence, NoFence};
use sip_types::AddressOfRecord;
use topology::Partition;

use super::entries::Entry;
use super::{Inner, PresenceService, unavailable};

/// Beside the epoch: the partition is somebody else's.
const NOT_OURS: u64 = 1 << 63;

/// All partitions, and the fence around them.
pub(super) struct Partitions {
    is_pooled: bool,
    epochs: Box<[AtomicU64]>,
    /// Counts partitions that became ours.
    openings: AtomicU64,
    fence: Arc<dyn Fence>,
}

impl Partitions {
    /// Everything is ours, for ever, under epoch 0.
    pub(super) fn sole() -> Self {
        Self::new(false, Arc::new(NoFence), 0)
    }

    /// Nothing is ours yet.
    pub(super) fn pooled(fence: Arc<dyn Fence>) -> Self {
        Self::new(true, fence, NOT_OURS)
    }

    fn new(is_pooled: bool, fence: Arc<dyn Fence>, epoch: u64) -> Self {
        Partitions {
            is_pooled,
            epochs: Partition::all().map(|_| AtomicU64::new(epoch)).collect(),
            openings: AtomicU64::new(0),
            fence,
        }
    }

    /// Whether others own the rest.
    pub(super) fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    /// It is ours from now on. True: it was before, under this very epoch.
    fn open(&self, partition: Partition, epoch: u64) -> bool {
        self.openings.fetch_add(1, Ordering::SeqCst);
        let before = self.epochs[partition.index()].swap(epoch, Ordering::SeqCst);
        before & !NOT_OURS == epoch
    }

    /// It is somebody else's from now on.
    fn close(&self, partition: Partition) {
        self.epochs[partition.index()].fetch_or(NOT_OURS, Ordering::SeqCst);
    }

    /// The epoch under which a partition is ours; of one that is not, the last that was.
    pub(super) fn epoch(&self, partition: Partition) -> u64 {
        self.epochs[partition.index()].load(Ordering::SeqCst) & !NOT_OURS
    }

    /// As long as this number and what is owned stay, what was in memory of the partition was not forgotten.
    pub(super) fn openings(&self) -> u64 {
        self.openings.load(Ordering::SeqCst)
    }

    /// The epoch under which a partition is ours; `None`: it is not.
    pub(super) fn owned(&self, partition: Partition) -> Option<u64> {
        let epoch = self.epochs[partition.index()].load(Ordering::SeqCst);
        (epoch & NOT_OURS == 0).then_some(epoch)
    }

    /// Whether this member may speak for a user.
    pub(super) fn check(&self, user: &AddressOfRecord) -> Result<(), Error> {
        let partition = Partition::of_user(user.as_str());
        let epoch = self.epochs[partition.index()].load(Ordering::SeqCst);
        if epoch & NOT_OURS != 0 || !self.fence.is_valid() {
            return Err(unavailable("this member does not own the presence of the user"));
        }
        Ok(())
    }
}

impl PresenceService {
    /// A partition is this member's from now on, with nobody of it in memory but what the copy of the pool has.
    ///
    /// One that comes back under the epoch it had is for front ends as if it had never left, but what they followed is
    /// forgotten: they are told.
    ///
    /// # Errors
    /// Unavailable: the copy failed, or a larger epoch took the partition. It is not this member's; repeating it is harmless.
    pub async fn take(&self, partition: Partition, epoch: u64) -> Result<(), Error> {
        for entry in self.0.close(partition) {
            self.0.entries.forget(&entry);
        }
        let taken = self.0.take_copy(partition, epoch).await;
        taken.map_err(|error| unavailable(format!("partition {partition} cannot be taken over: {error}")))?;
        if self.0.partitions.open(partition, epoch) {
            self.0.streams.tell_all(&PresenceNews::Lost(partition));
        }
        Ok(())
    }

    /// A partition goes to another member: refuses what is new, waits for the changes that are being stored, brings the copy up to
    /// date, and forgets it.
    pub async fn give(&self, partition: Partition) {
        let epoch = self.0.partitions.epoch(partition);
        let leaving = self.0.close(partition);
        for entry in &leaving {
            drop(entry.turn.lock().await);
        }
        self.0.leave_copy(partition, epoch).await;
        for entry in leaving {
            self.0.entries.forget(&entry);
        }
    }

    /// A partition is another member's already: forgets it at once. A change that is being stored now is decided by the
    /// versions in the database.
    pub fn lost(&self, partition: Partition) {
        for entry in self.0.close(partition) {
            self.0.entries.forget(&entry);
        }
        self.0.forget_copy(partition);
    }

    /// The copy of the pool lost its history: brings these partitions over anew, at the pace of [`crate::Limits`].
    pub fn reassert(&self, partitions: Vec<Partition>) {
        self.0.copy_anew(partitions);
    }
}

impl Inner {
    /// Whoever is in memory of a partition that takes nobody new any more.
    fn close(&self, partition: Partition) -> Vec<Arc<Entry>> {
        self.partitions.close(partition);
        // Who is being loaded right now looks again whether the user is ours.
        self.entries.all_changed();
        self.entries.of(partition)
    }
}
