//! `relay`: what the bytes alone cost.
//!
//! A bare TLS server that joins connections in pairs and copies bytes from one to the other. It reads one line
//! from each, `PAIR n`, and looks at nothing else. No server that understands what it carries can be cheaper.

use crate::args;
use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// Longest first line.
const LINE: usize = 32;

type Stream = TlsStream<TcpStream>;

/// Connections whose partner is not there yet, with what they sent meanwhile, by the number of the pair.
type Waiting = Arc<Mutex<HashMap<u64, (Stream, Vec<u8>)>>>;

/// Printed when the relay serves.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where.
    pub(crate) address: SocketAddr,
}

/// Serves until the process is ended.
///
/// # Errors
/// The address or the certificate file cannot be used.
pub(crate) async fn run(options: &args::Relay) -> Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(&options.ca_out)?));
    let listener = TcpListener::bind(options.listen).await.context("cannot listen")?;
    println!(
        "{}",
        serde_json::to_string(&Ready {
            address: listener.local_addr()?
        })?
    );
    let waiting = Waiting::default();
    let mut tasks = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (acceptor, waiting) = (acceptor.clone(), Arc::clone(&waiting));
        tasks.spawn(async move {
            // A connection that breaks ends its pair; the load tool counts it.
            let _ = serve(socket, acceptor, waiting).await;
        });
        while tasks.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor, waiting: Waiting) -> Result<()> {
    let mut stream = acceptor.accept(socket).await?;
    let (pair, rest) = first_line(&mut stream).await?;
    let partner = waiting.lock().remove(&pair);
    let Some((partner, held)) = partner else {
        waiting.lock().insert(pair, (stream, rest));
        return Ok(());
    };
    let (read_one, mut write_one) = tokio::io::split(stream);
    let (read_two, mut write_two) = tokio::io::split(partner);
    write_one.write_all(&held).await?;
    write_two.write_all(&rest).await?;
    let (one, two) = tokio::join!(copy(read_one, write_two), copy(read_two, write_one));
    one.and(two)
}

/// The number of the pair, and what came behind the line.
async fn first_line(stream: &mut Stream) -> Result<(u64, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let rest = read.split_off(end + 1);
            let line = String::from_utf8(read)?;
            let pair = line.trim().strip_prefix("PAIR ").context("no pair")?.parse()?;
            return Ok((pair, rest));
        }
        if read.len() > LINE || stream.read_buf(&mut read).await? == 0 {
            bail!("no pair");
        }
    }
}

async fn copy(mut from: ReadHalf<Stream>, mut to: WriteHalf<Stream>) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(to.shutdown().await?);
        }
        to.write_all(chunk.get(..read).unwrap_or_default()).await?;
        to.flush().await?;
    }
}

/// A certificate for loopback, written to a file for clients.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn issue(ca_out: &Path) -> Result<CertifiedKey<KeyPair>> {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    std::fs::write(ca_out, certified.cert.pem()).context("cannot write the certificate")?;
    Ok(certified)
}

fn server_config(ca_out: &Path) -> Result<ServerConfig> {
    let certified = issue(ca_out)?;
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)?)
}

/// A relay in a process of its own, so that its CPU time can be told. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    address: SocketAddr,
    certificate: PathBuf,
}

impl Child {
    /// Starts one.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start() -> Result<Self> {
        let name = format!("portico-load-relay-{}.pem", std::process::id());
        let certificate = std::env::temp_dir().join(name);
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--threads", "2", "relay", "--ca-out"])
            .arg(&certificate)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the relay")?;
        let mut line = String::new();
        let output = process.stdout.take().context("no output of the relay")?;
        std::io::BufReader::new(output).read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line).context("the relay is not ready")?;
        Ok(Self {
            process,
            address: ready.address,
            certificate,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file that holds its certificate.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Fails if it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.certificate);
    }
}
