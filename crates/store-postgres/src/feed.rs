//! Tells members of each other's writes: `pg_notify` in the transaction of the write, and a stream of what was heard.
//!
//! The server delivers a notification when its transaction commits, to everybody who listens then, and keeps none for
//! those who do not. So whenever the listening connection was away, [`StoreChange::Everything`] follows once there is
//! another; and a connection on which nothing is heard is asked now and then whether it still stands, since one that was
//! cut off looks just like one on which nobody says anything.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use sip_types::AddressOfRecord;
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use store::{ChangeFeed, StoreChange, StoreChanges, StoreError};

use crate::Database;
use crate::error::{driver, too_late};
use crate::url;

/// The channel. Part of the schema: programs of two releases talk on it during an upgrade.
const CHANNEL: &str = "portico_changes";

/// Payloads. An unknown one means everything, so that a later release may add some.
const POLICIES: &str = "policies";
const EVERYTHING: &str = "everything";
const ACCOUNT: &str = "account:";
const GROUP: &str = "group:";

/// Accounts named one by one in one transaction; of more it is said that everything changed.
const NAMED: usize = 1_000;

/// How long nothing may be heard before the connection is asked whether it stands.
const SILENCE: Duration = Duration::from_secs(20);

/// The first and the longest wait between two attempts to listen again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

fn payload(change: &StoreChange) -> String {
    match change {
        StoreChange::Account(aor) => format!("{ACCOUNT}{aor}"),
        StoreChange::Policies => POLICIES.to_owned(),
        StoreChange::Group(address) => format!("{GROUP}{address}"),
        StoreChange::Everything => EVERYTHING.to_owned(),
    }
}

fn change_of(payload: &str) -> StoreChange {
    if payload == POLICIES {
        return StoreChange::Policies;
    }
    let of = |prefix| AddressOfRecord::parse(payload.strip_prefix(prefix)?).ok();
    let change = of(ACCOUNT).map(StoreChange::Account);
    change
        .or_else(|| of(GROUP).map(StoreChange::Group))
        .unwrap_or(StoreChange::Everything)
}

/// Tells the other members of a change when this transaction commits.
pub(crate) async fn notify(connection: &mut PgConnection, change: &StoreChange) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(payload(change))
        .execute(connection)
        .await
        .map_err(driver)?;
    Ok(())
}

/// The same of many accounts.
pub(crate) async fn notify_accounts(
    connection: &mut PgConnection,
    aors: &[String],
) -> Result<(), StoreError> {
    if aors.len() > NAMED {
        return notify(connection, &StoreChange::Everything).await;
    }
    sqlx::query("SELECT pg_notify($1, $2 || aor) FROM unnest($3::text[]) AS aor")
        .bind(CHANNEL)
        .bind(ACCOUNT)
        .bind(aors)
        .execute(connection)
        .await
        .map_err(driver)?;
    Ok(())
}

/// One who listens, and what it takes to listen again.
struct Listening {
    options: PgConnectOptions,
    timeout: Duration,
    listener: Option<PgListener>,
}

impl Listening {
    async fn listen(&mut self) -> Result<(), StoreError> {
        // A pool of its own each time: the connection before may be stuck in it.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(self.options.clone());
        let listen = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // We listen again ourselves, to be able to say so.
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        let listener = tokio::time::timeout(self.timeout, listen).await;
        self.listener = Some(
            listener
                .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
                .map_err(driver)?,
        );
        Ok(())
    }

    /// The next change on this connection; `None` once it has ended.
    async fn hear(&mut self) -> Option<StoreChange> {
        let listener = self.listener.as_mut()?;
        loop {
            // A wait that is given up loses nothing: what was read of a message stays with the connection.
            match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => return Some(change_of(notification.payload())),
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the connection that listens for changes has ended");
                    return None;
                }
                Err(_) => still_stands(listener, self.timeout).await.ok()?,
            }
        }
    }

    /// Listens again, until it succeeds.
    async fn listen_again(&mut self) {
        self.listener = None;
        tracing::warn!(
            url = url::shown(&self.options),
            "changes made by others are not heard"
        );
        let mut pause = BACKOFF.0;
        while let Err(error) = self.listen().await {
            tracing::debug!(%error, "listening for changes");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
        tracing::info!(
            url = url::shown(&self.options),
            "changes made by others are heard again"
        );
    }
}

async fn still_stands(listener: &mut PgListener, deadline: Duration) -> Result<(), StoreError> {
    let answer = tokio::time::timeout(deadline, sqlx::query("SELECT 1").execute(listener)).await;
    answer
        .map_err(|_| too_late("an answer of the database", deadline))?
        .map_err(driver)?;
    Ok(())
}

#[async_trait]
impl ChangeFeed for Database {
    async fn watch(&self) -> Result<StoreChanges, StoreError> {
        let mut listening = Listening {
            options: self.connect_options().clone(),
            timeout: self.acquire_timeout(),
            listener: None,
        };
        listening.listen().await?;
        let changes = stream::unfold(listening, |mut listening| async {
            let change = match listening.hear().await {
                Some(change) => change,
                None => {
                    listening.listen_again().await;
                    StoreChange::Everything
                }
            };
            Some((change, listening))
        });
        Ok(changes.boxed())
    }
}

#[cfg(test)]
mod tests;
