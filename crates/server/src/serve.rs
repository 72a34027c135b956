//! Puts a member together, in order, and takes it apart again, backwards.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use config::{Config, Database as DatabaseUrl};
use front_end::FrontEnd;
use immcu::ImMcuService;
use registrar::RegistrarService;
use rpc::{FrontEndClient, FrontEnds, ImMcuClient, RegistrarClient};
use sip_transport::{CloseReason, Listener, Transport};
use sip_types::AddressOfRecord;
use store_embedded::Database;
use telemetry::Registry;
use topology::{MemberId, Role};

use crate::background::Background;
use crate::certificate::Certificate;
use crate::control::{self, Control, ControlSocket};
use crate::echo::Echo;
use crate::error::StartError;
use crate::files::create_private_dir;
use crate::health::{Health, State};
use crate::keys::Keys;
use crate::listeners::{self, Sockets};
use crate::ready::{Demo, Ready};
use crate::roles::Node;
use crate::{demo, echo, keys, metrics, ops, roles, status};

/// Time for requests that were accepted to get their answers.
const ANSWERS: Duration = Duration::from_secs(5);
/// Time for clients to answer that they know that this server stops. The notices themselves need none: a connection takes
/// what is queued for it before it closes.
const FAREWELL: Duration = Duration::from_millis(500);
/// Time for connections to take what is queued for them and go.
const CONNECTIONS: Duration = Duration::from_secs(10);
/// Time for everything else.
const REST: Duration = Duration::from_secs(5);

/// What is not configuration: decided by the command that was started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Roles to run here; empty: all.
    pub roles: Vec<Role>,
    /// Whether to make demo people and the echo contact.
    pub demo: bool,
}

/// A serving member. Dropping it stops nothing in good order: call [`Running::stop`].
pub struct Running {
    ready: Ready,
    demo: Option<Demo>,
    health: Arc<Health>,
    certificate: Option<Certificate>,
    transport: Transport,
    listeners: Arc<[Listener]>,
    front_end: FrontEnd,
    immcu: ImMcuService,
    registrar: RegistrarService,
    background: Background,
    database: Database,
}

/// What a member stands on: everything that can be missing, taken or broken on this machine.
struct Ground {
    control: ControlSocket,
    keys: Keys,
    certificate: Option<Certificate>,
    sockets: Sockets,
    database: Database,
    transport: Transport,
}

/// Starts a member. Returns once clients are welcome.
///
/// # Errors
/// [`StartError`] says what an operator has to change. Nothing is left running.
pub async fn serve(config: Config, options: Options) -> Result<Running, StartError> {
    roles::require_all(&options.roles)?;
    let Ground {
        control,
        keys,
        certificate,
        sockets,
        database,
        transport,
    } = prepare(&config).await?;

    let health = Arc::new(Health::new(Instant::now()));
    let registry = Arc::new(Registry::new());
    metrics::register(&registry, &health, &transport, certificate.as_ref());
    let background = Background::default();
    // Ends what was started if a later step fails.
    let unfinished = background.stop.clone().drop_guard();
    background.beat(&health);
    background.watch_database(&health, &database);
    if let Some(certificate) = &certificate {
        background.keep_certificate(&health, certificate);
    }

    let node = Node {
        config: &config,
        member: MemberId::new(&config.pool.member),
        registry: &registry,
        background: &background,
        front_ends: FrontEnds::default(),
    };
    let seed = roles::seed()?;
    let registrar = roles::start_registrar(&node, &database, &keys.file).await?;
    let people = match options.demo {
        true => Some(demo::create_people(&registrar.directory, &config).await?),
        false => None,
    };
    // From here on nothing fails.
    let immcu = roles::start_immcu(&node, &registrar.client);
    let immcu_client = ImMcuClient::local(Arc::new(immcu.clone()));
    let front_end = roles::start_front_end(
        &node,
        &registrar.client,
        &immcu_client,
        keys.file.nonce_key(),
        seed,
    );
    let demo = people.map(|(demo, echo)| {
        start_echo(&node, echo, &registrar.client, &immcu_client);
        demo
    });

    let Sockets { sip, ops, addresses } = sockets;
    let ready = Ready {
        member: config.pool.member.clone(),
        roles: Role::ALL.iter().map(|role| role.as_str()).collect(),
        listeners: addresses,
        ca: certificate.as_ref().and_then(Certificate::ca_path),
    };
    let answers = Control {
        directory: registrar.directory,
        status: status::reporter(&ready, &config, &health, certificate.clone()),
        kinds: registrar.kinds,
        ntlm_by_default: config.auth.ntlm,
    };
    serve_http(&background, "control socket", control, control::router(answers));
    if let Some(socket) = ops {
        let pages = ops::Ops {
            health: Arc::clone(&health),
            registry: Arc::clone(&registry),
        };
        serve_http(&background, "ops listener", socket, ops::router(pages));
    }
    let handler = Arc::new(front_end.clone());
    let listeners: Arc<[Listener]> = sip
        .into_iter()
        .map(|socket| socket.serve(&transport, Arc::clone(&handler)))
        .collect();
    metrics::register_listeners(&registry, &listeners);
    health.set_state(State::Serving);
    unfinished.disarm();
    tracing::info!(member = ready.member, listeners = ?ready.listeners, "serving");
    Ok(Running {
        ready,
        demo,
        health,
        certificate,
        transport,
        listeners,
        front_end,
        immcu,
        registrar: registrar.service,
        background,
        database,
    })
}

/// Takes what the machine must give, the lock of the data directory first.
async fn prepare(config: &Config) -> Result<Ground, StartError> {
    create_private_dir(&config.data_dir).map_err(StartError::file("create", &config.data_dir))?;
    let control = control::bind(&control::socket_path(&config.data_dir))?;
    let keys = keys::load_or_create(&config.secrets.key_file)?;
    telemetry::install_tag_key(keys.log_tags);
    telemetry::show_identities(config.telemetry.identities);
    let certificate = match config.sip.tls_listen {
        Some(_) => Some(Certificate::open(config, SystemTime::now())?),
        None => None,
    };
    let limits = listeners::transport_limits(&config.limits);
    Ok(Ground {
        control,
        keys,
        sockets: listeners::bind(config, certificate.as_ref()).await?,
        certificate,
        database: open_database(config).await?,
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

/// Brings the database to the schema of this version.
///
/// # Errors
/// The database cannot be opened, is in use, or is of a newer version.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    create_private_dir(&config.data_dir).map_err(StartError::file("create", &config.data_dir))?;
    let _lock = control::bind(&control::socket_path(&config.data_dir))?;
    open_database(config).await?.close().await;
    Ok(())
}

async fn open_database(config: &Config) -> Result<Database, StartError> {
    let DatabaseUrl::Sqlite(path) = &config.store.database;
    if let Some(dir) = path.parent() {
        create_private_dir(dir).map_err(StartError::file("create", dir))?;
    }
    Database::open(path)
        .await
        .map_err(|error| StartError::Database(format!("{}: {error}", path.display())))
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

    /// Reads the certificate again. Returns at once.
    pub fn reload(&self) {
        if let Some(certificate) = self.certificate.clone() {
            self.background
                .tasks
                .spawn_blocking(move || certificate.reload(SystemTime::now()));
        }
    }

    /// Stops gracefully: not ready, no new connections, accepted requests answered, clients told, connections closed,
    /// everything else ended. Each step has a deadline; what misses it is cut off and logged. Takes 21 s at most.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.health.set_state(State::Draining);
        for listener in &*self.listeners {
            listener.shutdown();
        }
        // Requests in flight, while their connections still stand.
        if !within(ANSWERS, self.front_end.finish()).await {
            tracing::warn!("some requests were not answered in time");
        }
        self.front_end.farewell();
        if self.front_end.connections() > 0 {
            tokio::time::sleep(FAREWELL).await;
        }
        for listener in &*self.listeners {
            listener.close_all(CloseReason::Shutdown);
        }
        if !within(CONNECTIONS, self.transport.finished()).await {
            tracing::warn!(connections = self.front_end.connections(), "connections cut off");
        }
        let rest = async {
            // What the end of the connections has started: sign-outs, ends of sessions.
            self.front_end.finish().await;
            self.immcu.stop().await;
            self.registrar.close_watchers();
            self.background.stop.cancel();
            self.background.tasks.close();
            self.background.tasks.wait().await;
            self.database.close().await;
        };
        if !within(REST, rest).await {
            tracing::warn!("some tasks were cut off");
            self.immcu.abort();
        }
        tracing::info!("stopped");
    }
}

/// Whether something was done in time.
async fn within(deadline: Duration, what: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(deadline, what).await.is_ok()
}
