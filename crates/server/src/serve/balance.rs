//! After a front end came, those that have notably more clients than the mean part with what is over it: slowly, and only for a
//! while, because where a client comes back the balancer decides, and one that does not even out must not make clients
//! move for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use front_end::FrontEnd;
use futures_util::future::join_all;
use store::{Incarnation, Lease};
use tokio::time::{Instant, sleep};
use topology::{MemberId, Role};

use super::drain::Drainer;
use super::others::Others;
use crate::pool::RpcPeers;

/// Between two looks at what others have.
const LOOK: Duration = Duration::from_secs(60);
/// How long after a front end came clients are moved.
const SETTLING: Duration = Duration::from_secs(3_600);
/// One of so many of its clients goes between two looks.
const SHARE: usize = 100;
/// Fewer over the mean are not worth that anybody signs in again; and fewer than a tenth of the mean.
const NOTABLE: usize = 100;
const NOTABLE_SHARE: usize = 10;

/// How many clients are to go until the next look.
fn surplus(own: usize, others: &[usize]) -> usize {
    let all = others
        .iter()
        .fold(own, |sum, clients| sum.saturating_add(*clients));
    let mean = all / (others.len() + 1);
    let over = own.saturating_sub(mean);
    if over < NOTABLE || over < mean / NOTABLE_SHARE {
        return 0;
    }
    over.min(own.div_ceil(SHARE))
}

/// The front ends there are, and when the last of them came.
#[derive(Default)]
struct Arrivals {
    known: Option<BTreeSet<(MemberId, Incarnation)>>,
    last: Option<Instant>,
}

impl Arrivals {
    /// Whether one came lately. Those that are there at the first look did not.
    fn see(&mut self, present: &[Lease], now: Instant) -> bool {
        let life = |lease: &Lease| (lease.member.clone(), lease.incarnation);
        let present: BTreeSet<_> = present.iter().map(life).collect();
        let new = |known: &BTreeSet<_>| !present.is_subset(known);
        if self.known.as_ref().is_some_and(new) {
            self.last = Some(now);
        }
        self.known = Some(present);
        self.last.is_some_and(|last| now - last < SETTLING)
    }
}

/// What is looked at, and what is done about it.
pub(super) trait Scene {
    /// Other front ends that do not leave.
    fn others(&self) -> Vec<Lease>;
    /// Their clients; `None`: one does not say.
    fn clients_of(&self, others: &[Lease]) -> impl Future<Output = Option<Vec<usize>>> + Send;
    /// The clients here.
    fn clients(&self) -> usize;
    /// Parts with so many.
    fn part_with(&self, clients: usize);
}

/// Looks once a minute. Never returns.
pub(super) async fn balance(scene: impl Scene) {
    let mut arrivals = Arrivals::default();
    loop {
        let others = scene.others();
        if arrivals.see(&others, Instant::now())
            && let Some(theirs) = scene.clients_of(&others).await
        {
            let surplus = surplus(scene.clients(), &theirs);
            if surplus > 0 {
                scene.part_with(surplus);
            }
        }
        sleep(LOOK).await;
    }
}

/// The pool.
pub(super) struct Pool {
    pub(super) others: Others,
    pub(super) peers: RpcPeers,
    pub(super) front_end: FrontEnd,
    pub(super) drainer: Drainer,
}

impl Scene for Pool {
    fn others(&self) -> Vec<Lease> {
        self.others.running(Role::FrontEnd)
    }

    async fn clients_of(&self, others: &[Lease]) -> Option<Vec<usize>> {
        let asked = others.iter().map(|other| self.peers.clients_of(other));
        join_all(asked).await.into_iter().collect()
    }

    fn clients(&self) -> usize {
        self.front_end.connections()
    }

    fn part_with(&self, clients: usize) {
        self.drainer.part_with(clients);
    }
}

#[cfg(test)]
mod tests;
