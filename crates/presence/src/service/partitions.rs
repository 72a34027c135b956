//! Which presentities are this member's: all of them, or those of the partitions it owns in a pool.
//!
//! Nothing has to be handed over: what must survive is in the database, and what ends with an endpoint is published again by
//! the front end that holds the endpoint when it follows the next owner.

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
            fence,
        }
    }

    /// Whether others own the rest.
    pub(super) fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    /// It is ours from now on. True: it was before, under this very epoch.
    fn open(&self, partition: Partition, epoch: u64) -> bool {
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
    /// A partition is this member's from now on, with nobody of it in memory.
    ///
    /// One that comes back under the epoch it had is for front ends as if it had never left, but what they followed is
    /// forgotten: they are told.
    pub fn take(&self, partition: Partition, epoch: u64) {
        for entry in self.0.entries.of(partition) {
            self.0.entries.forget(&entry);
        }
        if self.0.partitions.open(partition, epoch) {
            self.0.streams.tell_all(&PresenceNews::Lost(partition));
        }
    }

    /// A partition goes to another member: refuses what is new, waits for the changes that are being stored, and forgets it.
    pub async fn give(&self, partition: Partition) {
        for entry in self.0.close(partition) {
            let _turn = entry.turn.lock().await;
            self.0.entries.forget(&entry);
        }
    }

    /// A partition is another member's already: forgets it at once. A change that is being stored now is decided by the
    /// versions in the database.
    pub fn lost(&self, partition: Partition) {
        for entry in self.0.close(partition) {
            self.0.entries.forget(&entry);
        }
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
