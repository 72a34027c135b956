//! What one connection watches.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use sip_core::DialogId;

use super::subscription::Subscription;

/// Subscriptions of one endpoint; members of lists are not counted.
pub(crate) const SUBSCRIPTIONS: usize = 1_000;

/// The subscriptions of one connection, by dialog. They end with it.
#[derive(Default)]
pub(crate) struct Watching {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    subscriptions: HashMap<DialogId, Arc<Subscription>>,
    /// No subscription ends before.
    next_expiry: Option<Instant>,
    gone: bool,
}

/// Why a subscription was not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotKept {
    /// There are [`SUBSCRIPTIONS`].
    TooMany,
    /// The connection is closed.
    Gone,
}

impl Watching {
    /// Keeps a subscription; gives back the one it replaces.
    ///
    /// # Errors
    /// See [`NotKept`].
    pub(crate) fn add(&self, subscription: &Arc<Subscription>) -> Result<Option<Arc<Subscription>>, NotKept> {
        let mut inner = self.inner.lock();
        if inner.gone {
            return Err(NotKept::Gone);
        }
        let is_same = |known: &Arc<Subscription>| {
            known.package == subscription.package
                && known.resource == subscription.resource
                && known.watcher == subscription.watcher
        };
        let former = inner.subscriptions.values().find(|known| is_same(known)).cloned();
        if let Some(former) = &former {
            inner.subscriptions.remove(former.dialog());
        }
        if inner.subscriptions.len() >= SUBSCRIPTIONS {
            return Err(NotKept::TooMany);
        }
        inner.expects(subscription.expires_at());
        inner
            .subscriptions
            .insert(subscription.dialog().clone(), Arc::clone(subscription));
        Ok(former)
    }

    /// The subscription of this dialog.
    pub(crate) fn get(&self, dialog: &DialogId) -> Option<Arc<Subscription>> {
        self.inner.lock().subscriptions.get(dialog).cloned()
    }

    /// Forgets a subscription, unless its dialog has another by now.
    pub(crate) fn remove(&self, dialog: &DialogId, id: u64) {
        let mut inner = self.inner.lock();
        if inner
            .subscriptions
            .get(dialog)
            .is_some_and(|known| known.id == id)
        {
            inner.subscriptions.remove(dialog);
        }
        if inner.subscriptions.is_empty() {
            // An idle connection keeps nothing.
            inner.subscriptions = HashMap::new();
            inner.next_expiry = None;
        }
    }

    /// A subscription now ends at this time.
    pub(crate) fn expects(&self, expiry: Instant) {
        self.inner.lock().expects(expiry);
    }

    /// When to look for subscriptions that are over.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.inner.lock().next_expiry
    }

    /// The subscriptions that were not refreshed in time.
    pub(crate) fn expired(&self, now: Instant) -> Vec<Arc<Subscription>> {
        let mut inner = self.inner.lock();
        if inner.next_expiry.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let (mut over, mut next) = (Vec::new(), None::<Instant>);
        for subscription in inner.subscriptions.values() {
            let at = subscription.expires_at();
            if at <= now {
                over.push(Arc::clone(subscription));
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        inner.next_expiry = next;
        over
    }

    pub(crate) fn all(&self) -> Vec<Arc<Subscription>> {
        self.inner.lock().subscriptions.values().cloned().collect()
    }

    /// The connection is closed: what there was.
    pub(crate) fn close(&self) -> Vec<Arc<Subscription>> {
        let mut inner = self.inner.lock();
        inner.gone = true;
        inner.next_expiry = None;
        inner
            .subscriptions
            .drain()
            .map(|(_, subscription)| subscription)
            .collect()
    }
}

impl Inner {
    fn expects(&mut self, expiry: Instant) {
        self.next_expiry = Some(self.next_expiry.map_or(expiry, |next| next.min(expiry)));
    }
}
