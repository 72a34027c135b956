//! The role as others see it.
//!
//! Every presentity has a *turn*: whoever changes it holds the turn from reading its state to the end of the write to the
//! store. Its state is behind a lock of its own that is held for moments, so that readers never wait for the store.

mod change;
mod copying;
mod entries;
mod follow;
mod groups;
mod legacies;
mod loading;
mod partitions;
mod registrar;
mod settle;
mod streams;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use rpc::presence::{
    AccessRules, ContactChange, ContactList, ContactNews, ContactRefusal, Follow, FollowRefusal,
    MemberChanges, OwnData, PresenceDocument, PresenceNews, PresenceVersion, Publish, PublishRefusal,
    Published, SeenWatcher,
};
use rpc::{Error, ErrorCode, Fence, Presence, RegistrarClient};
use sip_types::AddressOfRecord;
use store::{PresenceCopy, PresenceStore, StoreError};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Partition};

use self::copying::Copying;
use self::entries::Entries;
use self::partitions::Partitions;
use self::settle::Alarm;
use self::streams::{Streams, Work};
use crate::counters::{Counters, Event, Operation, Outcome, Snapshot};
use crate::limits::Limits;
use crate::time::{Clock, Now, millis_of};

struct Inner {
    registrar: RegistrarClient,
    store: Arc<dyn PresenceStore>,
    clock: Arc<dyn Clock>,
    started: Instant,
    limits: Limits,
    counters: Arc<Counters>,
    entries: Entries,
    streams: Streams,
    alarm: Alarm,
    partitions: Partitions,
    copying: Copying,
    /// Numbers documents and own data of everybody, so that a presentity that was forgotten goes on above.
    documents: AtomicU64,
    /// Front ends that died lately, and until when that counts. Monotone milliseconds.
    died: Mutex<HashMap<MemberId, u64>>,
    /// Organisational groups that changed a moment ago; `None`: any.
    changed_groups: Mutex<HashSet<Option<AddressOfRecord>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Inner {
    fn now(&self) -> Now {
        Now {
            unix_ms: self.clock.unix_ms(),
            ms: millis_of(self.started.elapsed()),
        }
    }

    /// The version of the next document or own data of a user.
    fn next_version(&self, user: &AddressOfRecord) -> PresenceVersion {
        PresenceVersion {
            epoch: self.partitions.epoch(Partition::of_user(user.as_str())),
            count: self.documents.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(unavailable("the server stops"));
        }
        Ok(())
    }

    /// What a caller is told when the store did not do it. The details of a driver stay in the log. Only what another owner
    /// would do better is [`ErrorCode::Unavailable`].
    fn store_failed(&self, error: StoreError) -> Error {
        self.counters.event(Event::StoreFailed);
        match error {
            StoreError::Driver(cause) => {
                tracing::warn!(error = %cause, "the presence store failed");
                Error::new(ErrorCode::Timeout, "the presence store failed")
            }
            StoreError::Inconsistent(text) => {
                tracing::error!(error = %text, "inconsistent data in the presence store");
                Error::new(ErrorCode::Internal, "inconsistent data in the presence store")
            }
            StoreError::InvalidRequest(text) => Error::new(ErrorCode::NotFound, text),
            StoreError::Conflict(text) => Error::new(ErrorCode::Conflict, text),
            StoreError::NotOwner(text) => unavailable(text),
        }
    }
}

fn unavailable(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::Unavailable, what)
}

/// Another role failed us. It is asked wherever it is: another owner of presence would do no better, so this is not told
/// as [`ErrorCode::Unavailable`], which means to look for that owner.
fn dependency_failed(mut error: Error) -> Error {
    if error.code == ErrorCode::Unavailable {
        error.code = ErrorCode::Timeout;
    }
    error
}

fn no_such_user() -> Error {
    Error::new(ErrorCode::NotFound, "no such user")
}

/// The owner of presence. Cloning shares it.
#[derive(Clone)]
pub struct PresenceService(Arc<Inner>);

impl PresenceService {
    /// Starts the role as the owner of everybody, with nobody in memory. Must be called within a tokio runtime, which then runs its tasks.
    ///
    /// Whoever composes the server registers [`crate::PRESENCE_POLICY`] with the policy engine behind `registrar`.
    pub fn start(
        registrar: RegistrarClient,
        store: Arc<dyn PresenceStore>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self::start_with(
            registrar,
            store,
            clock,
            limits,
            Partitions::sole(),
            Copying::new(None),
        )
    }

    /// Starts the role of a member of a pool, which owns nobody before [`PresenceService::take`]. `copy`: what the members share
    /// of what is in no database; `fence`: whether what it owns counts.
    pub fn start_in_pool(
        registrar: RegistrarClient,
        store: Arc<dyn PresenceStore>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        copy: Arc<dyn PresenceCopy>,
        fence: Arc<dyn Fence>,
    ) -> Self {
        let (partitions, copying) = (Partitions::pooled(fence), Copying::new(Some(copy)));
        Self::start_with(registrar, store, clock, limits, partitions, copying)
    }

    fn start_with(
        registrar: RegistrarClient,
        store: Arc<dyn PresenceStore>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        partitions: Partitions,
        copying: Copying,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let work = Work {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let inner = Arc::new(Inner {
            registrar,
            store,
            clock,
            started: Instant::now(),
            entries: Entries::new(counters.clone()),
            streams: Streams::new(counters.clone(), work.clone(), limits.news),
            limits,
            counters,
            alarm: Alarm::default(),
            partitions,
            copying,
            documents: AtomicU64::new(0),
            died: Mutex::default(),
            changed_groups: Mutex::default(),
            tasks: work.tasks,
            stop: work.stop,
        });
        inner.tasks.spawn(inner.clone().keep_time());
        inner.tasks.spawn(inner.clone().follow_registrar());
        if inner.partitions.is_pooled() {
            inner.tasks.spawn(inner.clone().keep_copy());
            inner.tasks.spawn(inner.clone().keep_legacies());
        }
        PresenceService(inner)
    }

    /// One reading of all counters and gauges.
    pub fn snapshot(&self) -> Snapshot {
        self.0.counters.snapshot()
    }

    /// The counters, to be read whenever somebody wants to.
    pub fn counters(&self) -> Arc<Counters> {
        self.0.counters.clone()
    }

    /// Refuses what is new, ends all streams, and waits until what was begun is done. Repeating it is harmless.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.streams.end_all();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A front end died: what its endpoints published stays for [`Limits::grace`] after the registrar ends them, unless they
    /// sign in elsewhere. To be told before or at the same time as the registrar is.
    pub fn front_end_died(&self, member: &MemberId) {
        let until = self.0.now().ms.saturating_add(millis_of(self.0.limits.grace));
        self.0.died.lock().insert(member.clone(), until);
    }
}

#[async_trait]
impl Presence for PresenceService {
    async fn publish(&self, publish: Publish) -> Result<Result<Published, PublishRefusal>, Error> {
        let result = self.0.publish(publish).await;
        let outcome = Outcome::of_publish(&result);
        self.0.counters.operation(Operation::Publish, outcome);
        result
    }

    async fn own(&self, user: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error> {
        self.0.own(user).await
    }

    async fn follow(
        &self,
        member: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error> {
        self.0.follow(member, follow).await
    }

    async fn unfollow(&self, member: &MemberId, presentities: Vec<AddressOfRecord>) -> Result<(), Error> {
        self.0.unfollow(member, &presentities);
        Ok(())
    }

    async fn news(&self, member: &MemberId) -> Result<ReceiverStream<PresenceNews>, Error> {
        self.0.check_running()?;
        Ok(self.0.streams.open(member))
    }

    async fn watched(
        &self,
        member: &MemberId,
        presentity: &AddressOfRecord,
        watchers: Vec<SeenWatcher>,
    ) -> Result<(), Error> {
        self.0.watched(member, presentity, watchers).await
    }

    async fn change_members(
        &self,
        user: &AddressOfRecord,
        changes: MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        let result = self.0.change_members(user, &changes).await;
        let outcome = Outcome::of_publish(&result);
        self.0.counters.operation(Operation::Members, outcome);
        result
    }

    async fn acknowledge(&self, user: &AddressOfRecord, watchers: Vec<AddressOfRecord>) -> Result<(), Error> {
        self.0.acknowledge(user, watchers).await
    }

    async fn contacts(&self, user: &AddressOfRecord) -> Result<Arc<ContactList>, Error> {
        self.0.contacts(user).await
    }

    async fn change_contacts(
        &self,
        user: &AddressOfRecord,
        known: Option<u64>,
        change: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        let result = self.0.change_contacts(user, known, change).await;
        let outcome = Outcome::of_contacts(&result);
        self.0.counters.operation(Operation::Contacts, outcome);
        result
    }
}
