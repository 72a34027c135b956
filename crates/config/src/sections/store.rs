//! `[store]`: where state and data are kept.

use std::fmt;
use std::path::{Path, PathBuf};

use super::database::{Database, masked};
use crate::raw::Raw;
use crate::reader::Reader;
use crate::value::{Value, quoted, text_of};

/// Where state and data are kept.
#[derive(Clone, Debug)]
pub struct Store {
    /// `store.state` (`memory`): bindings and other soft state. A Redis URL makes this process a member of a pool.
    pub state: StateStore,
    /// How the Redis of `store.state` is known, and this member to it.
    pub state_tls: StateTls,
    /// `store.database` (`sqlite:<data-dir>/portico.db`): accounts, credentials and policies.
    pub database: Database,
}

/// Where soft state is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum StateStore {
    /// In this process.
    #[default]
    Memory,
    /// In a Redis that the members of a pool share.
    Redis(StateUrl),
}

/// Certificates of TLS with Redis, for `rediss` URLs: PEM files, read at the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StateTls {
    /// `store.state_ca`: the authorities its certificates are verified against; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// `store.state_certificate`: the certificate this member shows, with its chain, leaf first.
    pub certificate: Option<PathBuf>,
    /// `store.state_private_key`: its key (PKCS #8, SEC 1 or PKCS #1).
    pub private_key: Option<PathBuf>,
}

/// The URL of a Redis. `Debug` and `Display` are without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct StateUrl(String);

const SCHEMES: [&str; 6] = [
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
];

impl StateUrl {
    /// The URL as it was written. Only for whoever connects.
    pub fn with_password(&self) -> &str {
        &self.0
    }

    /// Whether it is one over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("rediss")
    }
}

impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Behind the ? stands nothing but the password of the sentinels.
        let (place, options) = self.0.split_once('?').unwrap_or((&self.0, ""));
        f.write_str(&masked(place))?;
        f.write_str(if options.is_empty() { "" } else { "?***" })
    }
}

impl fmt::Debug for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Store {
    pub(crate) fn read(reader: &mut Reader, data_dir: &Path) -> Self {
        let store = Store {
            state: reader.get("store.state", StateStore::Memory),
            state_tls: StateTls::read(reader),
            database: Database::read(reader, data_dir),
        };
        store.state_tls.check(&store.state, reader);
        store
    }
}

impl StateTls {
    fn read(reader: &mut Reader) -> Self {
        StateTls {
            ca: reader.get("store.state_ca", None::<PathBuf>),
            certificate: reader.get("store.state_certificate", None::<PathBuf>),
            private_key: reader.get("store.state_private_key", None::<PathBuf>),
        }
    }

    fn check(&self, state: &StateStore, reader: &mut Reader) {
        let files = [
            ("store.state_ca", &self.ca),
            ("store.state_certificate", &self.certificate),
            ("store.state_private_key", &self.private_key),
        ];
        if let StateStore::Redis(url) = state
            && !url.is_tls()
        {
            // Whoever names an authority believes that he is protected.
            for (key, _) in files.into_iter().filter(|(_, file)| file.is_some()) {
                reader.problem(key, "is of no use without TLS: write rediss in store.state");
            }
        }
        if self.certificate.is_some() && self.private_key.is_none() {
            reader.problem(
                "store.state_certificate",
                "needs store.state_private_key beside it",
            );
        }
        if self.private_key.is_some() && self.certificate.is_none() {
            reader.problem(
                "store.state_private_key",
                "needs store.state_certificate beside it",
            );
        }
    }
}

impl Value for StateStore {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let is_url = |text: &str| {
            let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
        };
        match text_of(raw) {
            Some("memory") => Ok(StateStore::Memory),
            Some(url) if is_url(url) => Ok(StateStore::Redis(StateUrl(url.to_owned()))),
            _ => Err(
                "\"memory\", \"redis://host:port\", \"redis+sentinel://host:port,host:port/name\" or \
                      \"redis+cluster://host:port,host:port\""
                    .to_owned(),
            ),
        }
    }

    fn show(&self) -> String {
        match self {
            StateStore::Memory => quoted("memory"),
            StateStore::Redis(url) => quoted(&url.to_string()),
        }
    }
}
