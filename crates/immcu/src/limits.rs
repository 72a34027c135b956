//! The numbers of this role: bounds, windows and waiting times, each with its default and where it comes from.

use std::time::Duration;

/// Pauses before the second and third attempt at a front end that cannot be reached. The id stays the same, so that a
/// front end that did get the first one answers with its recorded outcome.
pub(crate) const RETRY_PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

/// No attempt starts later than this after the first one: always below the 32 s a client's transaction lasts.
pub(crate) const RETRY_TOTAL: Duration = Duration::from_secs(8);

/// How long after the sender stopped waiting a call to a front end may still be outstanding before it counts as lost.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(5);

/// How long copies of a first text that was taken from an invitation may take: nobody waits for them, and this is how
/// long a client's transaction lasts.
pub(crate) const COPY_PATIENCE: Duration = Duration::from_secs(32);

/// Bounds, windows and waiting times. All can be set, none can be switched off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Undecided messages of one conversation; one more is refused as overloaded.
    pub queue: usize,
    /// Conversations held in memory; a new one beyond that is refused as overloaded.
    pub conversations: usize,
    /// Message ids one conversation remembers, to answer a repeated submit with its outcome and to pair receipts.
    pub remembered: usize,
    /// The same while the whole process remembers more than [`Limits::remembered_total`].
    pub remembered_crowded: usize,
    /// Message ids the process remembers before conversations begin to keep fewer.
    pub remembered_total: usize,
    /// How long a message id is remembered. A conversation with nothing left to remember is dropped.
    pub memory: Duration,
    /// How long an endpoint may ring at the very most. The patience of whoever waits for it usually ends first.
    pub ring: Duration,
    /// A session that was opened for a page-mode sender ends when nothing was said for this long.
    pub leg_idle: Duration,
    /// How long the archive may take to accept a record.
    pub archive: Duration,
    /// Distance of typing indications in one direction; what comes in between is conflated to the newest.
    pub signal_distance: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            queue: 1_024,
            conversations: 250_000,
            remembered: 512,
            remembered_crowded: 64,
            remembered_total: 2_000_000,
            memory: Duration::from_secs(600),
            ring: Duration::from_secs(180),
            leg_idle: Duration::from_secs(600),
            archive: Duration::from_secs(3),
            signal_distance: Duration::from_secs(1),
        }
    }
}

/// What is kept back of a sender's patience, so that a true answer still reaches it in time.
pub(crate) fn margin(patience: Duration) -> Duration {
    (patience / 8).min(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_never_eats_the_patience() {
        for millis in [0, 1, 100, 8_000, 32_000] {
            let patience = Duration::from_millis(millis);
            assert!(margin(patience) <= patience / 8);
            assert!(margin(patience) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn both_retries_fit_into_the_total() {
        assert!(RETRY_PAUSES.iter().sum::<Duration>() <= RETRY_TOTAL);
    }
}
