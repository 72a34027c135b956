//! Keeps what is followed true: hears the news of the owners and tells them what the table wants them to know.

use hashbrown::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream;
use rpc::ErrorCode;
use rpc::presence::{ContactNews, Follow, FollowRefusal, OwnData, PresenceNews, SeenWatcher};
use sip_types::AddressOfRecord;
use tokio_stream::wrappers::ReceiverStream;
use topology::Partition;

use super::content::Content;
use super::list::{Changed, Entry};
use super::lync::contacts::Taken;
use super::subscription::{End, News, Package, Subscription};
use crate::service::{FrontEndService, now};

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Longest wait before the stream of news is opened again.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Calls to owners that are under way at the same time: fewer than one member works on at once, so that clients have their
/// turn, and enough that an owner that hangs holds up nobody else's.
pub(super) const CALLS: usize = 64;

/// Subscriptions that are told of a change before other tasks have their turn.
const TOLD_AT_ONCE: usize = 32;

/// Attempts without a stream of news before an operator is told: an owner that starts or moves is away for a moment.
const PATIENT_FAILURES: u32 = 5;

impl FrontEndService {
    /// Follows presence until the front end stops. To be run as a task for as long as it serves.
    pub(crate) async fn follow_presence(self: Arc<Self>) {
        let mut failures = 0_u32;
        loop {
            match self.presence.client.news(&self.config.member).await {
                Ok(news) => {
                    failures = 0;
                    // Also after a gap: whoever is shown something goes on seeing it until there is something newer.
                    self.presence.following.lost(None, now());
                    self.presence.following.set_hears(true);
                    tokio::select! {
                        () = self.hear(news) => tracing::debug!("the stream of presence news ended"),
                        () = self.tell_owners() => {}
                    }
                    self.presence.following.set_hears(false);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    match failures == PATIENT_FAILURES {
                        true => tracing::warn!(%error, "cannot hear presence news for a while"),
                        false => tracing::debug!(%error, "cannot hear presence news"),
                    }
                }
            }
            tokio::time::sleep(backoff(failures)).await;
        }
    }

    async fn hear(self: &Arc<Self>, mut news: ReceiverStream<PresenceNews>) {
        while let Some(first) = news.next().await {
            // An owner that is gone is news of each of its partitions: they are looked for at once.
            let mut lost: HashSet<Partition> = HashSet::new();
            let mut next = Some(first);
            let mut told = 0;
            while let Some(one) = next {
                match one {
                    PresenceNews::Lost(partition) => {
                        lost.insert(partition);
                    }
                    one => told += self.hear_one(one),
                }
                if told >= TOLD_AT_ONCE {
                    told = 0;
                    tokio::task::yield_now().await;
                }
                next = news.next().now_or_never().flatten();
            }
            if !lost.is_empty() {
                self.presence.following.lost(Some(&lost), now());
                self.publish_again(&lost);
                self.publish_categories_again(&lost);
            }
        }
    }

    /// Returns how many subscriptions were told of a document here and now.
    fn hear_one(self: &Arc<Self>, news: PresenceNews) -> usize {
        match news {
            PresenceNews::Document(document) => {
                let presentity = document.presentity.clone();
                return self.tell_watchers(&presentity, self.presence.following.document(document));
            }
            PresenceNews::Own(own) => self.hear_own(&own),
            PresenceNews::Contacts(news) => {
                for subscription in self.presence.following.own_subscriptions(&news.user) {
                    match subscription.package {
                        Package::RoamingContacts => self.tell_contacts(&subscription, &news),
                        _ => self.reload_contacts(&subscription, Some(news.delta)),
                    }
                }
            }
            PresenceNews::GroupsChanged(user) => self.groups_changed(&user),
            PresenceNews::Lost(_) => {}
        }
        0
    }

    /// Organisational groups in a contact list changed: whoever shows it looks it up.
    fn groups_changed(self: &Arc<Self>, user: &AddressOfRecord) {
        for subscription in self.presence.following.own_subscriptions(user) {
            let has_list = subscription.with_content(|content| match content {
                Content::Contacts(contacts) => contacts.groups_changed(),
                _ => true,
            });
            if has_list {
                self.reload_contacts(&subscription, None);
            }
        }
    }

    /// There is a newer document of a presentity. Few are told here and now, which needs no other task to wake; many by several
    /// threads. Returns how many were told.
    fn tell_watchers(
        self: &Arc<Self>,
        presentity: &AddressOfRecord,
        watchers: Vec<Arc<Subscription>>,
    ) -> usize {
        if watchers.len() <= TOLD_AT_ONCE {
            self.tell_all(&watchers, News::Document(presentity));
            return watchers.len();
        }
        for some in watchers.chunks(TOLD_AT_ONCE) {
            let (service, presentity, some) = (Arc::clone(self), presentity.clone(), some.to_vec());
            let tell = async move { service.tell_all(&some, News::Document(&presentity)) };
            self.presence.spawn(tell);
        }
        0
    }

    /// Tells all of these subscriptions.
    pub(crate) fn tell_all<'a>(
        self: &Arc<Self>,
        subscriptions: impl IntoIterator<Item = &'a Arc<Subscription>>,
        news: News<'_>,
    ) {
        for subscription in subscriptions {
            // A defect in what one client is shown takes the news from nobody else.
            let tell = AssertUnwindSafe(|| subscription.tell(self, news));
            if catch_unwind(tell).is_err() {
                tracing::error!(connection = %subscription.flow.id(), "a subscription ends: telling it failed");
                subscription.end(self, End::Unheard);
            }
        }
    }

    /// Does what the table wants, for ever. Calls are made by tasks of their own, so that an owner that hangs holds up nobody
    /// else's, and go on even if the news end.
    async fn tell_owners(self: &Arc<Self>) {
        loop {
            let work = self.presence.following.work().await;
            if !work.follow.is_empty() {
                let service = Arc::clone(self);
                self.presence.spawn_calls(async move {
                    let batches = stream::iter(work.follow);
                    batches
                        .for_each_concurrent(CALLS, |batch| service.follow(batch))
                        .await;
                });
            }
            if !work.unfollow.is_empty() {
                let service = Arc::clone(self);
                self.presence
                    .spawn_calls(async move { service.unfollow(work.unfollow).await });
            }
            if !work.report.is_empty() {
                let service = Arc::clone(self);
                self.presence.spawn_calls(async move {
                    let reports = stream::iter(work.report);
                    let report = |(presentity, watchers)| service.report(presentity, watchers);
                    reports.for_each_concurrent(CALLS, report).await;
                });
            }
        }
    }

    async fn follow(self: &Arc<Self>, batch: Vec<Follow>) {
        let answers = match self
            .presence
            .client
            .follow(&self.config.member, batch.clone())
            .await
        {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(%error, presentities = batch.len(), "presentities are not followed yet");
                return self.presence.following.failed(&batch, now(), RETRY);
            }
        };
        if let Some(unanswered) = batch.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            tracing::warn!(
                presentities = unanswered.len(),
                "an owner left presentities without an answer"
            );
            self.presence.following.failed(unanswered, now(), RETRY);
        }
        let mut told = 0;
        for (follow, answer) in batch.into_iter().zip(answers) {
            if told >= TOLD_AT_ONCE {
                told = 0;
                tokio::task::yield_now().await;
            }
            match answer {
                Ok(document) => {
                    let watchers = self.presence.following.document(document);
                    told += self.tell_watchers(&follow.presentity, watchers);
                    if follow.own {
                        self.begin_own(&follow.presentity);
                    }
                }
                Err(FollowRefusal::NoSuchUser) => {
                    for subscription in self.presence.following.nobody(&follow.presentity) {
                        match subscription.package {
                            Package::List | Package::Batch => {
                                subscription.tell(self, News::Document(&follow.presentity));
                            }
                            Package::Presence
                            | Package::Watchers
                            | Package::RoamingSelf
                            | Package::RoamingContacts => subscription.end(self, End::NoResource),
                        }
                    }
                }
            }
        }
    }

    /// Own data is followed again: what changed meanwhile is looked up.
    fn begin_own(self: &Arc<Self>, user: &AddressOfRecord) {
        let subscriptions = self.presence.following.own_begins(user);
        let shows_own =
            |sub: &Arc<Subscription>| matches!(sub.package, Package::Watchers | Package::RoamingSelf);
        if subscriptions.iter().any(shows_own) {
            let (service, user) = (Arc::clone(self), user.clone());
            self.presence.spawn(async move {
                if let Err(error) = service.load_own(&user).await {
                    tracing::debug!(%error, "own data is not known until it changes");
                }
            });
        }
        for subscription in subscriptions {
            self.reload_contacts(&subscription, None);
        }
    }

    /// Looks up what only a user may see: publications, access levels, who watches.
    ///
    /// # Errors
    /// Those of the owner. A user that does not exist has nothing of the kind.
    pub(crate) async fn load_own(self: &Arc<Self>, user: &AddressOfRecord) -> Result<(), rpc::Error> {
        if let Some(own) = self.presence.client.own(user).await? {
            self.hear_own(&own);
        }
        Ok(())
    }

    fn hear_own(self: &Arc<Self>, own: &OwnData) {
        let subscriptions = self.presence.following.own(own);
        for subscription in &subscriptions {
            let flow = &subscription.flow;
            flow.categories.heard(own, &flow.endpoint());
        }
        self.tell_all(&subscriptions, News::Own);
    }

    /// A contact list changed: its client is told of the change, or gets the whole list if one before is missing.
    fn tell_contacts(self: &Arc<Self>, subscription: &Arc<Subscription>, news: &Arc<ContactNews>) {
        let taken = subscription.with_content(|content| match content {
            Content::Contacts(contacts) => contacts.take(news),
            _ => Taken::Known,
        });
        match taken {
            Taken::Known => {}
            Taken::New => subscription.tell(self, News::Own),
            Taken::Gap => self.reload_contacts(subscription, None),
        }
    }

    /// A client lost count of its contact list.
    pub(crate) fn tell_whole_list(self: &Arc<Self>, subscription: Option<Arc<Subscription>>) {
        if let Some(subscription) = subscription {
            forget_contacts(&subscription);
            self.reload_contacts(&subscription, None);
        }
    }

    /// A contact list changed, perhaps: a subscription that shows it looks it up, unless it is at this number already.
    fn reload_contacts(self: &Arc<Self>, subscription: &Arc<Subscription>, delta: Option<u64>) {
        let number = subscription.with_content(|content| match content {
            Content::List(list) => list.contacts.map(|(number, _)| number),
            Content::Contacts(contacts) => contacts.number(),
            _ => None,
        });
        if number.is_none_or(|number| delta.is_some_and(|delta| delta <= number)) {
            return;
        }
        let (service, subscription) = (Arc::clone(self), Arc::clone(subscription));
        self.presence
            .spawn_calls(async move { service.load_contacts_until_known(&subscription).await });
    }

    /// A group everybody has as a contact is news of every list here: they are looked up some at a time.
    async fn load_contacts_until_known(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        let mut failures = 0_u32;
        loop {
            let loaded = match self.presence.reloads.acquire().await {
                Ok(_turn) => self.load_contacts(subscription).await,
                // Never closed.
                Err(_) => return,
            };
            let Err(error) = loaded else { return };
            if error.code == ErrorCode::NotFound || subscription.is_ended() {
                return;
            }
            tracing::debug!(%error, "a contact list is shown as it was");
            tokio::time::sleep(backoff(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Takes the watcher's contact list, to be told as a whole whatever the client was told before.
    ///
    /// # Errors
    /// Those of the owner.
    pub(crate) async fn load_whole_contacts(
        self: &Arc<Self>,
        subscription: &Arc<Subscription>,
    ) -> Result<(), rpc::Error> {
        forget_contacts(subscription);
        self.load_contacts(subscription).await
    }

    /// Takes the watcher's contact list for the members of a list, or to be told as it is.
    ///
    /// # Errors
    /// Those of the owner.
    pub(crate) async fn load_contacts(
        self: &Arc<Self>,
        subscription: &Arc<Subscription>,
    ) -> Result<(), rpc::Error> {
        let contacts = self.presence.client.contacts(&subscription.watcher).await?;
        if subscription.package == Package::RoamingContacts {
            let is_set = subscription.with_content(|content| match content {
                Content::Contacts(known) => known.set(contacts),
                _ => false,
            });
            if is_set {
                subscription.tell(self, News::Own);
            }
            let is_old = subscription.with_content(|content| match content {
                Content::Contacts(known) => known.take_again(),
                _ => false,
            });
            if is_old {
                self.reload_contacts(subscription, None);
            }
            return Ok(());
        }
        let is_newer = subscription.with_content(|content| match content {
            Content::List(list) => match &mut list.contacts {
                Some(known) if *known <= (contacts.delta, contacts.version) => {
                    *known = (contacts.delta, contacts.version);
                    true
                }
                _ => false,
            },
            _ => false,
        });
        if is_newer {
            let shown = contacts.shown().into_iter().filter(|shown| shown.subscribed);
            let entries = shown.map(|shown| Entry {
                uri: shown.uri.to_uri_string(),
                who: Some(shown.uri),
                name: shown.name,
            });
            let entries = entries.take(super::list::MEMBERS).collect();
            self.set_members(subscription, entries);
        }
        Ok(())
    }

    /// Sets who is in a list, and tells its client.
    pub(crate) fn set_members(self: &Arc<Self>, subscription: &Arc<Subscription>, entries: Vec<Entry>) {
        let changed = subscription.with_content(|content| match content {
            Content::List(list) => list.set(entries),
            _ => Changed::default(),
        });
        self.change_members(subscription, &changed);
        subscription.tell(self, News::Own);
    }

    /// A subscription shows these users now, and those no more.
    pub(crate) fn change_members(&self, subscription: &Arc<Subscription>, changed: &Changed) {
        let following = &self.presence.following;
        for presentity in &changed.removed {
            following.unwatch(presentity, subscription, now());
        }
        for presentity in &changed.added {
            if following.watch(presentity, subscription, now()).is_err() {
                // It stays in the list without a state.
                self.counters.presence.watchers_exceeded();
            }
        }
        if subscription.is_ended() {
            // It ended meanwhile, and may have missed those that were added.
            self.presence.forget(subscription, &changed.added);
        }
    }

    async fn unfollow(&self, presentities: Vec<AddressOfRecord>) {
        let unfollowed = self
            .presence
            .client
            .unfollow(&self.config.member, presentities)
            .await;
        if let Err(error) = unfollowed {
            // Its news are dropped here, and following again is harmless.
            tracing::debug!(%error, "an owner goes on telling of presentities nobody here watches");
        }
        self.presence.following.left();
    }

    async fn report(&self, presentity: AddressOfRecord, watchers: Vec<SeenWatcher>) {
        let told = self
            .presence
            .client
            .watched(&self.config.member, &presentity, watchers.clone())
            .await;
        if let Err(error) = told {
            // There is nobody whom it could interest.
            if error.code == ErrorCode::NotFound {
                return;
            }
            tracing::debug!(%error, "watchers are reported later");
            self.presence.following.unreported(&presentity, watchers, now());
        }
    }
}

fn forget_contacts(subscription: &Subscription) {
    subscription.with_content(|content| {
        if let Content::Contacts(contacts) = content {
            contacts.forget();
        }
    });
}

/// How long to wait after so many failures.
fn backoff(failures: u32) -> Duration {
    RETRY.saturating_mul(1 << failures.min(4)).min(MAX_BACKOFF)
}
