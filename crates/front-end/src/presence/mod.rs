//! Presence: whom this front end follows, who here watches, and what they are shown.
//!
//! `following` has each presentity once, with its newest document and its watchers; `follower` keeps it true by asking the
//! owners. A `subscription` is a dialog with a client (`watching` has those of a connection, `published` what it has published); its `content` says what the client
//! is to be told: one user, a `list`, or watchers. `render` writes documents, `read` understands those clients publish, and
//! `etag` names them. `lync` has what is peculiar to Lync-family clients.
//!
//! State, not events: between a change and a client there is never more than one newest state that waits, so memory is in
//! proportion to subscriptions and not to changes.

pub(crate) mod content;
mod etag;
mod follower;
pub(crate) mod following;
pub(crate) mod list;
pub(crate) mod lync;
pub(crate) mod published;
mod read;
pub(crate) mod render;
pub(crate) mod subscription;
pub(crate) mod watching;

#[cfg(test)]
mod tests;

use std::time::Duration;

use rpc::PresenceClient;
use sip_types::AddressOfRecord;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use self::following::Following;
use self::subscription::{End, Package, Subscription};
use crate::flow::Flow;
use crate::service::{FrontEndService, now};

pub(crate) use etag::{EntityTag, instance_of, key};
pub(crate) use read::content;

/// The event packages served here, as Allow-Events has them: without blanks, which a Lync-family client does not read.
pub(crate) const ALLOW_EVENTS: &str = "presence,presence.winfo";

/// Least distance of two NOTIFYs of one subscription.
pub(crate) const PACE: Duration = Duration::from_secs(1);

/// How long changes of a list are collected.
pub(crate) const COALESCE: Duration = Duration::from_millis(200);

/// Shortest subscription or publication, seconds. Stock clients ask for 600 to 3600.
pub(crate) const MIN_EXPIRES: u32 = 60;

/// What a client gets that does not say (RFC 3856 section 6.4).
pub(crate) const DEFAULT_EXPIRES: u32 = 3_600;

/// Longest subscription or publication, seconds: longer ones are granted so much.
pub(crate) const MAX_EXPIRES: u32 = 43_200;

/// How long a SUBSCRIBE waits for the owner of what it is about: a moved partition has one again by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long the first NOTIFY of a list waits for the state of all its members.
pub(crate) const LIST_PATIENCE: Duration = Duration::from_secs(2);

/// Presence at one front end.
pub(crate) struct PresenceFace {
    pub(crate) client: PresenceClient,
    pub(crate) following: Following,
    /// NOTIFYs and calls to owners: not counted with the requests that wait for an answer.
    tasks: TaskTracker,
    /// Contact lists that are looked up again at the same time.
    reloads: Semaphore,
    stopping: CancellationToken,
}

impl PresenceFace {
    /// Over this client; nobody waits any more once `stopping` is cancelled.
    pub(crate) fn new(client: PresenceClient, stopping: CancellationToken) -> Self {
        PresenceFace {
            client,
            following: Following::default(),
            tasks: TaskTracker::new(),
            reloads: Semaphore::new(follower::CALLS),
            stopping,
        }
    }

    /// Runs a task that is waited for at the stop.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs calls to owners, which are given up at the stop.
    pub(crate) fn spawn_calls(&self, calls: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            stopping.run_until_cancelled_owned(calls).await;
        });
    }

    /// Resolves when the front end stops.
    pub(crate) fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.stopping.cancelled()
    }

    /// Waits until nothing is under way. Call it once the front end stops.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A subscription is over: nothing here remembers it.
    pub(crate) fn forget(&self, subscription: &Subscription, presentities: &[AddressOfRecord]) {
        for presentity in presentities {
            self.following.unwatch(presentity, subscription, now());
        }
        self.following.unwatch_own(subscription, now());
    }
}

impl FrontEndService {
    /// Ends what was not refreshed in time.
    pub(crate) fn end_expired(&self, flow: &Flow) {
        for subscription in flow.watching.expired(now()) {
            subscription.end(self, End::Timeout);
        }
    }

    /// The connection is closed: its subscriptions are over.
    pub(crate) fn end_watching(&self, flow: &Flow) {
        for subscription in flow.watching.close() {
            subscription.end(self, End::Unheard);
        }
    }

    /// Somebody signed in on this connection: what others watched there is shown no more.
    pub(crate) fn end_watching_of_others(&self, flow: &Flow, who: &AddressOfRecord) {
        for subscription in flow.watching.all() {
            if subscription.watcher != *who {
                subscription.end(self, End::Unheard);
            }
        }
    }

    /// This member stops: the clients of this connection are to subscribe elsewhere.
    pub(crate) fn deactivate_watching(&self, flow: &Flow) {
        for subscription in flow.watching.all() {
            subscription.end(self, End::Deactivated);
        }
    }

    /// Subscriptions of each package, as they stand.
    pub(crate) fn subscriptions(&self) -> [(Package, usize); Package::ALL.len()] {
        let mut counts = Package::ALL.map(|package| (package, 0));
        for flow in self.flows.values() {
            for subscription in flow.watching.all() {
                if let Some((_, count)) = counts
                    .iter_mut()
                    .find(|(package, _)| *package == subscription.package)
                {
                    *count += 1;
                }
            }
        }
        counts
    }
}
