//! The membership of this process, for those who compose it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Incarnation, Lease, LeaseStore};
use telemetry::Page;
use telemetry::names::{self, label};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Partitioned};

use crate::config::Config;
use crate::driver::{Driver, Request, Shared, now};
use crate::machine::Stage;
use crate::ownership::{Ownership, Validity};
use crate::role::{PartitionedRole, Peers};
use crate::routes::Routes;

/// How often somebody who waits for the end of a hand-over looks.
const LOOK: Duration = Duration::from_millis(50);

/// Membership of a pool. Cheap to clone; it goes on until its stop or the end of a drain.
#[derive(Clone)]
pub struct Membership {
    shared: Arc<Shared>,
    ownership: Ownership,
    routes: Routes,
}

/// One member, as this one knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberStatus {
    /// What it says of itself.
    pub lease: Lease,
    /// How many partitions it owns, in the order of [`Partitioned::ALL`].
    pub owns: [usize; Partitioned::COUNT],
}

/// The pool as this member knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolStatus {
    /// This member.
    pub member: MemberId,
    /// Which of its lives.
    pub incarnation: Incarnation,
    /// Whether what it owns counts.
    pub validity: Validity,
    /// How far it has left.
    pub stage: Stage,
    /// Time since the start of its last successful renewal; `None` before the first.
    pub renewed_ago: Option<Duration>,
    /// Live members in order of their names; while the store is away, those that last were.
    pub members: Vec<MemberStatus>,
    /// What this member holds: active, being loaded, on its way to another; in the order of [`Partitioned::ALL`].
    pub held: [[usize; 3]; Partitioned::COUNT],
}

impl PoolStatus {
    /// Whether the pool serves without its store, or this member not at all.
    pub fn is_degraded(&self) -> bool {
        self.validity != Validity::Confirmed
    }
}

/// How a drain ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Partitions that could not be handed over; whoever is left claims them.
    pub left: usize,
}

impl Membership {
    /// Becomes a member. The first renewal is under way when this returns; partitions come later.
    ///
    /// The task and those that call roles belong to `tasks`; they end after `stop`, once roles have finished what they hold
    /// (at most [`Timing::give_timeout`](crate::Timing::give_timeout)) and the lease is given back.
    pub fn start(
        config: &Config,
        store: Arc<dyn LeaseStore>,
        peers: Arc<dyn Peers>,
        roles: Vec<Arc<dyn PartitionedRole>>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let driver = Driver::new(config, store, peers, roles, tasks.clone(), stop);
        let shared = driver.shared();
        let (ownership, routes) = {
            let machine = shared.machine.lock();
            (machine.ownership().clone(), machine.routes().clone())
        };
        tasks.spawn(driver.run());
        Membership {
            shared,
            ownership,
            routes,
        }
    }

    /// What this member owns, for roles.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Who owns what, for those who call roles.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Resolves when a later process of the same name took the lease: this one must stop.
    pub async fn superseded(&self) {
        self.shared.superseded.cancelled().await;
    }

    /// Tells that a member's process is dead: its host answered that nothing listens at its address. It is asked once more,
    /// and if it refuses again, its lease is ended. Dropped if too many such words wait; whoever meets it next says it again.
    pub fn refused(&self, member: MemberId, incarnation: Incarnation) {
        let request = Request::Refused(member, incarnation);
        if self.shared.requests.try_send(request).is_err() {
            tracing::debug!("too many members were reported as dead at one time");
        }
    }

    /// Says to the pool that this member leaves soon: from now on what it owns goes to others, and nothing new comes here. It
    /// stays a member until [`Membership::drain`], or [`Membership::take_back`]. Returns at once, before anything was handed
    /// over; at the end of membership it does nothing.
    pub async fn hand_over(&self) {
        self.request(Request::HandOver).await;
    }

    /// Takes [`Membership::hand_over`] back: this member gets its share from the others again. Returns at once; after
    /// [`Membership::drain`] it does nothing.
    pub async fn take_back(&self) {
        self.request(Request::TakeBack).await;
    }

    /// After [`Membership::hand_over`]: waits until this member owns nothing that another could take. Later that may change:
    /// when those others are gone.
    pub async fn handed_over(&self) {
        while !self.shared.machine.lock().has_handed_over() {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn request(&self, request: Request) {
        tokio::select! {
            () = self.shared.over.cancelled() => {}
            // Fails only when membership is over.
            _ = self.shared.requests.send(request) => {}
        }
    }

    /// Leaves: hands over what it owns, until `deadline` from now, then gives the lease back. Returns when membership is over.
    /// A second call can bring the deadline nearer.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let request = Request::Drain(now() + deadline);
        tokio::select! {
            () = self.shared.over.cancelled() => {}
            sent = self.shared.requests.send(request) => {
                if sent.is_ok() {
                    self.shared.over.cancelled().await;
                }
            }
        }
        let machine = self.shared.machine.lock();
        let left = Partitioned::ALL.map(|keys| machine.held(keys).iter().sum::<usize>());
        Drained {
            left: left.iter().sum(),
        }
    }

    /// The pool as this member knows it, for health pages and the control tool.
    pub fn status(&self) -> PoolStatus {
        let now = now();
        let members = self.routes.shares().into_iter();
        let machine = self.shared.machine.lock();
        PoolStatus {
            member: machine.lease().member.clone(),
            incarnation: machine.lease().incarnation,
            validity: self.ownership.validity(now),
            stage: machine.stage(),
            renewed_ago: self.ownership.renewed_ago(now),
            members: members
                .map(|(lease, owns)| MemberStatus { lease, owns })
                .collect(),
            held: Partitioned::ALL.map(|keys| machine.held(keys)),
        }
    }

    /// Adds what it counts to a page.
    pub fn collect(&self, page: &mut Page) {
        let status = self.status();
        self.shared.counters.collect(page);
        page.gauge(&names::POOL_MEMBERS, &[], status.members.len() as f64);
        if let Some(ago) = status.renewed_ago {
            page.gauge(&names::LEASE_AGE, &[], ago.as_secs_f64());
        }
        for (validity, name) in [
            (Validity::Confirmed, "confirmed"),
            (Validity::Frozen, "frozen"),
            (Validity::Fenced, "fenced"),
        ] {
            let is = if status.validity == validity { 1.0 } else { 0.0 };
            page.gauge(&names::OWNERSHIP_VALIDITY, &[(label::STATE, name)], is);
        }
        for keys in Partitioned::ALL {
            for (state, count) in ["active", "taking", "giving"]
                .iter()
                .zip(status.held[keys.index()])
            {
                let labels = [(label::KEYS, keys.as_str()), (label::STATE, *state)];
                page.gauge(&names::PARTITIONS, &labels, count as f64);
            }
        }
    }

    /// The instant its clock shows: what [`Ownership`] wants to be asked with.
    pub fn now() -> Instant {
        now()
    }
}
