//! The audit log: administrative changes at once, refused sign-ins through a bounded queue.
//!
//! Anybody can make a sign-in fail, so what a stranger causes is bounded three times: only refusals that tell an operator
//! something, at most [`BUDGET`] a minute, and never waited for. What is left out is counted.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use store::{AuditCategory, AuditEntry, AuditStore};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::counters::Counters;

/// Refused sign-ins written per minute.
const BUDGET: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);

/// Entries that may wait for the writer; beyond it they are lost and counted.
const QUEUE: usize = 1_024;

/// Entries written in one transaction.
const BATCH: usize = 128;

/// How long refused sign-ins are kept.
const KEEP_SIGN_INS: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How often old ones are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who did it, until administrators have names of their own.
const ADMINISTRATOR: &str = "administrator";

/// Writes the audit log.
pub(crate) struct Audit {
    store: Arc<dyn AuditStore>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    queue: mpsc::Sender<AuditEntry>,
    /// Start of the minute and what is left of its budget.
    budget: Mutex<(Instant, u32)>,
}

impl Audit {
    /// The log, and the far end of its queue for [`run`].
    pub(crate) fn new(
        store: Arc<dyn AuditStore>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> (Self, mpsc::Receiver<AuditEntry>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let budget = Mutex::new((Instant::now(), BUDGET));
        let audit = Audit {
            store,
            clock,
            counters,
            queue,
            budget,
        };
        (audit, receiver)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.unix_seconds()).unwrap_or(i64::MAX)
    }

    /// Writes down what an administrator did. The deed is done: if it cannot be written down, that is logged and counted.
    pub(crate) async fn administration(&self, action: &str, subject: String, detail: String) {
        let entry = AuditEntry {
            at: self.now(),
            category: AuditCategory::Administration,
            actor: ADMINISTRATOR.to_owned(),
            action: action.to_owned(),
            subject,
            detail,
        };
        if let Err(error) = self.store.append_audit(std::slice::from_ref(&entry)).await {
            self.counters.audit_lost(1);
            tracing::error!(%error, action, "an administrative change is missing from the audit log");
        }
    }

    /// Notes a refused sign-in, if there is room.
    pub(crate) fn refusal(&self, peer: String, user: String, reason: &str) {
        if !self.take_from_budget() {
            self.counters.audit_suppressed();
            return;
        }
        let entry = AuditEntry {
            at: self.now(),
            category: AuditCategory::SignIn,
            actor: peer,
            action: "sign-in.refused".to_owned(),
            subject: user,
            detail: reason.to_owned(),
        };
        if self.queue.try_send(entry).is_err() {
            self.counters.audit_lost(1);
        }
    }

    fn take_from_budget(&self) -> bool {
        let now = Instant::now();
        let mut budget = self.budget.lock();
        if now.duration_since(budget.0) >= WINDOW {
            *budget = (now, BUDGET);
        }
        let left = budget.1.checked_sub(1);
        budget.1 = left.unwrap_or(0);
        left.is_some()
    }

    async fn write(&self, entries: &mut Vec<AuditEntry>) {
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self.store.append_audit(entries).await {
            self.counters.audit_lost(entries.len());
            tracing::warn!(%error, entries = entries.len(), "refused sign-ins are missing from the audit log");
        }
        entries.clear();
    }

    async fn prune(&self) {
        let keep = i64::try_from(KEEP_SIGN_INS.as_secs()).unwrap_or(i64::MAX);
        let before = self.now().saturating_sub(keep);
        if let Err(error) = self.store.prune_audit(AuditCategory::SignIn, before).await {
            tracing::warn!(%error, "old entries of the audit log could not be removed");
        }
    }
}

/// Writes the queue until `stop`, then what is left of it.
pub(crate) async fn run(audit: Arc<Audit>, mut queue: mpsc::Receiver<AuditEntry>, stop: CancellationToken) {
    let mut entries = Vec::with_capacity(BATCH);
    let mut pruning = tokio::time::interval(PRUNE_EVERY);
    pruning.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = pruning.tick() => audit.prune().await,
            received = queue.recv_many(&mut entries, BATCH) => {
                if received == 0 {
                    return;
                }
                audit.write(&mut entries).await;
            }
        }
    }
    queue.close();
    while queue.recv_many(&mut entries, BATCH).await > 0 {
        audit.write(&mut entries).await;
    }
}

#[cfg(test)]
mod tests {
    use store::memory::MemoryDirectory;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_bounded_and_what_is_left_out_is_counted() {
        let store = Arc::new(MemoryDirectory::new());
        let counters = Arc::new(Counters::default());
        let (audit, queue) = Audit::new(store.clone(), Arc::new(SystemClock), counters.clone());
        let audit = Arc::new(audit);
        let stop = CancellationToken::new();
        let writer = tokio::spawn(run(audit.clone(), queue, stop.clone()));

        let refuse = || (0..100).for_each(|_| audit.refusal("192.0.2.1".into(), "a@b.c".into(), "disabled"));
        refuse();
        assert_eq!(counters.snapshot().audit_suppressed, 40);
        tokio::time::advance(WINDOW).await;
        refuse();
        stop.cancel();
        writer.await.unwrap();
        assert_eq!(
            store.audit(1_000).await.unwrap().len(),
            120,
            "also what was queued when it stopped"
        );
        assert_eq!(counters.snapshot().audit_suppressed, 80);
        assert_eq!(counters.snapshot().audit_lost, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn old_refusals_go_and_administrative_changes_stay() {
        let store = Arc::new(MemoryDirectory::new());
        let old = |category| AuditEntry {
            at: 1,
            category,
            actor: String::new(),
            action: String::new(),
            subject: String::new(),
            detail: String::new(),
        };
        store
            .append_audit(&[old(AuditCategory::SignIn), old(AuditCategory::Administration)])
            .await
            .unwrap();
        let (audit, queue) = Audit::new(store.clone(), Arc::new(SystemClock), Arc::default());
        let stop = CancellationToken::new();
        let writer = tokio::spawn(run(Arc::new(audit), queue, stop.clone()));
        tokio::time::sleep(PRUNE_EVERY).await;
        stop.cancel();
        writer.await.unwrap();
        let left: Vec<_> = store
            .audit(10)
            .await
            .unwrap()
            .into_iter()
            .map(|entry| entry.category)
            .collect();
        assert_eq!(left, [AuditCategory::Administration]);
    }
}
