//! Why a server did not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server did not start. Each variant names what an operator has to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener could not be bound.
    #[error("cannot listen on {address} ({key}): {source}")]
    Bind {
        /// The configuration key of the listener.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process serves from this data directory.
    #[error(
        "another server runs in the data directory {0}; stop it, or give this one a --data-dir of its own"
    )]
    DataDirInUse(PathBuf),
    /// The development authority could not issue a certificate.
    #[error("development certificate authority in {path}: {problem}")]
    Authority {
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The configured certificate cannot be used.
    #[error("tls.certificate: {0}")]
    Tls(#[from] sip_transport::tls::TlsError),
    /// A limit or a range of addresses cannot be used.
    #[error("limits: {0}")]
    Limit(String),
    /// The pool's key file cannot be used.
    #[error("secrets.key_file {path}: {problem}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The database cannot be used.
    #[error("store.database: {0}")]
    Database(String),
    /// A role refused to start.
    #[error("role {role}: {problem}")]
    Role {
        /// Its name.
        role: topology::Role,
        /// What is wrong.
        problem: String,
    },
    /// The people of the demo could not be made.
    #[error("demo people: {0}")]
    Demo(String),
    /// The shared state of the pool cannot be used.
    #[error("store.state: {0}")]
    State(String),
    /// The listener for other members cannot be used.
    #[error("rpc: {0}")]
    Rpc(String),
    /// Roles were left out, and there are no other members to run them.
    #[error(
        "{0} cannot be left out: without a redis URL in store.state or rpc.members this process is the whole pool"
    )]
    MissingRole(topology::Role),
    /// There is a collector, and nothing can be sent to it.
    #[error(transparent)]
    Telemetry(#[from] telemetry::otlp::OtlpError),
    /// A signal handler could not be installed.
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
}

impl StartError {
    /// For `map_err`: an I/O error while doing `action` to `path`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> StartError {
        let path = path.into();
        move |source| StartError::File { action, path, source }
    }
}
