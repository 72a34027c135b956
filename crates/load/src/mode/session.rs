//! `session`: whole conversations.

use super::{end, pairs};
use crate::args::{Args, Session};
use crate::endpoint::Work;
use crate::report::Report;
use crate::run::{Measured, Run, Watched};
use crate::sign_in::sign_in_all;
use anyhow::{Result, ensure};
use std::sync::Arc;

/// Holds sessions between pairs of users, one after the other.
///
/// # Errors
/// Nobody could sign in, or a watched process is gone.
pub(crate) async fn run(args: &Args, session: &Session) -> Result<Report> {
    let run = Run::new(args, false)?;
    let watched = Watched::begin(&args.pids)?;
    let endpoints = sign_in_all(args, &run, true).await?;
    let pairs = pairs(&endpoints);
    ensure!(!pairs.is_empty(), "a pair of users is needed");
    for (from, to) in pairs.iter().cycle().take(session.concurrency.max(1)) {
        from.begin(Work::Session {
            to: Arc::clone(to),
            size: session.size,
            messages: session.messages,
        });
    }
    let window = Measured {
        mode: "session",
        unit: "sessions",
        part: "request",
        units_each: 1,
        connections: endpoints.len(),
        warm_up: session.window.warm_up,
        duration: session.window.duration,
    };
    let report = run.measure(&watched, window).await;
    end(&run, &endpoints).await;
    report
}
