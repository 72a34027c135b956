//! `page`: MESSAGEs outside of dialogs.

use super::{end, pairs};
use crate::args::{Args, Page};
use crate::endpoint::{Endpoint, Work};
use crate::pacing::Pacing;
use crate::relay::Child;
use crate::report::Report;
use crate::run::{Measured, Run, Watched};
use crate::sign_in::sign_in_all;
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

/// Runs the load against the server, then, if asked for, the same against a relay.
///
/// # Errors
/// Nobody could sign in, or a watched process is gone.
pub(crate) async fn run(args: &Args, page: &Page) -> Result<Report> {
    let mut report = load(args, page, true).await?;
    if page.floor {
        let relay = Child::start()?;
        let through = Args {
            server: relay.address(),
            ca: Some(relay.certificate().to_owned()),
            server_name: None,
            pids: vec![relay.pid()],
            ..args.clone()
        };
        report.floor = Some(Box::new(load(&through, page, false).await?));
    }
    Ok(report)
}

async fn load(args: &Args, page: &Page, registers: bool) -> Result<Report> {
    let run = Run::new(args, false)?;
    let watched = Watched::begin(&args.pids)?;
    let endpoints = sign_in_all(args, &run, registers).await?;
    let pairs = pairs(&endpoints);
    ensure!(!pairs.is_empty(), "a pair of users is needed");
    let ticker = match page.rate {
        Some(rate) => Some(send_at_rate(&run, pairs, page.size, rate)),
        None => {
            send_in_turn(&pairs, page);
            None
        }
    };
    let window = Measured {
        mode: if registers { "page" } else { "relay" },
        unit: "messages",
        part: "",
        units_each: 1,
        connections: endpoints.len(),
        warm_up: page.window.warm_up,
        duration: page.window.duration,
    };
    let report = run.measure(&watched, window).await;
    run.stop();
    if let Some(ticker) = ticker {
        ticker.await?;
    }
    end(&run, &endpoints).await;
    report
}

/// Both ends of each pair send, and each sends the next message when the one before it was answered.
fn send_in_turn(pairs: &[(Arc<Endpoint>, Arc<Endpoint>)], page: &Page) {
    let both = pairs
        .iter()
        .map(|(one, two)| (one, two))
        .chain(pairs.iter().map(|(one, two)| (two, one)));
    for (from, to) in both.cycle().take(page.concurrency.max(1)) {
        from.begin(Work::Page {
            to: Arc::clone(to),
            size: page.size,
            since: Instant::now(),
            again: true,
        });
    }
}

/// All pairs in turn, at a rate.
fn send_at_rate(
    run: &Arc<Run>,
    pairs: Vec<(Arc<Endpoint>, Arc<Endpoint>)>,
    size: usize,
    rate: f64,
) -> JoinHandle<()> {
    let run = Arc::clone(run);
    tokio::spawn(async move {
        let mut pacing = Pacing::new(rate, Instant::now());
        let mut pairs = pairs.iter().cycle();
        while run.is_active() {
            let since = pacing.turn().await;
            if let Some((from, to)) = pairs.next() {
                from.begin(Work::Page {
                    to: Arc::clone(to),
                    size,
                    since,
                    again: false,
                });
            }
        }
    })
}
