//! What a member says of itself, and the times all members keep.

use std::time::Duration;

use store::{Incarnation, LEASE_TTL_MS, Lease};
use topology::{MemberId, Role};

/// Who this member is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name, unique in the pool.
    pub member: MemberId,
    /// Which of its lives: larger than that of every life before.
    pub incarnation: Incarnation,
    /// The roles it runs. What it owns follows from them ([`Role::owns`]).
    pub roles: Vec<Role>,
    /// Where other members reach it, as `host:port`; `None`: nowhere.
    pub address: Option<String>,
    /// Version of the program, for the operator.
    pub version: String,
    /// The times; those that two members must agree on are the same in every member.
    pub timing: Timing,
}

impl Config {
    /// The lease this member asks for.
    pub(crate) fn lease(&self) -> Lease {
        Lease {
            member: self.member.clone(),
            incarnation: self.incarnation,
            roles: self.roles.clone(),
            address: self.address.clone(),
            draining: false,
            version: self.version.clone(),
        }
    }
}

/// The times of membership. The guarantees at the crate root hold while
/// `gap < stop_after < lease_ttl` and `frozen_for < lease_ttl`, with the same values in every member.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From the start of one renewal to the start of the next: 1 s.
    pub renew_every: Duration,
    /// How long the store keeps a lease that is not renewed: 15 s.
    pub lease_ttl: Duration,
    /// A member stops this long after the start of its last successful renewal, unless it is frozen: 10 s.
    pub stop_after: Duration,
    /// A member that did not renew for so long counts as one that cannot: it says so to peers, and when it can again, it first
    /// waits for a `lease_ttl` before it takes anything from anybody. 5 s.
    pub gap: Duration,
    /// How long a frozen member goes on after it heard from all others that they cannot renew either: 8 s, which bridges
    /// one slow attempt and one slow question.
    pub frozen_for: Duration,
    /// How long a member that vanished without leaving is asked before this one goes on without the store: 60 s, in which
    /// renewals succeed. It may live, cut off from the store, and come back to it when others cannot.
    pub remember: Duration,
    /// How long a member that has just come waits before it claims what the store says nobody ever owned, so that all members
    /// of a pool that starts are seen, and owners whose store was just emptied speak first: 3 s.
    pub settle: Duration,
    /// A call to the store is given up after this time: 2 s.
    pub call_timeout: Duration,
    /// A question to peers is given up after this time, and is not asked more often: 1 s.
    pub ask_timeout: Duration,
    /// A role has this long to load a partition before the attempt counts as failed: 10 s.
    pub take_timeout: Duration,
    /// A role has this long to finish what it does for a partition it gives up: 5 s.
    pub give_timeout: Duration,
    /// Partitions of one set of keys that are on their way to other members at one time: 64.
    pub hand_over_at_once: usize,
    /// Partitions the roles load or finish at one time: 64.
    pub work_at_once: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            renew_every: Duration::from_secs(1),
            lease_ttl: Duration::from_millis(LEASE_TTL_MS),
            stop_after: Duration::from_secs(10),
            gap: Duration::from_secs(5),
            frozen_for: Duration::from_secs(8),
            remember: Duration::from_secs(60),
            settle: Duration::from_secs(3),
            call_timeout: Duration::from_secs(2),
            ask_timeout: Duration::from_secs(1),
            take_timeout: Duration::from_secs(10),
            give_timeout: Duration::from_secs(5),
            hand_over_at_once: 64,
            work_at_once: 64,
        }
    }
}

impl Timing {
    /// The times of a pool whose store forgets everything whenever it restarts, as a seed does. Who comes to it waits 11 s
    /// before it claims what nobody owns there: until then whoever owned something has said so, or has stopped
    /// (`stop_after`, and less with `frozen_for`). A pool takes that long to start.
    pub fn for_a_store_that_forgets() -> Self {
        let usual = Timing::default();
        Timing {
            settle: usual.stop_after + usual.renew_every,
            ..usual
        }
    }
}
