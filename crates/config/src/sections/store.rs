//! `[store]`: where state and data are kept.

use std::path::{Path, PathBuf};

use crate::raw::Raw;
use crate::reader::Reader;
use crate::value::{Value, quoted, text_of};

/// Where state and data are kept.
#[derive(Clone, Debug)]
pub struct Store {
    /// `store.state` (`memory`): bindings and other soft state.
    pub state: StateStore,
    /// `store.database` (`sqlite:<data-dir>/portico.db`): accounts, credentials and policies.
    pub database: Database,
}

/// Where soft state is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StateStore {
    /// In this process.
    #[default]
    Memory,
}

/// Where durable data is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
}

impl Store {
    pub(crate) fn read(reader: &mut Reader, data_dir: &Path) -> Self {
        Store {
            state: reader.get("store.state", StateStore::Memory),
            database: reader.get("store.database", Database::Sqlite(data_dir.join("portico.db"))),
        }
    }
}

impl Value for StateStore {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match text_of(raw) {
            Some("memory") => Ok(StateStore::Memory),
            Some(url) if url.starts_with("redis") => {
                Err("available: this version keeps its state in memory (\"memory\")".to_owned())
            }
            _ => Err("\"memory\"".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            StateStore::Memory => quoted("memory"),
        }
    }
}

impl Value for Database {
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = text_of(raw).unwrap_or_default();
        // sqlite://path is how URL-minded tools write it.
        let path = text
            .strip_prefix("sqlite:")
            .map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            Some(path) if !path.is_empty() => Ok(Database::Sqlite(PathBuf::from(path))),
            _ if text.starts_with("postgres") => {
                Err("available: this version keeps its data in SQLite (\"sqlite:<path>\")".to_owned())
            }
            _ => Err("\"sqlite:<path>\"".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Database::Sqlite(path) => quoted(&format!("sqlite:{}", path.display())),
        }
    }
}
