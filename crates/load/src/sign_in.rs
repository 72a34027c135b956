//! Bringing endpoints up: one, or all of them at a pace.

use crate::args::Args;
use crate::endpoint::{Endpoint, Refused};
use crate::pacing::Pacing;
use crate::run::Run;
use anyhow::{Result, ensure};
use sip_transport::Target;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// How long a sign-in may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a user comes back to a server that is busy.
const RETRIES: u32 = 3;

/// The longest wait that is worth it; a server that asks for more is not one to measure now.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How users come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Users per second.
    pub rate: f64,
    /// How often a user comes back to a server that is busy.
    pub retries: u32,
    /// False for a relay.
    pub registers: bool,
    /// Whoever is signed in publishes and subscribes at once.
    pub enters: bool,
}

impl Arrival {
    /// At the pace of the command line.
    pub(crate) fn at_the_pace_of(args: &Args, run: &Run, registers: bool) -> Self {
        Self {
            rate: run.sign_in_rate(args),
            retries: RETRIES,
            registers,
            enters: false,
        }
    }
}

/// Connects an endpoint and registers it.
///
/// # Errors
/// What went wrong. Its connection is closed.
pub(crate) async fn sign_in(run: &Arc<Run>, endpoint: &Arc<Endpoint>, target: Target) -> Result<(), Refused> {
    let ready = endpoint.expect_sign_in();
    let work = async {
        let connecting = run.transport.connect(target, Arc::clone(endpoint));
        connecting.await.map_err(|error| format!("connect: {error}"))?;
        ready.await.map_err(|_| "connection closed during sign-in")?
    };
    let outcome = tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err("sign-in took too long".into()));
    if outcome.is_err() {
        endpoint.leave();
    }
    outcome
}

/// Signs in all users of the run as they come. Who is told to come back does so a few times.
/// Failures are counted; those who made it are returned in their order.
///
/// # Errors
/// Nobody could sign in.
pub(crate) async fn sign_in_all(args: &Args, run: &Arc<Run>, arrival: Arrival) -> Result<Vec<Arc<Endpoint>>> {
    let places = Arc::new(Semaphore::new(args.sign_in_concurrency.max(1)));
    let begun = Instant::now();
    let mut pacing = Pacing::new(arrival.rate, begun);
    let mut tasks = JoinSet::new();
    for index in 0..args.users {
        pacing.turn().await;
        let place = Arc::clone(&places).acquire_owned().await?;
        let newcomer = Newcomer {
            run: Arc::clone(run),
            places: Arc::clone(&places),
            prefix: args.user_prefix.clone(),
            index,
            arrival,
            begun,
        };
        tasks.spawn(newcomer.come_in(place));
    }
    let mut endpoints: Vec<Arc<Endpoint>> = tasks.join_all().await.into_iter().flatten().collect();
    *run.setup_time.lock() = begun.elapsed();
    endpoints.sort_by_key(|endpoint| endpoint.index());
    ensure!(
        !endpoints.is_empty(),
        "nobody could sign in: {}",
        run.errors_in_words()
    );
    Ok(endpoints)
}

/// A user who is not signed in yet.
struct Newcomer {
    run: Arc<Run>,
    places: Arc<Semaphore>,
    prefix: String,
    index: usize,
    arrival: Arrival,
    /// When the first one came.
    begun: Instant,
}

impl Newcomer {
    /// Signs in, and again when a busy server wants that. None: it failed, and was counted.
    async fn come_in(self, place: OwnedSemaphorePermit) -> Option<Arc<Endpoint>> {
        let mut place = Some(place);
        for retries_left in (0..=self.arrival.retries).rev() {
            let since = Instant::now();
            let endpoint = Endpoint::new(self.index, &self.prefix, self.arrival.registers, &self.run);
            let outcome = sign_in(&self.run, &endpoint, self.run.target(self.index)).await;
            // Others may come in while this one waits.
            drop(place.take());
            let refused = match outcome {
                Ok(()) => {
                    if self.arrival.registers {
                        self.run.setup.record(since.elapsed());
                    }
                    if self.arrival.enters {
                        endpoint.enter(self.begun);
                    }
                    return Some(endpoint);
                }
                Err(refused) => refused,
            };
            let wait = refused.retry_after.filter(|wait| *wait <= LONGEST_WAIT);
            let Some(wait) = wait.filter(|_| retries_left > 0) else {
                self.run.error(refused.what);
                return None;
            };
            self.run.put_off();
            tokio::time::sleep(wait).await;
            place = Arc::clone(&self.places).acquire_owned().await.ok();
        }
        None
    }
}
