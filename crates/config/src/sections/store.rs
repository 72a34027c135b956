//! `[store]`: where state and data are kept.

use std::fmt;
use std::path::Path;

use super::database::{Database, masked};
use crate::raw::Raw;
use crate::reader::Reader;
use crate::value::{Value, quoted, text_of};

/// Where state and data are kept.
#[derive(Clone, Debug)]
pub struct Store {
    /// `store.state` (`memory`): bindings and other soft state. A Redis URL makes this process a member of a pool.
    pub state: StateStore,
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
        Store {
            state: reader.get("store.state", StateStore::Memory),
            database: Database::read(reader, data_dir),
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
