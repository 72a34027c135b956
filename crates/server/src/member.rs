//! Joining a pool: the listener for other members, the lease, and the clients that reach each role wherever it runs.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use config::Config;
use front_end::FrontEnd;
use immcu::ImMcuService;
use membership::{Membership, PartitionedRole, Validity};
use presence::PresenceService;
use registrar::PooledRegistrar;
use rpc::{
    DirectoryClient, Error, ErrorCode, Fence, FrontEndClient, ImMcuClient, PresenceClient, RegistrarClient,
};
use rpc_wire::exchange::{ConversationRouter, ExchangeOwner};
use rpc_wire::proto::immcu::v1::im_mcu_server::ImMcuServer;
use rpc_wire::transport::{Authority, Bound, Channel, Connector, MemberTls, Suspects, listen};
use rpc_wire::{
    CacheSize, CachedRegistrar, Health as RpcHealth, LocalRegistrar, MAX_MESSAGE, OwnerMember,
    RemoteDirectory, RemotePresence, RemoteRegistrar, RoutedPresence, RoutedRegistrar, RpcServer,
    StreamCounters, any_carrier,
};
use sip_auth::key_file::KeyFile;
use store::{Incarnation, PartitionedBindings, PresenceCopy};
use tokio_util::sync::CancellationToken;
use topology::{MemberId, Partition, Partitioned, Role};

use crate::background::Background;
use crate::error::StartError;
use crate::health::Health;
use crate::ops::DrainRequest;
use crate::pool::{self, Conversations, LeaseFence, Presentities, RoleRoutes, RpcPeers, This, Users};
use crate::roles::Node;
use crate::shared::Shared;

/// How long a front end waits for the other roles before it opens its listeners all the same.
const COMPANY: Duration = Duration::from_secs(60);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// This member's place in a pool.
pub(crate) struct Member {
    pub(crate) membership: Membership,
    shared: Shared,
    this: MemberId,
    incarnation: Incarnation,
    roles: Vec<Role>,
    /// Asks members how they are.
    peers: RpcPeers,
    /// Members to which something broke.
    suspects: Suspects,
    /// Connects to roles of other members; what breaks makes them suspect.
    connector: Connector,
    users: Arc<Users>,
    conversations: Arc<Conversations>,
    presentities: Arc<Presentities>,
    exchange: Arc<StreamCounters>,
    told: Arc<StreamCounters>,
    /// The front end of this member, once it is there.
    front_end: Arc<OnceLock<FrontEnd>>,
    bound: Option<Bound>,
    /// Where the listener for other members really is.
    pub(crate) address: SocketAddr,
    /// Ends the listener for other members, before the stop of everything else.
    stop_serving: CancellationToken,
}

/// What can go wrong with the listener for other members.
fn rpc_error(problem: impl std::fmt::Display) -> StartError {
    StartError::Rpc(problem.to_string())
}

/// Milliseconds since 1970: larger in every later life.
fn incarnation() -> Incarnation {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Incarnation(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

impl Member {
    /// Binds the listener for other members and becomes a member. Nothing is owned before the roles are there.
    pub(crate) async fn join(node: &Node<'_>, keys: &KeyFile, roles: Vec<Role>) -> Result<Self, StartError> {
        let rpc = &node.config.rpc;
        let listen_on = rpc
            .listen
            .ok_or_else(|| rpc_error("a member of a pool needs rpc.listen"))?;
        let tls = match listen_on.ip().is_loopback() {
            true => None,
            false => {
                let authority = Authority::new(keys.member_authority_seeds()).map_err(rpc_error)?;
                Some(MemberTls::new(authority, node.member.clone()).map_err(rpc_error)?)
            }
        };
        let bound = listen(listen_on, tls.clone()).await.map_err(rpc_error)?;
        let address = bound.local_address();
        let connector = Connector::new(tls);
        let shared = Shared::open(node, &connector).await?;
        let (users, conversations) = (Arc::new(Users::default()), Arc::new(Conversations::default()));
        let presentities = Arc::new(Presentities::default());
        let mut owning: Vec<Arc<dyn PartitionedRole>> = Vec::new();
        if roles.contains(&Role::Registrar) {
            owning.push(users.clone());
        }
        if roles.contains(&Role::ImMcu) {
            owning.push(conversations.clone());
        }
        if roles.contains(&Role::Presence) {
            owning.push(presentities.clone());
        }
        let incarnation = incarnation();
        let (peers, suspects) = (RpcPeers(connector), Suspects::default());
        let configured = membership::Config {
            member: node.member.clone(),
            incarnation,
            roles: roles.clone(),
            address: Some(advertised(node.config, address)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            timing: shared.timing(),
        };
        let membership = Membership::start(
            &configured,
            shared.leases(node.config),
            Arc::new(peers.clone()),
            owning,
            &node.background.tasks,
            node.background.stop.clone(),
        );
        let counted = membership.clone();
        node.registry
            .register(Box::new(move |page| counted.collect(page)));
        node.background.tasks.spawn(pool::report_the_dead(
            membership.clone(),
            Arc::new(peers.clone()),
            suspects.clone(),
            node.background.stop.clone(),
        ));
        Ok(Member {
            membership,
            shared,
            this: node.member.clone(),
            incarnation,
            roles,
            connector: peers.0.clone().reporting(suspects.clone()),
            peers,
            suspects,
            users,
            conversations,
            presentities,
            exchange: Arc::default(),
            told: Arc::default(),
            front_end: Arc::default(),
            bound: Some(bound),
            address,
            stop_serving: CancellationToken::new(),
        })
    }

    /// Numbers of client connections of this life begin here.
    pub(crate) fn first_connection(&self) -> u64 {
        self.incarnation
            .0
            .saturating_mul(pool::CONNECTIONS_PER_MILLISECOND)
    }

    /// Ends this member when a later process of the same name has taken its place: after a restart that met the old process
    /// still alive, or because two members were given one name.
    pub(crate) fn make_way(&self, background: &Background, drain: DrainRequest) {
        let (membership, stop) = (self.membership.clone(), background.stop.clone());
        background.tasks.spawn(async move {
            if stop.run_until_cancelled(membership.superseded()).await.is_some() {
                drain.ask();
            }
        });
    }

    /// A member whose lease has run out is not ready. One that cannot renew it because Redis or the seed is away still is: nobody else
    /// can do better.
    pub(crate) fn report_to(&self, health: &Health) {
        let ownership = self.membership.ownership().clone();
        health.add_check("lease", move || match ownership.validity(Membership::now()) {
            Validity::Confirmed | Validity::Frozen => Ok(()),
            Validity::Fenced => Err("has run out: others may act in this member's place".to_owned()),
        });
    }

    /// Whether what this member owns counts.
    pub(crate) fn fence(&self) -> Arc<dyn Fence> {
        Arc::new(LeaseFence(self.membership.ownership().clone()))
    }

    /// The bindings of the users this member owns, with their shared copy.
    pub(crate) fn bindings(&self, config: &Config) -> Arc<PartitionedBindings> {
        Arc::new(PartitionedBindings::new(self.shared.copy(config)))
    }

    /// The copy of what is in no database of the presence of this member's users.
    pub(crate) fn presence_copy(&self, config: &Config) -> Arc<dyn PresenceCopy> {
        self.shared.presence(config)
    }

    /// The registrar of this member is there: it takes its share.
    pub(crate) fn fill_registrar(&self, node: &Node<'_>, registrar: &PooledRegistrar) {
        self.users.fill(registrar.clone());
        let stop = node.background.stop.clone();
        node.background
            .tasks
            .spawn(registrar.clone().keep_copy(stop.clone()));
        node.background.tasks.spawn(pool::forget_dead_front_ends(
            registrar.clone(),
            self.membership.routes().clone(),
            self.peers.clone(),
            stop,
        ));
    }

    /// The owner of conversations of this member is there: it takes its share.
    pub(crate) fn fill_immcu(&self, immcu: &ImMcuService) {
        self.conversations
            .fill(immcu.clone(), self.membership.routes().clone());
    }

    /// The owner of presence of this member is there: it takes its share.
    pub(crate) fn fill_presence(&self, node: &Node<'_>, presence: &PresenceService) {
        self.presentities.fill(presence.clone());
        node.background.tasks.spawn(pool::note_dead_front_ends(
            presence.clone(),
            self.membership.routes().clone(),
            node.background.stop.clone(),
        ));
    }

    /// The registrar of every user, wherever it runs: for the other roles, and for administrators.
    pub(crate) fn registrar(
        &self,
        node: &Node<'_>,
        local: Option<LocalRegistrar>,
    ) -> (RegistrarClient, DirectoryClient) {
        let (tasks, stop) = (node.background.tasks.clone(), node.background.stop.clone());
        let (connector, this) = (self.connector.clone(), self.this.clone());
        let (dial_tasks, dial_stop) = (tasks.clone(), stop.clone());
        let dial = Arc::new(move |owner: &OwnerMember| {
            let channel = channel_to(&connector, owner)?;
            let registrar = RemoteRegistrar::new(
                channel.clone(),
                this.clone(),
                dial_tasks.clone(),
                dial_stop.clone(),
            );
            Ok(LocalRegistrar {
                registrar: RegistrarClient::local(Arc::new(registrar)),
                directory: DirectoryClient::local(Arc::new(RemoteDirectory::new(channel))),
            })
        });
        let routes = self.routes(Role::Registrar, Partitioned::Users);
        let routed = RoutedRegistrar::new(routes, local, dial, tasks.clone(), stop.clone());
        let everybody = RegistrarClient::local(Arc::new(routed.clone()));
        let cached = CachedRegistrar::start(everybody, CacheSize::default(), &tasks, stop);
        let counted = cached.clone();
        node.registry
            .register(Box::new(move |page| counted.collect(page)));
        (
            RegistrarClient::local(Arc::new(cached)),
            DirectoryClient::local(Arc::new(routed)),
        )
    }

    /// The owner of every conversation, wherever it runs.
    pub(crate) fn conversations(&self, node: &Node<'_>, local: Option<ImMcuClient>) -> ConversationRouter {
        let connector = self.connector.clone();
        ConversationRouter::start(
            self.this.clone(),
            self.incarnation.0,
            self.routes(Role::ImMcu, Partitioned::Conversations),
            local,
            Arc::new(move |owner: &OwnerMember| channel_to(&connector, owner).map(any_carrier)),
            self.exchange.clone(),
            node.background.tasks.clone(),
            node.background.stop.clone(),
        )
    }

    /// The owner of the presence of every user, wherever it runs.
    pub(crate) fn presence(&self, node: &Node<'_>, local: Option<PresenceClient>) -> PresenceClient {
        let (tasks, stop) = (node.background.tasks.clone(), node.background.stop.clone());
        let connector = self.connector.clone();
        let (dial_tasks, dial_stop) = (tasks.clone(), stop.clone());
        let told = self.told.clone();
        let dial = Arc::new(move |owner: &OwnerMember| {
            let channel = channel_to(&connector, owner)?;
            let (counters, tasks, stop) = (told.clone(), dial_tasks.clone(), dial_stop.clone());
            let remote = RemotePresence::new(channel, counters, tasks, stop);
            Ok(PresenceClient::local(Arc::new(remote)))
        });
        let routes = self.routes(Role::Presence, Partitioned::Presentities);
        PresenceClient::local(Arc::new(RoutedPresence::new(routes, local, dial, tasks, stop)))
    }

    fn routes(&self, role: Role, keys: Partitioned) -> Arc<dyn rpc_wire::OwnerRoutes> {
        RoleRoutes::shared(self.membership.routes().clone(), role, keys, self.this.clone())
    }

    /// Serves other members from now on.
    pub(crate) async fn serve(
        &mut self,
        node: &Node<'_>,
        registrar: Option<LocalRegistrar>,
        presence: Option<PresenceClient>,
        immcu: Option<&ImMcuService>,
    ) -> Option<RpcHealth> {
        let bound = self.bound.take()?;
        let mut server = RpcServer::builder().member(Arc::new(This {
            member: self.this.clone(),
            incarnation: self.incarnation,
            roles: self.roles.clone(),
            ownership: self.membership.ownership().clone(),
            front_end: Arc::clone(&self.front_end),
        }));
        if let Some(table) = self.shared.table() {
            server = server.seed(table);
        }
        if let Some(local) = registrar {
            server = server.registrar(local.registrar).directory(local.directory);
        }
        if let Some(presence) = presence {
            server = server.presence(presence, self.told.clone());
        }
        if let Some(immcu) = immcu {
            let epochs = immcu.clone();
            let exchange = ExchangeOwner::new(
                self.this.clone(),
                self.incarnation.0,
                ImMcuClient::local(Arc::new(immcu.clone())),
                node.front_ends.clone(),
                Arc::new(move |partition| epochs.epoch(partition)),
                self.exchange.clone(),
                node.background.tasks.clone(),
                server.stopping(),
            )
            .reporting(self.suspects.clone());
            let service = ImMcuServer::new(exchange)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE);
            server = server.service(service);
        }
        let server = server.build().await;
        let health = server.health();
        let refused = server.counters();
        let (exchange, told) = (self.exchange.clone(), self.told.clone());
        node.registry.register(Box::new(move |page| {
            refused.collect(page);
            exchange.collect(page, "conversations");
            told.collect(page, "presence");
        }));
        let stop = self.stop_serving.clone();
        node.background.tasks.spawn(async move {
            if let Err(error) = server.serve(bound, stop).await {
                tracing::error!(%error, "other members are not served any more");
            }
        });
        Some(health)
    }

    /// The front end of this member is there: others learn how many clients it has.
    pub(crate) fn tell_clients_of(&self, front_end: &FrontEnd) {
        // There is one start, and one front end.
        let _once = self.front_end.set(front_end.clone());
    }

    /// Asks other members how they are.
    pub(crate) fn peers(&self) -> RpcPeers {
        RpcPeers(self.connector.clone())
    }

    /// Ends the listener for other members.
    pub(crate) fn stop_serving(&self) {
        self.stop_serving.cancel();
    }

    /// Waits until there is somebody for every user, their presence and every conversation, a minute at most.
    pub(crate) async fn company(&self, router: &ConversationRouter) {
        let until = tokio::time::Instant::now() + COMPANY;
        let mut told = false;
        while let Err(missing) = self.complete(Some(router)) {
            if !std::mem::replace(&mut told, true) {
                tracing::info!(missing, "waiting for the rest of the pool");
            }
            if tokio::time::Instant::now() >= until {
                tracing::warn!(
                    missing,
                    "the pool is not complete; clients are let in all the same"
                );
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether there is somebody for every user, their presence and every conversation.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn complete(&self, router: Option<&ConversationRouter>) -> Result<(), &'static str> {
        let routes = self.membership.routes();
        let owned = |keys| Partition::all().all(|partition| routes.owner(keys, partition).is_some());
        if !owned(Partitioned::Users) {
            Err("no registrar for some users")
        } else if !owned(Partitioned::Presentities) {
            Err("no owner for the presence of some users")
        } else if !owned(Partitioned::Conversations) {
            Err("no owner for some conversations")
        } else if router.is_some_and(|router| !router.is_connected()) {
            Err("no stream to some owner of conversations")
        } else {
            Ok(())
        }
    }
}

/// Lets owners of conversations in other processes reach this front end.
pub(crate) fn let_owners_in(router: &ConversationRouter, front_end: &FrontEnd) {
    let client = FrontEndClient::local(Arc::new(front_end.clone()));
    router.serve(client, Arc::new(front_end.clone()));
}

fn channel_to(connector: &Connector, owner: &OwnerMember) -> Result<Channel, Error> {
    let unusable = |problem: String| Error::new(ErrorCode::Unavailable, problem);
    let address = owner
        .address
        .as_deref()
        .ok_or_else(|| unusable(format!("{} says no address", owner.member)))?;
    connector
        .channel_to(&owner.member, address)
        .map_err(|error| unusable(error.to_string()))
}

/// How others reach this member.
fn advertised(config: &Config, bound: SocketAddr) -> String {
    if let Some(advertise) = &config.rpc.advertise {
        let port = advertise.port.unwrap_or(bound.port());
        return format!("{}:{port}", advertise.host);
    }
    if !bound.ip().is_unspecified() {
        return bound.to_string();
    }
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), bound.port())
}
