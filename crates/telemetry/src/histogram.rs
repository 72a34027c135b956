//! Durations in fixed buckets, in atomics: observing costs three relaxed additions and takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds. The same for every duration, so that panels can be compared.
pub const LATENCY_BUCKETS: [f64; 13] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// One more than the bounds: the last bucket takes what is longer than all of them.
const BUCKETS: usize = LATENCY_BUCKETS.len() + 1;

/// A distribution of durations. Shared by reference between the tasks that observe and the scrape that reads.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Observations per bucket, not cumulative.
    counts: [AtomicU64; BUCKETS],
    /// Microseconds, so that the sum is one atomic: 584,000 years fit.
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Nothing observed yet.
    pub fn new() -> Self {
        Histogram::default()
    }

    /// Adds one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = LATENCY_BUCKETS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was observed so far. Taken without stopping observers: a number may be ahead of another by those in flight.
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            counts: std::array::from_fn(|i| {
                self.counts
                    .get(i)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
        }
    }
}

/// The numbers of a [`Histogram`] at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistogramSnapshot {
    counts: [u64; BUCKETS],
    sum_micros: u64,
}

impl HistogramSnapshot {
    /// Upper bound in seconds and how many observations were at most that long; the last bound is infinite.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = LATENCY_BUCKETS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((bound, *total))
        })
    }

    /// Observations per bucket, not cumulative; the last bucket takes what is longer than all bounds.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All observations added up.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_micros as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_equal_to_a_bound_belongs_to_that_bucket() {
        let histogram = Histogram::new();
        histogram.observe(Duration::from_millis(5));
        let at_most = |limit: f64| {
            let snapshot = histogram.snapshot();
            snapshot
                .cumulative()
                .find(|(bound, _)| *bound == limit)
                .map(|(_, n)| n)
        };
        assert_eq!(at_most(0.002), Some(0));
        assert_eq!(at_most(0.005), Some(1));
    }

    #[test]
    fn nothing_is_lost_above_the_last_bound() {
        let histogram = Histogram::new();
        histogram.observe(Duration::from_secs(3600));
        assert_eq!(histogram.snapshot().count(), 1);
        assert_eq!(histogram.snapshot().sum_seconds(), 3600.0);
    }
}
