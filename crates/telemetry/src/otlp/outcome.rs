//! What became of what was to be sent, by signal.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures are told in the log this often at most.
const QUIET: Duration = Duration::from_secs(60);

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signal {
    /// Spans.
    Traces,
    /// Numbers.
    Metrics,
    /// Lines.
    Logs,
}

impl Signal {
    pub(super) const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }
}

/// One per signal.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    traces: Outcome,
    metrics: Outcome,
    logs: Outcome,
}

impl Outcomes {
    pub(super) fn of(&self, signal: Signal) -> &Outcome {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    /// Counts a batch and says in the log, now and then, that it was not taken.
    pub(super) fn sent(&self, signal: Signal, items: u64, problem: Option<&dyn std::fmt::Display>) {
        let outcome = self.of(signal);
        match problem {
            None => {
                outcome.exported.fetch_add(items, Ordering::Relaxed);
            }
            Some(error) => {
                let failed = outcome.failed.fetch_add(items, Ordering::Relaxed) + items;
                if outcome.may_tell(Instant::now()) {
                    let signal = signal.as_str();
                    tracing::warn!(signal, failed, %error, "the collector does not take telemetry");
                }
            }
        }
    }
}

/// Counts of one signal. Items are spans, log records, data points.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    /// In the queue or on the way.
    pending: AtomicI64,
    told: Mutex<Option<Instant>>,
}

impl Outcome {
    pub(super) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether one more item has a place; it is counted as waiting or as dropped.
    pub(super) fn enter(&self, places: i64) -> bool {
        let full = self.pending.fetch_add(1, Ordering::Relaxed) >= places;
        if full {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        !full
    }

    /// Items that wait no longer.
    pub(super) fn leave(&self, items: usize) {
        let items = i64::try_from(items).unwrap_or(i64::MAX);
        self.pending.fetch_sub(items, Ordering::Relaxed);
    }

    fn may_tell(&self, now: Instant) -> bool {
        let mut told = self.told.lock();
        let quiet = told.is_some_and(|told| now.saturating_duration_since(told) < QUIET);
        if !quiet {
            *told = Some(now);
        }
        !quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_is_dropped_and_counted() {
        let outcome = Outcome::default();
        let entered = (0..5).filter(|_| outcome.enter(3)).count();
        assert_eq!((entered, outcome.dropped()), (3, 2));
        outcome.leave(2);
        assert!(outcome.enter(3) && outcome.enter(3) && !outcome.enter(3));
    }

    #[test]
    fn failures_are_told_once_a_minute_and_always_counted() {
        let outcome = Outcome::default();
        let start = Instant::now();
        assert!(outcome.may_tell(start));
        assert!(!outcome.may_tell(start + Duration::from_secs(59)));
        assert!(outcome.may_tell(start + QUIET));
        let outcomes = Outcomes::default();
        outcomes.sent(Signal::Logs, 7, Some(&"refused"));
        outcomes.sent(Signal::Logs, 2, None);
        let logs = outcomes.of(Signal::Logs);
        assert_eq!((logs.failed(), logs.exported()), (7, 2));
    }
}
