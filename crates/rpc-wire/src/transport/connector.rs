//! Connecting to other members.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};
use topology::MemberId;

use super::io::Io;
use super::one_task::OneTask;
use super::suspects::{Suspects, Suspicion, Watched};
use super::tls::{self, MemberTls};
use super::{CONNECTION_WINDOW, MAX_HEADER_LIST, PING_INTERVAL, PING_TIMEOUT, STREAM_WINDOW};

/// How long connecting may take, name, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An address or a name that cannot be connected to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectorError {
    /// It is no `host:port`.
    #[error("`{0}` is no address of a member: it must be host:port")]
    Address(String),
    /// No certificate can have this name.
    #[error("the member name `{0}` is too long or empty")]
    Member(String),
}

/// Connects to other members. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Option<MemberTls>,
    suspects: Option<Suspects>,
    /// Counts what drives its connections. Nobody waits for them: they end when the last channel over them is dropped.
    tasks: TaskTracker,
}

impl Connector {
    /// With TLS as a member, or plain: then only members on loopback can be reached.
    pub fn new(tls: Option<MemberTls>) -> Self {
        Connector {
            tls,
            suspects: None,
            tasks: TaskTracker::new(),
        }
    }

    /// The same; a member to which a connection breaks, or cannot be made, is added to `suspects`. What is closed on this
    /// side is no reason.
    #[must_use]
    pub fn reporting(self, suspects: Suspects) -> Self {
        Connector {
            suspects: Some(suspects),
            ..self
        }
    }

    /// A channel to whichever member is at `host:port`. It connects with the first call, and again with the first call
    /// after the connection broke; a peer that does not answer is noticed within 10 s. Call it inside a runtime.
    ///
    /// # Errors
    /// That is no address.
    pub fn channel(&self, address: &str) -> Result<Channel, ConnectorError> {
        self.open(None, address)
    }

    /// The same, to this member only: another one at that address is not spoken to (where there is TLS; names mean nothing
    /// on a plain connection).
    ///
    /// # Errors
    /// That is no address, or no certificate can have this name.
    pub fn channel_to(&self, member: &MemberId, address: &str) -> Result<Channel, ConnectorError> {
        self.open(Some(member), address)
    }

    fn open(&self, member: Option<&MemberId>, address: &str) -> Result<Channel, ConnectorError> {
        let wrong = || ConnectorError::Address(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        let unnamed = || ConnectorError::Member(member.map(ToString::to_string).unwrap_or_default());
        let name = tls::server_name(member).ok_or_else(unnamed)?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| wrong())?
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .executor(OneTask::start(self.tasks.clone()));
        let (tls, address) = (self.tls.clone(), address.to_owned());
        let suspicion = member.zip(self.suspects.as_ref());
        let suspicion = suspicion.map(|(member, suspects)| Suspicion {
            member: member.clone(),
            suspects: suspects.clone(),
        });
        let connector = tower::service_fn(move |_| {
            let (tls, address, name) = (tls.clone(), address.clone(), name.clone());
            let suspicion = suspicion.clone();
            async move {
                let connected = timeout(CONNECT_TIMEOUT, connect(tls, &address, name)).await;
                let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer"));
                match connected.map_err(late).flatten() {
                    Ok(io) => Ok(TokioIo::new(Watched::new(io, suspicion))),
                    Err(error) => {
                        suspicion.iter().for_each(Suspicion::tell);
                        Err(error)
                    }
                }
            }
        });
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

async fn connect(tls: Option<MemberTls>, address: &str, name: ServerName<'static>) -> io::Result<Io> {
    let tcp = connect_tcp(address, tls.is_some()).await?;
    // Batches are flushed when they are complete: waiting for more costs 40 ms and gains nothing.
    tcp.set_nodelay(true)?;
    let Some(tls) = tls else {
        return Ok(Io::Plain(tcp));
    };
    let stream = TlsConnector::from(tls.client).connect(name, tcp).await?;
    if !tls::is_ours(stream.get_ref().1.alpn_protocol()) {
        let text = format!("{address} does not speak the members' protocol");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Io::Tls(Box::new(stream.into())))
}

/// To the first of its addresses that answers.
async fn connect_tcp(address: &str, has_tls: bool) -> io::Result<TcpStream> {
    let allowed = |one: &SocketAddr| has_tls || one.ip().is_loopback();
    let mut last = None;
    for one in lookup_host(address).await?.filter(allowed) {
        match TcpStream::connect(one).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let text = format!("{address} has no address that may be spoken to without TLS, or none at all");
        io::Error::new(io::ErrorKind::PermissionDenied, text)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_address_is_named() {
        let connector = Connector::new(None);
        for address in ["", "fe1", "fe1:", ":7000", "fe1:70000", "fe 1:7000", "fe1:x"] {
            let error = connector.channel(address).unwrap_err();
            assert_eq!(error, ConnectorError::Address(address.to_owned()));
        }
        for address in ["fe1:7000", "127.0.0.1:1", "[::1]:1"] {
            assert!(connector.channel(address).is_ok(), "{address}");
        }
    }

    #[tokio::test]
    async fn nothing_off_loopback_is_reached_without_tls() {
        let error = connect_tcp("192.0.2.1:7000", false).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
