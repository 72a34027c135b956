//! What this front end follows: each presentity once, however many of its clients watch it.
//!
//! The table has the newest document of each presentity and who here watches it, and remembers what the owners are still to be
//! told: whom to follow, whom no more, who watches. It calls nobody; `follower` does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use rpc::presence::{Follow, OwnData, PresenceDocument, PresenceVersion, SeenWatcher, WatcherStatus};
use sip_types::AddressOfRecord;
use tokio::sync::Notify;
use topology::Partition;

use super::lync::own::OwnKnown;
use super::render::Shown;
use super::subscription::{Package, Subscription};

/// How long a presentity is followed after its last watcher here left: watchers come back, and a fetch has none.
pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// How long reports of who watches are collected.
const REPORT_AFTER: Duration = Duration::from_millis(500);

/// Watchers in one report, at most.
const REPORT: usize = 1_000;

/// Watchers of one presentity at one front end.
pub(crate) const WATCHERS: usize = 10_000;

/// Most presentities in one call to an owner.
const BATCH: usize = 500;

/// What is known of a presentity.
#[derive(Clone)]
pub(crate) enum Known {
    /// Its newest document.
    Shown(Arc<Shown>),
    /// There is no such user.
    Nobody,
}

/// Everybody who watches a user, as the owner tells it.
#[derive(Clone)]
pub(crate) struct Watchers {
    version: PresenceVersion,
    pub(crate) all: Arc<[SeenWatcher]>,
}

/// One presentity.
#[derive(Default)]
struct Followed {
    known: Option<Known>,
    /// The owner is asked again whether there is such a user.
    doubted: bool,
    /// The owner is being asked, or will be: nobody else has to ask it.
    asked: bool,
    /// Whoever waits to know.
    learned: Arc<Notify>,
    /// Subscriptions to its presence, by their number.
    watchers: HashMap<u64, Arc<Subscription>>,
    /// Subscriptions of the presentity itself to what only it may see.
    own: HashMap<u64, Arc<Subscription>>,
    own_watchers: Option<Watchers>,
    /// What else its own endpoints may know.
    own_known: Arc<OwnKnown>,
    /// The owner was asked for own data since the news began.
    own_followed: bool,
    wants_own: bool,
    /// Subscriptions of each watcher.
    people: HashMap<AddressOfRecord, u32>,
    /// What the owner has not been told of them.
    unreported: HashMap<AddressOfRecord, SeenWatcher>,
    idle_since: Option<Instant>,
}

impl Followed {
    fn is_idle(&self) -> bool {
        self.watchers.is_empty() && self.own.is_empty()
    }
}

#[derive(Default)]
struct Table {
    presentities: HashMap<AddressOfRecord, Followed>,
    /// To be followed as soon as possible.
    to_follow: HashSet<AddressOfRecord>,
    /// To be followed again later, because it failed.
    retry: VecDeque<(Instant, AddressOfRecord)>,
    /// Being unfollowed: not to be followed before that is done.
    leaving: HashSet<AddressOfRecord>,
    /// Without watchers since; entries may be out of date.
    idle: VecDeque<(Instant, AddressOfRecord)>,
    to_report: HashSet<AddressOfRecord>,
    report_at: Option<Instant>,
    /// There is a stream of news: without one nothing can be followed.
    hears: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Following {
    table: Mutex<Table>,
    /// There is something new to tell the owners.
    work: Notify,
}

/// What owners are to be told now.
#[derive(Default)]
pub(crate) struct Work {
    /// To follow: at most [`BATCH`] each, all of one partition.
    pub(crate) follow: Vec<Vec<Follow>>,
    /// To follow no more.
    pub(crate) unfollow: Vec<AddressOfRecord>,
    /// Who watches whom.
    pub(crate) report: Vec<(AddressOfRecord, Vec<SeenWatcher>)>,
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.follow.is_empty() && self.unfollow.is_empty() && self.report.is_empty()
    }
}

// === the side of subscriptions ===

impl Following {
    /// Presentities in the table.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().presentities.len()
    }

    /// What is known now.
    pub(crate) fn present(&self, presentity: &AddressOfRecord) -> Option<Known> {
        self.table.lock().presentities.get(presentity)?.known.clone()
    }

    /// Everybody who watches this user; `None` until it is known.
    pub(crate) fn own_watchers(&self, user: &AddressOfRecord) -> Option<Watchers> {
        let table = self.table.lock();
        table.presentities.get(user)?.own_watchers.clone()
    }

    /// What the user's own endpoints may know; `None` if it is not followed.
    pub(crate) fn own_known(&self, user: &AddressOfRecord) -> Option<Arc<OwnKnown>> {
        let table = self.table.lock();
        Some(Arc::clone(&table.presentities.get(user)?.own_known))
    }

    /// Begins to follow a presentity, for a while at least, unless it is followed already. `own`: with its own data.
    pub(crate) fn ensure(&self, presentity: &AddressOfRecord, own: bool, now: Instant) {
        let mut table = self.table.lock();
        let entry = table.presentities.entry(presentity.clone()).or_default();
        entry.doubted = matches!(entry.known, Some(Known::Nobody));
        let is_known = entry.known.is_some() && !entry.doubted;
        let begins = (!is_known && !entry.asked) || (own && !entry.wants_own);
        entry.asked |= begins;
        entry.wants_own |= own;
        if entry.is_idle() {
            entry.idle_since = Some(now);
            table.idle.push_back((now, presentity.clone()));
        }
        if begins {
            table.to_follow.insert(presentity.clone());
        }
        drop(table);
        if begins {
            self.work.notify_one();
        }
    }

    /// Waits for what is to be known of a presentity, which is followed from now on. `None`: its owner did not answer in time.
    pub(crate) async fn known(&self, presentity: &AddressOfRecord, patience: Duration) -> Option<Known> {
        self.ensure(presentity, false, crate::service::now());
        self.learned(presentity, patience).await
    }

    /// The same of a presentity that is followed.
    pub(crate) async fn learned(&self, presentity: &AddressOfRecord, patience: Duration) -> Option<Known> {
        let read = |followed: &Followed| followed.known.clone().filter(|_| !followed.doubted);
        self.wait(presentity, patience, read).await
    }

    /// Waits until the own data of a user is followed. False: its owner did not answer in time.
    pub(crate) async fn own_followed(&self, user: &AddressOfRecord, patience: Duration) -> bool {
        self.ensure(user, true, crate::service::now());
        self.wait(user, patience, |followed| followed.own_followed.then_some(()))
            .await
            .is_some()
    }

    async fn wait<T>(
        &self,
        presentity: &AddressOfRecord,
        patience: Duration,
        read: impl Fn(&Followed) -> Option<T>,
    ) -> Option<T> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let learned = {
                let table = self.table.lock();
                let followed = table.presentities.get(presentity)?;
                if let Some(found) = read(followed) {
                    return Some(found);
                }
                Arc::clone(&followed.learned).notified_owned()
            };
            tokio::time::timeout_at(deadline, learned).await.ok()?;
        }
    }

    /// A subscription watches a presentity from now on, unless it is a single look.
    ///
    /// # Errors
    /// Too many do.
    pub(crate) fn watch(
        &self,
        presentity: &AddressOfRecord,
        subscription: &Arc<Subscription>,
        now: Instant,
    ) -> Result<(), TooManyWatchers> {
        if subscription.is_fetch {
            // A single look does not make a watcher.
            self.ensure(presentity, false, now);
            return Ok(());
        }
        let mut table = self.table.lock();
        let entry = table.presentities.entry(presentity.clone()).or_default();
        if entry.watchers.len() >= WATCHERS {
            return Err(TooManyWatchers);
        }
        entry.idle_since = None;
        if entry
            .watchers
            .insert(subscription.id, Arc::clone(subscription))
            .is_some()
        {
            return Ok(());
        }
        let begins = entry.known.is_none() && !entry.asked;
        entry.asked |= begins;
        let watcher = &subscription.watcher;
        let count = entry.people.entry(watcher.clone()).or_insert(0);
        *count += 1;
        let is_new = *count == 1 && watcher != presentity;
        if is_new {
            let seen = subscription.seen(WatcherStatus::Active);
            entry.unreported.insert(watcher.clone(), seen);
            table.report_on(presentity, now);
        }
        if begins {
            table.to_follow.insert(presentity.clone());
        }
        drop(table);
        if begins || is_new {
            self.work.notify_one();
        }
        Ok(())
    }

    /// A subscription watches a presentity no more. Harmless if it did not.
    pub(crate) fn unwatch(&self, presentity: &AddressOfRecord, subscription: &Subscription, now: Instant) {
        let mut table = self.table.lock();
        let Some(entry) = table.presentities.get_mut(presentity) else {
            return;
        };
        if entry.watchers.remove(&subscription.id).is_none() {
            return;
        }
        let watcher = &subscription.watcher;
        let left = entry.people.get_mut(watcher).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            entry.people.remove(watcher);
            if watcher != presentity {
                let seen = subscription.seen(WatcherStatus::Terminated);
                entry.unreported.insert(watcher.clone(), seen);
                table.report_on(presentity, now);
            }
        }
        table.rest(presentity, now);
        drop(table);
        self.work.notify_one();
    }

    /// A subscription of the user itself shows what only the user may see.
    pub(crate) fn watch_own(&self, subscription: &Arc<Subscription>, now: Instant) {
        self.ensure(&subscription.watcher, true, now);
        let mut table = self.table.lock();
        let entry = table
            .presentities
            .entry(subscription.watcher.clone())
            .or_default();
        entry.idle_since = None;
        entry.own.insert(subscription.id, Arc::clone(subscription));
    }

    /// It does no more. Harmless if it did not.
    pub(crate) fn unwatch_own(&self, subscription: &Subscription, now: Instant) {
        let mut table = self.table.lock();
        if let Some(entry) = table.presentities.get_mut(&subscription.watcher)
            && entry.own.remove(&subscription.id).is_some()
        {
            table.rest(&subscription.watcher, now);
        }
        drop(table);
        self.work.notify_one();
    }
}

/// More subscriptions to one presentity than [`WATCHERS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooManyWatchers;

impl Table {
    fn report_on(&mut self, presentity: &AddressOfRecord, now: Instant) {
        self.to_report.insert(presentity.clone());
        self.report_at.get_or_insert(now + REPORT_AFTER);
    }

    /// Marks a presentity that nobody watches any more.
    fn rest(&mut self, presentity: &AddressOfRecord, now: Instant) {
        if let Some(entry) = self
            .presentities
            .get_mut(presentity)
            .filter(|entry| entry.is_idle())
        {
            entry.idle_since = Some(now);
            self.idle.push_back((now, presentity.clone()));
        }
    }
}

// === the side of owners ===

impl Following {
    /// Waits until there is something to tell the owners, or to look again.
    pub(crate) async fn work(&self) -> Work {
        loop {
            let now = crate::service::now();
            let work = self.take(now);
            if !work.is_empty() {
                return work;
            }
            match self.next_work() {
                Some(at) => tokio::select! {
                    () = self.work.notified() => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                },
                None => self.work.notified().await,
            }
        }
    }

    fn next_work(&self) -> Option<Instant> {
        let table = self.table.lock();
        let idle = table.idle.front().map(|(since, _)| *since + LINGER);
        // One leave at a time.
        let idle = idle.filter(|_| table.leaving.is_empty());
        let retry = table.retry.front().map(|(at, _)| *at);
        let report = table.report_at.filter(|_| table.hears);
        [idle, retry, report].into_iter().flatten().min()
    }

    /// Takes what is to be told at this time.
    pub(crate) fn take(&self, now: Instant) -> Work {
        let mut table = self.table.lock();
        let table = &mut *table;
        while let Some((_, presentity)) = table.retry.pop_front_if(|(at, _)| *at <= now) {
            if let Some(entry) = table.presentities.get_mut(&presentity) {
                entry.asked = true;
            }
            table.to_follow.insert(presentity);
        }
        let mut work = Work::default();
        if table.leaving.is_empty() {
            work.unfollow = table.leave(now);
        }
        work.follow = table.follow();
        if table.hears && table.report_at.is_some_and(|at| at <= now) {
            table.report_at = None;
            work.report = table.reports();
        }
        work
    }

    /// These were unfollowed, or could not be.
    pub(crate) fn left(&self) {
        self.table.lock().leaving.clear();
        self.work.notify_one();
    }

    /// Following these failed; again after `delay`.
    pub(crate) fn failed(&self, follow: &[Follow], now: Instant, delay: Duration) {
        let mut table = self.table.lock();
        for one in follow {
            table.retry.push_back((now + delay, one.presentity.clone()));
            if let Some(entry) = table.presentities.get_mut(&one.presentity) {
                // Whoever comes before that does not wait for it.
                entry.asked = false;
            }
        }
        // Batches fail in any order.
        table.retry.make_contiguous().sort_by_key(|(at, _)| *at);
        drop(table);
        self.work.notify_one();
    }

    /// Who watches could not be told; again.
    pub(crate) fn unreported(&self, presentity: &AddressOfRecord, watchers: Vec<SeenWatcher>, now: Instant) {
        let mut table = self.table.lock();
        let Some(entry) = table.presentities.get_mut(presentity) else {
            return;
        };
        for seen in watchers {
            // What happened meanwhile is newer.
            entry.unreported.entry(seen.watcher.clone()).or_insert(seen);
        }
        table.report_on(presentity, now + REPORT_AFTER);
        drop(table);
        self.work.notify_one();
    }

    /// A document came; whom it is to be shown to. An older one is dropped.
    pub(crate) fn document(&self, document: Arc<PresenceDocument>) -> Vec<Arc<Subscription>> {
        let mut table = self.table.lock();
        let Some(entry) = table.presentities.get_mut(&document.presentity) else {
            return Vec::new();
        };
        entry.asked = false;
        let document_of = document.presentity.clone();
        let shown = match &entry.known {
            Some(Known::Shown(shown)) if document.version <= shown.document.version => return Vec::new(),
            Some(Known::Shown(shown)) => Shown::after(shown, document),
            Some(Known::Nobody) | None => Shown::new(document),
        };
        // Who came into being has watchers of whom the owner does not know.
        if matches!(entry.known, Some(Known::Nobody)) {
            let watchers = entry.watchers.values();
            let watchers = watchers.filter(|subscription| subscription.watcher != document_of);
            let seen = watchers.map(|subscription| subscription.seen(WatcherStatus::Active));
            entry.unreported = seen.map(|seen| (seen.watcher.clone(), seen)).collect();
        }
        entry.known = Some(Known::Shown(Arc::new(shown)));
        entry.doubted = false;
        entry.learned.notify_waiters();
        let watchers = entry.watchers.values().cloned().collect();
        if !entry.unreported.is_empty() {
            table.report_on(&document_of, crate::service::now());
            drop(table);
            self.work.notify_one();
        }
        watchers
    }

    /// The own data of this user is followed from now on. The user's subscriptions, which may have missed something.
    pub(crate) fn own_begins(&self, user: &AddressOfRecord) -> Vec<Arc<Subscription>> {
        let mut table = self.table.lock();
        let Some(entry) = table.presentities.get_mut(user) else {
            return Vec::new();
        };
        entry.own_followed = true;
        entry.learned.notify_waiters();
        entry.own.values().cloned().collect()
    }

    /// There is no such user; whom that is to be told.
    pub(crate) fn nobody(&self, presentity: &AddressOfRecord) -> Vec<Arc<Subscription>> {
        let mut table = self.table.lock();
        let Some(entry) = table.presentities.get_mut(presentity) else {
            return Vec::new();
        };
        entry.known = Some(Known::Nobody);
        (entry.doubted, entry.asked) = (false, false);
        entry.learned.notify_waiters();
        entry
            .watchers
            .values()
            .chain(entry.own.values())
            .cloned()
            .collect()
    }

    /// Own data came; whom it is to be shown to. What is older than what is known is dropped.
    pub(crate) fn own(&self, own: &OwnData) -> Vec<Arc<Subscription>> {
        let mut table = self.table.lock();
        let Some(entry) = table.presentities.get_mut(&own.user) else {
            return Vec::new();
        };
        Arc::make_mut(&mut entry.own_known).merge(own);
        let known = entry.own_watchers.as_ref().map(|known| known.version);
        let watchers = own.watchers.as_ref();
        let watchers = watchers.filter(|_| known.is_none_or(|known| known <= own.version));
        if let Some(watchers) = watchers {
            entry.own_watchers = Some(Watchers {
                version: own.version,
                all: watchers.as_slice().into(),
            });
        }
        let is_shown = |subscription: &&Arc<Subscription>| match subscription.package {
            Package::Watchers => watchers.is_some(),
            package => package == Package::RoamingSelf,
        };
        entry.own.values().filter(is_shown).cloned().collect()
    }

    /// The user's subscriptions to what only the user may see.
    pub(crate) fn own_subscriptions(&self, user: &AddressOfRecord) -> Vec<Arc<Subscription>> {
        let table = self.table.lock();
        let entry = table.presentities.get(user);
        entry.map_or_else(Vec::new, |entry| entry.own.values().cloned().collect())
    }

    /// News may have been lost: everything of these partitions, or all, is followed and reported again. What is shown stays.
    pub(crate) fn lost(&self, partitions: Option<&HashSet<Partition>>, now: Instant) {
        let mut table = self.table.lock();
        let Table {
            presentities,
            to_follow,
            to_report,
            report_at,
            ..
        } = &mut *table;
        for (presentity, entry) in presentities {
            if partitions.is_some_and(|lost| !lost.contains(&Partition::of_user(presentity.as_str()))) {
                continue;
            }
            to_follow.insert(presentity.clone());
            (entry.asked, entry.own_followed) = (true, false);
            for subscription in entry.watchers.values() {
                if subscription.watcher != *presentity {
                    let seen = subscription.seen(WatcherStatus::Active);
                    entry.unreported.insert(subscription.watcher.clone(), seen);
                }
            }
            if !entry.unreported.is_empty() {
                to_report.insert(presentity.clone());
                report_at.get_or_insert(now + REPORT_AFTER);
            }
        }
        drop(table);
        self.work.notify_one();
    }

    /// Whether there is a stream of news: without one nothing is followed.
    pub(crate) fn set_hears(&self, hears: bool) {
        self.table.lock().hears = hears;
        self.work.notify_one();
    }
}

impl Table {
    fn follow(&mut self) -> Vec<Vec<Follow>> {
        if !self.hears || self.to_follow.is_empty() {
            return Vec::new();
        }
        let mut by_partition: HashMap<Partition, Vec<Follow>> = HashMap::new();
        let mut full = Vec::new();
        let leaving = &self.leaving;
        let presentities = &self.presentities;
        self.to_follow.retain(|presentity| {
            if leaving.contains(presentity) {
                return true;
            }
            if let Some(entry) = presentities.get(presentity) {
                let partition = Partition::of_user(presentity.as_str());
                let batch = by_partition.entry(partition).or_default();
                batch.push(Follow {
                    presentity: presentity.clone(),
                    own: entry.wants_own,
                });
                if batch.len() >= BATCH {
                    full.push(std::mem::take(batch));
                }
            }
            false
        });
        full.extend(by_partition.into_values().filter(|batch| !batch.is_empty()));
        full
    }

    fn leave(&mut self, now: Instant) -> Vec<AddressOfRecord> {
        let mut left = Vec::new();
        while let Some((since, presentity)) = self.idle.pop_front_if(|(since, _)| *since + LINGER <= now) {
            let Some(entry) = self.presentities.get_mut(&presentity) else {
                continue;
            };
            // Watched again, or idle again since a later time, which has an entry of its own.
            if entry.idle_since != Some(since) {
                continue;
            }
            if !entry.unreported.is_empty() && self.hears {
                // That its watchers left is told first.
                entry.idle_since = Some(now);
                self.idle.push_back((now, presentity));
                continue;
            }
            self.presentities.remove(&presentity);
            self.to_follow.remove(&presentity);
            self.to_report.remove(&presentity);
            self.leaving.insert(presentity.clone());
            left.push(presentity);
        }
        left
    }

    fn reports(&mut self) -> Vec<(AddressOfRecord, Vec<SeenWatcher>)> {
        let mut reports = Vec::new();
        for presentity in self.to_report.drain() {
            if let Some(entry) = self.presentities.get_mut(&presentity) {
                let seen: Vec<SeenWatcher> = entry.unreported.drain().map(|(_, seen)| seen).collect();
                // Nobody has no watchers.
                if !matches!(entry.known, Some(Known::Nobody)) {
                    reports.extend(
                        seen.chunks(REPORT)
                            .map(|seen| (presentity.clone(), seen.to_vec())),
                    );
                }
            }
        }
        reports
    }
}
