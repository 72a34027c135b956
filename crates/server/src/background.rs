//! Tasks of the member itself: the heartbeat, the certificate, the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certificate::Certificate;
use crate::database::Database;
use crate::health::Health;

/// Between two beats; health calls a member wedged after ten of them.
const BEAT: Duration = Duration::from_secs(1);
/// Between two looks at the certificate files.
const CERTIFICATE: Duration = Duration::from_secs(60);
/// Between two questions to the database.
const DATABASE: Duration = Duration::from_secs(5);
/// How long the database may take to answer the simplest question.
const DATABASE_PATIENCE: Duration = Duration::from_secs(3);

/// Owner of every task of this member that is not a role's or the transport's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Background {
    pub(crate) tasks: TaskTracker,
    /// Cancelled as the last step of a shutdown.
    pub(crate) stop: CancellationToken,
}

impl Background {
    /// Repeats something until the member stops.
    fn repeat<F>(&self, every: Duration, mut what: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(every) => {}
                }
                what().await;
            }
        });
    }

    /// Shows that the process runs its tasks.
    pub(crate) fn beat(&self, health: &Arc<Health>) {
        let health = Arc::clone(health);
        self.repeat(BEAT, move || {
            health.beat(Instant::now());
            std::future::ready(())
        });
    }

    /// Renews and reloads the certificate when it is due, and makes readiness depend on it.
    pub(crate) fn keep_certificate(&self, health: &Health, certificate: &Certificate) {
        let checked = certificate.clone();
        health.add_check("certificate", move || {
            if checked.remaining_seconds(SystemTime::now()) > 0 {
                Ok(())
            } else {
                Err("has ended".to_owned())
            }
        });
        let certificate = certificate.clone();
        self.repeat(CERTIFICATE, move || {
            let certificate = certificate.clone();
            async move {
                let looked =
                    tokio::task::spawn_blocking(move || certificate.maintain(SystemTime::now())).await;
                if let Err(error) = looked {
                    tracing::error!(%error, "looking after the certificate failed");
                }
            }
        });
    }

    /// Asks the database now and then: a member that cannot reach it signs nobody in and is not ready.
    pub(crate) fn watch_database(&self, health: &Health, database: &Database) {
        let reachable = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&reachable);
        health.add_check("database", move || {
            if seen.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err("does not answer".to_owned())
            }
        });
        let database = database.clone();
        self.repeat(DATABASE, move || {
            let (database, reachable) = (database.clone(), Arc::clone(&reachable));
            async move {
                let answer = tokio::time::timeout(DATABASE_PATIENCE, database.ping()).await;
                let good = matches!(answer, Ok(Ok(())));
                if reachable.swap(good, Ordering::Relaxed) != good {
                    tracing::warn!(good, "the database changed its state");
                }
            }
        });
    }
}
