//! The two kinds of time this role needs.
//!
//! Wall time names things (epochs, when an account was made) and may step. Monotone time ends things (bindings,
//! tombstones) and never does; it is tokio's, so that tests move it.

use std::time::SystemTime;

use store::Timestamp;
use tokio::time::{Duration, Instant};

/// Tells wall time. Tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970.
    fn unix_seconds(&self) -> u64;
}

/// The clock of the machine.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> u64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// Monotone time as the stores count it: milliseconds since this role started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Monotone {
    start: Instant,
}

impl Monotone {
    pub(crate) fn start() -> Self {
        Monotone {
            start: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn instant(self, timestamp: Timestamp) -> Instant {
        self.start + Duration::from_millis(timestamp.0)
    }
}
