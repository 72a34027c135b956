//! The durable store of a member: a file of its own, or a database shared by a pool.

use std::sync::Arc;
use std::time::Duration;

use config::{Config, Database as Place};
use registrar::Stores;
use store::{BindingStore, PresenceStore, StoreError};
use store_postgres::ConnectOptions;

use crate::control;
use crate::error::StartError;
use crate::files::create_private_dir;

/// An open database. Cloning shares its connections.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    Embedded(store_embedded::Database),
    Postgres(store_postgres::Database),
}

impl Database {
    /// Opens what is configured. A file is made or brought to this version; a shared database must be migrated
    /// ([`migrate`]), and is waited for while that happens.
    pub(crate) async fn open(config: &Config) -> Result<Self, StartError> {
        match &config.store.database {
            Place::Sqlite(path) => {
                if let Some(dir) = path.parent() {
                    create_private_dir(dir).map_err(StartError::file("create", dir))?;
                }
                let opened = store_embedded::Database::open(path).await;
                opened
                    .map(Database::Embedded)
                    .map_err(|error| StartError::Database(format!("{}: {error}", path.display())))
            }
            Place::Postgres(url) => {
                let opened =
                    store_postgres::Database::connect(url.with_password(), ConnectOptions::default()).await;
                opened
                    .map(Database::Postgres)
                    .map_err(|error| StartError::Database(format!("{url}: {error}")))
            }
        }
    }

    /// What the registrar keeps things in.
    pub(crate) fn stores(&self, bindings: Arc<dyn BindingStore>) -> Stores {
        match self {
            Database::Embedded(database) => Stores::new(Arc::new(database.clone()), bindings),
            Database::Postgres(database) => Stores::new(Arc::new(database.clone()), bindings),
        }
    }

    /// What the owners of presence keep things in.
    pub(crate) fn presence(&self) -> Arc<dyn PresenceStore> {
        match self {
            Database::Embedded(database) => Arc::new(database.clone()),
            Database::Postgres(database) => Arc::new(database.clone()),
        }
    }

    /// Whether the store is there.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Database::Embedded(database) => database.ping().await,
            Database::Postgres(database) => database.ping().await,
        }
    }

    /// Waits for calls under way and closes it.
    pub(crate) async fn close(&self) {
        match self {
            Database::Embedded(database) => database.close().await,
            Database::Postgres(database) => database.close().await,
        }
    }
}

/// Brings the database to the schema of this version. `wait` is how long a shared database may take to answer, and to
/// be migrated by somebody else before us.
///
/// # Errors
/// The database cannot be opened, is in use, or is of a newer version.
pub async fn migrate(config: &Config, wait: Duration) -> Result<(), StartError> {
    if let Place::Postgres(url) = &config.store.database {
        let migrated = store_postgres::migrate(url.with_password(), wait).await;
        return migrated.map_err(|error| StartError::Database(format!("{url}: {error}")));
    }
    create_private_dir(&config.data_dir).map_err(StartError::file("create", &config.data_dir))?;
    let _lock = control::bind(&control::socket_path(&config.data_dir))?;
    Database::open(config).await?.close().await;
    Ok(())
}
