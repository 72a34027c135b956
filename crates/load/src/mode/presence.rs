//! `presence`: users publish and watch each other.

use super::end;
use crate::args::{Args, Contacts, Presence};
use crate::endpoint::Endpoint;
use crate::pacing::Pacing;
use crate::population::{Population, Told};
use crate::report::Report;
use crate::run::{Measured, Run, Watched};
use crate::sign_in::{Arrival, sign_in_all};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How often it is looked whether everybody knows what is to be known.
const LOOK: Duration = Duration::from_millis(50);

/// Signs in everybody, has all publish and subscribe, then publishes at a rate and counts what watchers are told. Last
/// it waits until they know everything.
///
/// # Errors
/// Nobody could sign in, or a watched process is gone.
pub(crate) async fn run(args: &Args, options: &Presence) -> Result<Report> {
    let run = Run::new(args, false)?;
    let watched = Watched::begin(&args.pids)?;
    let endpoints = sign_in_all(args, &run, Arrival::at_the_pace_of(args, &run, true)).await?;
    let begun = Instant::now();
    let mut pacing = Pacing::new(options.enter_rate, begun);
    for endpoint in &endpoints {
        endpoint.enter(pacing.turn().await);
    }
    let entered = until_known(&run, options.contacts, begun).await?;
    let publishing = publish_at_rate(&run, endpoints.clone(), options.rate)?;
    let window = Measured {
        mode: "presence",
        unit: "notifications",
        part: "publication",
        units_each: 1,
        connections: endpoints.len(),
        warm_up: options.window.warm_up,
        duration: options.window.duration,
    };
    let mut report = run.measure(&watched, window).await?;
    publishing.abort();
    report.presence = Some(settle(&run, &endpoints, options.contacts, entered).await?);
    report.errors = run.errors();
    end(&run, &endpoints).await;
    Ok(report)
}

/// Waits until everybody has learned of all contacts, or patience ends: the time since `begun`.
///
/// # Errors
/// It is not a load of presence.
pub(super) async fn until_known(run: &Run, contacts: Contacts, begun: Instant) -> Result<Duration> {
    let population = population(run)?;
    let patience = Instant::now() + contacts.patience;
    while !population.is_known() && Instant::now() < patience {
        tokio::time::sleep(LOOK).await;
    }
    if !population.is_known() {
        run.error(format!("{} contacts are not known", population.unknown()));
    }
    Ok(begun.elapsed())
}

/// Waits until everybody knows the last publication of each contact, or the time for that is over.
///
/// # Errors
/// It is not a load of presence.
pub(super) async fn settle(
    run: &Run,
    endpoints: &[Arc<Endpoint>],
    contacts: Contacts,
    entered: Duration,
) -> Result<Told> {
    // What is under way counts as published when it is answered.
    let patience = Instant::now() + contacts.patience;
    while endpoints.iter().any(|endpoint| endpoint.is_publishing()) && Instant::now() < patience {
        tokio::time::sleep(LOOK).await;
    }
    let published = Instant::now();
    let missing = || endpoints.iter().map(|endpoint| endpoint.missing()).sum::<usize>();
    let mut left = missing();
    while left > 0 && published.elapsed() < contacts.settle {
        tokio::time::sleep(LOOK).await;
        left = missing();
    }
    Ok(population(run)?.told(entered, left, published.elapsed()))
}

fn population(run: &Run) -> Result<&Population> {
    run.population
        .as_ref()
        .context("nobody watches anybody in this load")
}

/// All publish in turn, in an order of no pattern, so that what a watcher is told comes at random.
fn publish_at_rate(run: &Arc<Run>, mut endpoints: Vec<Arc<Endpoint>>, rate: f64) -> Result<JoinHandle<()>> {
    shuffle(&mut endpoints, getrandom::u64().context("no randomness")?);
    let run = Arc::clone(run);
    Ok(tokio::spawn(async move {
        let mut pacing = Pacing::new(rate, Instant::now());
        let mut publishers = endpoints.iter().cycle();
        while let Some(publisher) = publishers.next().filter(|_| run.is_active()) {
            publisher.publish(pacing.turn().await);
        }
    }))
}

/// Fisher and Yates, with the generator of SplitMix64.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        items.swap(last, ((mixed ^ (mixed >> 31)) % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_everybody_once() {
        let mut order: Vec<usize> = (0..100).collect();
        shuffle(&mut order, 1);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        shuffle::<usize>(&mut [], 1);
    }
}
