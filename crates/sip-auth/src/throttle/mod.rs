//! Slows down guessing of passwords without ever locking a user out.
//!
//! Two counters, both in memory only and both bounded:
//!
//! * [`AddressThrottle`]: after 10 failures within a minute from one address each further answer to it is
//!   delayed, 1, 2, 4 .. 30 s;
//! * [`UserThrottle`]: after 20 failures within 10 minutes for one user, from wherever, only addresses from which
//!   that user has signed in before are served for 10 minutes. The real user at a usual place never notices.
//!
//! Ask [`UserThrottle::may_try`] and [`AddressThrottle::delay`] before looking anything up, in particular before
//! any directory access at the edge, and treat an unknown user like a known one, so that the answers tell nothing
//! about who exists. Whoever delays an answer does so with a timer, not a thread.
//!
//! All operations take logarithmic time in the number of entries; there is no sweep. At its bound a map forgets
//! the entry that was touched longest ago, which gives a guesser with that many addresses a fresh start and
//! nobody a lock.

mod address;
mod recent_map;
mod user;

pub use address::AddressThrottle;
pub use user::UserThrottle;

use std::net::{IpAddr, Ipv6Addr};

/// A source of attempts: an IPv4 address or an IPv6 /64, since one customer has a whole /64 to choose from.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// A count that begins anew when its period is over.
#[derive(Clone, Copy, Debug)]
struct Tally {
    began: std::time::Instant,
    count: u32,
}

impl Tally {
    fn new(now: std::time::Instant) -> Self {
        Self { began: now, count: 0 }
    }

    /// Counts one and returns how many the current period has; a period begins with its first.
    fn add(&mut self, now: std::time::Instant, period: std::time::Duration) -> u32 {
        if now.saturating_duration_since(self.began) >= period {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}
