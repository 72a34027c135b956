//! How often something may happen.

use std::time::{Duration, Instant};

/// A token bucket: `burst` at once, then `per_second` each second. Costs one instant of memory and no timer.
///
/// Kept as the *theoretical arrival time* of the generic cell rate algorithm: the moment at which the bucket
/// would be full again.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    interval: Duration,
    tolerance: Duration,
    full_at: Option<Instant>,
}

impl RateLimit {
    /// A full bucket. Zero counts as one: a limit can not be switched off, in either direction.
    pub fn new(burst: u32, per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            tolerance: interval * (burst.max(1) - 1),
            full_at: None,
        }
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let available = self.wait(now).is_zero();
        if available {
            self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + self.interval);
        }
        available
    }

    /// How long until there is a token; zero if there is one.
    pub fn wait(&self, now: Instant) -> Duration {
        let filling = self
            .full_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        filling.saturating_sub(self.tolerance)
    }

    /// Whether nothing was taken lately: a full bucket need not be remembered.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let start = Instant::now();
        let mut limit = RateLimit::new(60, 20);
        assert_eq!((0..100).filter(|_| limit.take(start)).count(), 60);
        assert_eq!(limit.wait(start), Duration::from_millis(50));
        assert!(!limit.take(start + Duration::from_millis(49)));
        assert!(limit.take(start + Duration::from_millis(50)));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| limit.take(later)).count(), 19);
    }

    #[test]
    fn a_long_rest_fills_the_bucket_and_no_more() {
        let start = Instant::now();
        let mut limit = RateLimit::new(3, 1);
        while limit.take(start) {}
        assert!(!limit.is_full(start + Duration::from_millis(2999)));
        let later = start + Duration::from_secs(3600);
        assert!(limit.is_full(later));
        assert_eq!((0..10).filter(|_| limit.take(later)).count(), 3);
    }

    #[test]
    fn zero_counts_as_one() {
        let now = Instant::now();
        let mut limit = RateLimit::new(0, 0);
        assert!(limit.take(now));
        assert!(!limit.take(now) && limit.take(now + Duration::from_secs(1)));
    }
}
