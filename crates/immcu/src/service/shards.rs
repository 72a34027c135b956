//! All conversations of this process, and which leg belongs to which.
//!
//! Sharded: an input locks the one shard its conversation is in, for the microsecond the state machine needs, and never
//! across an `.await`. Each shard has a queue of times at which one of its conversations wants to be woken.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use rpc::{ConversationKey, LegId};
use tokio::sync::Notify;
use topology::Partition;
use uuid::Uuid;

use crate::conversation::{Conversation, Gauges};
use crate::counters::Counters;
use crate::effect::{Effect, Tell, Turn};
use crate::limits::Limits;

/// Enough that two cores or sixty rarely meet in one; each costs one sleeping task.
const SHARDS: usize = 32;

/// A conversation and when it will be woken.
struct Slot {
    conversation: Box<Conversation>,
    /// Of the key.
    partition: Partition,
    /// Invariant: the queue of the shard holds an entry for this time.
    wake_at: Option<Instant>,
}

/// An entry of a shard's queue. Stale when its conversation's `wake_at` is another time.
struct Due {
    at: Instant,
    key: ConversationKey,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The heap keeps the largest on top: the earliest is the largest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

#[derive(Default)]
struct ShardState {
    conversations: HashMap<ConversationKey, Slot, RandomState>,
    due: BinaryHeap<Due>,
}

#[derive(Default)]
struct Shard {
    state: Mutex<ShardState>,
    /// Somebody wants to be woken earlier than the sleeping task knows.
    earlier: Notify,
}

/// No room for one more conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// All conversations of this process.
pub(super) struct Shards {
    shards: Vec<Shard>,
    /// Seeded per process: peers choose the names.
    hasher: RandomState,
    legs: Legs,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
}

impl Shards {
    pub(super) const COUNT: usize = SHARDS;

    pub(super) fn new(limits: Arc<Limits>, counters: Arc<Counters>) -> Self {
        Shards {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::default(),
            legs: Legs::default(),
            limits,
            counters,
        }
    }

    pub(super) fn legs(&self) -> &Legs {
        &self.legs
    }

    fn shard(&self, key: &ConversationKey) -> &Shard {
        let hash = self.hasher.hash_one(key);
        // The low bits choose the bucket within the map.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Whether something is under way in a conversation of this partition.
    pub(super) fn is_busy(&self, partition: Partition) -> bool {
        self.shards.iter().any(|shard| {
            let state = shard.state.lock();
            let mut slots = state.conversations.values();
            slots.any(|slot| slot.partition == partition && slot.conversation.is_busy())
        })
    }

    /// Forgets all conversations of a partition. Whoever waits for an answer learns that there will be none, and what rings
    /// is told to stop.
    pub(super) fn drop_partition(&self, partition: Partition) {
        for shard in &self.shards {
            let mut state = shard.state.lock();
            let dropped = state
                .conversations
                .extract_if(|_, slot| slot.partition == partition);
            for (_, slot) in dropped {
                self.gauge(slot.conversation.gauges(), Gauges::default());
                self.counters.conversations.fetch_sub(1, Relaxed);
            }
        }
        self.legs.drop_partition(partition);
    }

    /// Feeds an input to a conversation that exists; one that was dropped needs it no more.
    pub(super) fn feed(
        &self,
        key: &ConversationKey,
        now: Instant,
        input: impl FnOnce(&mut Conversation, &mut Turn<'_>),
    ) -> Vec<Effect> {
        let shard = self.shard(key);
        let mut state = shard.state.lock();
        if !state.conversations.contains_key(key) {
            return Vec::new();
        }
        self.apply(shard, &mut state, key, now, input)
    }

    /// Feeds an input to a conversation, which begins with it if need be.
    pub(super) fn feed_or_begin(
        &self,
        key: &ConversationKey,
        now: Instant,
        input: impl FnOnce(&mut Conversation, &mut Turn<'_>),
    ) -> Result<Vec<Effect>, Full> {
        let shard = self.shard(key);
        let mut state = shard.state.lock();
        if !state.conversations.contains_key(key) {
            let limit = u64::try_from(self.limits.conversations).unwrap_or(u64::MAX);
            if self.counters.conversations.fetch_add(1, Relaxed) >= limit {
                self.counters.conversations.fetch_sub(1, Relaxed);
                return Err(Full);
            }
            let seed = Uuid::new_v4().as_u128();
            let conversation = Conversation::new(key.clone(), self.limits.clone(), seed);
            let slot = Slot {
                conversation: Box::new(conversation),
                partition: key.partition(),
                wake_at: None,
            };
            state.conversations.insert(key.clone(), slot);
        }
        Ok(self.apply(shard, &mut state, key, now, input))
    }

    fn apply(
        &self,
        shard: &Shard,
        state: &mut ShardState,
        key: &ConversationKey,
        now: Instant,
        input: impl FnOnce(&mut Conversation, &mut Turn<'_>),
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(slot) = state.conversations.get_mut(key) else {
            return effects;
        };
        let before = slot.conversation.gauges();
        let mut turn = Turn {
            now,
            window: self.window(),
            out: &mut effects,
        };
        input(&mut slot.conversation, &mut turn);
        self.gauge(before, slot.conversation.gauges());
        self.legs.follow(key, &mut effects);

        if slot.conversation.is_idle() {
            state.conversations.remove(key);
            self.counters.conversations.fetch_sub(1, Relaxed);
            return effects;
        }
        match slot.conversation.next_timeout() {
            // Nothing is due, but a session stands.
            None => {}
            Some(at) if slot.wake_at.is_none_or(|wake_at| at < wake_at) => {
                slot.wake_at = Some(at);
                let first = state.due.peek().is_none_or(|due| at < due.at);
                state.due.push(Due { at, key: key.clone() });
                if first {
                    shard.earlier.notify_one();
                }
            }
            // It is woken early, finds nothing to do, and is queued again for the right time.
            Some(_) => {}
        }
        effects
    }

    fn window(&self) -> usize {
        let remembered = usize::try_from(self.counters.remembered.load(Relaxed)).unwrap_or(usize::MAX);
        if remembered > self.limits.remembered_total {
            self.limits.remembered_crowded
        } else {
            self.limits.remembered
        }
    }

    fn gauge(&self, before: Gauges, after: Gauges) {
        for (gauge, before, after) in [
            (&self.counters.legs, before.legs, after.legs),
            (&self.counters.ringing, before.ringing, after.ringing),
            (&self.counters.remembered, before.remembered, after.remembered),
        ] {
            if after > before {
                gauge.fetch_add((after - before) as u64, Relaxed);
            } else if before > after {
                gauge.fetch_sub((before - after) as u64, Relaxed);
            }
        }
    }

    /// Wakes one conversation of a shard that is due and returns what it wants done; `None` if none is due.
    pub(super) fn wake_one(&self, index: usize, now: Instant) -> Option<(ConversationKey, Vec<Effect>)> {
        let shard = self.shards.get(index)?;
        let mut state = shard.state.lock();
        loop {
            if state.due.peek()?.at > now {
                return None;
            }
            let Due { at, key } = state.due.pop()?;
            let Some(slot) = state.conversations.get_mut(&key) else {
                continue;
            };
            if slot.wake_at != Some(at) {
                continue;
            }
            slot.wake_at = None;
            let effects = self.apply(shard, &mut state, &key, now, Conversation::handle_timeout);
            return Some((key, effects));
        }
    }

    /// When the next conversation of a shard is due.
    pub(super) fn next_due(&self, index: usize) -> Option<Instant> {
        self.shards.get(index)?.state.lock().due.peek().map(|due| due.at)
    }

    /// Resolves when a conversation of a shard wants to be woken earlier than before.
    pub(super) async fn earlier(&self, index: usize) {
        match self.shards.get(index) {
            Some(shard) => shard.earlier.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// A leg that leads to a conversation.
struct Bound {
    key: ConversationKey,
    /// Wakes the task that rings this leg, to make it stop. One waiter at most; a permit is kept for it.
    stop: Arc<Notify>,
}

/// Which conversation a leg belongs to. Changed only under the lock of that conversation's shard, so that whoever is
/// told to begin something with a leg can see whether it was told to stop meanwhile.
pub(super) struct Legs {
    shards: Vec<Mutex<HashMap<LegId, Bound, RandomState>>>,
}

impl Default for Legs {
    fn default() -> Self {
        Legs {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Legs {
    fn shard(&self, leg: LegId) -> &Mutex<HashMap<LegId, Bound, RandomState>> {
        &self.shards[leg.0 as usize % SHARDS]
    }

    /// The conversation of a leg.
    pub(super) fn conversation(&self, leg: LegId) -> Option<ConversationKey> {
        self.shard(leg).lock().get(&leg).map(|bound| bound.key.clone())
    }

    /// What tells the one who rings this leg to stop; `None` if it must not ring any more.
    pub(super) fn stop_handle(&self, leg: LegId) -> Option<Arc<Notify>> {
        self.shard(leg).lock().get(&leg).map(|bound| bound.stop.clone())
    }

    /// Forgets the legs of a partition's conversations and stops what rings for them.
    fn drop_partition(&self, partition: Partition) {
        for shard in &self.shards {
            shard.lock().retain(|_, bound| {
                let stays = bound.key.partition() != partition;
                if !stays {
                    bound.stop.notify_one();
                }
                stays
            });
        }
    }

    /// Takes the effects about legs out of `effects` and does them.
    fn follow(&self, key: &ConversationKey, effects: &mut Vec<Effect>) {
        effects.retain(|effect| match effect {
            Effect::Bind(leg) => {
                let bound = Bound {
                    key: key.clone(),
                    stop: Arc::default(),
                };
                self.shard(*leg).lock().insert(*leg, bound);
                false
            }
            Effect::Tell(_, Tell::StopRinging(leg)) => {
                if let Some(bound) = self.shard(*leg).lock().get(leg) {
                    bound.stop.notify_one();
                }
                false
            }
            Effect::Forget(leg) => {
                self.shard(*leg).lock().remove(leg);
                false
            }
            _ => true,
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}
