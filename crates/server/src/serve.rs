//! Puts a member together, in order; `stop` takes it apart again.

mod stop;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use config::Config;
use front_end::FrontEnd;
use immcu::ImMcuService;
use registrar::RegistrarService;
use rpc::{FrontEndClient, FrontEnds, ImMcuClient, RegistrarClient};
use rpc_wire::{Health as RpcHealth, LocalRegistrar};
use sip_transport::{Listener, Transport};
use sip_types::AddressOfRecord;
use telemetry::Registry;
use telemetry::otlp::Exporter;
use topology::{MemberId, Role};

use crate::background::Background;
use crate::certificate::Certificate;
use crate::control::{self, Control, ControlSocket};
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
use crate::roles::Node;
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
    certificate: Option<Certificate>,
    transport: Transport,
    listeners: Arc<[Listener]>,
    front_end: Option<FrontEnd>,
    immcu: Option<ImMcuService>,
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
    /// Only where a registrar runs.
    database: Option<Database>,
    transport: Transport,
}

/// Starts a member. Returns once clients are welcome.
///
/// # Errors
/// [`StartError`] says what an operator has to change. Nothing is left running.
pub async fn serve(config: Config, options: Options) -> Result<Running, StartError> {
    let in_pool = config.in_pool();
    let roles = roles::wanted(&options.roles, in_pool)?;
    if in_pool && options.demo {
        return Err(StartError::Demo(
            "a demo keeps its state in memory: take `run`".to_owned(),
        ));
    }
    let Ground {
        control,
        keys,
        certificate,
        sockets,
        database,
        transport,
    } = prepare(&config, &roles).await?;

    let health = Arc::new(Health::new(Instant::now()));
    let registry = Arc::new(Registry::new());
    metrics::register(&registry, &health, &transport, certificate.as_ref());
    let background = Background::default();
    // Ends what was started if a later step fails.
    let unfinished = background.stop.clone().drop_guard();
    background.beat(&health);
    let Sockets {
        sip,
        ops,
        agent,
        mut addresses,
    } = sockets;
    let mut rpc_health = None;
    let drain = DrainRequest::default();
    // First of all listeners: whoever starts members can see that this one is starting.
    if let Some(socket) = ops {
        let pages = ops::Ops {
            health: Arc::clone(&health),
            registry: Arc::clone(&registry),
            drain: drain.clone(),
        };
        serve_http(&background, "ops listener", socket, ops::router(pages));
    }
    if let Some(socket) = agent {
        let (counters, most) = (Arc::clone(transport.counters()), config.limits.connections);
        let is_full = move || counters.active() >= most - most / 10;
        let answers = agent::serve(socket, Arc::clone(&health), is_full, background.stop.clone());
        background.tasks.spawn(answers);
    }
    if let Some(database) = &database {
        background.watch_database(&health, database);
    }
    if let Some(certificate) = &certificate {
        background.keep_certificate(&health, certificate);
    }

    if let Some(exporter) = &options.exporter {
        metrics::push(&registry, exporter, &background);
    }

    let node = Node {
        config: &config,
        member: MemberId::new(&config.pool.member),
        registry: &registry,
        background: &background,
        front_ends: FrontEnds::default(),
    };
    let mut member = match in_pool {
        true => Some(Member::join(&node, &keys.file, roles.clone()).await?),
        false => None,
    };
    if let Some(member) = &member {
        member.report_to(&health);
        member.make_way(&background, drain.clone());
    }
    let in_pool = member.as_ref();
    let runs = |role| roles.contains(&role);
    let registrar = match &database {
        None => None,
        Some(database) => {
            let shared = in_pool.map(|member| (member.bindings(&config), member));
            Some(roles::start_registrar(&node, database, &keys.file, shared).await?)
        }
    };
    let local = registrar.as_ref().map(|started| LocalRegistrar {
        registrar: started.client.clone(),
        directory: started.directory.clone(),
    });
    let (registrar_client, directory) = match (in_pool, &local) {
        (Some(member), _) => member.registrar(&node, local.clone()),
        (None, Some(local)) => (local.registrar.clone(), local.directory.clone()),
        (None, None) => return Err(StartError::MissingRole(Role::Registrar)),
    };
    let people = match options.demo {
        true => Some(demo::create_people(&directory, &config).await?),
        false => None,
    };
    let immcu = runs(Role::ImMcu).then(|| roles::start_immcu(&node, &registrar_client, in_pool));
    let local_immcu = immcu
        .as_ref()
        .map(|immcu| ImMcuClient::local(Arc::new(immcu.clone())));
    if let Some(member) = &mut member {
        addresses.insert("rpc", member.address);
        rpc_health = member.serve(&node, local, immcu.as_ref()).await;
    }
    let in_pool = member.as_ref();
    let seed = roles::seed()?;
    let mut front_end = None;
    let mut demo = None;
    if runs(Role::FrontEnd) {
        let router = in_pool.map(|member| member.conversations(&node, local_immcu.clone()));
        let conversations = match (&router, local_immcu) {
            (Some(router), _) => ImMcuClient::local(Arc::new(router.clone())),
            (None, Some(local)) => local,
            (None, None) => return Err(StartError::MissingRole(Role::ImMcu)),
        };
        let first_connection = in_pool.map_or(0, Member::first_connection);
        let started = roles::start_front_end(
            &node,
            &registrar_client,
            &conversations,
            keys.file.nonce_key(),
            seed,
            first_connection,
        );
        if let (Some(member), Some(router)) = (in_pool, &router) {
            member::let_owners_in(router, &started);
            member.company(router).await;
        }
        demo = people.map(|(demo, echo)| {
            start_echo(&node, echo, &registrar_client, &conversations);
            demo
        });
        front_end = Some(started);
    }

    let ready = Ready {
        member: config.pool.member.clone(),
        roles: roles.iter().map(|role| role.as_str()).collect(),
        listeners: addresses,
        ca: certificate.as_ref().and_then(Certificate::ca_path),
    };
    let answers = Control {
        directory,
        status: status::reporter(&ready, &config, &health, certificate.clone(), member.as_ref()),
        nodes: status::nodes(&ready, &health, member.as_ref()),
        health: Arc::clone(&health),
        drain: drain.clone(),
        kinds: roles::policy_kinds(),
        ntlm_by_default: config.auth.ntlm,
    };
    serve_http(&background, "control socket", control, control::router(answers));
    let mut serving = Vec::new();
    if let Some(front_end) = &front_end {
        let handler = Arc::new(front_end.clone());
        let sockets = sip.into_iter();
        serving.extend(sockets.map(|socket| socket.serve(&transport, Arc::clone(&handler))));
    }
    let listeners: Arc<[Listener]> = serving.into();
    metrics::register_listeners(&registry, &listeners);
    health.set_state(State::Serving);
    unfinished.disarm();
    tracing::info!(member = ready.member, listeners = ?ready.listeners, "serving");
    Ok(Running {
        ready,
        demo,
        health,
        drain,
        certificate,
        transport,
        listeners,
        front_end,
        immcu,
        registrar: registrar.map(|started| started.service),
        member,
        rpc_health,
        background,
        database,
        exporter: options.exporter,
        pace: config.drain,
    })
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
        database: match roles.contains(&Role::Registrar) {
            true => Some(Database::open(config).await?),
            false => None,
        },
        transport: Transport::new(limits).map_err(|error| StartError::Limit(error.to_string()))?,
    })
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
