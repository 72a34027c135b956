//! A [`SeedTable`] as a service.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store::{
    BindingCopy, CopiedPresence, Lease, LeaseStore, PresenceCopy, Revision, Timestamp, UserBindings, Written,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::SeedTable;
use crate::codec::error::status;
use crate::codec::seed::{self, store_error_to_wire};
use crate::codec::{Malformed, required};
use crate::proto::pool::v1 as wire;
use crate::server::malformed;
use crate::work::{Work, deadline};

/// Times on the wire are what remains: they are kept as times of a clock that stands at its start.
const NOW: Timestamp = Timestamp(0);

/// The service over a table.
pub(crate) struct SeedService {
    pub(crate) table: Arc<SeedTable>,
    pub(crate) work: Work,
}

fn owned_to_wire(owned: Vec<seed::Owned>) -> wire::OwnedResponse {
    wire::OwnedResponse {
        owned: seed::owned_to_wire(&owned),
    }
}

/// Bytes of states in one answer, before the last one: far below the largest message.
const ANSWER: usize = 1024 * 1024;

/// Those of the copied users that fit into an answer, and whether there are more.
fn first_of(mut copied: Vec<CopiedPresence>, after: Option<&str>) -> (Vec<wire::CopiedPresence>, bool) {
    copied.sort_by(|one, other| one.user.as_str().cmp(other.user.as_str()));
    let (mut bytes, mut more) = (0, false);
    let mut users = Vec::new();
    for one in copied {
        if after.is_some_and(|after| one.user.as_str() <= after) {
            continue;
        }
        if bytes >= ANSWER {
            more = true;
            break;
        }
        bytes += one.text.len();
        users.push(seed::copied_presence_to_wire(one));
    }
    (users, more)
}

type User = (sip_types::AddressOfRecord, Arc<UserBindings>);

fn users(users: Vec<wire::CopiedUser>) -> Result<Vec<User>, Malformed> {
    let users = users.into_iter().map(|user| seed::user(user, NOW));
    users
        .map(|user| user.map(|(aor, state)| (aor, Arc::new(state))))
        .collect()
}

// What changes something waits for nothing but its turn, so that it is done at once or not at all, and needs no task that
// finishes it.
#[async_trait]
impl wire::seed_server::Seed for SeedService {
    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let lease = required("renew.lease", request.lease).and_then(Lease::try_from);
        let lease = lease.map_err(malformed)?;
        let known = [
            request.known_users,
            request.known_conversations,
            request.known_presentities,
        ];
        let work = async {
            let _turn = self
                .table
                .admit_in_order(request.call, (&lease.member, lease.incarnation))
                .await?;
            let view = self.table.leases.renew(&lease, known).await;
            Ok((&view.map_err(store_error_to_wire)?).into())
        };
        self.work.read(deadline, work).await
    }

    async fn claim(
        &self,
        request: Request<wire::ClaimRequest>,
    ) -> Result<Response<wire::OwnedResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let keys = seed::keys(request.keys).map_err(malformed)?;
        let (member, life) = seed::life("claim.holder", request.holder).map_err(malformed)?;
        let partitions = seed::partitions(request.partitions).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit_in_order(request.call, (&member, life)).await?;
            let owned = self.table.leases.claim(keys, (&member, life), &partitions).await;
            owned.map(owned_to_wire).map_err(store_error_to_wire)
        };
        self.work.read(deadline, work).await
    }

    async fn transfer(
        &self,
        request: Request<wire::TransferRequest>,
    ) -> Result<Response<wire::OwnedResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let keys = seed::keys(request.keys).map_err(malformed)?;
        let (giver, giving) = seed::life("transfer.giver", request.giver).map_err(malformed)?;
        let (receiver, receiving) = seed::life("transfer.receiver", request.receiver).map_err(malformed)?;
        let partitions = seed::partitions(request.partitions).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit_in_order(request.call, (&giver, giving)).await?;
            let (giver, receiver) = ((&giver, giving), (&receiver, receiving));
            let gone = self
                .table
                .leases
                .transfer(keys, giver, receiver, &partitions)
                .await;
            gone.map(owned_to_wire).map_err(store_error_to_wire)
        };
        self.work.read(deadline, work).await
    }

    async fn reassert(
        &self,
        request: Request<wire::ReassertRequest>,
    ) -> Result<Response<wire::OwnedResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let keys = seed::keys(request.keys).map_err(malformed)?;
        let (member, life) = seed::life("reassert.holder", request.holder).map_err(malformed)?;
        let owned = seed::owned(request.owned).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit_in_order(request.call, (&member, life)).await?;
            let standing = self.table.leases.reassert(keys, (&member, life), &owned).await;
            standing.map(owned_to_wire).map_err(store_error_to_wire)
        };
        self.work.read(deadline, work).await
    }

    async fn leave(
        &self,
        request: Request<wire::LeaveRequest>,
    ) -> Result<Response<wire::LeaveResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let (member, life) = seed::life("leave.holder", request.holder).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit_in_order(request.call, (&member, life)).await?;
            let left = self.table.leases.leave((&member, life)).await;
            left.map(|()| wire::LeaveResponse {}).map_err(store_error_to_wire)
        };
        self.work.read(deadline, work).await
    }

    async fn evict(
        &self,
        request: Request<wire::EvictRequest>,
    ) -> Result<Response<wire::EvictResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let (member, life) = seed::life("evict.life", request.life).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit(request.call).await?;
            let gone = self.table.leases.evict(&member, life).await;
            gone.map(|()| wire::EvictResponse {}).map_err(store_error_to_wire)
        };
        self.work.read(deadline, work).await
    }

    async fn changed(
        &self,
        request: Request<wire::ChangedRequest>,
    ) -> Result<Response<wire::ChangedResponse>, Status> {
        let _place = self.work.watcher()?;
        let patience = almost(deadline(request.metadata()));
        let admitted = self.table.admit(request.into_inner().call).await;
        // It waits for the changes of others.
        drop(admitted.map_err(|error| status(&error))?);
        tokio::select! {
            // It is a hint: one too many does no harm.
            _ = timeout(patience, self.table.leases.changed()) => {}
            () = self.work.stop.cancelled() => {}
        }
        Ok(Response::new(wire::ChangedResponse {}))
    }

    async fn take_copy(
        &self,
        request: Request<wire::TakeCopyRequest>,
    ) -> Result<Response<wire::TakeCopyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let partition = seed::partition(request.partition).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit(request.call).await?;
            let users = self.table.copy.take(partition, request.epoch, NOW).await;
            let users = users.map_err(store_error_to_wire)?;
            Ok(wire::TakeCopyResponse {
                users: users
                    .iter()
                    .map(|(aor, state)| seed::user_to_wire(aor, state, NOW))
                    .collect(),
            })
        };
        self.work.read(deadline, work).await
    }

    async fn write_copy(
        &self,
        request: Request<wire::WriteCopyRequest>,
    ) -> Result<Response<wire::WriteCopyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let partition = seed::partition(request.partition).map_err(malformed)?;
        let users = users(request.users).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit(request.call).await?;
            let written = self.table.copy.write(partition, request.epoch, &users, NOW).await;
            let written = written.map_err(store_error_to_wire)?;
            Ok(wire::WriteCopyResponse {
                history_lost: written == Written::HistoryLost,
            })
        };
        self.work.read(deadline, work).await
    }

    async fn replace_copy(
        &self,
        request: Request<wire::ReplaceCopyRequest>,
    ) -> Result<Response<wire::ReplaceCopyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let partition = seed::partition(request.partition).map_err(malformed)?;
        let users = users(request.users).map_err(malformed)?;
        let as_of = Revision(request.as_of);
        let work = async {
            let _turn = self.table.admit(request.call).await?;
            let copy = &self.table.copy;
            let replaced = copy.replace(partition, request.epoch, &users, as_of, NOW).await;
            replaced
                .map(|()| wire::ReplaceCopyResponse {})
                .map_err(store_error_to_wire)
        };
        self.work.read(deadline, work).await
    }

    async fn take_presence(
        &self,
        request: Request<wire::TakePresenceRequest>,
    ) -> Result<Response<wire::TakePresenceResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let partition = seed::partition(request.partition).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit(request.call).await?;
            let copied = self.table.presence.take(partition, request.epoch).await;
            let (users, more) = first_of(copied.map_err(store_error_to_wire)?, request.after.as_deref());
            Ok(wire::TakePresenceResponse { users, more })
        };
        self.work.read(deadline, work).await
    }

    async fn write_presence(
        &self,
        request: Request<wire::WritePresenceRequest>,
    ) -> Result<Response<wire::WritePresenceResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let partition = seed::partition(request.partition).map_err(malformed)?;
        let states = seed::presence(request.states).map_err(malformed)?;
        let work = async {
            let _turn = self.table.admit(request.call).await?;
            let written = self.table.presence.write(partition, request.epoch, &states).await;
            let written = written.map_err(store_error_to_wire)?;
            Ok(wire::WritePresenceResponse {
                history_lost: written == Written::HistoryLost,
            })
        };
        self.work.read(deadline, work).await
    }

    async fn replace_presence(
        &self,
        request: Request<wire::ReplacePresenceRequest>,
    ) -> Result<Response<wire::ReplacePresenceResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let partition = seed::partition(request.partition).map_err(malformed)?;
        let states = seed::presence(request.states).map_err(malformed)?;
        let as_of = Revision(request.as_of);
        let work = async {
            let _turn = self.table.admit(request.call).await?;
            let copy = &self.table.presence;
            let replaced = copy.replace(partition, request.epoch, &states, as_of).await;
            replaced
                .map(|()| wire::ReplacePresenceResponse {})
                .map_err(store_error_to_wire)
        };
        self.work.read(deadline, work).await
    }
}

/// So long that the answer is there before the deadline.
fn almost(deadline: Duration) -> Duration {
    deadline.mul_f32(0.8)
}
