//! Ends bindings that were not refreshed: one task that sleeps until the earliest deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rpc::BindingEnd;
use store::{Timestamp, UserBindings};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::counters::Operation;
use crate::service::Inner;

/// Users ended in one go, between which other tasks of this thread get their turn.
const BATCH: usize = 1_024;

/// How long to wait after the store failed.
const RETRY: Duration = Duration::from_secs(1);

/// Wakes the task when a deadline appears that is earlier than the one it sleeps for.
pub(crate) struct Alarm {
    /// When the task will look again; [`u64::MAX`] while it looks or has nothing to wait for.
    set_for: AtomicU64,
    earlier: Notify,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Alarm {
            set_for: AtomicU64::new(u64::MAX),
            earlier: Notify::new(),
        }
    }

    /// Makes the task look now.
    pub(crate) fn ring(&self) {
        self.earlier.notify_one();
    }

    /// Something ends at `deadline`.
    fn consider(&self, deadline: Timestamp) {
        if deadline.0 < self.set_for.load(Ordering::SeqCst) {
            self.earlier.notify_one();
        }
    }
}

impl Inner {
    /// Makes sure the task looks no later than the first deadline of this state.
    pub(crate) fn wake_for(&self, state: &UserBindings) {
        if let Some(deadline) = state.next_deadline() {
            self.alarm.consider(deadline);
        }
    }
}

/// Runs until `stop`.
pub(crate) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    loop {
        // Before the sweep, so that whatever is committed during it counts as earlier and wakes us again.
        inner.alarm.set_for.store(u64::MAX, Ordering::SeqCst);
        let next = sweep(&inner).await;
        let set_for = next.map_or(u64::MAX, |next| next.0);
        inner.alarm.set_for.store(set_for, Ordering::SeqCst);
        let sleep = async {
            match next {
                Some(next) => tokio::time::sleep_until(inner.time.instant(next)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = inner.alarm.earlier.notified() => {}
            () = sleep => {}
        }
    }
}

/// Ends what is due and returns when to look again.
async fn sweep(inner: &Inner) -> Option<Timestamp> {
    loop {
        let now = inner.time.now();
        let swept = match inner.bindings.sweep(now, BATCH).await {
            Ok(swept) => swept,
            Err(error) => {
                tracing::warn!(%error, "bindings could not be swept");
                return Some(Timestamp(
                    now.0
                        .saturating_add(u64::try_from(RETRY.as_millis()).unwrap_or(u64::MAX)),
                ));
            }
        };
        for ended in swept.ended {
            inner
                .locations
                .apply(&ended.aor, &ended.left, &inner.no_name, now);
            if !ended.expired.is_empty() {
                inner.counters.operations(Operation::Expired, ended.expired.len());
                let expired = ended
                    .expired
                    .into_iter()
                    .map(|binding| (binding, BindingEnd::Expired));
                inner.announce(&ended.aor, expired.collect());
            }
        }
        if swept.next.is_none_or(|next| next > now) {
            return swept.next;
        }
        tokio::task::yield_now().await;
    }
}
