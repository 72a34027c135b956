//! Epochs: numbers that order the registrations of one endpoint.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits for the counter: a million registrations a second before it runs ahead of the clock.
const COUNTER_BITS: u32 = 20;

/// Gives epochs, each larger than all before: seconds in the upper bits, so that a restarted registrar goes on above what
/// it gave before, and a counter below. When the wall clock steps back the counter alone goes on.
#[derive(Default, Debug)]
pub(crate) struct Epochs {
    last: AtomicU64,
}

impl Epochs {
    /// The next epoch, larger than `seen` too.
    pub(crate) fn next(&self, unix_seconds: u64, seen: u64) -> u64 {
        let by_clock = unix_seconds << COUNTER_BITS;
        let next = |last: u64| last.max(seen).saturating_add(1).max(by_clock);
        match self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
        {
            Ok(last) | Err(last) => next(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_only_grow_whatever_the_clock_does() {
        let epochs = Epochs::default();
        let mut last = 0;
        for seconds in [1_000, 1_000, 1_001, 500, 0, 1_002] {
            let epoch = epochs.next(seconds, 0);
            assert!(epoch > last, "{seconds}");
            last = epoch;
        }
        assert_eq!(last, 1_002 << COUNTER_BITS);
    }

    #[test]
    fn an_epoch_is_larger_than_one_somebody_else_gave() {
        let epochs = Epochs::default();
        let seen = 5_000 << COUNTER_BITS;
        let epoch = epochs.next(1_000, seen);
        assert!(epoch > seen);
        assert!(epochs.next(1_000, 0) > epoch);
    }

    #[test]
    fn a_restarted_registrar_goes_on_above_what_it_gave() {
        let before = Epochs::default();
        let last = (0..1_000).map(|_| before.next(1_000, 0)).max().unwrap();
        assert!(Epochs::default().next(1_001, 0) > last);
    }
}
