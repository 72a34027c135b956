//! What `page` and `session` have in common: pairs of users who do something together, over and over or at a rate,
//! and the same through a relay.

use super::end;
use crate::args::{Args, Window};
use crate::endpoint::{Endpoint, Exchange, Work};
use crate::pacing::Pacing;
use crate::relay::Child;
use crate::report::Report;
use crate::run::{Measured, Run, Watched};
use crate::sign_in::{Arrival, sign_in_all};
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

/// A load of pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct BetweenPairs {
    /// What it is called.
    pub(super) mode: &'static str,
    /// What a unit of work is called, and a part of it where there are parts.
    pub(super) unit: &'static str,
    pub(super) part: &'static str,
    /// What a pair does.
    pub(super) what: Exchange,
    /// Whether the second of a pair begins something too.
    pub(super) both_begin: bool,
    /// How many are under way at once.
    pub(super) concurrency: usize,
    /// How many begin per second instead, whatever is under way.
    pub(super) rate: Option<f64>,
    /// When it is measured.
    pub(super) window: Window,
}

/// Who begins, and with whom.
type Side = (Arc<Endpoint>, Arc<Endpoint>);

impl BetweenPairs {
    /// Runs the load against the server, then, if asked for, the same against a relay in the same run.
    ///
    /// # Errors
    /// Nobody could sign in, or a watched process is gone.
    pub(super) async fn run(self, args: &Args, floor: bool) -> Result<Report> {
        let mut report = self.load(args, true).await?;
        if floor {
            let relay = Child::start()?;
            let through = Args {
                servers: vec![relay.address()],
                ca: Some(relay.certificate().to_owned()),
                server_name: None,
                pids: vec![relay.pid()],
                ..args.clone()
            };
            let relayed = Self {
                mode: "relay",
                ..self
            };
            report.floor = Some(Box::new(relayed.load(&through, false).await?));
        }
        Ok(report)
    }

    async fn load(self, args: &Args, registers: bool) -> Result<Report> {
        let run = Run::new(args, false)?;
        let watched = Watched::begin(&args.pids)?;
        let endpoints = sign_in_all(args, &run, Arrival::at_the_pace_of(args, &run, registers)).await?;
        let sides = self.sides(&endpoints);
        ensure!(!sides.is_empty(), "a pair of users is needed");
        let ticker = match self.rate {
            Some(rate) => Some(self.begin_at_rate(&run, sides, rate)),
            None => {
                self.begin_in_turn(&sides);
                None
            }
        };
        let window = Measured {
            mode: self.mode,
            unit: self.unit,
            part: self.part,
            units_each: 1,
            connections: endpoints.len(),
            warm_up: self.window.warm_up,
            duration: self.window.duration,
        };
        let report = run.measure(&watched, window).await;
        run.stop();
        if let Some(ticker) = ticker {
            ticker.await?;
        }
        end(&run, &endpoints).await;
        report
    }

    /// All who begin something: the first of each pair, then the second ones. A user without a partner stays idle.
    fn sides(&self, endpoints: &[Arc<Endpoint>]) -> Vec<Side> {
        let pairs: Vec<Side> = endpoints
            .windows(2)
            .filter(|two| two[0].index() % 2 == 0 && two[0].index() + 1 == two[1].index())
            .map(|two| (Arc::clone(&two[0]), Arc::clone(&two[1])))
            .collect();
        let mut sides = pairs.clone();
        if self.both_begin {
            sides.extend(pairs.into_iter().map(|(one, two)| (two, one)));
        }
        sides
    }

    /// Each begins the next when the one before it is over.
    fn begin_in_turn(&self, sides: &[Side]) {
        for side in sides.iter().cycle().take(self.concurrency.max(1)) {
            self.begin(side, Instant::now(), true);
        }
    }

    /// All in turn, at a rate.
    fn begin_at_rate(self, run: &Arc<Run>, sides: Vec<Side>, rate: f64) -> JoinHandle<()> {
        let run = Arc::clone(run);
        tokio::spawn(async move {
            let mut pacing = Pacing::new(rate, Instant::now());
            let mut sides = sides.iter().cycle();
            while run.is_active() {
                let since = pacing.turn().await;
                if let Some(side) = sides.next() {
                    self.begin(side, since, false);
                }
            }
        })
    }

    fn begin(&self, (from, to): &Side, since: Instant, again: bool) {
        from.begin(Work {
            to: Arc::clone(to),
            what: self.what,
            since,
            again,
        });
    }
}
