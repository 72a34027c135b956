//! Which conversations are this member's to decide: all of them, or those of the partitions it owns in a pool.
//!
//! ```text
//!             take                    every front end has said what it holds, or the wait is over
//!  not ours ---------> taking -------------------------------------------------------------> ours
//!     ^                  |  lost                                                               |
//!     '------------------+---------------------------- give (when quiet), lost (at once) -----'
//! ```
//!
//! While a partition is being taken, requests wait in their order: deciding one before every front end has said which
//! sessions stand would ring people who are in one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc::{ConversationKey, Error, Fence, HeldLegs};
use tokio::sync::Notify;
use tokio::time::Instant;
use topology::{MemberId, Partition};

use super::run::unavailable;
use super::{ImMcuService, Inner, now};
use crate::effect::Call;

/// How long a new owner waits for front ends to say what they hold. One that lives answers within milliseconds; one that
/// does not has no legs that could be used.
const HOLD_WAIT: Duration = Duration::from_secs(3);

/// How long conversations may take to end what is under way before their partition is given away. What is not ended by
/// then is asked of the next owner again.
const GIVE_WAIT: Duration = Duration::from_secs(4);

/// How often it is looked whether they have.
const GIVE_STEP: Duration = Duration::from_millis(20);

/// Requests that wait for one partition to be taken.
const QUEUED: usize = 4_096;

/// A request that waits for its partition.
type Queued = Box<dyn FnOnce(&Arc<Inner>) + Send>;

struct Taking {
    epoch: u64,
    waiting_for: HashSet<MemberId>,
    queued: Vec<Queued>,
    done: Arc<Notify>,
}

enum Part {
    NotOurs,
    Taking(Box<Taking>),
    Ours { epoch: u64 },
}

/// What became of a request.
pub(super) enum Admitted {
    /// It was fed; this is to be worked on.
    Fed(Option<Call>),
    /// It waits for its partition.
    Queued,
    /// There are too many conversations.
    Full,
}

/// All partitions, and the fence around them.
pub(super) struct Partitions {
    parts: Box<[Mutex<Part>]>,
    fence: Arc<dyn Fence>,
    /// Front ends that were waited for in vain: not again until they say something. A pool's partitions are taken a few at a
    /// time, and each would wait for the same dead one.
    silent: Mutex<HashSet<MemberId>>,
}

impl Partitions {
    /// Everything is ours, for ever.
    pub(super) fn sole() -> Self {
        Self::new(Arc::new(rpc::NoFence), || Part::Ours { epoch: 1 })
    }

    /// Nothing is ours yet.
    pub(super) fn pooled(fence: Arc<dyn Fence>) -> Self {
        Self::new(fence, || Part::NotOurs)
    }

    fn new(fence: Arc<dyn Fence>, part: impl Fn() -> Part) -> Self {
        Partitions {
            parts: Partition::all().map(|_| Mutex::new(part())).collect(),
            fence,
            silent: Mutex::default(),
        }
    }

    fn part(&self, partition: Partition) -> &Mutex<Part> {
        &self.parts[partition.index()]
    }

    pub(super) fn epoch(&self, partition: Partition) -> Option<u64> {
        match &*self.part(partition).lock() {
            Part::Ours { epoch } if self.fence.is_valid() => Some(*epoch),
            _ => None,
        }
    }

    fn is_ours(&self, partition: Partition) -> bool {
        matches!(&*self.part(partition).lock(), Part::Ours { .. })
    }
}

impl Inner {
    /// Feeds a request to its conversation now, or when its partition is taken. `feed` runs under the lock of the partition,
    /// so that nothing comes in behind a partition that is given away.
    ///
    /// # Errors
    /// Unavailable: the conversation is somebody else's. Nothing was done.
    pub(super) fn admit(
        self: &Arc<Self>,
        key: &ConversationKey,
        feed: impl FnOnce(&Arc<Inner>, &ConversationKey) -> Admitted + Send + 'static,
    ) -> Result<Admitted, Error> {
        let mut part = self.partitions.part(key.partition()).lock();
        match &mut *part {
            Part::Ours { .. } if self.partitions.fence.is_valid() => Ok(feed(self, key)),
            Part::Taking(taking) if taking.queued.len() < QUEUED => {
                let key = key.clone();
                taking.queued.push(Box::new(move |inner| {
                    if let Admitted::Fed(Some(call)) = feed(inner, &key) {
                        inner.spawn_run(&key, call);
                    }
                }));
                Ok(Admitted::Queued)
            }
            _ => Err(unavailable("this member does not own the conversation")),
        }
    }

    /// What a request is told whose conversation vanished under it.
    pub(super) fn lost_answer(&self, key: &ConversationKey) -> Error {
        if self.partitions.is_ours(key.partition()) {
            Error::new(rpc::ErrorCode::Internal, "a conversation ended without an answer")
        } else {
            unavailable("the conversation has another owner now")
        }
    }

    /// Legs a front end holds.
    pub(super) fn hold(self: &Arc<Self>, held: HeldLegs) -> Result<(), Error> {
        self.partitions.silent.lock().remove(&held.member);
        let mut part = self.partitions.part(held.partition).lock();
        if let Part::NotOurs = &*part {
            return Err(unavailable("this member does not own the partition"));
        }
        for leg in held.legs {
            let key = ConversationKey::new(&leg.address.aor, &leg.peer);
            if key.partition() != held.partition {
                continue;
            }
            let fed = self.shards.feed_or_begin(&key, now(), |conversation, turn| {
                conversation.hold(leg, turn);
            });
            let Ok(effects) = fed else {
                return Err(Error::new(rpc::ErrorCode::TooMany, "too many conversations"));
            };
            if let Some(call) = self.carry_out(&key, effects) {
                self.spawn_run(&key, call);
            }
        }
        if let Part::Taking(taking) = &mut *part {
            taking.waiting_for.remove(&held.member);
            if taking.waiting_for.is_empty() {
                self.activate(&mut part);
            }
        }
        Ok(())
    }

    /// Begins to decide: first what waited, in its order.
    fn activate(self: &Arc<Self>, part: &mut Part) {
        let Part::Taking(taking) = std::mem::replace(part, Part::NotOurs) else {
            return;
        };
        *part = Part::Ours { epoch: taking.epoch };
        for queued in taking.queued {
            queued(self);
        }
        taking.done.notify_one();
    }
}

// === what the pool tells this owner ===

impl ImMcuService {
    /// Takes a partition over: waits until each of `front_ends` has said which legs it holds ([`rpc::ImMcu::hold`]), 3 s at
    /// most, and decides its conversations from then on. Repeating it with the epoch it has changes nothing.
    pub async fn take(&self, partition: Partition, epoch: u64, front_ends: Vec<MemberId>) {
        let inner = &self.0;
        let done = Arc::new(Notify::new());
        let waiting_for = {
            let silent = inner.partitions.silent.lock();
            let mut front_ends = front_ends;
            front_ends.retain(|member| !silent.contains(member));
            front_ends.into_iter().collect()
        };
        {
            let mut part = inner.partitions.part(partition).lock();
            if let Part::Ours { epoch: ours } = &mut *part {
                *ours = epoch.max(*ours);
                return;
            }
            *part = Part::Taking(Box::new(Taking {
                epoch,
                waiting_for,
                queued: Vec::new(),
                done: done.clone(),
            }));
            if let Part::Taking(taking) = &*part
                && taking.waiting_for.is_empty()
            {
                inner.activate(&mut part);
                return;
            }
        }
        if tokio::time::timeout(HOLD_WAIT, done.notified()).await.is_err() {
            let mut part = inner.partitions.part(partition).lock();
            if let Part::Taking(taking) = &*part
                && taking.epoch == epoch
            {
                tracing::debug!(%partition, missing = ?taking.waiting_for, "taken without the legs of some front ends");
                let missing = taking.waiting_for.iter().cloned();
                inner.partitions.silent.lock().extend(missing);
                inner.activate(&mut part);
            }
        }
    }

    /// Gives a partition away: nothing new is accepted, what is under way ends or, after 4 s, is dropped; whoever asked for
    /// it asks the next owner.
    pub async fn give(&self, partition: Partition) {
        *self.0.partitions.part(partition).lock() = Part::NotOurs;
        let until = Instant::now() + GIVE_WAIT;
        while self.0.shards.is_busy(partition) && Instant::now() < until {
            tokio::time::sleep(GIVE_STEP).await;
        }
        self.0.shards.drop_partition(partition);
    }

    /// Somebody else owns this partition: what is known of it is dropped at once.
    pub fn lost(&self, partition: Partition) {
        *self.0.partitions.part(partition).lock() = Part::NotOurs;
        self.0.shards.drop_partition(partition);
    }

    /// The epoch under which this member may speak for a partition now; `None`: it may not.
    pub fn epoch(&self, partition: Partition) -> Option<u64> {
        self.0.partitions.epoch(partition)
    }
}
