//! This member among others: what it tells membership of its roles, and what its roles learn of the pool.
//!
//! Membership is started first, with roles that are not there yet ([`Users`], [`Presentities`], [`Conversations`]); roles are started over its
//! routes and its ownership, and filled in. A partition that is offered before that waits for its role.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use front_end::FrontEnd;
use futures_util::future::join_all;
use immcu::ImMcuService;
use membership::{Membership, Ownership, PartitionedRole, PeerAnswer, Peers, Routes, TakeError, Validity};
use presence::PresenceService;
use registrar::PooledRegistrar;
use rpc::Fence;
use rpc_wire::transport::{Connector, Suspects};
use rpc_wire::{Describe, Description, OwnerMember, OwnerRoutes, PartitionOwner, RemoteMember};
use store::{Incarnation, LEASE_TTL_MS, Lease};
use tokio::net::TcpStream;
use tokio::sync::{SetOnce, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use topology::{MemberId, Partition, Partitioned, Role};

/// How long one peer may take to say how it is: less than membership waits for all of them.
const PEER: Duration = Duration::from_millis(800);

/// How soon what a dead front end left behind is looked for again, when it could not be ended.
const AGAIN: Duration = Duration::from_secs(1);

/// Connection numbers of one life begin at its incarnation times this: a later life's are larger, whatever the earlier
/// one counted (a million connections a millisecond).
pub(crate) const CONNECTIONS_PER_MILLISECOND: u64 = 1 << 20;

// === fence ===

/// Whether what this member owns counts.
pub(crate) struct LeaseFence(pub(crate) Ownership);

impl Fence for LeaseFence {
    fn is_valid(&self) -> bool {
        self.0.validity(Membership::now()) != Validity::Fenced
    }
}

// === roles ===

/// The registrar, once it is there. Until then what is to be taken waits: membership has the deadline.
#[derive(Default)]
pub(crate) struct Users(SetOnce<PooledRegistrar>);

impl Users {
    pub(crate) fn fill(&self, registrar: PooledRegistrar) {
        // There is one start, and one registrar.
        let _once = self.0.set(registrar);
    }
}

#[async_trait]
impl PartitionedRole for Users {
    fn keys(&self) -> Partitioned {
        Partitioned::Users
    }

    async fn take(&self, partition: Partition, epoch: u64) -> Result<(), TakeError> {
        let registrar = self.0.wait().await;
        registrar
            .take(partition, epoch)
            .await
            .map_err(|error| TakeError(error.message))
    }

    async fn give(&self, partition: Partition) {
        let Some(registrar) = self.0.get() else { return };
        if let Err(error) = registrar.give(partition).await {
            // The next owner reads what the copy has; clients refresh the rest.
            tracing::warn!(%error, %partition, "a partition leaves with bindings the shared store does not have");
            registrar.lost(partition);
        }
    }

    async fn lost(&self, partition: Partition) {
        if let Some(registrar) = self.0.get() {
            registrar.lost(partition);
        }
    }

    async fn reassert(&self, partitions: Vec<Partition>) {
        let Some(registrar) = self.0.get() else { return };
        for partition in partitions {
            if let Err(error) = registrar.reassert(partition).await {
                // It stays marked, and is brought over with what else the copy lacks.
                tracing::debug!(%error, %partition, "a partition is not written anew yet");
            }
        }
    }
}

/// The owner of conversations, once it is there. Until then what is to be taken waits, as with [`Users`].
#[derive(Default)]
pub(crate) struct Conversations(SetOnce<(ImMcuService, Routes)>);

impl Conversations {
    pub(crate) fn fill(&self, immcu: ImMcuService, routes: Routes) {
        // There is one start, and one owner.
        let _once = self.0.set((immcu, routes));
    }
}

#[async_trait]
impl PartitionedRole for Conversations {
    fn keys(&self) -> Partitioned {
        Partitioned::Conversations
    }

    async fn take(&self, partition: Partition, epoch: u64) -> Result<(), TakeError> {
        let (immcu, routes) = self.0.wait().await;
        let front_ends = routes
            .members()
            .into_iter()
            .filter(|lease| lease.roles.contains(&Role::FrontEnd))
            .map(|lease| lease.member)
            .collect();
        immcu.take(partition, epoch, front_ends).await;
        Ok(())
    }

    async fn give(&self, partition: Partition) {
        if let Some((immcu, _)) = self.0.get() {
            immcu.give(partition).await;
        }
    }

    async fn lost(&self, partition: Partition) {
        if let Some((immcu, _)) = self.0.get() {
            immcu.lost(partition);
        }
    }

    /// What is known of conversations is known to the front ends that hold them: the shared store has no copy to lose.
    async fn reassert(&self, _: Vec<Partition>) {}
}

/// The owner of presence, once it is there. Until then what is to be taken waits, as with [`Users`].
#[derive(Default)]
pub(crate) struct Presentities(SetOnce<PresenceService>);

impl Presentities {
    pub(crate) fn fill(&self, presence: PresenceService) {
        // There is one start, and one owner.
        let _once = self.0.set(presence);
    }
}

#[async_trait]
impl PartitionedRole for Presentities {
    fn keys(&self) -> Partitioned {
        Partitioned::Presentities
    }

    async fn take(&self, partition: Partition, epoch: u64) -> Result<(), TakeError> {
        let presence = self.0.wait().await;
        presence
            .take(partition, epoch)
            .await
            .map_err(|error| TakeError(error.message))
    }

    async fn give(&self, partition: Partition) {
        if let Some(presence) = self.0.get() {
            presence.give(partition).await;
        }
    }

    async fn lost(&self, partition: Partition) {
        if let Some(presence) = self.0.get() {
            presence.lost(partition);
        }
    }

    async fn reassert(&self, partitions: Vec<Partition>) {
        if let Some(presence) = self.0.get() {
            presence.reassert(partitions);
        }
    }
}

/// Tells the owner of presence of front ends that leave the pool or begin another life, before the registrar ends what was
/// signed in there: presence is not to flicker while clients sign in elsewhere.
pub(crate) async fn note_dead_front_ends(presence: PresenceService, routes: Routes, stop: CancellationToken) {
    let mut changes = routes.watch();
    let mut known: Vec<(MemberId, Incarnation)> = Vec::new();
    loop {
        let present: Vec<_> = routes
            .members()
            .into_iter()
            .filter(|lease| lease.roles.contains(&Role::FrontEnd))
            .map(|lease| (lease.member, lease.incarnation))
            .collect();
        for (member, _) in known.iter().filter(|one| !present.contains(one)) {
            presence.front_end_died(member);
        }
        known = present;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

// === routes ===

/// The routes of one set of keys, as those see them who ask its owners.
pub(crate) struct RoleRoutes {
    routes: Routes,
    role: Role,
    keys: Partitioned,
    this: MemberId,
}

impl RoleRoutes {
    /// The routes to those who run `role`, which must be one that owns `keys`.
    pub(crate) fn shared(
        routes: Routes,
        role: Role,
        keys: Partitioned,
        this: MemberId,
    ) -> Arc<dyn OwnerRoutes> {
        Arc::new(RoleRoutes {
            routes,
            role,
            keys,
            this,
        })
    }
}

impl OwnerRoutes for RoleRoutes {
    fn owner(&self, partition: Partition) -> Option<PartitionOwner> {
        let route = self.routes.owner(self.keys, partition)?;
        Some(PartitionOwner {
            owner: OwnerMember {
                member: route.member,
                incarnation: route.incarnation.0,
                address: route.address,
                is_self: route.is_self,
            },
            epoch: route.epoch,
        })
    }

    fn members(&self) -> Vec<OwnerMember> {
        let leases = self.routes.members().into_iter();
        leases
            .filter(|lease| lease.roles.contains(&self.role))
            .map(|lease| OwnerMember {
                is_self: lease.member == self.this,
                member: lease.member,
                incarnation: lease.incarnation.0,
                address: lease.address.map(Arc::from),
            })
            .collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.routes.watch()
    }
}

// === peers ===

/// Asks other members over gRPC how they are.
#[derive(Clone)]
pub(crate) struct RpcPeers(pub(crate) Connector);

impl RpcPeers {
    /// How many clients a front end has; `None`: it does not say.
    pub(crate) async fn clients_of(&self, peer: &Lease) -> Option<usize> {
        let channel = self.0.channel_to(&peer.member, peer.address.as_deref()?).ok()?;
        let asked = RemoteMember::new(channel).deadline(PEER).describe().await;
        let said = asked.ok().filter(|said| said.incarnation == peer.incarnation.0)?;
        usize::try_from(said.clients?).ok()
    }

    async fn ask_one(&self, peer: &Lease) -> PeerAnswer {
        let Some(address) = &peer.address else {
            return PeerAnswer::Silent;
        };
        let Ok(channel) = self.0.channel_to(&peer.member, address) else {
            return PeerAnswer::Silent;
        };
        let asked = RemoteMember::new(channel).deadline(PEER).describe().await;
        match asked {
            Ok(said) if said.member == peer.member && said.incarnation == peer.incarnation.0 => {
                PeerAnswer::Alive {
                    renewed_ago: said.renewed_ago,
                }
            }
            // Another life answers there: this one is dead.
            Ok(said) if said.member == peer.member && said.incarnation > peer.incarnation.0 => {
                PeerAnswer::Refused
            }
            Ok(_) => PeerAnswer::Silent,
            Err(_) => refused(address).await,
        }
    }
}

/// Whether the host says that nobody listens there.
async fn refused(address: &str) -> PeerAnswer {
    match tokio::time::timeout(PEER, TcpStream::connect(address)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => PeerAnswer::Refused,
        _ => PeerAnswer::Silent,
    }
}

#[async_trait]
impl Peers for RpcPeers {
    async fn ask(&self, peers: &[Lease]) -> Vec<PeerAnswer> {
        join_all(peers.iter().map(|peer| self.ask_one(peer))).await
    }
}

/// Tells membership of members whose process is dead, so that what they own moves before their lease runs out.
///
/// A member is asked how it is when something between it and this process broke, and once a second from then on until it
/// answers or is no member any more. While nothing breaks nobody is asked.
pub(crate) async fn report_the_dead(
    membership: Membership,
    peers: Arc<dyn Peers>,
    suspects: Suspects,
    stop: CancellationToken,
) {
    let mut asked: HashSet<MemberId> = HashSet::new();
    let mut again = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(again), if !asked.is_empty() => {}
            // What breaks with somebody who is asked anyway is no reason to ask at once: it may break many times a second.
            more = suspects.next() => match more.is_subset(&asked) {
                true => continue,
                false => asked.extend(more),
            },
        }
        again = Instant::now() + AGAIN;
        let members = membership.routes().members().into_iter();
        let leases: Vec<Lease> = members.filter(|lease| asked.contains(&lease.member)).collect();
        let Some(answers) = stop.run_until_cancelled(peers.ask(&leases)).await else {
            return;
        };
        asked.clear();
        for (lease, answer) in leases.into_iter().zip(answers) {
            match answer {
                PeerAnswer::Alive { .. } => continue,
                PeerAnswer::Refused => membership.refused(lease.member.clone(), lease.incarnation),
                PeerAnswer::Silent => {}
            }
            asked.insert(lease.member);
        }
    }
}

/// Describes this member to others.
pub(crate) struct This {
    pub(crate) member: MemberId,
    pub(crate) incarnation: Incarnation,
    pub(crate) roles: Vec<Role>,
    pub(crate) ownership: Ownership,
    /// Filled once it is there.
    pub(crate) front_end: Arc<OnceLock<FrontEnd>>,
}

impl Describe for This {
    fn describe(&self) -> Description {
        Description {
            member: self.member.clone(),
            incarnation: self.incarnation.0,
            roles: self.roles.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            renewed_ago: self.ownership.renewed_ago(Membership::now()),
            clients: self
                .front_end
                .get()
                .map(|front_end| front_end.connections() as u64),
        }
    }
}

// === front ends that are gone ===

/// How often in a row a front end that is no member may be silent before it counts as gone.
const SILENT: u8 = 3;

/// A front end that was a member and is none, or lives another life.
struct Missing {
    lease: Lease,
    /// Connections of its present life begin here.
    since: Option<u64>,
    noticed: Instant,
    silent: u8,
}

impl Missing {
    fn new(lease: Lease) -> Self {
        Missing {
            lease,
            since: None,
            noticed: Instant::now(),
            silent: 0,
        }
    }

    /// Whether it serves nobody any more. A shared store that has just lost everything knows no members until they renew
    /// their leases, so the missing one is asked; it has the time of a lease to come back.
    async fn is_gone(&mut self, peers: &RpcPeers) -> bool {
        if self.since.is_some() || self.noticed.elapsed() >= Duration::from_millis(LEASE_TTL_MS) {
            return true;
        }
        match peers.ask_one(&self.lease).await {
            PeerAnswer::Refused => true,
            PeerAnswer::Alive { .. } => {
                self.silent = 0;
                false
            }
            PeerAnswer::Silent => {
                self.silent += 1;
                self.silent >= SILENT
            }
        }
    }
}

/// Ends the bindings of front ends that left the pool or came back as another process: whoever writes to their users would
/// write to nobody. Each registrar does so for the users it owns, with every change of the pool.
pub(crate) async fn forget_dead_front_ends(
    registrar: PooledRegistrar,
    routes: Routes,
    peers: RpcPeers,
    stop: CancellationToken,
) {
    let mut changes = routes.watch();
    let mut known: Vec<Lease> = Vec::new();
    let mut missing: Vec<Missing> = Vec::new();
    loop {
        let present: Vec<Lease> = routes
            .members()
            .into_iter()
            .filter(|lease| lease.roles.contains(&Role::FrontEnd))
            .collect();
        missing.extend(known.into_iter().map(Missing::new));
        // One that is there now is not gone, whatever was said before; but an earlier life of it is.
        missing.retain_mut(|one| {
            let now = present.iter().find(|lease| lease.member == one.lease.member);
            let later = now.filter(|lease| lease.incarnation != one.lease.incarnation);
            one.since = later.map(|later| later.incarnation.0.saturating_mul(CONNECTIONS_PER_MILLISECOND));
            now.is_none() || later.is_some()
        });
        known = present;
        let mut left = Vec::new();
        for mut one in std::mem::take(&mut missing) {
            if !one.is_gone(&peers).await {
                left.push(one);
                continue;
            }
            let member = &one.lease.member;
            if let Err(error) = registrar.front_end_gone(member, one.since).await {
                tracing::debug!(%error, %member, "bindings of a front end that is gone could not be ended yet");
                left.push(one);
            }
        }
        missing = left;
        let again = async {
            match missing.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(AGAIN).await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}

#[cfg(test)]
mod tests;
