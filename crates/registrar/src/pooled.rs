//! A registrar that shares its users with others: it answers for the partitions it owns, and for no other.
//!
//! The rules are those of [`RegistrarService`]; what is added is who may apply them. A call about a user of somebody else's
//! partition, and any call while the fence is down, is answered with Unavailable, and nothing was done.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rpc::{
    Authenticate, Binding, BindingEnd, EffectivePolicy, Error, Fence, Freshness, Identity, Location,
    PeopleFound, PeopleSearch, Refusal, Register, RegisterError, Registered, Registrar, RegistrarChange,
    Unregister, Which,
};
use sip_types::AddressOfRecord;
use store::{BindingStore, PartitionedBindings};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use topology::{MemberId, Partition};

use crate::error::{store_failed, unavailable};
use crate::service::RegistrarService;

/// How often what the shared copy lacks is brought over.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// Users brought over in one go: 2,000 a second after a loss of the shared store.
const FLUSH_AT_ONCE: usize = 1_000;

/// The registrar role of one member of a pool. Cloning shares it.
#[derive(Clone)]
pub struct PooledRegistrar {
    service: RegistrarService,
    bindings: Arc<PartitionedBindings>,
    fence: Arc<dyn Fence>,
}

impl PooledRegistrar {
    /// The registrar `service`, which was started over these very `bindings`.
    pub fn new(service: RegistrarService, bindings: Arc<PartitionedBindings>, fence: Arc<dyn Fence>) -> Self {
        PooledRegistrar {
            service,
            bindings,
            fence,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.fence.is_valid() {
            Ok(())
        } else {
            Err(unavailable("this member may have been replaced"))
        }
    }

    // === what the pool tells this owner ===

    /// Takes a partition over with every user in it. Repeating it is harmless.
    ///
    /// # Errors
    /// Unavailable: the shared copy cannot be read now, or somebody else took the partition.
    pub async fn take(&self, partition: Partition, epoch: u64) -> Result<(), Error> {
        let now = self.service.inner.time.now();
        self.bindings
            .take(partition, epoch, now)
            .await
            .map_err(store_failed)?;
        // Something may have expired while nobody owned it.
        self.service.inner.alarm.ring();
        Ok(())
    }

    /// Gives a partition away, after the shared copy has everything.
    ///
    /// # Errors
    /// The copy cannot be written now: the partition is served on. Repeat.
    pub async fn give(&self, partition: Partition) -> Result<(), Error> {
        let now = self.service.inner.time.now();
        self.bindings.give(partition, now).await.map_err(store_failed)?;
        self.service.inner.locations.forget_partition(partition);
        Ok(())
    }

    /// Somebody else owns this partition: it is dropped at once.
    pub fn lost(&self, partition: Partition) {
        self.bindings.drop_partition(partition);
        self.service.inner.locations.forget_partition(partition);
    }

    /// Writes what is known of a partition anew, after the shared store lost it.
    ///
    /// # Errors
    /// The copy cannot be written now, or somebody else took the partition.
    pub async fn reassert(&self, partition: Partition) -> Result<(), Error> {
        let now = self.service.inner.time.now();
        self.bindings
            .reassert(partition, now)
            .await
            .map_err(store_failed)?;
        Ok(())
    }

    /// Brings over what the shared store could not take when it happened, until `stop`. To be run as a task.
    pub async fn keep_copy(self, stop: CancellationToken) {
        let mut failing = false;
        while stop
            .run_until_cancelled(tokio::time::sleep(FLUSH_EVERY))
            .await
            .is_some()
        {
            if self.bindings.dirty() == 0 {
                continue;
            }
            let now = self.service.inner.time.now();
            let flushed = self.bindings.flush(now, FLUSH_AT_ONCE).await;
            for partition in flushed.fenced {
                self.service.inner.locations.forget_partition(partition);
            }
            match flushed.failed {
                Some(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, waiting = self.bindings.dirty(), "bindings wait for the shared store");
                }
                None if std::mem::take(&mut failing) => {
                    tracing::info!("the shared store takes bindings again");
                }
                _ => {}
            }
        }
    }

    /// Ends the bindings a front end held that is gone; with `since`, those of its connections with a smaller number only:
    /// it lives again. Returns how many.
    ///
    /// # Errors
    /// As the store fails; what had ended by then stays ended.
    pub async fn front_end_gone(&self, member: &MemberId, since: Option<u64>) -> Result<usize, Error> {
        self.check()?;
        let mut ended = 0;
        let held = self.bindings.held_by(member).await.map_err(store_failed)?;
        for (aor, state) in held {
            let of_it = state.bindings.iter().filter(|binding| {
                binding.member == *member && since.is_none_or(|since| binding.connection < since)
            });
            for binding in of_it {
                let endpoint = rpc::EndpointId::new(&binding.endpoint);
                let request = Unregister {
                    aor: aor.clone(),
                    which: Which::Connection(endpoint, rpc::Epoch(binding.epoch)),
                    order: None,
                };
                match self.service.inner.unregister(request).await {
                    Ok(_) => ended += 1,
                    Err(RegisterError::Failed(error)) => return Err(error),
                    // It is gone by itself.
                    Err(_) => {}
                }
            }
        }
        if ended > 0 {
            tracing::info!(%member, ended, reason = ?BindingEnd::Unregistered, "a front end is gone");
        }
        Ok(ended)
    }
}

#[async_trait]
impl Registrar for PooledRegistrar {
    async fn authenticate(&self, request: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        self.service.authenticate(request).await
    }

    async fn register(&self, request: Register) -> Result<Registered, RegisterError> {
        self.check()?;
        self.service.register(request).await
    }

    async fn unregister(&self, request: Unregister) -> Result<Vec<Binding>, RegisterError> {
        self.check()?;
        self.service.unregister(request).await
    }

    async fn lookup(&self, aor: &AddressOfRecord, freshness: Freshness) -> Result<Option<Location>, Error> {
        self.check()?;
        self.service.lookup(aor, freshness).await
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        self.service.watch().await
    }

    async fn policy(&self, kind: &str, aor: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        self.service.policy(kind, aor).await
    }

    async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error> {
        self.service.search(search).await
    }
}
