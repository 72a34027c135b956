//! Accepting connections of other members.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::io::{Io, Peer, Served};
use super::tls::{self, MemberTls};
use crate::counters::ServerCounters;

/// Connections of one listener at once; one more is closed.
pub const MAX_CONNECTIONS: usize = 1_024;
/// Handshakes of one listener at once; a connection more is closed.
pub const HANDSHAKES: usize = 64;
/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the system could not accept: what it lacks does not come back at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is nothing listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Plain, off loopback.
    #[error(
        "listening for other members on {0} needs the key file of the pool: without it members are spoken to on \
         loopback only"
    )]
    Plain(SocketAddr),
    /// The system refused.
    #[error("listening for other members on {address} failed: {error}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// An address that is listened on; nothing is accepted until [`crate::RpcServer::serve`].
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<MemberTls>,
    max_connections: usize,
}

/// Listens. Without TLS only on loopback.
///
/// # Errors
/// Plain and off loopback, or the system refuses.
pub async fn listen(address: SocketAddr, tls: Option<MemberTls>) -> Result<Bound, ListenError> {
    if tls.is_none() && !address.ip().is_loopback() {
        return Err(ListenError::Plain(address));
    }
    let bind = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    match bind.await {
        Ok((listener, address)) => Ok(Bound {
            listener,
            address,
            tls,
            max_connections: MAX_CONNECTIONS,
        }),
        Err(error) => Err(ListenError::Bind { address, error }),
    }
}

impl Bound {
    /// Where it listens, with the port the system chose if it was asked to.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The same with fewer connections at once than [`MAX_CONNECTIONS`].
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most.min(MAX_CONNECTIONS);
        self
    }
}

/// Who accepts, and with what.
pub(crate) struct Accepting {
    pub(crate) bound: Bound,
    pub(crate) ready: mpsc::Sender<Served>,
    pub(crate) tasks: TaskTracker,
    /// Ends accepting.
    pub(crate) stop: CancellationToken,
    /// Breaks what was accepted.
    pub(crate) kill: CancellationToken,
    pub(crate) counters: Arc<ServerCounters>,
}

impl Accepting {
    /// Accepts until it is stopped.
    pub(crate) async fn run(self) {
        let places = Arc::new(Semaphore::new(self.bound.max_connections));
        let turns = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let accepted = tokio::select! {
                accepted = self.bound.listener.accept() => accepted,
                () = self.stop.cancelled() => return,
                () = self.kill.cancelled() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.counters.failed_accepts.add();
                    tracing::warn!(%error, "a connection of another member was not accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.counters.too_many_connections.add();
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection of another member was gone before it began");
                continue;
            }
            match &self.bound.tls {
                None => {
                    let peer = Peer {
                        address,
                        member: None,
                    };
                    self.hand_on(Served::new(Io::Plain(stream), peer, &self.kill, place))
                        .await;
                }
                Some(tls) => {
                    let Ok(turn) = turns.clone().try_acquire_owned() else {
                        self.counters.too_many_handshakes.add();
                        continue;
                    };
                    self.shake_hands(tls, stream, address, place, turn);
                }
            }
        }
    }

    async fn hand_on(&self, served: Served) {
        self.counters.connections.add();
        // Fails only when the server ended, and the connection with it.
        let _ended: Result<(), _> = self.ready.send(served).await;
    }

    fn shake_hands(
        &self,
        tls: &MemberTls,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        turn: OwnedSemaphorePermit,
    ) {
        let handshake = timeout(
            HANDSHAKE_TIMEOUT,
            TlsAcceptor::from(tls.server.clone()).accept(stream),
        );
        let (ready, counters, kill) = (self.ready.clone(), self.counters.clone(), self.kill.clone());
        self.tasks.spawn(async move {
            let _turn = turn;
            let shaken = tokio::select! {
                shaken = handshake => shaken,
                () = kill.cancelled() => return,
            };
            let stream = match shaken {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    counters.failed_handshakes.add();
                    tracing::debug!(%address, %error, "somebody was not let in as a member");
                    return;
                }
                Err(_) => {
                    counters.slow_handshakes.add();
                    return;
                }
            };
            let session = stream.get_ref().1;
            let certificate = session.peer_certificates().and_then(|chain| chain.first());
            let member = certificate.and_then(tls::member_of);
            if member.is_none() || !tls::is_ours(session.alpn_protocol()) {
                counters.failed_handshakes.add();
                return;
            }
            let peer = Peer { address, member };
            counters.connections.add();
            let served = Served::new(Io::Tls(Box::new(stream.into())), peer, &kill, place);
            // Fails only when the server ended, and the connection with it.
            let _ended: Result<(), _> = ready.send(served).await;
        });
    }
}
