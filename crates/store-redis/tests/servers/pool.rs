//! A member of a pool, as far as its bindings go.

use std::sync::Arc;

use sip_types::AddressOfRecord;
use store::suite::bindings::binding;
use store::{Binding, BindingStore, BindingUpdate, PartitionedBindings, StoreError, Timestamp, UserBindings};
use store_redis::{Redis, RedisBindings};
use topology::Partition;

/// The suite's bindings begin here.
pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

pub(crate) fn redis(url: &str) -> Redis {
    Redis::new(url.parse().unwrap())
}

pub(crate) fn member(redis: &Redis) -> PartitionedBindings {
    PartitionedBindings::new(Arc::new(RedisBindings::new(redis.clone(), "test")))
}

pub(crate) fn user(name: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{name}@example.test")).unwrap()
}

pub(crate) fn home(name: &str) -> Partition {
    Partition::of_user(user(name).as_str())
}

/// Binds an endpoint for ten minutes.
pub(crate) async fn bind(
    store: &PartitionedBindings,
    name: &str,
    endpoint: &str,
    epoch: u64,
) -> Result<Arc<UserBindings>, StoreError> {
    let state = store.load(&user(name)).await?;
    let update = BindingUpdate {
        put: Some(Binding {
            epoch,
            ..binding(endpoint, epoch, 600)
        }),
        ..BindingUpdate::default()
    };
    store.commit(&user(name), state.revision, update, NOW).await
}

/// The names of a user's endpoints.
pub(crate) async fn endpoints(store: &PartitionedBindings, name: &str) -> Vec<String> {
    let state = store.load(&user(name)).await.unwrap();
    let names = state.bindings.iter().map(|binding| binding.endpoint.to_string());
    names.collect()
}

pub(crate) fn is_not_owner<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotOwner(_)))
}
