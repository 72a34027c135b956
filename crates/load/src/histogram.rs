//! Latencies, in buckets of about three per cent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets per doubling.
const STEPS: u64 = 32;

/// Doublings from 32 us up to 2^32 us, above an hour.
const BUCKETS: usize = 28 * STEPS as usize;

/// Counts durations. Many threads may record at once.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<AtomicU64>,
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            longest: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(micros)).or(self.buckets.last()) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.longest.fetch_max(micros, Ordering::Relaxed);
    }

    /// How many were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }

    /// The time below which this share of all durations stayed, to the upper bound of its bucket.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let longest = self.longest.load(Ordering::Relaxed);
        // At least one, and never more than there are.
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Ordering::Relaxed);
            if seen >= wanted {
                return Duration::from_micros(upper_bound(index).min(longest));
            }
        }
        Duration::from_micros(longest)
    }

    /// The longest.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }
}

/// Below 32 one bucket each; from there 32 per doubling.
fn bucket_of(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doubling = u64::from(micros.ilog2() - STEPS.ilog2());
    let step = (micros >> doubling) - STEPS;
    (STEPS + doubling * STEPS + step) as usize
}

fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let (doubling, step) = ((index - STEPS) / STEPS, (index - STEPS) % STEPS);
    ((STEPS + step + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_meet() {
        for index in 0..BUCKETS - 1 {
            let bound = upper_bound(index);
            assert_eq!(bucket_of(bound), index);
            assert_eq!(bucket_of(bound + 1), index + 1);
        }
        for micros in [40, 999, 12_345, 9_999_999] {
            let bound = upper_bound(bucket_of(micros));
            assert!(
                bound >= micros && bound - micros <= micros / 30,
                "{micros} in a bucket up to {bound}"
            );
        }
    }

    #[test]
    fn quantiles_are_found() {
        let histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.quantile(0.5)), (0, Duration::ZERO));
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis));
        }
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.longest(), Duration::from_millis(100));
        let near = |share, millis: u64| {
            let found = histogram.quantile(share).as_micros() as u64;
            assert!(
                (millis * 1000..millis * 1040).contains(&found),
                "{share}: {found}"
            );
        };
        near(0.5, 50);
        near(0.99, 99);
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(100));
        histogram.record(Duration::MAX);
        assert_eq!(histogram.count(), 101);
    }
}
