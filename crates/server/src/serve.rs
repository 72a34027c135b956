//! Puts a member together, in order; `stop` takes it apart again.

mod balance;
mod drain;
mod others;
mod stop;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use config::Config;
use front_end::FrontEnd;
use immcu::ImMcuService;
use presence::PresenceService;
use registrar::RegistrarService;
use rpc::{DirectoryClient, FrontEndClient, FrontEnds, ImMcuClient, PresenceClient, RegistrarClient};
use rpc_wire::{Health as RpcHealth, LocalRegistrar};
use sip_auth::key_file::KeyFile;
use sip_auth::nonce::NonceKey;
use sip_transport::{Listener, Transport};
use sip_types::AddressOfRecord;
use telemetry::Registry;
use telemetry::otlp::Exporter;
use topology::{MemberId, Role};

use crate::background::Background;
use crate::certificate::Certificate;
use crate::control::{self, Control, ControlSocket, Presences};
use crate::database::Database;
use crate::echo::Echo;
use crate::error::StartError;
use crate::files::create_private_dir;
use crate::health::{Health, State};
use crate::keys::Keys;
use crate::listeners::{self, Sockets};
use crate::member::{self, Member};
use crate::ops::DrainRequest;
use crate::ready::{Demo, Ready};
use crate::roles::{Node, StartedRegistrar};
pub(crate) use crate::serve::drain::Drainer;
use crate::serve::drain::Parts;
use crate::serve::others::Others;
use crate::{agent, demo, echo, keys, metrics, ops, roles, status};

/// What is not configuration: decided by the command that was started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Roles to run here; empty: all.
    pub roles: Vec<Role>,
    /// Whether to make demo people and the echo contact.
    pub demo: bool,
    /// What sends traces, metrics and logs to a collector. It is stopped with the member.
    pub exporter: Option<Exporter>,
}

/// A serving member. Dropping it stops nothing in good order: call [`Running::stop`].
pub struct Running {
    ready: Ready,
    demo: Option<Demo>,
    health: Arc<Health>,
    drain: DrainRequest,
    drainer: Drainer,
    certificate: Option<Certificate>,
    transport: Transport,
    listeners: Arc<[Listener]>,
    front_end: Option<FrontEnd>,
    immcu: Option<ImMcuService>,
    presence: Option<PresenceService>,
    registrar: Option<RegistrarService>,
    member: Option<Member>,
    rpc_health: Option<RpcHealth>,
    background: Background,
    database: Option<Database>,
    exporter: Option<Exporter>,
    pace: config::Drain,
}

/// What a member stands on: everything that can be missing, taken or broken on this machine.
struct Ground {
    control: ControlSocket,
    keys: Keys,
    certificate: Option<Certificate>,
    sockets: Sockets,
    /// Only where a registrar or an owner of presence runs.
    database: Option<Database>,
    transport: Transport,
}

/// What is told of a member from its first moment on, and what can be asked of it.
struct Outside {
    health: Arc<Health>,
    registry: Arc<Registry>,
    drain: DrainRequest,
}

/// The roles that run here, and the way to those everywhere.
struct Roles {
    registrar: Option<StartedRegistrar>,
    presence: Option<PresenceService>,
    immcu: Option<ImMcuService>,
    front_end: Option<FrontEnd>,
    everybody: RegistrarClient,
    directory: DirectoryClient,
    presences: PresenceClient,
    rpc_health: Option<RpcHealth>,
    demo: Option<Demo>,
}

/// Starts a member. Returns once clients are welcome.
///
/// # Errors
/// [`StartError`] says what an operator has to change. Nothing is left running.
pub async fn serve(config: Config, options: Options) -> Result<Running, StartError> {
    let wanted = wanted_roles(&config, &options)?;
    let mut ground = prepare(&config, &wanted).await?;
    let background = Background::default();
    // Ends what was started if a later step fails.
    let unfinished = background.stop.clone().drop_guard();
    let outside = open_to_outside(&config, &options, &mut ground, &background);
    let node = Node {
        config: &config,
        member: MemberId::new(&config.pool.member),
        registry: &outside.registry,
        background: &background,
        front_ends: FrontEnds::default(),
    };
    let mut member = join_pool(&node, &ground.keys.file, &wanted, &outside).await?;
    let roles = start_roles(&node, &ground, &options, &wanted, member.as_mut()).await?;

    let mut addresses = std::mem::take(&mut ground.sockets.addresses);
    if let Some(member) = &member {
        addresses.insert("rpc", member.address);
    }
    let ready = Ready {
        member: config.pool.member.clone(),
        roles: wanted.iter().map(|role| role.as_str()).collect(),
        listeners: addresses,
        ca: ground.certificate.as_ref().and_then(Certificate::ca_path),
    };
    let listeners = take_clients(&mut ground, roles.front_end.as_ref());
    metrics::register_listeners(&outside.registry, &listeners);
    let drainer = Drainer::start(
        Parts {
            health: Arc::clone(&outside.health),
            pool: member
                .as_ref()
                .map(|member| (Others(member.membership.clone()), wanted)),
            rpc_health: roles.rpc_health.clone(),
            front_end: roles.front_end.clone(),
            pace: config.drain.clone(),
        },
        &background,
    );
    if let (Some(member), Some(front_end)) = (&member, &roles.front_end) {
        let pool = balance::Pool {
            others: Others(member.membership.clone()),
            peers: member.peers(),
            front_end: front_end.clone(),
            drainer: drainer.clone(),
        };
        let stop = background.stop.clone();
        background.tasks.spawn(async move {
            stop.run_until_cancelled(balance::balance(pool)).await;
        });
    }
    let answers = Control {
        registrar: roles.everybody,
        directory: roles.directory,
        presence: Presences::new(roles.presences, &config, &background),
        status: status::reporter(
            &ready,
            &config,
            &outside.health,
            ground.certificate.clone(),
            member.as_ref(),
        ),
        nodes: status::nodes(&ready, &outside.health, member.as_ref()),
        health: Arc::clone(&outside.health),
        drain: outside.drain.clone(),
        drainer: drainer.clone(),
        kinds: roles::policy_kinds(),
        ntlm_by_default: config.auth.ntlm,
    };
    outside.health.set_state(State::Serving);
    serve_http(
        &background,
        "control socket",
        ground.control,
        control::router(answers),
    );
    unfinished.disarm();
    tracing::info!(member = ready.member, listeners = ?ready.listeners, "serving");
    Ok(Running {
        ready,
        demo: roles.demo,
        health: outside.health,
        drain: outside.drain,
        drainer,
        certificate: ground.certificate,
        transport: ground.transport,
        listeners,
        front_end: roles.front_end,
        immcu: roles.immcu,
        presence: roles.presence,
        registrar: roles.registrar.map(|started| started.service),
        member,
        rpc_health: roles.rpc_health,
        background,
        database: ground.database,
        exporter: options.exporter,
        pace: config.drain,
    })
}

/// The roles to run here.
fn wanted_roles(config: &Config, options: &Options) -> Result<Vec<Role>, StartError> {
    let in_pool = config.in_pool();
    let wanted = roles::wanted(&options.roles, in_pool)?;
    if in_pool && options.demo {
        return Err(StartError::Demo(
            "a demo keeps its state in memory: take `run`".to_owned(),
        ));
    }
    Ok(wanted)
}

/// Takes what the machine must give, the lock of the data directory first.
async fn prepare(config: &Config, roles: &[Role]) -> Result<Ground, StartError> {
    let for_clients = roles.contains(&Role::FrontEnd);
    create_private_dir(&config.data_dir).map_err(StartError::file("create", &config.data_dir))?;
    let control = control::bind(&control::socket_path(&config.data_dir))?;
    if config.in_pool() {
        keys::must_exist(&config.secrets.key_file)?;
    }
    let keys = keys::load_or_create(&config.secrets.key_file)?;
    telemetry::install_tag_key(keys.log_tags);
    telemetry::show_identities(config.telemetry.identities);
    let certificate = match config.sip.tls_listen.filter(|_| for_clients) {
        Some(_) => Some(Certificate::open(config, SystemTime::now())?),
        None => None,
    };
    let limits = listeners::transport_limits(&config.limits);
    Ok(Ground {
        control,
        keys,
        sockets: listeners::bind(config, certificate.as_ref(), for_clients).await?,
        certificate,
        database: match roles.contains(&Role::Registrar) || roles.contains(&Role::Presence) {
            true => Some(Database::open(config).await?),
            false => None,
        },
        transport: Transport::new(limits).map_err(|error| StartError::Limit(error.to_string()))?,
    })
}

/// Shows health and metrics, first of all: whoever starts members can see that this one is starting. Begins to look after
/// what it stands on.
fn open_to_outside(
    config: &Config,
    options: &Options,
    ground: &mut Ground,
    background: &Background,
) -> Outside {
    let outside = Outside {
        health: Arc::new(Health::new(Instant::now())),
        registry: Arc::new(Registry::new()),
        drain: DrainRequest::default(),
    };
    let (health, registry) = (&outside.health, &outside.registry);
    metrics::register(registry, health, &ground.transport, ground.certificate.as_ref());
    background.beat(health);
    if let Some(socket) = ground.sockets.ops.take() {
        let pages = ops::Ops {
            health: Arc::clone(health),
            registry: Arc::clone(registry),
            drain: outside.drain.clone(),
        };
        serve_http(background, "ops listener", socket, ops::router(pages));
    }
    if let Some(socket) = ground.sockets.agent.take() {
        let (counters, most) = (Arc::clone(ground.transport.counters()), config.limits.connections);
        let is_full = move || counters.active() >= most - most / 10;
        let answers = agent::serve(socket, Arc::clone(health), is_full, background.stop.clone());
        background.tasks.spawn(answers);
    }
    if let Some(database) = &ground.database {
        background.watch_database(health, database);
    }
    if let Some(certificate) = &ground.certificate {
        background.keep_certificate(health, certificate);
    }
    if let Some(exporter) = &options.exporter {
        metrics::push(registry, exporter, background);
    }
    outside
}

/// Becomes a member of the pool, if there is one.
async fn join_pool(
    node: &Node<'_>,
    keys: &KeyFile,
    wanted: &[Role],
    outside: &Outside,
) -> Result<Option<Member>, StartError> {
    if !node.config.in_pool() {
        return Ok(None);
    }
    let member = Member::join(node, keys, wanted.to_vec()).await?;
    member.report_to(&outside.health);
    member.make_way(node.background, outside.drain.clone());
    Ok(Some(member))
}

/// Starts the roles that are wanted here: each finds those before it, here or wherever they run.
async fn start_roles(
    node: &Node<'_>,
    ground: &Ground,
    options: &Options,
    wanted: &[Role],
    mut member: Option<&mut Member>,
) -> Result<Roles, StartError> {
    let in_pool = member.as_deref();
    let registrar = match &ground.database {
        Some(database) if wanted.contains(&Role::Registrar) => {
            let shared = in_pool.map(|member| (member.bindings(node.config), member));
            Some(roles::start_registrar(node, database, &ground.keys.file, shared).await?)
        }
        _ => None,
    };
    let local = registrar.as_ref().map(|started| LocalRegistrar {
        registrar: started.client.clone(),
        directory: started.directory.clone(),
    });
    let (registrar_client, directory) = match (in_pool, &local) {
        (Some(member), _) => member.registrar(node, local.clone()),
        (None, Some(local)) => (local.registrar.clone(), local.directory.clone()),
        (None, None) => return Err(StartError::MissingRole(Role::Registrar)),
    };
    let people = match options.demo {
        true => Some(demo::create_people(&directory, node.config).await?),
        false => None,
    };
    let presence = match &ground.database {
        Some(database) if wanted.contains(&Role::Presence) => {
            Some(roles::start_presence(node, &registrar_client, database, in_pool))
        }
        _ => None,
    };
    let local_presence = presence
        .as_ref()
        .map(|presence| PresenceClient::local(Arc::new(presence.clone())));
    let presences = match (in_pool, local_presence.clone()) {
        (Some(member), local) => member.presence(node, local),
        (None, Some(local)) => local,
        (None, None) => return Err(StartError::MissingRole(Role::Presence)),
    };
    let immcu = wanted
        .contains(&Role::ImMcu)
        .then(|| roles::start_immcu(node, &registrar_client, &presences, in_pool));
    let rpc_health = match &mut member {
        Some(member) => member.serve(node, local, local_presence, immcu.as_ref()).await,
        None => None,
    };
    let mut roles = Roles {
        registrar,
        presence,
        immcu,
        front_end: None,
        everybody: registrar_client.clone(),
        directory,
        presences: presences.clone(),
        rpc_health,
        demo: None,
    };
    if wanted.contains(&Role::FrontEnd) {
        let nonces = ground.keys.file.nonce_key();
        let immcu = roles.immcu.as_ref();
        let clients = (&registrar_client, &presences);
        let (front_end, conversations) =
            start_front_end(node, clients, nonces, immcu, member.as_deref()).await?;
        roles.front_end = Some(front_end);
        roles.demo = people.map(|(demo, echo)| {
            start_echo(node, echo, &registrar_client, &conversations);
            demo
        });
    }
    Ok(roles)
}

/// Starts the front end, in a pool with the way to owners of conversations everywhere, and waits until they are there.
async fn start_front_end(
    node: &Node<'_>,
    (registrar, presence): (&RegistrarClient, &PresenceClient),
    nonces: NonceKey,
    immcu: Option<&ImMcuService>,
    member: Option<&Member>,
) -> Result<(FrontEnd, ImMcuClient), StartError> {
    let local = immcu.map(|immcu| ImMcuClient::local(Arc::new(immcu.clone())));
    let router = member.map(|member| member.conversations(node, local.clone()));
    let conversations = match (&router, local) {
        (Some(router), _) => ImMcuClient::local(Arc::new(router.clone())),
        (None, Some(local)) => local,
        (None, None) => return Err(StartError::MissingRole(Role::ImMcu)),
    };
    let first_connection = member.map_or(0, Member::first_connection);
    let seed = roles::seed()?;
    let front_end = roles::start_front_end(
        node,
        registrar,
        &conversations,
        presence,
        nonces,
        seed,
        first_connection,
    );
    if let (Some(member), Some(router)) = (member, &router) {
        member::let_owners_in(router, &front_end);
        member.tell_clients_of(&front_end);
        member.company(router).await;
    }
    Ok((front_end, conversations))
}

/// Lets clients in.
fn take_clients(ground: &mut Ground, front_end: Option<&FrontEnd>) -> Arc<[Listener]> {
    let Some(front_end) = front_end else {
        return Arc::default();
    };
    let handler = Arc::new(front_end.clone());
    let sockets = std::mem::take(&mut ground.sockets.sip).into_iter();
    sockets
        .map(|socket| socket.serve(&ground.transport, Arc::clone(&handler)))
        .collect()
}

/// The contact that answers, as a member of the pool.
fn start_echo(node: &Node<'_>, aor: AddressOfRecord, registrar: &RegistrarClient, immcu: &ImMcuClient) {
    let background = node.background;
    let bot = Echo::new(aor, immcu.clone(), background.tasks.clone());
    let client = FrontEndClient::local(Arc::clone(&bot) as Arc<dyn rpc::FrontEnd>);
    node.front_ends.insert(MemberId::new(echo::MEMBER), client);
    background
        .tasks
        .spawn(bot.stay_signed_in(registrar.clone(), background.stop.clone()));
}

/// Serves pages until the member stops.
fn serve_http<L>(background: &Background, what: &'static str, socket: L, pages: Router)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = background.stop.clone().cancelled_owned();
    background.tasks.spawn(async move {
        if let Err(error) = axum::serve(socket, pages).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "the {what} has ended");
        }
    });
}

// === impl Running ===

impl Running {
    /// Names and addresses others rely on.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The demo people, if this is a demo.
    pub fn demo(&self) -> Option<&Demo> {
        self.demo.as_ref()
    }

    /// The health of this member.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The wish that this member ends, whoever has it: the caller waits for it beside its signals and then calls
    /// [`Running::stop`].
    pub fn drain_request(&self) -> &DrainRequest {
        &self.drain
    }

    /// Reads the certificate again. Returns at once.
    pub fn reload(&self) {
        if let Some(certificate) = self.certificate.clone() {
            self.background
                .tasks
                .spawn_blocking(move || certificate.reload(SystemTime::now()));
        }
    }
}
