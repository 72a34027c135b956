//! Where the seed of a pool without Redis is: the first configured member, or the lowest address of a name.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{HostPort, Members};
use rpc_wire::seed::{Seat, SeatWatch};
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::background::Background;

/// Between two questions for the addresses of a name. All members must see a change within 10 s, before anybody claims what
/// those own who have not seen it; this leaves the rest to the name's time to live.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// How long the system's resolver may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Questions without an answer before an operator is told: a name of containers has no addresses until one runs.
const PATIENT_FAILURES: u32 = 15;

/// Says where the seed is, and follows it if it is known by a name. `None`: no members are configured.
pub(crate) fn follow(members: &Members, background: &Background) -> Option<SeatWatch> {
    match members {
        Members::None => None,
        Members::Seeds(seeds) => {
            let seat = seeds.first().map(|seed| Seat {
                address: Arc::from(seed.to_string()),
                moves: 0,
            });
            Some(watch::channel(seat).1)
        }
        Members::Dns(name) => {
            let (sender, seat) = watch::channel(None);
            let (name, stop) = (name.clone(), background.stop.clone());
            background.tasks.spawn(async move {
                stop.run_until_cancelled(ask_again_and_again(&name, &sender))
                    .await;
            });
            Some(seat)
        }
    }
}

async fn ask_again_and_again(name: &HostPort, seat: &watch::Sender<Option<Seat>>) {
    let mut failures = 0_u32;
    loop {
        match ask(name).await {
            Ok(lowest) => {
                failures = 0;
                take(seat, lowest);
            }
            // Where it was seen last it may still be.
            Err(error) => {
                failures = failures.saturating_add(1);
                match failures == PATIENT_FAILURES {
                    true => {
                        tracing::warn!(%error, %name, "the name in rpc.members has had no address for a while")
                    }
                    false => tracing::debug!(%error, %name, "the name in rpc.members has no address"),
                }
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The lowest address the system's resolver has for a name.
async fn ask(name: &HostPort) -> io::Result<SocketAddr> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the resolver does not answer");
    let found = timeout(PATIENCE, lookup_host(name.to_string()))
        .await
        .map_err(late)??;
    lowest(found).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no address"))
}

/// IPv4 before IPv6, then by number: the same in whatever order a resolver gives them.
fn lowest(addresses: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    addresses.min()
}

/// The seed is there now.
fn take(seat: &watch::Sender<Option<Seat>>, address: SocketAddr) {
    let address = address.to_string();
    let before = seat.borrow().clone();
    let moves = match &before {
        Some(before) if *before.address == *address => return,
        Some(before) => before.moves + 1,
        None => 0,
    };
    tracing::info!(seed = %address, "the seed of the pool");
    seat.send_replace(Some(Seat {
        address: Arc::from(address),
        moves,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_lowest_address_is_the_same_in_whatever_order_they_come() {
        let mut found = ["[::1]:7000", "10.0.0.12:7000", "10.0.0.9:7000", "172.16.0.1:7000"].map(address);
        for _ in 0..found.len() {
            found.rotate_left(1);
            assert_eq!(lowest(found.into_iter()), Some(address("10.0.0.9:7000")));
        }
        assert_eq!(lowest(std::iter::empty()), None);
    }

    #[test]
    fn a_seat_moves_only_with_its_address() {
        let (sender, seat) = watch::channel(None);
        for (to, moves) in [
            ("10.0.0.9:7000", 0),
            ("10.0.0.9:7000", 0),
            ("10.0.0.8:7000", 1),
            ("10.0.0.9:7000", 2),
        ] {
            take(&sender, address(to));
            let now = seat.borrow().clone().unwrap();
            assert_eq!((&*now.address, now.moves), (to, moves));
        }
    }

    #[tokio::test]
    async fn a_name_is_asked_for_and_the_first_seed_is_taken_as_it_is_written() {
        let background = Background::default();
        let listed = |list: &[&str]| Members::Seeds(list.iter().map(|one| one.parse().unwrap()).collect());
        let seat = follow(
            &listed(&["im1.example.com:7000", "im2.example.com:7000"]),
            &background,
        )
        .unwrap();
        assert_eq!(&*seat.borrow().clone().unwrap().address, "im1.example.com:7000");
        assert!(follow(&Members::None, &background).is_none());

        let mut seat = follow(&Members::Dns("localhost:7000".parse().unwrap()), &background).unwrap();
        seat.wait_for(Option::is_some).await.unwrap();
        let there = address(&seat.borrow().clone().unwrap().address);
        assert!(there.ip().is_loopback() && there.port() == 7000, "{there}");
        background.stop.cancel();
    }
}
