//! Bringing endpoints up: one, or all of them at a pace.

use crate::args::Args;
use crate::endpoint::Endpoint;
use crate::pacing::Pacing;
use crate::run::Run;
use anyhow::{Result, ensure};
use sip_transport::Target;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long a sign-in may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects an endpoint and registers it.
///
/// # Errors
/// What went wrong, in words that can be counted.
pub(crate) async fn sign_in(run: &Arc<Run>, endpoint: &Arc<Endpoint>, target: Target) -> Result<(), String> {
    let ready = endpoint.expect_sign_in();
    let work = async {
        let connecting = run.transport.connect(target, Arc::clone(endpoint));
        connecting.await.map_err(|error| format!("connect: {error}"))?;
        ready
            .await
            .map_err(|_| "connection closed during sign-in".to_owned())?
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| "sign-in took too long".to_owned())?
}

/// Signs in all users of the run at the pace of the command line. Failures are counted; those who made it are
/// returned in their order.
///
/// # Errors
/// Nobody could sign in.
pub(crate) async fn sign_in_all(args: &Args, run: &Arc<Run>, registers: bool) -> Result<Vec<Arc<Endpoint>>> {
    let limit = Arc::new(Semaphore::new(args.sign_in_concurrency.max(1)));
    let begun = Instant::now();
    let mut pacing = Pacing::new(args.sign_in_rate, begun);
    let mut tasks = JoinSet::new();
    for index in 0..args.users {
        pacing.turn().await;
        let place = Arc::clone(&limit).acquire_owned().await?;
        let run = Arc::clone(run);
        let endpoint = Endpoint::new(index, &args.user_prefix, registers, &run);
        tasks.spawn(async move {
            let since = Instant::now();
            let outcome = sign_in(&run, &endpoint, run.target(index)).await;
            drop(place);
            if outcome.is_ok() && registers {
                run.setup.record(since.elapsed());
            }
            outcome.map(|()| endpoint).map_err(|error| run.error(error)).ok()
        });
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
