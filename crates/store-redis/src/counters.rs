//! What the way to Redis counts. Plain atomics, read by a scrape.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry::names::{self, label};
use telemetry::{Histogram, Page};

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// Answered.
    Ok,
    /// No answer in time, or an error instead of one.
    Failed,
    /// Not sent: the breaker is open.
    Refused,
}

const ENDINGS: [(Ending, &str); 3] = [
    (Ending::Ok, "ok"),
    (Ending::Failed, "failed"),
    (Ending::Refused, "refused"),
];

#[derive(Default)]
pub(crate) struct Counters {
    commands: [AtomicU64; ENDINGS.len()],
    connects: AtomicU64,
    duration: Histogram,
}

/// The counters at one time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CountersSnapshot {
    /// Commands that were answered.
    pub answered: u64,
    /// Commands without an answer in time, or with an error instead of one.
    pub failed: u64,
    /// Commands that were not sent because so many had failed before.
    pub refused: u64,
    /// Connections made.
    pub connects: u64,
    /// True while commands are refused.
    pub breaker_open: bool,
}

impl Counters {
    pub(crate) fn ended(&self, ending: Ending) {
        self.commands[ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, after: Duration) {
        self.ended(Ending::Ok);
        self.duration.observe(after);
    }

    pub(crate) fn connected(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, breaker_open: bool) -> CountersSnapshot {
        let commands = |ending: Ending| self.commands[ending as usize].load(Ordering::Relaxed);
        CountersSnapshot {
            answered: commands(Ending::Ok),
            failed: commands(Ending::Failed),
            refused: commands(Ending::Refused),
            connects: self.connects.load(Ordering::Relaxed),
            breaker_open,
        }
    }

    pub(crate) fn collect(&self, breaker_open: bool, page: &mut Page) {
        for ((_, name), count) in ENDINGS.iter().zip(&self.commands) {
            let count = count.load(Ordering::Relaxed);
            page.counter(&names::REDIS_COMMANDS, &[(label::RESULT, name)], count);
        }
        let connects = self.connects.load(Ordering::Relaxed);
        page.counter(&names::REDIS_CONNECTS, &[], connects);
        page.gauge(&names::REDIS_BREAKER_OPEN, &[], f64::from(u8::from(breaker_open)));
        page.histogram(&names::REDIS_COMMAND_DURATION, &[], &self.duration.snapshot());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_on_the_page() {
        let counters = Counters::default();
        counters.answered(Duration::from_millis(3));
        counters.ended(Ending::Failed);
        counters.ended(Ending::Refused);
        counters.ended(Ending::Refused);
        counters.connected();
        let mut page = Page::new();
        counters.collect(true, &mut page);
        let text = page.render();
        for line in [
            "portico_redis_commands_total{result=\"ok\"} 1",
            "portico_redis_commands_total{result=\"failed\"} 1",
            "portico_redis_commands_total{result=\"refused\"} 2",
            "portico_redis_connects_total 1",
            "portico_redis_breaker_open 1",
            "portico_redis_command_duration_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
