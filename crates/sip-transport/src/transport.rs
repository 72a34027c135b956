//! The transport of a process: one door, one set of counters, and the tasks of all connections.

use crate::admission::Admission;
use crate::connection::{Connection, Context, Ends};
use crate::counters::Counters;
use crate::driver::{Driver, Role};
use crate::handler::Handler;
use crate::limits::{InvalidLimit, Limits};
use crate::proxy::Expectation;
use crate::registry::Registry;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// What all listeners and outgoing connections of a process share. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) admission: Arc<Admission>,
    /// Owns the task of every listener and connection.
    pub(crate) tasks: TaskTracker,
    /// The connections we opened.
    opened: Arc<Registry>,
}

/// Whom to connect to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address.
    pub address: SocketAddr,
    /// The local address to connect from, if it matters.
    pub local: Option<SocketAddr>,
    /// The TLS configuration and the name the peer's certificate must have; `None` for clear TCP.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TCP.
    #[error("cannot connect: {0}")]
    Io(#[from] io::Error),
    /// The peer closed during the TLS handshake, refused it, is not who it should be, or took too long.
    #[error("tls handshake failed")]
    Handshake,
}

impl Transport {
    /// A transport with these limits.
    ///
    /// # Errors
    /// [`InvalidLimit`] if one of them is none.
    pub fn new(limits: Limits) -> Result<Self, InvalidLimit> {
        limits.validate()?;
        let limits = Arc::new(limits);
        let counters = Arc::new(Counters::default());
        let admission = Admission::new(Arc::clone(&limits), Arc::clone(&counters));
        Ok(Self {
            limits,
            counters,
            admission,
            tasks: TaskTracker::new(),
            opened: Arc::default(),
        })
    }

    /// What was counted until now.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Opens a connection. It has the same bounds as an accepted one, but for authentication and the number of
    /// connections, which are its owner's business.
    ///
    /// Dropping the future gives up the attempt.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect<H: Handler>(
        &self,
        target: Target,
        handler: Arc<H>,
    ) -> Result<Arc<Connection>, ConnectError> {
        let stream = open_socket(&target).await?;
        prepare(&stream)?;
        let ends = Ends {
            peer: stream.peer_addr()?,
            local: stream.local_addr()?,
            outbound: true,
            probe: false,
        };
        let (opened, usable) = oneshot::channel();
        let role = Role::Client {
            tls: target.tls,
            opened,
        };
        let shared = self.context("outbound");
        let driver = Driver::new(
            stream,
            role,
            ends,
            None,
            handler,
            shared,
            Arc::clone(&self.opened),
        );
        self.tasks.spawn(driver);
        usable.await.map_err(|_| ConnectError::Handshake)
    }

    /// Serves a flow that came another way than through a listener: over anything that carries bytes, such as a pipe in
    /// memory. It has the bounds of an accepted connection in clear text, but for the number of connections.
    pub fn carry<S, H>(&self, stream: S, peer: SocketAddr, local: SocketAddr, handler: Arc<H>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        let role = Role::Server {
            tls: None,
            proxy: Expectation::None,
        };
        let ends = Ends {
            peer,
            local,
            outbound: false,
            probe: false,
        };
        let shared = self.context("carried");
        let driver = Driver::new(stream, role, ends, None, handler, shared, Arc::default());
        self.tasks.spawn(driver);
    }

    /// The connections we opened that are usable now.
    pub fn opened(&self) -> Vec<Arc<Connection>> {
        self.opened.all()
    }

    /// Waits until every listener is shut down and every connection is gone.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn context(&self, listener: &str) -> Arc<Context> {
        Arc::new(Context {
            listener: listener.to_owned(),
            limits: Arc::clone(&self.limits),
            counters: Arc::clone(&self.counters),
        })
    }
}

async fn open_socket(target: &Target) -> io::Result<TcpStream> {
    let socket = if target.address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(local) = target.local {
        socket.bind(local)?;
    }
    socket.connect(target.address).await
}

/// Messages are written whole, so waiting for more only delays them.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}
