//! The connections of one member and how they are set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::StoreError;

use crate::connection::call;
use crate::error::driver;
use crate::{schema, url};

/// How a member uses the database.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Connections at once, besides one that listens for changes; more callers wait for one. At least 1.
    pub max_connections: u32,
    /// How long a caller waits for a connection, and how long making one may take.
    pub acquire_timeout: Duration,
    /// How long one statement may run, waiting for locks included.
    pub statement_timeout: Duration,
    /// How long [`Database::connect`] waits for a server that does not answer yet and for an older schema to be migrated.
    pub wait: Duration,
}

impl Default for ConnectOptions {
    /// 10 connections, 5 s for one, 10 s for a statement, 30 s for a server that starts or is migrated.
    fn default() -> Self {
        ConnectOptions {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            wait: Duration::from_secs(30),
        }
    }
}

/// A database that members share. Cloning shares the connections.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    connect: Arc<PgConnectOptions>,
    options: ConnectOptions,
}

impl fmt::Debug for Database {
    /// Without the driver's options: they have the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("url", &url::shown(&self.connect))
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Connects to a database whose schema this program can work with.
    ///
    /// The URL is `postgres://user:password@host:port/database`; `?sslmode=` says how far TLS goes (`disable`, `prefer`,
    /// `require`, `verify-ca`, `verify-full`, with `sslrootcert`, `sslcert` and `sslkey` as files), `?host=/folder` is a
    /// Unix socket. Without a user it is `portico`. Only the last two verify whom they talk to, and only the last its name;
    /// besides the authorities of `sslrootcert` those count that browsers know.
    ///
    /// # Errors
    /// [`StoreError::InvalidRequest`]: the URL or a file it names can not be used. [`StoreError::Driver`]: the server refuses,
    /// shows a certificate that does not verify, or does not answer within `options.wait`. [`StoreError::Inconsistent`]: the schema belongs to a newer program, or is still an
    /// older one after `options.wait`.
    pub async fn connect(url: &str, options: ConnectOptions) -> Result<Self, StoreError> {
        let connect = with_settings(url::parse(url)?, options.statement_timeout);
        url::check_files(url)?;
        schema::wait_for(&connect, options.wait).await?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            .connect_with(connect.clone())
            .await
            .map_err(driver)?;
        tracing::debug!(url = url::shown(&connect), "database is open");
        Ok(Database {
            pool,
            connect: Arc::new(connect),
            options,
        })
    }

    /// Waits for calls under way and closes the connections. Later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Asks the database for its simplest answer: whether the store is there, for readiness.
    ///
    /// # Errors
    /// [`StoreError::Driver`] if not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        call!(self, connection => async {
            sqlx::query("SELECT 1").execute(connection).await.map(drop).map_err(driver)
        })
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn connect_options(&self) -> &PgConnectOptions {
        &self.connect
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.options.acquire_timeout
    }

    /// When the server's own deadlines have certainly passed: a connection, and a transaction of a few statements.
    pub(crate) fn call_deadline(&self) -> Duration {
        self.options.acquire_timeout + self.options.statement_timeout * 2
    }
}

/// The settings every connection has.
pub(crate) fn with_settings(connect: PgConnectOptions, statement_timeout: Duration) -> PgConnectOptions {
    let millis = statement_timeout.as_millis().max(1).to_string();
    connect.application_name("portico").options([
        ("statement_timeout", millis.as_str()),
        // A member that stops in the middle of a transaction must not hold its locks for long.
        ("idle_in_transaction_session_timeout", millis.as_str()),
        ("synchronous_commit", "on"),
    ])
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tls_tests;
