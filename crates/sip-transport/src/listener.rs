//! Accepting connections.

#[cfg(test)]
mod tests;

use crate::connection::{CloseReason, Connection, Context, Ends};
use crate::counters::Count;
use crate::driver::{Driver, Role, now};
use crate::handler::Handler;
use crate::proxy::{Expectation, ProxyPolicy};
use crate::registry::Registry;
use crate::tls::CertificateStore;
use crate::transport::{Transport, prepare};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// Connections the kernel keeps for us while we accept no more, as far as its own bound allows.
const BACKLOG: u32 = 4096;

/// How long to wait after an accept failed for want of something, such as file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Name for logs and metrics, such as `sip_tls`.
    pub name: String,
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// The certificate; `None` for clear TCP, which belongs on loopback or a marked internal network only.
    pub tls: Option<Arc<CertificateStore>>,
    /// Whether a load balancer may or must say whose connection it is.
    pub proxy: ProxyPolicy,
}

/// A listener that holds its address and does not accept yet: connections wait in the backlog.
#[derive(Debug)]
pub struct BoundListener {
    socket: TcpListener,
    address: SocketAddr,
    config: ListenerConfig,
}

/// A listener that accepts until it is shut down. Its connections outlive it.
#[derive(Debug)]
pub struct Listener {
    name: String,
    address: SocketAddr,
    registry: Arc<Registry>,
    stop: CancellationToken,
}

impl BoundListener {
    /// Binds the address.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(config: ListenerConfig) -> io::Result<Self> {
        let socket = if config.address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // A restart must not wait for the connections of the process before it.
        socket.set_reuseaddr(true)?;
        socket.bind(config.address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            config,
        })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept. Call it from within the runtime.
    pub fn serve<H: Handler>(self, transport: &Transport, handler: Arc<H>) -> Listener {
        let registry = Arc::<Registry>::default();
        let stop = CancellationToken::new();
        let name = self.config.name.clone();
        let acceptor = Acceptor {
            shared: transport.context(&self.config.name),
            config: self.config,
            transport: transport.clone(),
            registry: Arc::clone(&registry),
            handler,
        };
        transport.tasks.spawn(acceptor.run(self.socket, stop.clone()));
        Listener {
            name,
            address: self.address,
            registry,
            stop,
        }
    }
}

impl Listener {
    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections of this listener that are usable now.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.registry.all()
    }

    /// How many there are.
    pub fn connection_count(&self) -> usize {
        self.registry.len()
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops accepting, gives up handshakes and closes the port. Connections stay; close them one by one, in waves, or with
    /// [`Listener::close_all`]. [`Transport::finished`] waits for the last.
    pub fn shutdown(&self) {
        self.stop.cancel();
        self.registry.stop();
    }

    /// Closes every connection after what is queued was written.
    pub fn close_all(&self, reason: CloseReason) {
        for connection in self.registry.all() {
            connection.close(reason);
        }
    }
}

/// A listener nobody holds accepts nothing.
impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Acceptor<H> {
    config: ListenerConfig,
    transport: Transport,
    shared: Arc<Context>,
    registry: Arc<Registry>,
    handler: Arc<H>,
}

impl<H: Handler> Acceptor<H> {
    async fn run(self, socket: TcpListener, stop: CancellationToken) {
        stop.run_until_cancelled(self.accept_all(&socket)).await;
    }

    async fn accept_all(&self, socket: &TcpListener) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    let wait = self.transport.admission.arrival(now());
                    self.take(stream, peer);
                    if !wait.is_zero() {
                        // Those who come meanwhile stay in the backlog.
                        tokio::time::sleep(wait).await;
                    }
                }
                Err(error) => {
                    self.transport.counters.add(Count::AcceptFailed, 1);
                    tracing::warn!(listener = %self.config.name, %error, "cannot accept");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Refusing is dropping the stream; each refusal is counted where it is decided.
    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let counters = &self.transport.counters;
        counters.add(Count::Accepted, 1);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let proxy = self.config.proxy.expectation(peer.ip());
        if proxy == Expectation::Refused {
            counters.add(Count::ProxyRefused, 1);
            return;
        }
        let Some(place) = self.transport.admission.enter() else {
            return;
        };
        // Fails if the peer is gone already.
        let Ok(local) = prepare(&stream).and_then(|()| stream.local_addr()) else {
            return;
        };
        let tls = self.config.tls.as_ref().map(|store| store.current());
        let ends = Ends {
            peer,
            local,
            outbound: false,
            probe: false,
        };
        let driver = Driver::new(
            stream,
            Role::Server { tls, proxy },
            ends,
            Some(place),
            Arc::clone(&self.handler),
            Arc::clone(&self.shared),
            Arc::clone(&self.registry),
        );
        self.transport.tasks.spawn(driver);
    }
}
