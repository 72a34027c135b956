//! One connection for one call, which ends in time or loses the connection.
//!
//! The server gives up a statement by itself, but a server that is cut off says nothing at all: then the deadline here
//! ends the call. The connection of a call that was cut off (so also of one whose caller went away) is in the middle of
//! something and is closed; the pool makes another.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use store::StoreError;

use crate::Database;
use crate::error::{driver, too_late};

/// A connection taken from the pool; closed when dropped before [`Held::done`].
pub(crate) struct Held {
    connection: Option<PoolConnection<Postgres>>,
    unfinished: bool,
}

impl Held {
    /// The connection.
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        // Invariant: it is taken out only when this is dropped.
        let held = self.connection.as_deref_mut();
        held.ok_or_else(|| StoreError::Inconsistent("a connection was used after its end".to_owned()))
    }

    /// The call has come to its end, good or bad: the connection may serve another.
    pub(crate) fn done<T>(mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.unfinished = false;
        result
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.unfinished
            && let Some(connection) = self.connection.take()
        {
            drop(connection.detach());
        }
    }
}

impl Database {
    /// A connection of the pool.
    pub(crate) async fn hold(&self) -> Result<Held, StoreError> {
        let connection = self.pool().acquire().await.map_err(driver)?;
        Ok(Held {
            connection: Some(connection),
            unfinished: true,
        })
    }

    /// The result of a call, or that it took too long.
    pub(crate) async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let deadline: Duration = self.call_deadline();
        match tokio::time::timeout(deadline, call).await {
            Ok(result) => result,
            Err(_) => Err(too_late("a call to the database", deadline)),
        }
    }
}

/// `call!(database, connection => work(connection, ..))`: runs a future on a connection, in time.
macro_rules! call {
    ($database:expr, $connection:ident => $work:expr) => {
        $database
            .in_time(async {
                let mut held = $database.hold().await?;
                let $connection = held.connection()?;
                let result = $work.await;
                held.done(result)
            })
            .await
    };
}

pub(crate) use call;
