//! The seed as a [`LeaseStore`], as a [`BindingCopy`] and as a [`PresenceCopy`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sip_types::AddressOfRecord;
use store::{
    BindingCopy, CopiedPresence, Incarnation, Lease, LeaseStore, PoolView, PresenceCopy, PresenceState,
    Revision, StoreError, TableVersions, Timestamp, UserBindings, Written,
};
use tokio::time::Instant;
use topology::{MemberId, Partition, Partitioned};

use super::SeatWatch;
use crate::MAX_MESSAGE;
use crate::client::{Caller, Carrier};
use crate::codec::Malformed;
use crate::codec::seed::{self, store_error};
use crate::proto::pool::v1 as wire;
use crate::proto::pool::v1::seed_client::SeedClient;

/// Deadline of a call that reads or changes something.
const CALL: Duration = Duration::from_secs(2);

/// Deadline of a call that waits for changes.
const WAIT: Duration = Duration::from_secs(30);

/// After a failure: before changes are waited for again, and before the copy is asked again, so that not each sign-in waits
/// for a seed that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes what carries calls to an address.
type Dial<T> = Box<dyn Fn(&str) -> Result<T, StoreError> + Send + Sync>;

/// The seed of the pool, wherever it is.
pub struct RemoteSeed<T> {
    seat: SeatWatch,
    dial: Dial<T>,
    /// What carries calls to the seat of this address.
    client: Mutex<Option<(Arc<str>, SeedClient<T>)>>,
    calls: AtomicU64,
    /// The copy is not asked before.
    copy_from: Mutex<Option<Instant>>,
}

impl<T: Carrier> RemoteSeed<T> {
    /// The seed where `seat` says; `dial` makes what carries calls to an address. A process that is a member has one of
    /// these, for the seed tells the order of its calls by it.
    pub fn new(
        seat: SeatWatch,
        dial: impl Fn(&str) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Self {
        RemoteSeed {
            seat,
            dial: Box::new(dial),
            client: Mutex::new(None),
            calls: AtomicU64::new(0),
            copy_from: Mutex::new(None),
        }
    }

    /// What carries a call to the seat, and what the call says of itself.
    fn begin(&self) -> Result<(SeedClient<T>, Option<wire::Call>), StoreError> {
        let Some(seat) = self.seat.borrow().clone() else {
            return Err(StoreError::driver("nothing in rpc.members has an address yet"));
        };
        let mut client = self.client.lock();
        let there = match &*client {
            Some((address, there)) if *address == seat.address => there.clone(),
            _ => {
                let there =
                    SeedClient::new((self.dial)(&seat.address)?).max_decoding_message_size(MAX_MESSAGE);
                *client = Some((seat.address.clone(), there.clone()));
                there
            }
        };
        let call = wire::Call {
            seat: seat.address.to_string(),
            number: self.calls.fetch_add(1, Ordering::Relaxed) + 1,
        };
        Ok((there, Some(call)))
    }

    /// Refuses at once what would wait for a seed that has just failed.
    fn begin_copy(&self) -> Result<(SeedClient<T>, Option<wire::Call>), StoreError> {
        let from = *self.copy_from.lock();
        match from {
            Some(from) if Instant::now() < from => Err(StoreError::driver("the seed was away a moment ago")),
            _ => self.begin(),
        }
    }

    /// Whether the copy may be asked next.
    fn note<R>(&self, result: Result<R, rpc::Error>) -> Result<R, StoreError> {
        let result = result.map_err(store_error);
        let failed = matches!(result, Err(StoreError::Driver(_)));
        *self.copy_from.lock() = failed.then(|| Instant::now() + PAUSE);
        result
    }
}

const CALLER: Caller = Caller { deadline: CALL };

fn malformed(malformed: Malformed) -> StoreError {
    StoreError::driver(malformed.in_answer())
}

fn owned(answer: Result<wire::OwnedResponse, rpc::Error>) -> Result<Vec<seed::Owned>, StoreError> {
    seed::owned(answer.map_err(store_error)?.owned).map_err(malformed)
}

fn number(partition: Partition) -> u32 {
    u32::from(partition.number())
}

fn users_to_wire(users: &[(AddressOfRecord, Arc<UserBindings>)], now: Timestamp) -> Vec<wire::CopiedUser> {
    let users = users.iter();
    users
        .map(|(aor, state)| seed::user_to_wire(aor, state, now))
        .collect()
}

#[async_trait]
impl<T: Carrier> LeaseStore for RemoteSeed<T> {
    async fn renew(&self, lease: &Lease, known: TableVersions) -> Result<PoolView, StoreError> {
        let (mut seed, call) = self.begin()?;
        let request = CALLER.request(wire::RenewRequest {
            call,
            lease: Some(lease.into()),
            known_users: known[Partitioned::Users.index()],
            known_conversations: known[Partitioned::Conversations.index()],
            known_presentities: known[Partitioned::Presentities.index()],
        });
        let view = CALLER.call(seed.renew(request)).await.map_err(store_error)?;
        view.try_into().map_err(malformed)
    }

    async fn claim(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, u64)>, StoreError> {
        let (mut seed, call) = self.begin()?;
        let request = CALLER.request(wire::ClaimRequest {
            call,
            keys: wire::Keys::from(keys).into(),
            holder: Some(seed::life_to_wire(holder)),
            partitions: seed::partitions_to_wire(partitions),
        });
        owned(CALLER.call(seed.claim(request)).await)
    }

    async fn transfer(
        &self,
        keys: Partitioned,
        giver: (&MemberId, Incarnation),
        receiver: (&MemberId, Incarnation),
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, u64)>, StoreError> {
        let (mut seed, call) = self.begin()?;
        let request = CALLER.request(wire::TransferRequest {
            call,
            keys: wire::Keys::from(keys).into(),
            giver: Some(seed::life_to_wire(giver)),
            receiver: Some(seed::life_to_wire(receiver)),
            partitions: seed::partitions_to_wire(partitions),
        });
        owned(CALLER.call(seed.transfer(request)).await)
    }

    async fn reassert(
        &self,
        keys: Partitioned,
        holder: (&MemberId, Incarnation),
        standing: &[(Partition, u64)],
    ) -> Result<Vec<(Partition, u64)>, StoreError> {
        let (mut seed, call) = self.begin()?;
        let request = CALLER.request(wire::ReassertRequest {
            call,
            keys: wire::Keys::from(keys).into(),
            holder: Some(seed::life_to_wire(holder)),
            owned: seed::owned_to_wire(standing),
        });
        owned(CALLER.call(seed.reassert(request)).await)
    }

    async fn leave(&self, holder: (&MemberId, Incarnation)) -> Result<(), StoreError> {
        let (mut seed, call) = self.begin()?;
        let request = CALLER.request(wire::LeaveRequest {
            call,
            holder: Some(seed::life_to_wire(holder)),
        });
        let left = CALLER.call(seed.leave(request)).await;
        left.map(|_| ()).map_err(store_error)
    }

    async fn evict(&self, member: &MemberId, incarnation: Incarnation) -> Result<(), StoreError> {
        let (mut seed, call) = self.begin()?;
        let request = CALLER.request(wire::EvictRequest {
            call,
            life: Some(seed::life_to_wire((member, incarnation))),
        });
        let gone = CALLER.call(seed.evict(request)).await;
        gone.map(|_| ()).map_err(store_error)
    }

    async fn changed(&self) {
        let waiting = Caller { deadline: WAIT };
        loop {
            if let Ok((mut seed, call)) = self.begin() {
                let request = waiting.request(wire::ChangedRequest { call });
                if waiting.call(seed.changed(request)).await.is_ok() {
                    return;
                }
            }
            // Renewals meet the same failure, and tell it.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[async_trait]
impl<T: Carrier> BindingCopy for RemoteSeed<T> {
    async fn take(
        &self,
        partition: Partition,
        epoch: u64,
        now: Timestamp,
    ) -> Result<Vec<(AddressOfRecord, UserBindings)>, StoreError> {
        let (mut seed, call) = self.begin_copy()?;
        let request = CALLER.request(wire::TakeCopyRequest {
            call,
            partition: number(partition),
            epoch,
        });
        let taken = self.note(CALLER.call(seed.take_copy(request)).await)?;
        let users = taken.users.into_iter().map(|user| seed::user(user, now));
        users.collect::<Result<_, _>>().map_err(malformed)
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let (mut seed, call) = self.begin_copy()?;
        let request = CALLER.request(wire::WriteCopyRequest {
            call,
            partition: number(partition),
            epoch,
            users: users_to_wire(users, now),
        });
        let written = self.note(CALLER.call(seed.write_copy(request)).await)?;
        Ok(match written.history_lost {
            true => Written::HistoryLost,
            false => Written::Kept,
        })
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[(AddressOfRecord, Arc<UserBindings>)],
        as_of: Revision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut seed, call) = self.begin_copy()?;
        let request = CALLER.request(wire::ReplaceCopyRequest {
            call,
            partition: number(partition),
            epoch,
            users: users_to_wire(users, now),
            as_of: as_of.0,
        });
        let replaced = CALLER.call(seed.replace_copy(request)).await;
        self.note(replaced).map(|_| ())
    }
}

/// Bytes of states in one call, before the last one: far below the largest message.
const REQUEST: usize = 1024 * 1024;

/// States in calls that are not too large; at least one, which may be empty.
fn calls_of(states: &[PresenceState]) -> Vec<&[PresenceState]> {
    let mut calls = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (place, state) in states.iter().enumerate() {
        if bytes >= REQUEST {
            calls.push(&states[begin..place]);
            (begin, bytes) = (place, 0);
        }
        bytes += state.text.len();
    }
    calls.push(&states[begin..]);
    calls
}

impl<T: Carrier> RemoteSeed<T> {
    async fn write_presence(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
    ) -> Result<Written, StoreError> {
        let (mut seed, call) = self.begin_copy()?;
        let request = CALLER.request(wire::WritePresenceRequest {
            call,
            partition: number(partition),
            epoch,
            states: seed::presence_to_wire(states),
        });
        let written = self.note(CALLER.call(seed.write_presence(request)).await)?;
        Ok(match written.history_lost {
            true => Written::HistoryLost,
            false => Written::Kept,
        })
    }
}

#[async_trait]
impl<T: Carrier> PresenceCopy for RemoteSeed<T> {
    async fn take(&self, partition: Partition, epoch: u64) -> Result<Vec<CopiedPresence>, StoreError> {
        let mut users: Vec<CopiedPresence> = Vec::new();
        loop {
            let (mut seed, call) = self.begin_copy()?;
            let request = CALLER.request(wire::TakePresenceRequest {
                call,
                partition: number(partition),
                epoch,
                after: users.last().map(|last| last.user.as_str().to_owned()),
            });
            let taken = self.note(CALLER.call(seed.take_presence(request)).await)?;
            let count = users.len();
            for copied in taken.users {
                users.push(seed::copied_presence(copied).map_err(malformed)?);
            }
            if !taken.more || users.len() == count {
                return Ok(users);
            }
        }
    }

    async fn write(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
    ) -> Result<Written, StoreError> {
        for states in calls_of(states) {
            if self.write_presence(partition, epoch, states).await? == Written::HistoryLost {
                return Ok(Written::HistoryLost);
            }
        }
        Ok(Written::Kept)
    }

    async fn replace(
        &self,
        partition: Partition,
        epoch: u64,
        states: &[PresenceState],
        as_of: Revision,
    ) -> Result<(), StoreError> {
        let mut calls = calls_of(states).into_iter();
        let (mut seed, call) = self.begin_copy()?;
        let request = CALLER.request(wire::ReplacePresenceRequest {
            call,
            partition: number(partition),
            epoch,
            states: seed::presence_to_wire(calls.next().unwrap_or_default()),
            as_of: as_of.0,
        });
        let replaced = CALLER.call(seed.replace_presence(request)).await;
        self.note(replaced)?;
        for states in calls {
            // What is written after the replacement stays beside it.
            if self.write_presence(partition, epoch, states).await? == Written::HistoryLost {
                return Err(StoreError::driver("the seed forgot everything meanwhile"));
            }
        }
        Ok(())
    }
}
