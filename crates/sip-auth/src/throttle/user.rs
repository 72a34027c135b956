//! A guard over users somebody guesses at.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::recent_map::RecentMap;
use super::{Tally, source};

/// Failures within [`PERIOD`] that raise the guard.
const MAX_FAILURES: u32 = 20;
/// Within which failures count together.
const PERIOD: Duration = Duration::from_secs(10 * 60);
/// How long the guard stands.
const GUARD: Duration = Duration::from_secs(10 * 60);
/// How long an address is remembered after a success: over a weekend and a week of leave.
const TRUST: Duration = Duration::from_secs(10 * 24 * 3600);
/// Addresses remembered for one user: as many as a user may have endpoints.
const TRUSTED_PER_USER: usize = 8;

/// Failures by user, and the addresses each user has signed in from.
///
/// Never a lock: while a user is guarded, the addresses of recent successes go on being served. The two are kept
/// apart, so that failures for invented users cannot push out what is known of real ones. Failures for unknown
/// users are counted like any others. Users are compared as given: pass the canonical address of record.
#[derive(Debug)]
pub struct UserThrottle {
    failures: RecentMap<Box<str>, Failures>,
    successes: RecentMap<Box<str>, Vec<(IpAddr, Instant)>>,
}

#[derive(Debug)]
struct Failures {
    tally: Tally,
    guarded_until: Option<Instant>,
}

impl UserThrottle {
    /// Counts failures of at most `failing` users (about 200 bytes each) and remembers addresses of at most
    /// `succeeding` (about 300; best the number of accounts).
    #[must_use]
    pub fn new(failing: usize, succeeding: usize) -> Self {
        Self {
            failures: RecentMap::new(failing),
            successes: RecentMap::new(succeeding),
        }
    }

    /// Whether an attempt to sign in as `user` from `address` may be looked at.
    ///
    /// If not, answer as for a wrong password and do not count it as a failure: the guard ends after its ten
    /// minutes however often somebody knocks.
    #[must_use]
    pub fn may_try(&self, user: &str, address: IpAddr, now: Instant) -> bool {
        let guarded = self
            .failures
            .get(user)
            .and_then(|f| f.guarded_until)
            .is_some_and(|until| now < until);
        !guarded || self.is_trusted(user, source(address), now)
    }

    /// Whether the user has signed in from this address lately: the real user at a usual place.
    #[must_use]
    pub fn is_usual_place(&self, user: &str, address: IpAddr, now: Instant) -> bool {
        self.is_trusted(user, source(address), now)
    }

    /// Counts a failed attempt.
    pub fn record_failure(&mut self, user: &str, now: Instant) {
        self.failures
            .forget_while(|last| now.saturating_duration_since(last) >= PERIOD.max(GUARD));
        let new = || Failures {
            tally: Tally::new(now),
            guarded_until: None,
        };
        let failures = self.failures.touch(user.into(), now, new);
        if failures.tally.add(now, PERIOD) >= MAX_FAILURES {
            // What went before has had its effect; the next guard needs as many again.
            *failures = Failures {
                tally: Tally::new(now),
                guarded_until: Some(now + GUARD),
            };
        }
    }

    /// Remembers that the user signed in from this address.
    ///
    /// Failures are not taken back: a user who signs in every few minutes would reset the count for the guesser.
    pub fn record_success(&mut self, user: &str, address: IpAddr, now: Instant) {
        self.successes
            .forget_while(|last| now.saturating_duration_since(last) >= TRUST);
        let address = source(address);
        let addresses = self.successes.touch(user.into(), now, Vec::new);
        // The latest stands last; at most eight are looked through.
        addresses.retain(|(known, at)| *known != address && now.saturating_duration_since(*at) < TRUST);
        if addresses.len() == TRUSTED_PER_USER {
            addresses.remove(0);
        }
        addresses.push((address, now));
    }

    fn is_trusted(&self, user: &str, source: IpAddr, now: Instant) -> bool {
        let mut known = self.successes.get(user).into_iter().flatten();
        known.any(|(address, at)| *address == source && now.saturating_duration_since(*at) < TRUST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
    const ALICE: &str = "alice@example.test";

    fn guarded_at(now: Instant) -> UserThrottle {
        let mut throttle = UserThrottle::new(100, 100);
        throttle.record_success(ALICE, HOME, now);
        (0..20).for_each(|_| throttle.record_failure(ALICE, now));
        throttle
    }

    #[test]
    fn twenty_failures_raise_a_guard_that_known_addresses_pass() {
        let now = Instant::now();
        let mut throttle = UserThrottle::new(100, 100);
        throttle.record_success(ALICE, HOME, now);
        (0..19).for_each(|_| throttle.record_failure(ALICE, now));
        assert!(throttle.may_try(ALICE, ELSEWHERE, now));
        throttle.record_failure(ALICE, now);
        assert!(!throttle.may_try(ALICE, ELSEWHERE, now));
        assert!(throttle.may_try(ALICE, HOME, now));
        assert!(throttle.may_try("bob@example.test", ELSEWHERE, now));
        assert!(throttle.is_usual_place(ALICE, HOME, now));
        assert!(!throttle.is_usual_place(ALICE, ELSEWHERE, now));
        assert!(!throttle.is_usual_place("bob@example.test", HOME, now));
    }

    #[test]
    fn the_guard_ends_after_ten_minutes() {
        let now = Instant::now();
        let throttle = guarded_at(now);
        assert!(!throttle.may_try(ALICE, ELSEWHERE, now + GUARD - Duration::from_secs(1)));
        assert!(throttle.may_try(ALICE, ELSEWHERE, now + GUARD));
    }

    #[test]
    fn slow_failures_raise_no_guard() {
        let mut now = Instant::now();
        let mut throttle = UserThrottle::new(100, 100);
        for _ in 0..200 {
            throttle.record_failure(ALICE, now);
            assert!(throttle.may_try(ALICE, ELSEWHERE, now));
            now += Duration::from_secs(32);
        }
    }

    #[test]
    fn a_success_does_not_reset_the_count() {
        let now = Instant::now();
        let mut throttle = UserThrottle::new(100, 100);
        for _ in 0..20 {
            throttle.record_failure(ALICE, now);
            throttle.record_success(ALICE, HOME, now);
        }
        assert!(!throttle.may_try(ALICE, ELSEWHERE, now));
    }

    #[test]
    fn trust_ends_and_is_for_the_last_eight_addresses() {
        let now = Instant::now();
        let mut throttle = UserThrottle::new(100, 100);
        let address = |i: u8| IpAddr::from([10, 0, 0, i]);
        for i in 0..9 {
            throttle.record_success(ALICE, address(i), now);
        }
        (0..20).for_each(|_| throttle.record_failure(ALICE, now));
        assert!(!throttle.may_try(ALICE, address(0), now));
        assert!((1..9).all(|i| throttle.may_try(ALICE, address(i), now)));

        let later = now + TRUST;
        (0..20).for_each(|_| throttle.record_failure(ALICE, later));
        assert!(!throttle.may_try(ALICE, address(8), later));
    }

    #[test]
    fn invented_users_do_not_push_out_known_addresses() {
        let now = Instant::now();
        let mut throttle = UserThrottle::new(50, 50);
        throttle.record_success(ALICE, HOME, now);
        (0..1000).for_each(|i| throttle.record_failure(&format!("user{i}"), now));
        assert_eq!(throttle.failures.len(), 50);
        (0..20).for_each(|_| throttle.record_failure(ALICE, now));
        assert!(throttle.may_try(ALICE, HOME, now));
        assert!(!throttle.may_try(ALICE, ELSEWHERE, now));
    }

    proptest! {
        /// The promise: nothing anybody does elsewhere keeps a user out of a place of recent success.
        #[test]
        fn nobody_can_lock_a_user_out(
            steps in prop::collection::vec((0u64..120, 0usize..3, any::<u8>()), 1..300)
        ) {
            let mut now = Instant::now();
            let mut throttle = UserThrottle::new(4, 4);
            throttle.record_success(ALICE, HOME, now);
            for (pause, what, by) in steps {
                now += Duration::from_secs(pause);
                match what {
                    0 => throttle.record_failure(ALICE, now),
                    1 => throttle.record_failure(&format!("user{by}"), now),
                    _ => throttle.record_success("bob@example.test", IpAddr::from([10, 0, 0, by]), now),
                }
                prop_assert!(throttle.may_try(ALICE, HOME, now));
            }
        }
    }
}
