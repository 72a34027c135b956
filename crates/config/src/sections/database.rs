//! `store.database`: a file of this member, or a database members share.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::raw::Raw;
use crate::reader::Reader;
use crate::value::{Value, quoted, text_of};

/// Where durable data is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A Postgres database.
    Postgres(DatabaseUrl),
}

/// The URL of a database. `Debug` and `Display` are without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

impl DatabaseUrl {
    /// The URL as it was written. Only for whoever connects.
    pub fn with_password(&self) -> &str {
        &self.0
    }

    /// Reads the URL of a Postgres database; `None` if it can not be one, or has its password where it would be shown.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme))?;
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        let has_password = query.split('&').any(|pair| pair.starts_with("password="));
        let is_text = !rest.is_empty() && !rest.contains(char::is_whitespace);
        (is_text && !has_password).then(|| DatabaseUrl(text.to_owned()))
    }
}

/// A URL without its password: whatever stands between the first : and the last @.
pub(super) fn masked(url: &str) -> String {
    let masked = url.split_once("://").and_then(|(scheme, rest)| {
        let (who, place) = rest.rsplit_once('@')?;
        let (user, _) = who.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{place}"))
    });
    masked.unwrap_or_else(|| url.to_owned())
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Database {
    /// The database of `store.database`, or the one in the data directory.
    pub(crate) fn read(reader: &mut Reader, data_dir: &Path) -> Self {
        reader.get("store.database", Database::Sqlite(data_dir.join("portico.db")))
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
            Some(path) if !path.is_empty() => Some(Database::Sqlite(PathBuf::from(path))),
            Some(_) => None,
            None => DatabaseUrl::parse(text).map(Database::Postgres),
        }
        .ok_or_else(|| "\"sqlite:<path>\" or \"postgres://user:password@host/name\"".to_owned())
    }

    fn show(&self) -> String {
        match self {
            Database::Sqlite(path) => quoted(&format!("sqlite:{}", path.display())),
            Database::Postgres(url) => quoted(&url.to_string()),
        }
    }
}
