//! The copy of what ends with endpoints, for the next owner of a partition.
//!
//! Changes are accepted first and copied a moment later, many users in one write. What is lost when an owner dies in that moment, or
//! with the whole copy, the front ends that hold the endpoints know: they tell the next owner.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hashbrown::HashSet;
use parking_lot::Mutex;
use sip_types::AddressOfRecord;
use store::{PresenceCopy, PresenceState, Revision, StoreError, Written};
use tokio::sync::{Mutex as Turn, Notify};
use topology::Partition;

use super::Inner;
use super::entries::{Entry, State};
use super::legacies::Legacies;
use crate::copied::{self, Left};
use crate::counters::Event;

/// Partitions written at the same time.
const AT_ONCE: usize = 8;

/// Partitions that are written anew in one round: each round looks once at everybody in memory.
const ANEW: usize = 64;

/// Of these, those without anybody: only what an older history may have of them is to go, which is not urgent.
const EMPTY: usize = 8;

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a partition that leaves may take to be copied.
const LEAVING: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Waiting {
    /// Users whose newest state the copy does not have.
    users: BTreeMap<Partition, HashSet<AddressOfRecord>>,
    /// The last partition of the last round: the next round begins behind it, so that what fails holds up nobody.
    last: Option<Partition>,
    /// Partitions of which the copy lost the history.
    lost: BTreeSet<Partition>,
    /// Those of them that have nobody.
    empty: BTreeSet<Partition>,
}

impl Waiting {
    fn next_users(&mut self) -> Option<(Partition, HashSet<AddressOfRecord>)> {
        let behind = self.last.and_then(|last| {
            let mut behind = self.users.range((Bound::Excluded(last), Bound::Unbounded));
            behind.next().map(|(partition, _)| *partition)
        });
        let partition = behind.or_else(|| self.users.keys().next().copied())?;
        self.last = Some(partition);
        self.users.remove_entry(&partition)
    }
}

/// What is to be copied, and what was taken over. Nothing where nobody takes over.
pub(super) struct Copying {
    copy: Option<Arc<dyn PresenceCopy>>,
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// Held while a round is written, and while a partition leaves: nothing is under way beside that.
    round: Turn<()>,
    /// The largest revision given.
    revision: AtomicU64,
    /// What was taken over.
    pub(super) legacies: Legacies,
}

/// What is to be written of one partition.
struct Task {
    partition: Partition,
    users: Vec<AddressOfRecord>,
    /// They are all there are, and the copy forgets everything else.
    is_anew: bool,
    /// It waited because it had nobody.
    has_waited: bool,
}

impl Copying {
    pub(super) fn new(copy: Option<Arc<dyn PresenceCopy>>) -> Self {
        Copying {
            copy,
            waiting: Mutex::default(),
            wake: Notify::new(),
            round: Turn::new(()),
            revision: AtomicU64::new(0),
            legacies: Legacies::default(),
        }
    }

    fn mark(&self, partition: Partition, users: impl IntoIterator<Item = AddressOfRecord>) {
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
        waiting.empty.remove(&partition);
        drop(waiting);
        self.legacies.forget(partition);
    }

    /// What is to be written next, of about this many users. Who is in partitions that are written anew is for the caller to find.
    fn next(&self, limit: usize) -> Vec<Task> {
        let mut waiting = self.waiting.lock();
        let mut tasks = Vec::new();
        for (has_waited, most) in [(false, ANEW), (true, EMPTY)] {
            for _ in 0..most {
                let lost = match has_waited {
                    false => waiting.lost.pop_first(),
                    true => waiting.empty.pop_first(),
                };
                let Some(partition) = lost else { break };
                waiting.users.remove(&partition);
                tasks.push(Task {
                    partition,
                    users: self.legacies.of(partition),
                    is_anew: true,
                    has_waited,
                });
            }
        }
        let mut count = 0;
        while count < limit
            && let Some((partition, users)) = waiting.next_users()
        {
            count += users.len();
            tasks.push(Task {
                partition,
                users: users.into_iter().collect(),
                is_anew: false,
                has_waited: false,
            });
        }
        tasks
    }

    /// Whether this can wait, and does from now on.
    fn lets_wait(&self, task: &Task) -> bool {
        let waits = task.is_anew && task.users.is_empty() && !task.has_waited;
        if waits {
            self.waiting.lock().empty.insert(task.partition);
        }
        waits
    }

    fn has_work(&self) -> bool {
        let waiting = self.waiting.lock();
        !waiting.users.is_empty() || !waiting.lost.is_empty() || !waiting.empty.is_empty()
    }

    fn next_revision(&self) -> Revision {
        Revision(self.revision.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

impl Inner {
    /// Copies a user before long if what is in no database changed.
    pub(super) fn queue_copy(&self, entry: &Entry, state: &mut State) {
        let changes = state.presentity.publications().volatile_changes();
        if std::mem::replace(&mut state.copied, changes) != changes && self.copying.copy.is_some() {
            self.copying.mark(entry.partition(), [entry.user.clone()]);
        }
    }

    /// There is no such user any more: what was left of it is for nobody, whoever gets the address next.
    pub(super) fn drop_legacy(&self, user: &AddressOfRecord) {
        if self.copying.legacies.take(user) {
            self.copying
                .mark(Partition::of_user(user.as_str()), [user.clone()]);
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
            // Larger than those of all owners before.
            self.copying.revision.fetch_max(epoch, Ordering::SeqCst);
            self.copying.legacies.inherit(partition, taken, self.now());
        }
        Ok(())
    }

    /// A partition leaves, and nobody of it changes any more: the copy gets it whole.
    pub(super) async fn leave_copy(&self, partition: Partition, epoch: u64) {
        if self.copying.copy.is_some() {
            let write = async {
                let _alone = self.copying.round.lock().await;
                self.write_anew(partition, epoch, &self.everybody(partition), None)
                    .await
            };
            let why = match tokio::time::timeout(LEAVING, write).await {
                Ok(Ok(_)) | Ok(Err(StoreError::Conflict(_))) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("it took too long".to_owned()),
            };
            if let Some(error) = why {
                self.counters.event(Event::CopyFailed);
                tracing::warn!(%partition, error, "a partition leaves with presence that front ends have to tell again");
            }
        }
        self.copying.forget(partition);
    }

    fn everybody(&self, partition: Partition) -> Vec<AddressOfRecord> {
        let mut users = self.copying.legacies.of(partition);
        let entries = self.entries.of(partition).into_iter();
        users.extend(entries.map(|entry| entry.user.clone()));
        users
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
            let alone = self.copying.round.lock().await;
            let openings = self.partitions.openings();
            let mut tasks = self.copying.next(self.limits.copies);
            self.find_everybody(&mut tasks);
            tasks.retain(|task| !self.copying.lets_wait(task));
            let count: usize = tasks.iter().map(|task| task.users.len()).sum();
            let rounds = u32::try_from(count.div_ceil(self.limits.copies)).unwrap_or(u32::MAX);
            pause = self.limits.copy_after.saturating_mul(rounds.max(1));
            let results: Vec<Result<(), StoreError>> = stream::iter(tasks)
                .map(|task| self.copy_one(task, openings))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            drop(alone);
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

    /// `openings`: as they were before the round.
    async fn copy_one(&self, task: Task, openings: u64) -> Result<(), StoreError> {
        let Task {
            partition,
            users,
            is_anew,
            ..
        } = task;
        let Some(epoch) = self.partitions.owned(partition) else {
            return Ok(());
        };
        let written = match is_anew {
            true => self.write_anew(partition, epoch, &users, Some(openings)).await,
            false => self.write_users(partition, epoch, &users, openings).await,
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
        openings: u64,
    ) -> Result<Written, StoreError> {
        let Some(copy) = &self.copying.copy else {
            return Ok(Written::Kept);
        };
        let states = self.states_of(users)?;
        if self.was_forgotten(partition, epoch, openings) {
            self.copying.mark(partition, users.iter().cloned());
            return Ok(Written::Kept);
        }
        let written = copy.write(partition, epoch, &states).await?;
        if written == Written::Kept {
            self.counters.events(Event::Copied, states.len());
        }
        Ok(written)
    }

    /// Whether the partition may have been forgotten in part since: who was not in memory then was perhaps only forgotten.
    fn was_forgotten(&self, partition: Partition, epoch: u64, openings: u64) -> bool {
        self.partitions.owned(partition) != Some(epoch) || self.partitions.openings() != openings
    }

    /// `openings`: as they were before the users were listed; `None` where nobody can forget any of them meanwhile.
    async fn write_anew(
        &self,
        partition: Partition,
        epoch: u64,
        users: &[AddressOfRecord],
        openings: Option<u64>,
    ) -> Result<Written, StoreError> {
        let Some(copy) = &self.copying.copy else {
            return Ok(Written::Kept);
        };
        // First: all that follow are larger.
        let as_of = Revision(self.copying.revision.load(Ordering::SeqCst));
        let mut states = self.states_of(users)?;
        states.retain(|state| !state.text.is_empty());
        if openings.is_some_and(|openings| self.was_forgotten(partition, epoch, openings)) {
            return Ok(Written::HistoryLost);
        }
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
            // Before the entry: what is loaded meanwhile is in one of the two.
            let legacy = self.copying.legacies.get(user);
            // Written down without the lock: readers of the user do not wait for that.
            let left: Vec<Left> = match (self.entries.get(user), &legacy) {
                (Some(entry), _) => {
                    let state = entry.state.lock();
                    let held = state.presentity.publications().volatile();
                    held.map(|held| (held.publication.clone(), held.ends_at))
                        .collect()
                }
                (None, Some(legacy)) => legacy.publications.clone(),
                (None, None) => Vec::new(),
            };
            let (text, lives_ms) = copied::write(&left, now)?;
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
