//! `idle`: connections that do nothing.

use super::end;
use crate::args::{Args, Idle};
use crate::report::Report;
use crate::run::{Measured, Run, Watched};
use crate::sign_in::{Arrival, sign_in_all};
use anyhow::Result;
use std::time::Duration;

/// Time for the server to come to rest after the last sign-in.
const REST: Duration = Duration::from_secs(3);

/// Signs in everybody and holds the connections. CPU time is divided by the number of users.
///
/// # Errors
/// Nobody could sign in, or a watched process is gone.
pub(crate) async fn run(args: &Args, idle: &Idle) -> Result<Report> {
    let run = Run::new(args, false)?;
    let watched = Watched::begin(&args.pids)?;
    let endpoints = sign_in_all(args, &run, Arrival::at_the_pace_of(args, &run, true)).await?;
    let window = Measured {
        mode: "idle",
        unit: "connections",
        part: "",
        units_each: endpoints.len() as u64,
        connections: endpoints.len(),
        warm_up: REST,
        duration: idle.hold,
    };
    let mut report = run.measure(&watched, window).await?;
    report.done = endpoints.len() as u64;
    end(&run, &endpoints).await;
    Ok(report)
}
