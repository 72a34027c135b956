//! The typed configuration: one file per section.

mod auth;
mod database;
mod drain;
mod limits;
mod ops;
mod pool;
mod rpc;
mod secrets;
mod sip;
mod store;
mod telemetry;
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use auth::Auth;
pub use database::{Database, DatabaseUrl};
pub use drain::Drain;
pub use limits::Limits;
pub use ops::Ops;
pub use pool::Pool;
pub use rpc::{Members, Rpc};
pub use secrets::Secrets;
pub use sip::{ProxyProtocol, Sip};
pub use store::{StateStore, StateTls, StateUrl, Store};
pub use telemetry::Telemetry;
pub use tls::Tls;

use crate::reader::Reader;

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database, the key file, the development authority and the control socket live.
    pub data_dir: PathBuf,
    /// `[pool]`: who we are.
    pub pool: Pool,
    /// `[sip]`: listeners of clients.
    pub sip: Sip,
    /// `[tls]`: the certificate clients see.
    pub tls: Tls,
    /// `[store]`: where state and data are kept.
    pub store: Store,
    /// `[rpc]`: how the members of a pool reach each other.
    pub rpc: Rpc,
    /// `[auth]`: what clients may prove themselves with.
    pub auth: Auth,
    /// `[secrets]`: the pool's keys.
    pub secrets: Secrets,
    /// `[ops]`: health and metrics.
    pub ops: Ops,
    /// `[drain]`: how a member of a pool stops.
    pub drain: Drain,
    /// `[telemetry]`: logs.
    pub telemetry: Telemetry,
    /// `[limits]`: what one member takes on.
    pub limits: Limits,
}

impl Config {
    /// A configuration for tests: listeners on free ports of loopback, everything else by default.
    pub fn for_test(data_dir: &Path) -> Self {
        let mut config = Config::read(&mut Reader::new(BTreeMap::new(), Vec::new()), data_dir.to_owned());
        let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        config.sip.tls_listen = Some(free);
        config.sip.tcp_listen = Some(free);
        config.ops.listen = Some(free);
        config.auth.ntlm = true;
        config
    }

    /// The development certificate authority lives here, used while `tls.certificate` is not set.
    pub fn pki_dir(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    /// Whether this process is a member of a pool, and not the whole of it.
    pub fn in_pool(&self) -> bool {
        self.store.state != StateStore::Memory || self.rpc.members != Members::None
    }

    pub(crate) fn read(reader: &mut Reader, data_dir: PathBuf) -> Self {
        let config = Config {
            pool: Pool::read(reader),
            sip: Sip::read(reader),
            tls: Tls::read(reader),
            store: Store::read(reader, &data_dir),
            rpc: Rpc::read(reader),
            auth: Auth::read(reader),
            secrets: Secrets::read(reader, &data_dir),
            ops: Ops::read(reader),
            drain: Drain::read(reader),
            telemetry: Telemetry::read(reader),
            limits: Limits::read(reader),
            data_dir,
        };
        config.check_pool(reader);
        config
    }

    /// What the sections of a pool must say together.
    fn check_pool(&self, reader: &mut Reader) {
        if let (true, Database::Sqlite(_)) = (self.in_pool(), &self.store.database) {
            let beside = match self.store.state {
                StateStore::Memory => "rpc.members",
                StateStore::Redis(_) => "the redis URL of store.state",
            };
            reader.problem(
                "store.database",
                format!("members of a pool share their accounts: set a postgres URL beside {beside}"),
            );
        }
    }

    /// Names of all keys.
    pub(crate) fn keys() -> Vec<String> {
        let mut reader = Reader::new(BTreeMap::new(), Vec::new());
        Config::read(&mut reader, PathBuf::new());
        reader.keys().map(str::to_owned).collect()
    }
}
