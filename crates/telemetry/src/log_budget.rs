//! How many log lines one connection may cause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines per window: a peer that sends rubbish at full speed fills no disk.
const LINES: u8 = 60;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// Lines not written, in the whole process.
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// The share of log lines of one connection: 60 a minute, the rest is counted and not written. One per connection.
#[derive(Debug)]
pub struct LogBudget {
    /// Start of the window and lines left in it. A lock because a connection's task and those that write to it may both
    /// log; it is held for two comparisons.
    window: Mutex<(Instant, u8)>,
}

impl LogBudget {
    /// A full budget.
    pub fn new(now: Instant) -> Self {
        LogBudget {
            window: Mutex::new((now, LINES)),
        }
    }

    /// Whether one more line may be written now. A refused line is counted in [`suppressed_lines`].
    pub fn allow(&self, now: Instant) -> bool {
        let mut window = self.window.lock();
        if now.saturating_duration_since(window.0) >= WINDOW {
            *window = (now, LINES);
        }
        if window.1 == 0 {
            SUPPRESSED.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        window.1 -= 1;
        true
    }
}

/// Lines that were not written since the process started.
pub fn suppressed_lines() -> u64 {
    SUPPRESSED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixty_first_line_of_a_minute_is_counted_and_not_written() {
        let start = Instant::now();
        let budget = LogBudget::new(start);
        let before = suppressed_lines();
        let written = (0..100).filter(|_| budget.allow(start)).count();
        assert_eq!(written, 60);
        assert!(suppressed_lines() >= before + 40);
    }

    #[test]
    fn the_next_minute_has_its_own_share() {
        let start = Instant::now();
        let budget = LogBudget::new(start);
        while budget.allow(start) {}
        assert!(!budget.allow(start + Duration::from_secs(59)));
        assert!(budget.allow(start + Duration::from_secs(60)));
    }
}
