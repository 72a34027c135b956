//! `storm`: everybody comes at once, publishes and subscribes, as after the loss of a front end.

use super::end;
use super::presence::{settle, until_known};
use crate::args::{Args, Storm};
use crate::report::Report;
use crate::run::{Measured, Run, Watched};
use crate::sign_in::{Arrival, sign_in_all};
use anyhow::Result;
use std::time::{Duration, Instant};

/// How often a user comes back to a server that is busy: as often as it is told to.
const RETRIES: u32 = 1_000;

/// Users per second, where the command line does not say: as fast as they are admitted.
const RATE: f64 = 1e6;

/// Signs in everybody as fast as the server admits; whoever is in publishes and subscribes. CPU time is divided by the number
/// of users.
///
/// # Errors
/// Nobody could sign in, or a watched process is gone.
pub(crate) async fn run(args: &Args, options: &Storm) -> Result<Report> {
    let run = Run::new(args, false)?;
    let watched = Watched::begin(&args.pids)?;
    let (begun, since) = (run.begin(&watched)?, Instant::now());
    let arrival = Arrival {
        rate: args.sign_in_rate.unwrap_or(RATE),
        retries: RETRIES,
        registers: true,
        enters: true,
    };
    let endpoints = sign_in_all(args, &run, arrival).await?;
    let entered = until_known(&run, options.contacts, since).await?;
    let window = Measured {
        mode: "storm",
        unit: "users",
        part: "",
        units_each: 1,
        connections: endpoints.len(),
        warm_up: Duration::ZERO,
        duration: entered,
    };
    let mut report = run.finish(&watched, begun, window)?;
    report.presence = Some(settle(&run, &endpoints, options.contacts, entered).await?);
    report.errors = run.errors();
    end(&run, &endpoints).await;
    Ok(report)
}
