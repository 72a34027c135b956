//! [`RpcServer`]: what a process offers to other members, on one listener.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rpc::{DirectoryClient, PresenceClient, RegistrarClient};
use telemetry::Page;
use telemetry::names::{self, label};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::MAX_MESSAGE;
use crate::counters::{ServerCounters, ServerSnapshot};
use crate::duplex::Counters;
use crate::member::{Describe, MemberService};
use crate::proto::pool::v1::member_server::MemberServer;
use crate::proto::pool::v1::seed_server::SeedServer;
use crate::proto::presence::v1::presence_server::PresenceServer;
use crate::proto::registrar::v1::directory_server::DirectoryServer;
use crate::proto::registrar::v1::registrar_server::RegistrarServer;
use crate::seed::{SeedService, SeedTable};
use crate::server::{DirectoryService, PresenceService, RegistrarService};
use crate::traced::TracedLayer;
use crate::transport::{
    Accepting, Bound, CONNECTION_WINDOW, MAX_HEADER_LIST, PING_INTERVAL, PING_TIMEOUT, STREAM_WINDOW,
};
use crate::work::{MAX_DEADLINE, Work};

/// Calls and streams one connection may have open at once.
pub const STREAMS_PER_CONNECTION: u32 = 256;
/// Streams a peer may open and reset before the server took notice of them; with one more the connection is closed
/// (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams the server itself may have to reset because of what a peer sent; with one more the connection is closed.
const OWN_RESETS: usize = 1_024;
/// Connections that were accepted and not yet begun with.
const READY: usize = 64;
/// How long calls in flight may take when the server stops. Then their connections are broken.
pub const DRAIN: Duration = Duration::from_secs(5);

/// The listener or a connection of it failed in a way that ends the server.
#[derive(Debug, thiserror::Error)]
#[error("serving other members failed: {0}")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Tells balancers and other members whether a service may be used (`grpc.health.v1`).
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Arc<[&'static str]>,
}

impl Health {
    /// Whether this service may be used. Names are those of `proto/`, such as `portico.registrar.v1.Registrar`.
    pub async fn set(&self, service: &str, serving: bool) {
        let status = match serving {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        self.reporter.set_service_status(service, status).await;
    }

    /// Whether any of them may be used: sets all of them, and the empty name, which stands for the process.
    pub async fn set_all(&self, serving: bool) {
        for service in self.services.iter().chain([&""]) {
            self.set(service, serving).await;
        }
    }
}

/// Puts a server together.
#[derive(Debug)]
pub struct RpcServerBuilder {
    routes: RoutesBuilder,
    names: Vec<&'static str>,
    tasks: TaskTracker,
    stop: CancellationToken,
    counters: Arc<ServerCounters>,
}

impl RpcServerBuilder {
    fn work(&self) -> Work {
        Work::new(self.tasks.clone(), self.stop.clone(), self.counters.clone())
    }

    /// Offers a registrar.
    #[must_use]
    pub fn registrar(self, registrar: RegistrarClient) -> Self {
        let work = self.work();
        let service = RegistrarServer::new(RegistrarService { registrar, work })
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        self.service(service)
    }

    /// Offers a directory.
    #[must_use]
    pub fn directory(self, directory: DirectoryClient) -> Self {
        let work = self.work();
        let service = DirectoryServer::new(DirectoryService { directory, work })
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        self.service(service)
    }

    /// Offers presence; what front ends tell it on streams is counted by `counters`.
    #[must_use]
    pub fn presence(self, presence: PresenceClient, counters: Arc<Counters>) -> Self {
        let work = self.work();
        let service = PresenceService {
            presence,
            work,
            counters,
        };
        let service = PresenceServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        self.service(service)
    }

    /// Offers what members ask of each other as members.
    #[must_use]
    pub fn member(self, member: Arc<dyn Describe>) -> Self {
        let work = self.work();
        self.service(MemberServer::new(MemberService { member, work }))
    }

    /// Offers what a seed keeps for a pool without Redis.
    #[must_use]
    pub fn seed(self, table: Arc<SeedTable>) -> Self {
        let work = self.work();
        let service = SeedServer::new(SeedService { table, work })
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        self.service(service)
    }

    /// Offers any other generated service. It sets its own limit of message length and ends its streams with
    /// [`RpcServerBuilder::stopping`].
    #[must_use]
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Cancelled when the server stops: streams that would go on for ever end with it.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The server. Every service of it is serving, as health goes.
    pub async fn build(mut self) -> RpcServer {
        let reporter = HealthReporter::new();
        let service = tonic_health::server::HealthService::from_health_reporter(reporter.clone());
        self.routes
            .add_service(tonic_health::pb::health_server::HealthServer::new(service));
        let health = Health {
            reporter,
            services: self.names.into(),
        };
        health.set_all(true).await;
        RpcServer {
            routes: self.routes.routes().prepare(),
            health,
            tasks: self.tasks,
            stop: self.stop,
            counters: self.counters,
        }
    }
}

/// The services of this process for other members.
#[derive(Debug)]
pub struct RpcServer {
    routes: Routes,
    health: Health,
    tasks: TaskTracker,
    stop: CancellationToken,
    counters: Arc<ServerCounters>,
}

/// Reads the counters of a server while it serves.
#[derive(Clone, Debug)]
pub struct ServerCountersHandle(Arc<ServerCounters>);

impl ServerCountersHandle {
    /// Writes what was refused on a page of metrics.
    pub fn collect(&self, page: &mut Page) {
        let now = self.snapshot();
        for (reason, count) in [
            ("too_many_connections", now.too_many_connections),
            ("too_many_handshakes", now.too_many_handshakes),
            ("slow_handshake", now.slow_handshakes),
            ("failed_handshake", now.failed_handshakes),
            ("failed_accept", now.failed_accepts),
            ("too_many_calls", now.too_many_calls),
            ("deadline_passed", now.deadlines_passed),
        ] {
            page.counter(&names::RPC_REFUSED, &[(label::REASON, reason)], count);
        }
    }

    /// The numbers as they are now.
    pub fn snapshot(&self) -> ServerSnapshot {
        self.0.snapshot()
    }
}

impl RpcServer {
    /// An empty server to add services to.
    pub fn builder() -> RpcServerBuilder {
        RpcServerBuilder {
            routes: Routes::builder(),
            names: Vec::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            counters: Arc::default(),
        }
    }

    /// To say which services may be used.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// To read what it counts.
    pub fn counters(&self) -> ServerCountersHandle {
        ServerCountersHandle(self.counters.clone())
    }

    /// A [`crate::Carrier`] to these services that encodes and decodes, but needs no socket.
    pub fn in_process(&self) -> Routes {
        self.routes.clone()
    }

    /// Serves until `shutdown`, then answers what is in flight for at most [`DRAIN`], and waits until every change that began
    /// is made. Dropping the future breaks all connections at once.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(self, bound: Bound, shutdown: CancellationToken) -> Result<(), ServeError> {
        let kill = CancellationToken::new();
        let _however_it_ends = kill.clone().drop_guard();
        let (ready, accepted) = mpsc::channel(READY);
        let accepting = Accepting {
            bound,
            ready,
            tasks: self.tasks.clone(),
            stop: shutdown.clone(),
            kill: kill.clone(),
            counters: self.counters.clone(),
        };
        self.tasks.spawn(accepting.run());
        let serving = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
            .http2_max_local_error_reset_streams(Some(OWN_RESETS))
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            // Until the head of an answer: it bounds how slowly a request may arrive. Streams go on.
            .timeout(MAX_DEADLINE)
            .layer(TracedLayer)
            .serve_with_incoming_shutdown(
                self.routes,
                ReceiverStream::new(accepted).map(Ok::<_, Infallible>),
                shutdown.clone().cancelled_owned(),
            );
        let stopping = async {
            shutdown.cancelled().await;
            self.stop.cancel();
            sleep(DRAIN).await;
            tracing::info!("connections of other members are broken: their calls took too long");
            kill.cancel();
            std::future::pending::<Infallible>().await
        };
        let result = tokio::select! {
            result = serving => result,
            never = stopping => match never {},
        };
        self.stop.cancel();
        kill.cancel();
        self.tasks.close();
        if timeout(MAX_DEADLINE, self.tasks.wait()).await.is_err() {
            tracing::error!("changes that other members asked for are not done and are given up");
        }
        Ok(result?)
    }
}
