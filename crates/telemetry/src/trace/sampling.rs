//! Which requests are recorded.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// A share of all requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    /// A number below this one is chosen; `None`: all are.
    below: Option<u64>,
}

impl Ratio {
    /// What is not between 0 and 1 counts as the nearer of the two.
    pub(super) fn new(ratio: f64) -> Self {
        let below = (ratio < 1.0).then(|| (ratio.max(0.0) * u64::MAX as f64) as u64);
        Ratio { below }
    }

    /// Throws the dice: a few nanoseconds.
    pub(super) fn chooses(self) -> bool {
        self.below.is_none_or(|below| below > 0 && number() < below)
    }
}

/// A number nobody needs to be unable to guess: splitmix64, one state per thread.
fn number() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8));
    }
    let mut mixed = STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        next
    });
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_all_and_the_share_in_between_are_chosen() {
        let chosen = |ratio: f64| (0..100_000).filter(|_| Ratio::new(ratio).chooses()).count();
        assert_eq!(chosen(0.0), 0);
        assert_eq!(chosen(-1.0), 0);
        assert_eq!(chosen(1.0), 100_000);
        assert_eq!(chosen(2.0), 100_000);
        // Six standard deviations (69 each) around 5,000.
        let share = chosen(0.05);
        assert!((4_586..=5_414).contains(&share), "{share}");
    }
}
