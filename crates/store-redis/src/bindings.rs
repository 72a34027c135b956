//! The copy of bindings.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use store::{BindingCopy, Revision, StoreError, Timestamp, UserBindings, Written};
use topology::Partition;

use crate::connection::Redis;
use crate::copies::{Copies, Kinds, State};
use crate::states;

/// The bindings of one pool. Many pools may share the servers.
pub struct RedisBindings(Copies);

impl RedisBindings {
    /// The bindings of the pool of this name.
    pub fn new(redis: Redis, pool: &str) -> Self {
        let kinds = Kinds {
            states: "bindings",
            fence: "fence",
            deleted: "deleted",
            hashed: 'u',
        };
        RedisBindings(Copies::new(redis, pool, kinds))
    }
}

fn written(
    users: &[(AddressOfRecord, Arc<UserBindings>)],
    now: Timestamp,
) -> Result<Vec<State<'_>>, StoreError> {
    users
        .iter()
        .map(|(user, state)| {
            let text =
                states::write(state, now).map_err(|error| StoreError::InvalidRequest(error.to_string()))?;
            Ok(State {
                user,
                revision: state.revision,
                text: Cow::Owned(text),
                lives_ms: states::longest(state, now),
            })
        })
        .collect()
}

#[async_trait]
impl BindingCopy for RedisBindings {
    /// A state that cannot be read is left out and told of: its user is as if signed out, the others are not.
    async fn take(
        &self,
        partition: Partition,
        epoch: u64,
        now: Timestamp,
    ) -> Result<Vec<(AddressOfRecord, UserBindings)>, StoreError> {
        let taken = self.0.take(partition, epoch, |stored| {
            let state = states::read(&stored.text, stored.revision, stored.age_ms, now)
                .inspect_err(|error| tracing::debug!(%error, "a stored state of bindings"))
                .ok()?;
            Some((stored.user, state))
        });
        taken.await
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        self.0.write(partition, epoch, written(users, now)?).await
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        as_of: Revision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0
            .replace(partition, epoch, written(users, now)?, as_of)
            .await
    }
}
