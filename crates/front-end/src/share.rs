//! What one connection may send, and how long more than that is borne.

use std::time::{Duration, Instant};

use sip_transport::RateLimit;

/// How long a connection may send more than its share before it is closed.
const EXCESS_BORNE: Duration = Duration::from_secs(30);

/// Searches for people that may begin at once, and then in a second: faster than anybody types, and slow for whoever reads
/// the whole directory.
const SEARCHES: (u32, u32) = (10, 1);

/// The share of one connection. Every request counts, also one that repeats another and one that stands for nothing.
#[derive(Debug)]
pub(crate) struct Share {
    rate: RateLimit,
    searches: RateLimit,
    /// When requests began to come faster than they may.
    excess_since: Option<Instant>,
}

impl Share {
    /// So many requests a second, and three times as many at once.
    pub(crate) fn new(per_second: u32) -> Self {
        Share {
            rate: RateLimit::new(per_second.saturating_mul(3), per_second),
            searches: RateLimit::new(SEARCHES.0, SEARCHES.1),
            excess_since: None,
        }
    }

    /// Takes a token for one request; false if there is none.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        if self.rate.is_full(now) {
            // It rested: what was before is forgiven.
            self.excess_since = None;
        }
        let admitted = self.rate.take(now);
        if !admitted {
            self.excess_since.get_or_insert(now);
        }
        admitted
    }

    /// Takes a token for one search for people, which was counted as a request before; false if there is none.
    pub(crate) fn admit_search(&mut self, now: Instant) -> bool {
        self.searches.take(now)
    }

    /// Whether it has gone on for longer than is borne.
    pub(crate) fn exceeds_for_too_long(&self, now: Instant) -> bool {
        self.excess_since
            .is_some_and(|since| now.saturating_duration_since(since) > EXCESS_BORNE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a request each `every` for `length`; returns whether it was ever too much for too long.
    fn sends(share: &mut Share, begin: Instant, every: Duration, length: Duration) -> bool {
        let mut now = begin;
        let mut too_long = false;
        while now <= begin + length {
            if !share.admit(now) {
                too_long |= share.exceeds_for_too_long(now);
            }
            now += every;
        }
        too_long
    }

    #[test]
    fn a_flood_is_borne_for_a_while_and_then_too_much() {
        let (begin, every) = (Instant::now(), Duration::from_millis(10));
        let mut share = Share::new(20);
        assert!(!sends(&mut share, begin, every, Duration::from_secs(30)));
        let later = begin + Duration::from_secs(31);
        assert!(sends(&mut share, later, every, Duration::from_secs(1)));
    }

    #[test]
    fn who_stays_within_the_share_is_never_too_much() {
        let (begin, every) = (Instant::now(), Duration::from_millis(50));
        let mut share = Share::new(20);
        assert!(!sends(&mut share, begin, every, Duration::from_secs(600)));
        assert!(!share.exceeds_for_too_long(begin + Duration::from_secs(600)));
    }

    /// A client that writes off a queue now and then is no flood.
    #[test]
    fn bursts_with_rests_between_them_are_forgiven() {
        let begin = Instant::now();
        let mut share = Share::new(20);
        for minute in 0..10 {
            let now = begin + Duration::from_secs(60 * minute);
            let admitted = (0..200).filter(|_| share.admit(now)).count();
            assert_eq!(admitted, 60);
            assert!(!share.exceeds_for_too_long(now));
        }
    }
}
