//! The copy of what ends with endpoints, for the next owner of a partition.
//!
//! Changes are accepted first and copied a moment later, many users in one write. What is lost when an owner dies in that moment, or
//! with the whole copy, the front ends that hold the endpoints know: they tell the next owner.
//!
//! What a former owner left is kept as it was found until somebody needs the user. Then what is bound to endpoints that are not
//! signed in any more is left out; shortly after the partition was taken it stays for [`Limits::grace`](crate::Limits::grace), for
//! the front end may have died together with the owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use rpc::EndpointId;
use rpc::presence::Bound;
use sip_types::AddressOfRecord;
use store::{CopiedPresence, PresenceCopy, PresenceState, Revision, StoreError, Written};
use tokio::sync::Notify;
use topology::Partition;

use super::Inner;
use super::entries::{Entry, State};
use crate::copied::{self, Left};
use crate::counters::Event;
use crate::publications::Publications;
use crate::time::{Now, millis_of};

/// Partitions written at the same time.
const AT_ONCE: usize = 8;

/// Partitions that are written anew in one round: each round looks once at everybody in memory.
const ANEW: usize = 64;

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a partition that leaves may take to be copied.
const LEAVING: Duration = Duration::from_secs(2);

/// What a former owner left of one user.
#[derive(Debug)]
pub(super) struct Legacy {
    publications: Vec<Left>,
    /// When the partition was taken, monotone milliseconds.
    taken_at: u64,
}

#[derive(Default)]
struct Waiting {
    /// Users whose newest state the copy does not have.
    users: BTreeMap<Partition, HashSet<AddressOfRecord>>,
    /// Partitions of which the copy lost the history.
    lost: BTreeSet<Partition>,
}

/// What is to be copied, and what was taken over. Nothing where nobody takes over.
pub(super) struct Copying {
    copy: Option<Arc<dyn PresenceCopy>>,
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// The largest revision given.
    revision: AtomicU64,
    legacies: Mutex<HashMap<Partition, HashMap<AddressOfRecord, Arc<Legacy>>>>,
}

/// What is to be written of one partition.
struct Task {
    partition: Partition,
    users: Vec<AddressOfRecord>,
    /// They are all there are, and the copy forgets everything else.
    is_anew: bool,
}

impl Copying {
    pub(super) fn new(copy: Option<Arc<dyn PresenceCopy>>) -> Self {
        Copying {
            copy,
            waiting: Mutex::default(),
            wake: Notify::new(),
            revision: AtomicU64::new(0),
            legacies: Mutex::default(),
        }
    }

    fn mark(&self, partition: Partition, users: impl IntoIterator<Item = AddressOfRecord>) {
        if self.copy.is_none() {
            return;
        }
        let mut waiting = self.waiting.lock();
        waiting.users.entry(partition).or_default().extend(users);
        drop(waiting);
        self.wake.notify_one();
    }

    /// The copy lost the history of these partitions.
    fn mark_lost(&self, partitions: impl IntoIterator<Item = Partition>) {
        self.waiting.lock().lost.extend(partitions);
        self.wake.notify_one();
    }

    /// Nothing of a partition is to be copied any more, and nothing that was left counts.
    fn forget(&self, partition: Partition) {
        let mut waiting = self.waiting.lock();
        waiting.users.remove(&partition);
        waiting.lost.remove(&partition);
        drop(waiting);
        self.legacies.lock().remove(&partition);
    }

    /// What is to be written next, of about this many users. Who is in partitions that are written anew is for the caller to find.
    fn next(&self, limit: usize) -> Vec<Task> {
        let mut waiting = self.waiting.lock();
        let mut tasks = Vec::new();
        while tasks.len() < ANEW
            && let Some(partition) = waiting.lost.pop_first()
        {
            waiting.users.remove(&partition);
            tasks.push(Task {
                partition,
                users: self.left_in(partition),
                is_anew: true,
            });
        }
        let mut count = 0;
        while count < limit
            && let Some((partition, users)) = waiting.users.pop_first()
        {
            count += users.len();
            tasks.push(Task {
                partition,
                users: users.into_iter().collect(),
                is_anew: false,
            });
        }
        tasks
    }

    fn has_work(&self) -> bool {
        let waiting = self.waiting.lock();
        !waiting.users.is_empty() || !waiting.lost.is_empty()
    }

    fn next_revision(&self) -> Revision {
        Revision(self.revision.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn inherit(&self, partition: Partition, epoch: u64, taken: Vec<CopiedPresence>, now: Now) {
        // Larger than those of all owners before.
        self.revision.fetch_max(epoch, Ordering::SeqCst);
        let mut users = HashMap::new();
        for one in taken {
            match copied::read(&one.text, one.age_ms, now) {
                Ok(publications) => {
                    let legacy = Legacy {
                        publications,
                        taken_at: now.ms,
                    };
                    users.insert(one.user, Arc::new(legacy));
                }
                Err(error) => tracing::error!(%error, "a user is taken over without what was published"),
            }
        }
        let mut legacies = self.legacies.lock();
        match users.is_empty() {
            true => legacies.remove(&partition),
            false => legacies.insert(partition, users),
        };
    }

    /// What a former owner left of a user.
    pub(super) fn legacy(&self, user: &AddressOfRecord) -> Option<Arc<Legacy>> {
        let legacies = self.legacies.lock();
        legacies
            .get(&Partition::of_user(user.as_str()))?
            .get(user)
            .cloned()
    }

    /// A user is in memory, with what was left of it.
    pub(super) fn inherited(&self, user: &AddressOfRecord) {
        let partition = Partition::of_user(user.as_str());
        let mut legacies = self.legacies.lock();
        if let Some(users) = legacies.get_mut(&partition) {
            users.remove(user);
            if users.is_empty() {
                legacies.remove(&partition);
            }
        }
    }

    /// Everybody of a partition of whom something was left that nobody needed yet.
    fn left_in(&self, partition: Partition) -> Vec<AddressOfRecord> {
        let legacies = self.legacies.lock();
        let users = legacies.get(&partition).into_iter().flat_map(HashMap::keys);
        users.cloned().collect()
    }
}

impl Legacy {
    /// Takes over what still counts: what is bound to live endpoints, and for a while to those that were live a moment ago.
    /// Returns when each of the latter ends, and whether anything was left out.
    pub(super) fn restore(
        &self,
        publications: &mut Publications,
        live: &BTreeSet<EndpointId>,
        grace: Duration,
        now: Now,
    ) -> (BTreeMap<EndpointId, u64>, bool) {
        let until = self.taken_at.saturating_add(millis_of(grace));
        let mut endings = BTreeMap::new();
        let mut is_less = false;
        for (publication, ends_at) in &self.publications {
            let is_over = ends_at.is_some_and(|at| at <= now.ms);
            let is_live = match (&publication.lifetime.bound, &publication.endpoint) {
                (Bound::Endpoint, Some(endpoint)) => live.contains(endpoint),
                _ => !live.is_empty(),
            };
            if is_over || !(is_live || now.ms < until) {
                is_less = true;
                continue;
            }
            if !is_live
                && publication.lifetime.bound == Bound::Endpoint
                && let Some(endpoint) = &publication.endpoint
            {
                endings.insert(endpoint.clone(), until);
            }
            publications.inherit(publication.clone(), *ends_at);
        }
        (endings, is_less)
    }
}

impl Inner {
    /// Copies a user before long if what is in no database changed.
    pub(super) fn queue_copy(&self, entry: &Entry, state: &mut State) {
        let changes = state.presentity.publications().volatile_changes();
        if std::mem::replace(&mut state.copied, changes) != changes {
            self.copying.mark(entry.partition(), [entry.user.clone()]);
        }
    }

    /// Fences a partition in the copy and takes over what is there.
    ///
    /// # Errors
    /// Of the copy: [`StoreError::Conflict`] if a larger epoch took the partition.
    pub(super) async fn take_copy(&self, partition: Partition, epoch: u64) -> Result<(), StoreError> {
        self.copying.forget(partition);
        if let Some(copy) = &self.copying.copy {
            let taken = copy.take(partition, epoch).await?;
            self.counters.events(Event::Inherited, taken.len());
            self.copying.inherit(partition, epoch, taken, self.now());
        }
        Ok(())
    }

    /// A partition leaves: brings over what the copy lacks, for as long as that may take.
    pub(super) async fn leave_copy(&self, partition: Partition, epoch: u64) {
        let users = self.copying.waiting.lock().users.remove(&partition);
        if let Some(users) = users {
            let users: Vec<_> = users.into_iter().collect();
            let write = self.write_users(partition, epoch, &users);
            if !matches!(tokio::time::timeout(LEAVING, write).await, Ok(Ok(_))) {
                self.counters.event(Event::CopyFailed);
                tracing::warn!(%partition, "a partition leaves with presence that front ends have to tell again");
            }
        }
        self.copying.forget(partition);
    }

    /// A partition is somebody else's: nothing of it is copied any more.
    pub(super) fn forget_copy(&self, partition: Partition) {
        self.copying.forget(partition);
    }

    /// The copy forgot everything: these partitions are written anew.
    pub(super) fn copy_anew(&self, partitions: Vec<Partition>) {
        if self.copying.copy.is_some() {
            self.copying.mark_lost(partitions);
        }
    }

    /// Copies what changes, until the role stops.
    pub(super) async fn keep_copy(self: Arc<Self>) {
        if self.copying.copy.is_none() {
            return;
        }
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.copy_for_ever()).await;
    }

    async fn copy_for_ever(&self) {
        let mut is_failing = false;
        let mut pause = self.limits.copy_after;
        loop {
            while !self.copying.has_work() {
                self.copying.wake.notified().await;
            }
            tokio::time::sleep(pause).await;
            let mut tasks = self.copying.next(self.limits.copies);
            self.find_everybody(&mut tasks);
            let count: usize = tasks.iter().map(|task| task.users.len()).sum();
            let rounds = u32::try_from(count.div_ceil(self.limits.copies)).unwrap_or(u32::MAX);
            pause = self.limits.copy_after.saturating_mul(rounds.max(1));
            let results: Vec<Result<(), StoreError>> = stream::iter(tasks)
                .map(|task| self.copy_one(task))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            let failed = results.into_iter().find_map(Result::err);
            match failed {
                Some(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "presence waits for the shared store");
                    }
                    tokio::time::sleep(RETRY).await;
                }
                None if std::mem::take(&mut is_failing) => {
                    tracing::info!("the shared store takes presence again");
                }
                None => {}
            }
        }
    }

    /// Adds who is in memory to the partitions that are written anew.
    fn find_everybody(&self, tasks: &mut [Task]) {
        let mut anew: BTreeMap<Partition, &mut Task> = tasks
            .iter_mut()
            .filter(|task| task.is_anew)
            .map(|task| (task.partition, task))
            .collect();
        if anew.is_empty() {
            return;
        }
        for entry in self.entries.all() {
            if let Some(task) = anew.get_mut(&entry.partition()) {
                task.users.push(entry.user.clone());
            }
        }
    }

    async fn copy_one(&self, task: Task) -> Result<(), StoreError> {
        let Task {
            partition,
            users,
            is_anew,
        } = task;
        let Some(epoch) = self.partitions.owned(partition) else {
            return Ok(());
        };
        let written = match is_anew {
            true => self.write_anew(partition, epoch, &users).await,
            false => self.write_users(partition, epoch, &users).await,
        };
        match written {
            Ok(Written::Kept) => Ok(()),
            Ok(Written::HistoryLost) => {
                self.copying.mark_lost([partition]);
                Ok(())
            }
            // Membership learns it too, and says so.
            Err(StoreError::Conflict(text)) => {
                tracing::info!(%partition, "{text}");
                Ok(())
            }
            Err(error) => {
                self.counters.event(Event::CopyFailed);
                match is_anew {
                    true => self.copying.mark_lost([partition]),
                    false => self.copying.mark(partition, users),
                }
                Err(error)
            }
        }
    }

    async fn write_users(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[AddressOfRecord],
    ) -> Result<Written, StoreError> {
        let Some(copy) = &self.copying.copy else {
            return Ok(Written::Kept);
        };
        let states = self.states_of(users)?;
        let written = copy.write(partition, epoch, &states).await?;
        if written == Written::Kept {
            self.counters.events(Event::Copied, states.len());
        }
        Ok(written)
    }

    async fn write_anew(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[AddressOfRecord],
    ) -> Result<Written, StoreError> {
        let Some(copy) = &self.copying.copy else {
            return Ok(Written::Kept);
        };
        let mut states = self.states_of(users)?;
        states.retain(|state| !state.text.is_empty());
        let as_of = Revision(self.copying.revision.load(Ordering::SeqCst));
        copy.replace(partition, epoch, &states, as_of).await?;
        self.counters.events(Event::Copied, states.len());
        Ok(Written::Kept)
    }

    /// What is to be copied of these users now: of one who is in memory no more, and of whom nothing was left, nothing.
    fn states_of(&self, users: &[AddressOfRecord]) -> Result<Vec<PresenceState>, StoreError> {
        let now = self.now();
        let state = |user: &AddressOfRecord| {
            // First: what is written is not older than its number.
            let revision = self.copying.next_revision();
            let (text, lives_ms) = match self.entries.get(user) {
                Some(entry) => {
                    let state = entry.state.lock();
                    let held = state.presentity.publications().volatile();
                    copied::write(held.map(|held| (&held.publication, held.ends_at)), now)?
                }
                None => match self.copying.legacy(user) {
                    Some(legacy) => {
                        let left = legacy.publications.iter();
                        copied::write(left.map(|(publication, ends_at)| (publication, *ends_at)), now)?
                    }
                    None => copied::write(std::iter::empty(), now)?,
                },
            };
            Ok(PresenceState {
                user: user.clone(),
                revision,
                text,
                lives_ms,
            })
        };
        users.iter().map(state).collect()
    }
}
