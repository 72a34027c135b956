//! Opening the file, its connections and its schema.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use store::StoreError;

use crate::error::driver;

/// Reads run beside each other and beside the writer; more than this wait for a thread of SQLite.
const READERS: u32 = 4;

/// How long a statement waits for a lock that another process (a backup) holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call waits for a connection before it fails as the store being down.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// An open database. Cloning shares its connections.
///
/// One connection writes, so that writers queue here and not in SQLite's busy handler; a few others read.
#[derive(Clone, Debug)]
pub struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Database {
    /// Opens or creates the file and brings its schema to this version.
    ///
    /// The file can be read and written by its owner only (mode 0600; a wider one is narrowed); the write-ahead log takes
    /// the mode of the file.
    /// The folder must exist.
    ///
    /// # Errors
    /// [`StoreError::Driver`]: the file can not be opened or is no database. [`StoreError::Inconsistent`]: it has the
    /// schema of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path).map_err(StoreError::driver)?;
        let options = options().filename(path).journal_mode(SqliteJournalMode::Wal);
        let writer = pool(1).connect_with(options.clone()).await.map_err(driver)?;
        migrate(&writer).await?;
        let readers = pool(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(driver)?;
        let database = Database { writer, readers };
        // Of accounts an earlier version wrote: no search has to wait for that.
        database.make_missing_words().await?;
        tracing::debug!(path = %path.display(), "database is open");
        Ok(database)
    }

    /// A database in memory, gone with the value. For tests.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn in_memory() -> Result<Self, StoreError> {
        // Each connection to `:memory:` has a database of its own, so there is just one and it is never renewed.
        let pool = pool(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        let writer = pool
            .connect_with(options().in_memory(true))
            .await
            .map_err(driver)?;
        migrate(&writer).await?;
        Ok(Database {
            readers: writer.clone(),
            writer,
        })
    }

    /// Waits for calls under way and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Asks the database for its simplest answer: whether the store is there, for readiness.
    ///
    /// # Errors
    /// [`StoreError::Driver`] if not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1")
            .execute(&self.readers)
            .await
            .map_err(driver)?;
        Ok(())
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// A transaction that holds the write lock from its first statement on: what it read stays true until it commits.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(driver)
    }
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        // What is deleted is overwritten: no former verifier stays in a free page.
        .pragma("secure_delete", "ON")
}

/// Connections to a local file do not go stale: they are neither tried before use, which would cost a turn of SQLite's
/// thread, nor renewed.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes the file before SQLite does, so that it never exists with a wider mode, and narrows the mode of one that has.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600);
        let file = options.open(path)?;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others could read the database: it is the owner's alone now");
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}

async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    use sqlx::migrate::MigrateError;
    MIGRATIONS.run(pool).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => StoreError::Inconsistent(format!(
            "the database has schema version {version}, which this program does not know: it belongs to a newer one"
        )),
        MigrateError::VersionMismatch(version) => {
            StoreError::Inconsistent(format!("migration {version} was applied in another form"))
        }
        other => StoreError::driver(other),
    })
}

#[cfg(test)]
mod tests;
