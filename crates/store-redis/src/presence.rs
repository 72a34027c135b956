//! The copy of presence.

use std::borrow::Cow;

use async_trait::async_trait;
use bytes::Bytes;
use store::{CopiedPresence, PresenceCopy, PresenceState, Revision, StoreError, Written};
use topology::Partition;

use crate::connection::Redis;
use crate::copies::{Copies, Kinds, State};

/// What users of one pool publish. Many pools may share the servers.
pub struct RedisPresence(Copies);

impl RedisPresence {
    /// The presence of the pool of this name.
    pub fn new(redis: Redis, pool: &str) -> Self {
        let kinds = Kinds {
            states: "presence",
            fence: "presence-fence",
            deleted: "presence-deleted",
            hashed: 'p',
        };
        RedisPresence(Copies::new(redis, pool, kinds))
    }
}

fn written(states: &[PresenceState]) -> Vec<State<'_>> {
    let states = states.iter();
    states
        .map(|state| State {
            user: &state.user,
            revision: state.revision,
            text: Cow::Borrowed(&state.text),
            lives_ms: state.lives_ms,
        })
        .collect()
}

#[async_trait]
impl PresenceCopy for RedisPresence {
    /// A state that is no state is left out and told of.
    async fn take(&self, partition: Partition, epoch: u64) -> Result<Vec<CopiedPresence>, StoreError> {
        let taken = self.0.take(partition, epoch, |stored| {
            Some(CopiedPresence {
                user: stored.user,
                text: Bytes::from(stored.text),
                age_ms: stored.age_ms,
            })
        });
        taken.await
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
    ) -> Result<Written, StoreError> {
        self.0.write(partition, epoch, written(states)).await
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
        as_of: Revision,
    ) -> Result<(), StoreError> {
        self.0.replace(partition, epoch, written(states), as_of).await
    }
}
