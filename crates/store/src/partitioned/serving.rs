//! The store as everybody sees it: commits and sweeps of partitions that are served here.

use std::sync::Arc;

use async_trait::async_trait;
use hashbrown::HashMap;
use sip_types::AddressOfRecord;
use topology::{MemberId, Partition};

use super::held::Held;
use super::{Hasher, PartitionedBindings, Users, not_owner};
use crate::{
    BindingStore, BindingTotals, BindingUpdate, Ended, Revision, StoreError, SweepResult, Timestamp,
    UserBindings,
};

/// The partition, if it is served here.
fn serving(slot: &mut Option<Held>, partition: Partition) -> Result<&mut Held, StoreError> {
    slot.as_mut()
        .filter(|held| !held.leaving)
        .ok_or_else(|| not_owner(partition))
}

fn partition_of(aor: &AddressOfRecord) -> Partition {
    Partition::of_user(aor.as_str())
}

impl PartitionedBindings {
    /// Writes states through on behalf of a caller who need not wait for a copy that is away: only being fenced is an
    /// error to him. The copy itself counts and tells its failures.
    async fn write_through(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self.write(partition, epoch, users, now).await {
            Err(error @ StoreError::NotOwner(_)) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl BindingStore for PartitionedBindings {
    async fn load(&self, aor: &AddressOfRecord) -> Result<Arc<UserBindings>, StoreError> {
        let partition = partition_of(aor);
        let mut slot = self.slot(partition).lock();
        serving(&mut slot, partition)?;
        Ok(self.memory.read(aor))
    }

    async fn commit(
        &self,
        aor: &AddressOfRecord,
        expected: Revision,
        update: BindingUpdate,
        now: Timestamp,
    ) -> Result<Arc<UserBindings>, StoreError> {
        let partition = partition_of(aor);
        let (epoch, state) = {
            let mut slot = self.slot(partition).lock();
            let held = serving(&mut slot, partition)?;
            let state = self.memory.apply(aor, expected, update, now)?;
            held.changed(aor, &state);
            (held.epoch, state)
        };
        self.write_through(partition, epoch, &[(aor.clone(), state.clone())], now)
            .await?;
        Ok(state)
    }

    /// Partitions that turn out to be somebody else's are dropped, and what ended in them is left to their owner.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<SweepResult, StoreError> {
        let mut by_partition: HashMap<(Partition, u64), Vec<Ended>, Hasher> = HashMap::default();
        for (at, aor) in self.memory.due(now, limit) {
            let partition = partition_of(&aor);
            let mut slot = self.slot(partition).lock();
            let Ok(held) = serving(&mut slot, partition) else {
                continue;
            };
            if let Some(ended) = self.memory.end_due(aor, at, now) {
                held.changed(&ended.aor, &ended.left);
                by_partition
                    .entry((partition, held.epoch))
                    .or_default()
                    .push(ended);
            }
        }
        let mut all = Vec::new();
        for ((partition, epoch), ended) in by_partition {
            let users: Users = ended
                .iter()
                .map(|one| (one.aor.clone(), one.left.clone()))
                .collect();
            if self.write_through(partition, epoch, &users, now).await.is_ok() {
                all.extend(ended);
            }
        }
        Ok(SweepResult {
            ended: all,
            next: self.memory.next_due(),
        })
    }

    async fn binding_totals(&self) -> Result<BindingTotals, StoreError> {
        self.memory.binding_totals().await
    }

    async fn held_by(&self, member: &MemberId) -> Result<Users, StoreError> {
        self.memory.held_by(member).await
    }
}
