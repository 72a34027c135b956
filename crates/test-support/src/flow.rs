//! One connection to the server: bytes out, whole messages in.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::patience::within;
use crate::wire::Wire;

/// The name the server's certificate must carry for connections made here.
const SERVER_NAME: &str = "localhost";

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A TLS or TCP connection. Messages that arrive while the test waits for another one are kept.
pub struct Flow {
    stream: Pin<Box<dyn Stream>>,
    local: SocketAddr,
    transport: &'static str,
    unread: Vec<u8>,
    unclaimed: VecDeque<Wire>,
}

impl Flow {
    /// Connects with TLS and trusts nothing but the authority in the PEM file `ca`.
    ///
    /// # Errors
    /// No connection, or a certificate that is not from `ca` or not for `localhost`.
    pub async fn tls(address: SocketAddr, ca: &Path) -> Result<Flow> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        let local = tcp.local_addr()?;
        let name = ServerName::try_from(SERVER_NAME)?;
        let tls = within("the TLS handshake", async {
            Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
        })
        .await?;
        Ok(Flow::over(tls, local, "TLS"))
    }

    /// Connects in clear text, to a listener that allows it or to see that none of our TLS ports does.
    ///
    /// # Errors
    /// No connection.
    pub async fn tcp(address: SocketAddr) -> Result<Flow> {
        let tcp = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        let local = tcp.local_addr()?;
        Ok(Flow::over(tcp, local, "TCP"))
    }

    fn over(stream: impl Stream + 'static, local: SocketAddr, transport: &'static str) -> Flow {
        Flow {
            stream: Box::pin(stream),
            local,
            transport,
            unread: Vec::new(),
            unclaimed: VecDeque::new(),
        }
    }

    /// Our own end of the connection.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// `TLS` or `TCP`, as it stands in a Via.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        self.transport
    }

    /// Writes these bytes, whatever they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next message in order of arrival, kept ones first; `None` when the server has closed.
    ///
    /// # Errors
    /// Patience ran out, or the server sent what it must never send (see [`Wire::take`]).
    pub async fn next(&mut self) -> Result<Option<Wire>> {
        if let Some(kept) = self.unclaimed.pop_front() {
            return Ok(Some(kept));
        }
        within("a message", self.read()).await
    }

    /// The first message, kept or still to come, for which `wanted` is true. Others are kept in order.
    ///
    /// # Errors
    /// Patience ran out or the connection ended; the error shows what came instead.
    pub async fn expect(&mut self, what: &str, wanted: impl Fn(&Wire) -> bool) -> Result<Wire> {
        if let Some(at) = self.unclaimed.iter().position(&wanted) {
            return self.unclaimed.remove(at).context("the position was just found");
        }
        let found = within(what, async {
            loop {
                match self.read().await? {
                    Some(message) if wanted(&message) => return Ok(message),
                    Some(other) => self.unclaimed.push_back(other),
                    None => bail!("the server closed the connection"),
                }
            }
        })
        .await;
        found.with_context(|| self.came_instead())
    }

    /// Waits until the server closes; returns the messages that came before.
    ///
    /// # Errors
    /// It did not close in time.
    pub async fn closed(&mut self) -> Result<Vec<Wire>> {
        within("the server to close the connection", async {
            loop {
                match self.read().await {
                    Ok(Some(message)) => self.unclaimed.push_back(message),
                    Ok(None) => return Ok(()),
                    // A reset, or TLS without close_notify, is closed too.
                    Err(error) if error.downcast_ref::<std::io::Error>().is_some() => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        })
        .await
        .with_context(|| self.came_instead())?;
        Ok(self.unclaimed.drain(..).collect())
    }

    /// Messages that arrived and were not asked for.
    #[must_use]
    pub fn unclaimed(&self) -> &VecDeque<Wire> {
        &self.unclaimed
    }

    /// The next `count` bytes as they are, for what is not a message (a keep-alive's answer).
    ///
    /// # Errors
    /// Patience ran out or the connection ended.
    pub async fn raw(&mut self, count: usize) -> Result<Vec<u8>> {
        within("bytes", async {
            while self.unread.len() < count {
                if self.fill().await? == 0 {
                    bail!("the server closed the connection after {:?}", self.unread);
                }
            }
            Ok(self.unread.drain(..count).collect())
        })
        .await
    }

    async fn read(&mut self) -> Result<Option<Wire>> {
        loop {
            if let Some(message) = Wire::take(&mut self.unread)? {
                return Ok(Some(message));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> Result<usize> {
        // Not an array on the stack: the futures of a scenario hold many of these at once.
        self.unread.reserve(16 * 1024);
        Ok(self.stream.read_buf(&mut self.unread).await?)
    }

    fn came_instead(&self) -> String {
        if self.unclaimed.is_empty() {
            return "nothing else came".into();
        }
        let all: Vec<String> = self.unclaimed.iter().map(Wire::to_string).collect();
        format!("instead came:\n{}", all.join("\n--\n"))
    }
}
