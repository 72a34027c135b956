//! The two kinds of time this role needs.

use std::time::{Duration, SystemTime};

/// Tells wall time. Tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn unix_ms(&self) -> u64;
}

/// The clock of the machine.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, millis_of)
    }
}

/// A moment, by both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Now {
    /// Wall time, Unix milliseconds: what publications are stamped with, and what states speak of. It may step.
    pub(crate) unix_ms: u64,
    /// Milliseconds since the role started: what ends things. It never steps.
    pub(crate) ms: u64,
}

impl Now {
    /// The monotone time of a moment in wall time.
    pub(crate) fn monotone(self, unix_ms: u64) -> u64 {
        self.ms.saturating_add(unix_ms.saturating_sub(self.unix_ms))
    }
}

/// The milliseconds of a duration.
pub(crate) fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Tokens that come back with time: what many may do at once, but nobody for long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Thousandths of tokens.
    filling: u64,
    at: u64,
}

/// How many at once, and how long until one comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// One more after this long.
    pub every: Duration,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: Now) -> Self {
        Bucket {
            filling: u64::from(rate.burst) * 1_000,
            at: now.ms,
        }
    }

    /// The bucket as it stands now. What is not yet a thousandth is not lost, however often somebody asks.
    fn at(self, rate: Rate, now: Now) -> Self {
        let every = millis_of(rate.every).max(1);
        let gained = now.ms.saturating_sub(self.at).saturating_mul(1_000) / every;
        Bucket {
            filling: self
                .filling
                .saturating_add(gained)
                .min(u64::from(rate.burst) * 1_000),
            at: self.at.saturating_add(gained.saturating_mul(every) / 1_000),
        }
    }

    /// Whether nothing was taken for so long that a new one is the same.
    pub(crate) fn is_full(&self, rate: Rate, now: Now) -> bool {
        self.at(rate, now).filling == u64::from(rate.burst) * 1_000
    }

    /// Takes a token. False: there is none.
    pub(crate) fn take(&mut self, rate: Rate, now: Now) -> bool {
        *self = self.at(rate, now);
        match self.filling.checked_sub(1_000) {
            Some(left) => {
                self.filling = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { unix_ms: 0, ms }
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_after_the_other() {
        let rate = Rate {
            burst: 3,
            every: Duration::from_secs(2),
        };
        let mut bucket = Bucket::full(rate, at(0));
        let taken = |bucket: &mut Bucket, ms| bucket.take(rate, at(ms));
        assert_eq!([0; 4].map(|ms| taken(&mut bucket, ms)), [true, true, true, false]);
        assert_eq!(
            [1_000, 2_000, 2_500, 4_000].map(|ms| taken(&mut bucket, ms)),
            [false, true, false, true]
        );
        // Whoever asks all the time waits no longer.
        let asked = (4_001..=8_000).filter(|ms| taken(&mut bucket, *ms));
        assert_eq!(asked.collect::<Vec<_>>(), [6_000, 8_000]);
        assert_eq!(
            [100_000; 4].map(|ms| taken(&mut bucket, ms)),
            [true, true, true, false]
        );
    }
}
