//! What `porticoctl status` and `porticoctl node list` show of the member itself and of its pool.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use config::Config;
use membership::{Membership, Validity};
use topology::{PARTITIONS, Partitioned};

use crate::certificate::Certificate;
use crate::control::api::{Node, PoolState, Status};
use crate::health::Health;
use crate::member::Member;
use crate::ready::Ready;

/// A function that says how this member is; totals are added by who asks.
pub(crate) fn reporter(
    ready: &Ready,
    config: &Config,
    health: &Arc<Health>,
    certificate: Option<Certificate>,
    member: Option<&Member>,
) -> Arc<dyn Fn() -> Status + Send + Sync> {
    let started = Instant::now();
    let pool = member.map(|member| (config.pool.fqdn.clone(), member.membership.clone()));
    let health = Arc::clone(health);
    let fixed = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        member: ready.member.clone(),
        state: String::new(),
        roles: ready.roles.iter().map(|role| (*role).to_owned()).collect(),
        domains: config.pool.domains.clone(),
        listeners: ready
            .listeners
            .iter()
            .map(|(name, at)| ((*name).to_owned(), at.to_string()))
            .collect(),
        uptime: 0,
        certificate_remaining: None,
        pool: None,
        totals: Default::default(),
        warnings: Vec::new(),
    };
    Arc::new(move || {
        let problems = health
            .report()
            .into_iter()
            .filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?)));
        Status {
            state: health.state().as_str().to_owned(),
            uptime: started.elapsed().as_secs(),
            certificate_remaining: certificate
                .as_ref()
                .map(|held| held.remaining_seconds(SystemTime::now())),
            pool: pool
                .as_ref()
                .map(|(name, membership)| pool_state(name, membership)),
            warnings: problems.collect(),
            ..fixed.clone()
        }
    })
}

/// A function that lists the live members of the pool, this one among them.
pub(crate) fn nodes(
    ready: &Ready,
    health: &Arc<Health>,
    member: Option<&Member>,
) -> Arc<dyn Fn() -> Vec<Node> + Send + Sync> {
    let membership = member.map(|member| member.membership.clone());
    let health = Arc::clone(health);
    let this = ready.member.clone();
    let roles: Vec<String> = ready.roles.iter().map(|role| (*role).to_owned()).collect();
    Arc::new(move || match &membership {
        Some(membership) => members(membership, &health),
        None => vec![Node {
            member: this.clone(),
            this: true,
            roles: roles.clone(),
            state: health.state().as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: None,
            users: u64::from(PARTITIONS),
            conversations: u64::from(PARTITIONS),
            presentities: u64::from(PARTITIONS),
            lease_age_ms: None,
        }],
    })
}

fn members(membership: &Membership, health: &Health) -> Vec<Node> {
    let status = membership.status();
    let members = status.members.into_iter().map(|member| {
        let this = member.lease.member == status.member;
        let owns = |keys: Partitioned| member.owns.get(keys.index()).map_or(0, |owned| *owned as u64);
        let state = match (this, member.lease.draining) {
            (true, _) => health.state().as_str(),
            (false, true) => "draining",
            (false, false) => "serving",
        };
        Node {
            this,
            roles: member.lease.roles.iter().map(ToString::to_string).collect(),
            state: state.to_owned(),
            version: member.lease.version.clone(),
            address: member.lease.address.clone(),
            users: owns(Partitioned::Users),
            conversations: owns(Partitioned::Conversations),
            presentities: owns(Partitioned::Presentities),
            lease_age_ms: status.renewed_ago.filter(|_| this).map(milliseconds),
            member: member.lease.member.to_string(),
        }
    });
    members.collect()
}

fn pool_state(name: &str, membership: &Membership) -> PoolState {
    let status = membership.status();
    let validity = match status.validity {
        Validity::Confirmed => "confirmed",
        Validity::Frozen => "frozen",
        Validity::Fenced => "fenced",
    };
    let members = status.members.iter();
    PoolState {
        name: name.to_owned(),
        validity: validity.to_owned(),
        lease_age_ms: status.renewed_ago.map(milliseconds),
        members: members.map(|member| member.lease.member.to_string()).collect(),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
