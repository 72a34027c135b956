//! Doing things at a rate.

use std::time::{Duration, Instant};

/// Says how many of something are due, at a rate per second from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacing {
    since: Instant,
    rate: f64,
    begun: u64,
}

impl Pacing {
    /// Begins now. A rate that is no positive number counts as one per second.
    pub(crate) fn new(rate: f64, now: Instant) -> Self {
        let rate = if rate.is_finite() && rate > 0.0 { rate } else { 1.0 };
        Self {
            since: now,
            rate,
            begun: 0,
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Instant {
        self.since + Duration::from_secs_f64(self.begun as f64 / self.rate)
    }

    /// Takes the next one if it is due: the time when it was.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next();
        if due > now {
            return None;
        }
        self.begun += 1;
        Some(due)
    }

    /// Waits until the next one is due, and takes it.
    pub(crate) async fn turn(&mut self) -> Instant {
        loop {
            if let Some(due) = self.take(Instant::now()) {
                return due;
            }
            tokio::time::sleep_until(self.next().into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_made_up_for() {
        let start = Instant::now();
        let mut pacing = Pacing::new(100.0, start);
        assert_eq!(pacing.take(start), Some(start));
        assert_eq!(pacing.take(start), None);
        let later = start + Duration::from_millis(50);
        let mut taken = Vec::new();
        while let Some(due) = pacing.take(later) {
            taken.push(due);
        }
        assert_eq!(taken.len(), 5);
        assert_eq!(taken[0], start + Duration::from_millis(10));
        assert!(Pacing::new(f64::NAN, start).next() == start);
    }
}
