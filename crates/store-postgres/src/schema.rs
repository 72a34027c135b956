//! Which schema the database has, and bringing it to ours. The rules are in the crate's documentation.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use store::StoreError;
use tokio::time::Instant;

use crate::database::with_settings;
use crate::error::{driver, too_late};
use crate::search::make_missing_words;
use crate::url;

/// The newest major part of a schema this program works with. See the crate's documentation.
pub const NEWEST_MAJOR: i64 = 1;

/// Migrations per major part.
const PER_MAJOR: i64 = 10_000;

/// Between two looks at a database that is not as it should be yet.
const LOOK: Duration = Duration::from_millis(250);

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long one statement of a migration may run: it may have to rewrite a table.
const MIGRATION_STATEMENT: Duration = Duration::from_secs(15 * 60);

/// Held by whoever migrates. The number is arbitrary and never changes.
pub(crate) const LOCK: i64 = 0x706f_7274_6963_6f01;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!();

/// What this program would make of a database.
#[derive(PartialEq, Eq, Debug)]
enum Schema {
    /// Migrations are missing.
    Older,
    /// Ours, or a newer one of a major part we know.
    Usable,
}

fn newest_version() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Looks at what was applied.
async fn schema_of(connection: &mut PgConnection) -> Result<Schema, StoreError> {
    let has_table: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(driver)?;
    if !has_table {
        return Ok(Schema::Older);
    }
    let version: i64 =
        sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
            .fetch_one(connection)
            .await
            .map_err(driver)?;
    judge(version, newest_version())
}

fn judge(version: i64, ours: i64) -> Result<Schema, StoreError> {
    if version / PER_MAJOR > NEWEST_MAJOR {
        return Err(StoreError::Inconsistent(format!(
            "the database has schema version {version}, and this program works with versions up to {}: \
             it belongs to a newer one",
            NEWEST_MAJOR * PER_MAJOR + PER_MAJOR - 1
        )));
    }
    Ok(if version < ours {
        Schema::Older
    } else {
        Schema::Usable
    })
}

/// Waits until the database answers and has a schema this program can work with.
pub(crate) async fn wait_for(options: &PgConnectOptions, wait: Duration) -> Result<(), StoreError> {
    let deadline = Instant::now() + wait;
    let mut connection = connect(options, deadline).await?;
    let mut told = false;
    let result = loop {
        match within(CONNECT, schema_of(&mut connection)).await {
            Ok(Schema::Usable) => break Ok(()),
            Err(error) => break Err(error),
            Ok(Schema::Older) if Instant::now() >= deadline => {
                break Err(StoreError::Inconsistent(format!(
                    "{} has no schema of this version; run `portico migrate`",
                    url::shown(options)
                )));
            }
            Ok(Schema::Older) => {}
        }
        if !told {
            tracing::info!(
                url = url::shown(options),
                "waiting for the database to be migrated"
            );
            told = true;
        }
        tokio::time::sleep(LOOK).await;
    };
    close(connection).await;
    result
}

/// Brings the database to the schema of this program. Harmless if it has it, or a newer one this program works with.
///
/// Several at once take turns under an advisory lock. `wait` bounds both the wait for a server that does not answer yet
/// and the turn.
///
/// # Errors
/// [`StoreError::InvalidRequest`]: the URL can not be used. [`StoreError::Inconsistent`]: the schema is that of a newer
/// program or was changed by hand. [`StoreError::Driver`]: everything else; nothing of the migration that failed remains.
pub async fn migrate(url: &str, wait: Duration) -> Result<(), StoreError> {
    let deadline = Instant::now() + wait;
    let options = with_settings(url::parse(url)?, MIGRATION_STATEMENT);
    url::check_files(url)?;
    let mut connection = connect(&options, deadline).await?;
    let result = migrate_in_turn(&mut connection, deadline).await;
    // With the connection goes the lock.
    close(connection).await;
    result
}

async fn migrate_in_turn(connection: &mut PgConnection, deadline: Instant) -> Result<(), StoreError> {
    let locked = || sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)").bind(LOCK);
    while !locked().fetch_one(&mut *connection).await.map_err(driver)? {
        if Instant::now() >= deadline {
            return Err(StoreError::driver("another program is migrating the database"));
        }
        tokio::time::sleep(LOOK).await;
    }
    if schema_of(connection).await? == Schema::Older {
        apply(connection).await?;
    }
    // Of accounts an earlier version wrote: no search has to wait for that.
    make_missing_words(connection).await
}

async fn apply(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut migrator = Migrator {
        migrations: MIGRATIONS.migrations.clone(),
        ..Migrator::DEFAULT
    };
    // The lock is ours already, and the driver's own would wait for ever.
    migrator.set_locking(false).set_ignore_missing(true);
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMismatch(version) => {
                StoreError::Inconsistent(format!("migration {version} was applied in another form"))
            }
            MigrateError::Dirty(version) => {
                StoreError::Inconsistent(format!("migration {version} was not finished"))
            }
            other => StoreError::driver(other),
        })
}

/// Connects, again and again while there is nobody to answer.
async fn connect(options: &PgConnectOptions, deadline: Instant) -> Result<PgConnection, StoreError> {
    let mut told = false;
    loop {
        let attempt = within(CONNECT, async {
            PgConnection::connect_with(options).await.map_err(driver)
        });
        let error = match attempt.await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if !may_pass(&error) || Instant::now() + LOOK > deadline {
            return Err(error);
        }
        if !told {
            tracing::info!(url = url::shown(options), %error, "waiting for the database");
            told = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a failure to connect is one of a server that is starting or full. One that refuses will refuse again.
fn may_pass(error: &StoreError) -> bool {
    let StoreError::Driver(source) = error else {
        return false;
    };
    match source.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(error)) => {
            // Class 57: operator intervention (starting, stopping); 53: no resources.
            error
                .code()
                .is_some_and(|code| code.starts_with("57") || code.starts_with("53"))
        }
        Some(sqlx::Error::Tls(_) | sqlx::Error::Configuration(_)) => false,
        // A certificate that does not verify, or an answer that is not TLS.
        Some(sqlx::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => false,
        _ => true,
    }
}

async fn within<T>(
    deadline: Duration,
    what: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(deadline, what).await;
    answer.unwrap_or_else(|_| Err(too_late("an answer of the database", deadline)))
}

async fn close(connection: PgConnection) {
    // It goes in any case; said goodbye to, the server does not log an error.
    if let Ok(Err(error)) = tokio::time::timeout(CONNECT, connection.close()).await {
        tracing::debug!(%error, "closing a connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_major_part_is_refused_and_a_newer_count_is_not() {
        assert_eq!(judge(0, 10_001).unwrap(), Schema::Older);
        assert_eq!(judge(10_001, 10_001).unwrap(), Schema::Usable);
        assert_eq!(judge(10_999, 10_001).unwrap(), Schema::Usable);
        let error = judge(20_002, 10_001).unwrap_err();
        assert!(
            matches!(&error, StoreError::Inconsistent(text) if text.contains("20002")),
            "{error}"
        );
    }

    #[test]
    fn no_migration_is_of_a_major_part_this_program_would_refuse() {
        for migration in MIGRATIONS.iter() {
            judge(migration.version, 0).unwrap();
            assert!(migration.version > PER_MAJOR, "{}", migration.version);
        }
    }
}
