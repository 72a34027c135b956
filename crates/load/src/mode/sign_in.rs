//! `sign-in`: the whole way from nothing to a registration, over and over.

use super::END;
use crate::args::{Args, SignIn};
use crate::endpoint::Endpoint;
use crate::pacing::Pacing;
use crate::report::Report;
use crate::run::{Measured, Run, Watched};
use crate::sign_in::sign_in;
use anyhow::Result;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Signs in with a number of workers, each with users of its own.
///
/// # Errors
/// A watched process is gone.
pub(crate) async fn run(args: &Args, options: &SignIn) -> Result<Report> {
    let run = Run::new(args, options.resume)?;
    let watched = Watched::begin(&args.pids)?;
    let pacing = options
        .rate
        .map(|rate| Arc::new(Mutex::new(Pacing::new(rate, Instant::now()))));
    let workers = options.concurrency.clamp(1, args.users.max(1));
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let users = (worker..args.users.max(1)).step_by(workers);
        tasks.spawn(work(
            Arc::clone(&run),
            users.collect(),
            args.user_prefix.clone(),
            pacing.clone(),
        ));
    }
    let window = Measured {
        mode: "sign-in",
        unit: "sign-ins",
        part: "",
        units_each: 1,
        connections: args.users,
        warm_up: options.window.warm_up,
        duration: options.window.duration,
    };
    let report = run.measure(&watched, window).await;
    run.stop();
    tasks.join_all().await;
    tokio::time::sleep(END).await;
    report
}

async fn work(run: Arc<Run>, users: Vec<usize>, prefix: String, pacing: Option<Arc<Mutex<Pacing>>>) {
    let mut users = users.into_iter().cycle();
    while let Some(user) = users.next().filter(|_| run.is_active()) {
        let since = match &pacing {
            None => Instant::now(),
            Some(pacing) => {
                // Each takes its own turn and waits for it by itself.
                let due = {
                    let mut pacing = pacing.lock();
                    let due = pacing.next();
                    pacing.take(due);
                    due
                };
                tokio::time::sleep_until(due.into()).await;
                due
            }
        };
        let endpoint = Endpoint::new(user, &prefix, true, &run);
        match sign_in(&run, &endpoint, run.next_target()).await {
            Ok(()) => run.unit_done(since),
            Err(refused) => run.error(refused.what),
        }
        endpoint.leave();
    }
}
