//! Who may connect: how many connections, handshakes and arrivals there are, in all and of one address.

use crate::counters::{Counters, Limit};
use crate::limits::Limits;
use crate::rate_limit::RateLimit;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Arrivals between two sweeps of addresses that are gone.
const SWEEP_EVERY: u32 = 1024;

/// The door of a process: one for all its listeners. Counts a refusal where it happens.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    // A short lock taken a few times in the life of a connection, never while one works.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connections: usize,
    handshakes: usize,
    arrivals: RateLimit,
    since_sweep: u32,
    // Peers choose the keys, so the map keeps the standard library's keyed hash.
    addresses: HashMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    connections: usize,
    handshakes: usize,
    arrivals: RateLimit,
}

impl Admission {
    pub(crate) fn new(limits: Arc<Limits>, counters: Arc<Counters>) -> Arc<Self> {
        // A second's worth at once, since accepting comes in waves.
        let arrivals = RateLimit::new(limits.accepts_per_second, limits.accepts_per_second);
        let state = State {
            connections: 0,
            handshakes: 0,
            arrivals,
            since_sweep: 0,
            addresses: HashMap::new(),
        };
        Arc::new(Self {
            limits,
            counters,
            state: Mutex::new(state),
        })
    }

    /// Counts an arrival. How long to wait before the next one may be accepted; zero most of the time.
    pub(crate) fn arrival(&self, now: Instant) -> Duration {
        let mut state = self.state.lock();
        state.arrivals.take(now);
        let wait = state.arrivals.wait(now);
        if !wait.is_zero() {
            self.counters.hit(Limit::AcceptRate);
        }
        wait
    }

    /// A place for one more connection, if there is any.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state.lock();
        if state.connections >= self.limits.connections {
            self.counters.hit(Limit::Connections);
            return None;
        }
        state.connections += 1;
        Some(Place {
            admission: Arc::clone(self),
            address: None,
            handshaking: false,
        })
    }

    fn refuse<T>(&self, limit: Limit) -> Result<T, Limit> {
        self.counters.hit(limit);
        Err(limit)
    }
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
    handshaking: bool,
}

impl Place {
    /// Counts this connection as one of `address`, once that is known.
    pub(crate) fn belongs_to(&mut self, address: IpAddr, now: Instant) -> Result<(), Limit> {
        let limits = &self.admission.limits;
        let key = key(address);
        let mut state = self.admission.state.lock();
        state.sweep(now);
        let rate = limits.accepts_per_second_per_address;
        let entry = state.addresses.entry(key).or_insert_with(|| Address {
            connections: 0,
            handshakes: 0,
            arrivals: RateLimit::new(rate, rate),
        });
        if !entry.arrivals.take(now) {
            return self.admission.refuse(Limit::AcceptRatePerAddress);
        }
        if entry.connections >= limits.connections_per_address {
            return self.admission.refuse(Limit::ConnectionsPerAddress);
        }
        entry.connections += 1;
        self.address = Some(key);
        Ok(())
    }

    /// A TLS handshake begins.
    pub(crate) fn begin_handshake(&mut self) -> Result<(), Limit> {
        let limits = &self.admission.limits;
        let mut state = self.admission.state.lock();
        if state.handshakes >= limits.handshakes {
            return self.admission.refuse(Limit::Handshakes);
        }
        if let Some(entry) = self.address.and_then(|address| state.addresses.get_mut(&address)) {
            if entry.handshakes >= limits.handshakes_per_address {
                return self.admission.refuse(Limit::HandshakesPerAddress);
            }
            entry.handshakes += 1;
        }
        state.handshakes += 1;
        self.handshaking = true;
        Ok(())
    }

    /// The handshake is done.
    pub(crate) fn end_handshake(&mut self) {
        if std::mem::take(&mut self.handshaking) {
            let mut state = self.admission.state.lock();
            state.handshakes = state.handshakes.saturating_sub(1);
            if let Some(entry) = self.address.and_then(|address| state.addresses.get_mut(&address)) {
                entry.handshakes = entry.handshakes.saturating_sub(1);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end_handshake();
        let mut state = self.admission.state.lock();
        state.connections = state.connections.saturating_sub(1);
        if let Some(entry) = self.address.and_then(|address| state.addresses.get_mut(&address)) {
            entry.connections = entry.connections.saturating_sub(1);
        }
    }
}

impl State {
    /// Forgets addresses without connections whose bucket is full, so that the map stays as small as what
    /// happened in the last second.
    fn sweep(&mut self, now: Instant) {
        self.since_sweep += 1;
        if self.since_sweep >= SWEEP_EVERY {
            self.since_sweep = 0;
            self.addresses
                .retain(|_, entry| entry.connections > 0 || !entry.arrivals.is_full(now));
        }
    }
}

/// In IPv6 whoever has one address has a /64 of them.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(limits: Limits) -> (Arc<Admission>, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        (Admission::new(Arc::new(limits), Arc::clone(&counters)), counters)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_given_back() {
        let (door, counters) = door(Limits {
            connections: 2,
            ..Limits::default()
        });
        let first = door.enter().unwrap();
        let _second = door.enter().unwrap();
        assert!(door.enter().is_none());
        assert_eq!(counters.limit_hits(Limit::Connections), 1);
        drop(first);
        assert!(door.enter().is_some());
    }

    #[test]
    fn one_address_cannot_take_all() {
        let (door, counters) = door(Limits {
            connections_per_address: 1,
            ..Limits::default()
        });
        let now = Instant::now();
        let mut first = door.enter().unwrap();
        first.belongs_to(ip("192.0.2.1"), now).unwrap();
        let mut second = door.enter().unwrap();
        assert_eq!(
            second.belongs_to(ip("192.0.2.1"), now),
            Err(Limit::ConnectionsPerAddress)
        );
        assert_eq!(second.belongs_to(ip("192.0.2.2"), now), Ok(()));
        drop(first);
        let mut third = door.enter().unwrap();
        assert_eq!(third.belongs_to(ip("::ffff:192.0.2.1"), now), Ok(()));
        assert_eq!(counters.limit_hits(Limit::ConnectionsPerAddress), 1);
    }

    #[test]
    fn a_network_of_ipv6_addresses_counts_as_one() {
        let (door, _) = door(Limits {
            connections_per_address: 1,
            ..Limits::default()
        });
        let now = Instant::now();
        let (mut first, mut second, mut third) = (
            door.enter().unwrap(),
            door.enter().unwrap(),
            door.enter().unwrap(),
        );
        assert!(first.belongs_to(ip("2001:db8::1"), now).is_ok());
        assert!(second.belongs_to(ip("2001:db8::2"), now).is_err());
        assert!(third.belongs_to(ip("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn arrivals_have_a_rate() {
        let (door, counters) = door(Limits {
            accepts_per_second: 2,
            accepts_per_second_per_address: 1,
            ..Limits::default()
        });
        let now = Instant::now();
        assert_eq!(door.arrival(now), Duration::ZERO);
        assert_eq!(door.arrival(now), Duration::from_millis(500));
        assert_eq!(counters.limit_hits(Limit::AcceptRate), 1);

        let mut place = door.enter().unwrap();
        assert_eq!(place.belongs_to(ip("192.0.2.1"), now), Ok(()));
        let mut place = door.enter().unwrap();
        assert_eq!(
            place.belongs_to(ip("192.0.2.1"), now),
            Err(Limit::AcceptRatePerAddress)
        );
        assert_eq!(
            place.belongs_to(ip("192.0.2.1"), now + Duration::from_secs(1)),
            Ok(())
        );
    }

    #[test]
    fn handshakes_in_progress_are_bounded() {
        let (door, counters) = door(Limits {
            handshakes: 2,
            handshakes_per_address: 1,
            ..Limits::default()
        });
        let now = Instant::now();
        let mut places: Vec<Place> = (0..4).map(|_| door.enter().unwrap()).collect();
        for (place, address) in places
            .iter_mut()
            .zip(["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"])
        {
            place.belongs_to(ip(address), now).unwrap();
        }
        assert_eq!(places[0].begin_handshake(), Ok(()));
        assert_eq!(places[1].begin_handshake(), Err(Limit::HandshakesPerAddress));
        assert_eq!(places[2].begin_handshake(), Ok(()));
        assert_eq!(places[3].begin_handshake(), Err(Limit::Handshakes));
        places[0].end_handshake();
        assert_eq!(places[1].begin_handshake(), Ok(()));
        drop(places.remove(1));
        assert_eq!(places[2].begin_handshake(), Ok(()));
        assert_eq!(counters.limit_hits(Limit::Handshakes), 1);
    }

    #[test]
    fn addresses_that_are_gone_are_forgotten() {
        let (door, _) = door(Limits::default());
        let start = Instant::now();
        for number in 0..5000u32 {
            let mut place = door.enter().unwrap();
            let at = start + Duration::from_millis(u64::from(number));
            place.belongs_to(IpAddr::V4(number.into()), at).unwrap();
        }
        assert!(door.state.lock().addresses.len() <= 1024 + 100);
    }
}
