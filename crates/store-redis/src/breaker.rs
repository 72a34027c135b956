//! The circuit breaker: who fails again and again is not asked by everybody any more.
//!
//! ```text
//!             5 failures in a row                one probe a second
//!   closed ------------------------> open ----------------------------> a good one: the next at once
//!      ^                               ^                                   |            |
//!      |                               '---- a bad one: in a second -------'            |
//!      '------------------------------------------- the third good one -----------------'
//! ```

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Failures in a row that open it. Each of them may cost a caller the whole deadline of a command.
const OPENS_AFTER: u32 = 5;

/// Between two probes that fail.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Good probes in a row that close it.
const CLOSES_AFTER: u32 = 3;

#[derive(Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    open: Option<Open>,
}

struct Open {
    next_probe: Instant,
    good: u32,
}

/// What a result did to the breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Nothing.
    Same,
    /// It opened.
    Opened,
    /// It closed.
    Closed,
}

impl Breaker {
    /// Whether a command may be sent now.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        match &mut self.state.lock().open {
            None => true,
            Some(open) if open.next_probe <= now => {
                open.next_probe = now + PROBE_EVERY;
                true
            }
            Some(_) => false,
        }
    }

    /// A command was answered.
    pub(crate) fn succeeded(&self, now: Instant) -> Turn {
        let mut state = self.state.lock();
        state.failures = 0;
        let Some(open) = &mut state.open else {
            return Turn::Same;
        };
        open.good += 1;
        open.next_probe = now;
        if open.good < CLOSES_AFTER {
            return Turn::Same;
        }
        state.open = None;
        Turn::Closed
    }

    /// A command was not answered, or not as it should.
    pub(crate) fn failed(&self, now: Instant) -> Turn {
        let state = &mut *self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let next_probe = now + PROBE_EVERY;
        match &mut state.open {
            Some(open) => {
                open.good = 0;
                open.next_probe = next_probe;
                Turn::Same
            }
            None if state.failures >= OPENS_AFTER => {
                state.open = Some(Open { next_probe, good: 0 });
                Turn::Opened
            }
            None => Turn::Same,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 1..OPENS_AFTER {
            assert_eq!(breaker.failed(now), Turn::Same);
        }
        assert!(breaker.admits(now));
        assert_eq!(breaker.failed(now), Turn::Opened);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..OPENS_AFTER {
                assert_eq!(breaker.failed(now), Turn::Same);
            }
            assert_eq!(breaker.succeeded(now), Turn::Same);
        }
        assert!(!breaker.is_open());
        assert!(opened(now).is_open());
    }

    #[test]
    fn one_probe_a_second_passes_an_open_one() {
        let now = Instant::now();
        let breaker = opened(now);
        assert!(!breaker.admits(now));
        let later = now + PROBE_EVERY;
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later), "one is under way");
        assert_eq!(breaker.failed(later), Turn::Same);
        assert!(!breaker.admits(later + PROBE_EVERY / 2));
    }

    #[test]
    fn three_good_probes_close_it_without_waiting_between_them() {
        let now = Instant::now() + PROBE_EVERY;
        let breaker = opened(now - PROBE_EVERY);
        for _ in 1..CLOSES_AFTER {
            assert!(breaker.admits(now));
            assert_eq!(breaker.succeeded(now), Turn::Same);
        }
        assert!(breaker.admits(now));
        assert_eq!(breaker.succeeded(now), Turn::Closed);
        assert!(breaker.admits(now) && breaker.admits(now));
    }
}
