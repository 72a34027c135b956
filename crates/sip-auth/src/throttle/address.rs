//! Delays for addresses that guess.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::recent_map::RecentMap;
use super::{Tally, source};

/// Failures a minute that nobody minds.
const FREE_FAILURES: u32 = 10;
/// The minute, and how long an address must be quiet to be forgiven.
const PERIOD: Duration = Duration::from_secs(60);
/// The delays, from the first failure too many on.
const DELAYS: [u64; 6] = [1, 2, 4, 8, 16, 30];

/// Failures by address (IPv6: by /64).
///
/// A success takes nothing back: whoever has one account could otherwise guess at all the others. A minute
/// without failure forgives everything. An entry takes about 150 bytes.
#[derive(Debug)]
pub struct AddressThrottle {
    failures: RecentMap<IpAddr, Failures>,
}

#[derive(Debug)]
struct Failures {
    tally: Tally,
    last: Instant,
    /// Failures beyond the free ones, at most one for each delay.
    excess: usize,
}

impl AddressThrottle {
    /// Follows at most `capacity` addresses.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            failures: RecentMap::new(capacity),
        }
    }

    /// How long to hold back the answer to an attempt from this address, whatever the answer is.
    #[must_use]
    pub fn delay(&self, address: IpAddr, now: Instant) -> Duration {
        let failures = self
            .failures
            .get(&source(address))
            .filter(|failures| !failures.is_over(now));
        let step = failures.and_then(|failures| failures.excess.checked_sub(1));
        Duration::from_secs(step.and_then(|step| DELAYS.get(step)).copied().unwrap_or(0))
    }

    /// Counts a failed attempt.
    pub fn record_failure(&mut self, address: IpAddr, now: Instant) {
        self.failures.forget_while(|last| is_over(last, now));
        let failures = self.failures.touch(source(address), now, || Failures::new(now));
        if failures.tally.add(now, PERIOD) > FREE_FAILURES || failures.excess > 0 {
            failures.excess = (failures.excess + 1).min(DELAYS.len());
        }
        failures.last = now;
    }

    /// Number of addresses followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Whether no address is followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Failures {
    fn new(now: Instant) -> Self {
        Self {
            tally: Tally::new(now),
            last: now,
            excess: 0,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        is_over(self.last, now)
    }
}

fn is_over(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) >= PERIOD
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(throttle: &mut AddressThrottle, times: usize, now: Instant) {
        (0..times).for_each(|_| throttle.record_failure(A, now));
    }

    #[test]
    fn ten_failures_are_free_and_then_delays_double_up_to_thirty_seconds() {
        let now = Instant::now();
        let mut throttle = AddressThrottle::new(100);
        fail(&mut throttle, 10, now);
        assert_eq!(throttle.delay(A, now), Duration::ZERO);
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
            fail(&mut throttle, 1, now);
            assert_eq!(throttle.delay(A, now).as_secs(), seconds);
        }
        assert_eq!(throttle.delay(ip("192.0.2.2"), now), Duration::ZERO);
    }

    #[test]
    fn a_guesser_who_sits_out_every_delay_stays_delayed() {
        let mut now = Instant::now();
        let mut throttle = AddressThrottle::new(100);
        fail(&mut throttle, 11, now);
        let mut attempts = 0;
        let end = now + Duration::from_secs(3600);
        while now < end {
            now += throttle.delay(A, now);
            fail(&mut throttle, 1, now);
            attempts += 1;
        }
        assert!(attempts < 130, "{attempts}");
    }

    #[test]
    fn a_quiet_minute_forgives_and_nine_a_minute_are_never_delayed() {
        let mut now = Instant::now();
        let mut throttle = AddressThrottle::new(100);
        fail(&mut throttle, 15, now);
        now += PERIOD;
        assert_eq!(throttle.delay(A, now), Duration::ZERO);
        for _ in 0..100 {
            now += Duration::from_secs(7);
            fail(&mut throttle, 1, now);
            assert_eq!(throttle.delay(A, now), Duration::ZERO);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_ipv4() {
        let now = Instant::now();
        let mut throttle = AddressThrottle::new(100);
        for i in 0..11 {
            throttle.record_failure(ip(&format!("2001:db8:1:2::{i}")), now);
        }
        assert_eq!(throttle.delay(ip("2001:db8:1:2:ffff::"), now).as_secs(), 1);
        assert_eq!(throttle.delay(ip("2001:db8:1:3::"), now), Duration::ZERO);
        fail(&mut throttle, 11, now);
        assert_eq!(throttle.delay(ip("::ffff:192.0.2.1"), now).as_secs(), 1);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let now = Instant::now();
        let mut throttle = AddressThrottle::new(1000);
        for i in 0..5000u32 {
            throttle.record_failure(IpAddr::V4(i.into()), now);
        }
        assert_eq!(throttle.len(), 1000);
        throttle.record_failure(A, now + PERIOD);
        assert_eq!(throttle.len(), 1);
    }

    proptest! {
        /// Whatever happens, a delay needs more than ten failures since the last quiet minute, and never
        /// exceeds thirty seconds.
        #[test]
        fn nobody_is_delayed_without_cause(steps in prop::collection::vec((0u64..90, any::<bool>()), 1..120)) {
            let mut now = Instant::now();
            let mut throttle = AddressThrottle::new(8);
            let (mut since_quiet, mut last) = (0, None::<Instant>);
            for (pause, fails) in steps {
                now += Duration::from_secs(pause / 10);
                if pause >= 80 {
                    now += PERIOD;
                }
                if last.is_some_and(|last| now - last >= PERIOD) {
                    since_quiet = 0;
                }
                if fails {
                    throttle.record_failure(A, now);
                    since_quiet += 1;
                    last = Some(now);
                }
                let delay = throttle.delay(A, now);
                prop_assert!(delay <= Duration::from_secs(30));
                prop_assert!(delay == Duration::ZERO || since_quiet > 10);
            }
        }
    }
}
