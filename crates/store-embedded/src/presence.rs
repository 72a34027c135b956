//! Tables `presence_publications`, `presence_rules` and `presence_acknowledged`.

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use store::{
    ContactsWrite, PresenceStore, PublicationWrite, StoreError, StoredContacts, StoredPresence,
    StoredPublication, StoredRules,
};

use crate::columns::{address, json, number, to_json, to_number};
use crate::error::driver;
use crate::{Database, contacts};

/// All of a user in one statement, which sees one state of the tables. `part` says of which table a row is.
const ALL: &str = "SELECT 0 AS part, category AS name, instance, container, version, published_at, expires_at, data \
     FROM presence_publications WHERE aor = ?1 \
     UNION ALL SELECT 1, containers, 0, 0, revision, 0, NULL, x'' FROM presence_rules WHERE aor = ?1 \
     UNION ALL SELECT 2, watcher, 0, 0, 0, 0, NULL, x'' FROM presence_acknowledged WHERE aor = ?1 \
     ORDER BY part, name, instance, container";

fn publication_of(row: &SqliteRow) -> Result<StoredPublication, StoreError> {
    let expires_at: Option<i64> = row.try_get("expires_at").map_err(driver)?;
    Ok(StoredPublication {
        category: row.try_get("name").map_err(driver)?,
        instance: number(row, "instance")?,
        container: number(row, "container")?,
        version: number(row, "version")?,
        published_at: number(row, "published_at")?,
        expires_at: expires_at.map(|_| number(row, "expires_at")).transpose()?,
        data: row.try_get("data").map_err(driver)?,
    })
}

fn collect(rows: &[SqliteRow]) -> Result<StoredPresence, StoreError> {
    let mut presence = StoredPresence::default();
    for row in rows {
        match row.try_get::<i64, _>("part").map_err(driver)? {
            0 => presence.publications.push(publication_of(row)?),
            1 => {
                presence.rules = Some(StoredRules {
                    revision: number(row, "version")?,
                    containers: json(row, "name")?,
                });
            }
            _ => presence.acknowledged.push(address(row, "name")?),
        }
    }
    Ok(presence)
}

/// Whose presence is written must have an account.
pub(crate) async fn need_account(
    tx: &mut Transaction<'_, Sqlite>,
    user: &AddressOfRecord,
) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT 1 FROM accounts WHERE aor = ?")
        .bind(user.as_str())
        .fetch_optional(&mut **tx)
        .await
        .map_err(driver)?;
    row.map(drop)
        .ok_or_else(|| StoreError::InvalidRequest(format!("there is no account {user}")))
}

/// What a write of something that must be new or of an expected version says when it is not.
pub(crate) fn conflict(what: &str, expected: u64) -> StoreError {
    StoreError::Conflict(match expected {
        0 => format!("{what}: there is one already"),
        _ => format!("{what}: {expected} was expected and is not what is stored"),
    })
}

async fn put(
    tx: &mut Transaction<'_, Sqlite>,
    user: &AddressOfRecord,
    expected: u32,
    publication: &StoredPublication,
) -> Result<(), StoreError> {
    let statement = match expected {
        0 => {
            "INSERT INTO presence_publications \
             (version, published_at, expires_at, data, aor, category, instance, container) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE presence_publications SET version = ?, published_at = ?, expires_at = ?, data = ? \
             WHERE aor = ? AND category = ? AND instance = ? AND container = ? AND version = ?"
        }
    };
    let mut query = sqlx::query(statement)
        .bind(publication.version)
        .bind(to_number(publication.published_at)?)
        .bind(publication.expires_at.map(to_number).transpose()?)
        .bind(&publication.data[..])
        .bind(user.as_str())
        .bind(&publication.category)
        .bind(publication.instance)
        .bind(publication.container);
    if expected > 0 {
        query = query.bind(expected);
    }
    let written = query.execute(&mut **tx).await.map_err(driver)?;
    match written.rows_affected() {
        0 => Err(conflict(&publication.category, expected.into())),
        _ => Ok(()),
    }
}

async fn write(
    tx: &mut Transaction<'_, Sqlite>,
    user: &AddressOfRecord,
    write: &PublicationWrite,
) -> Result<(), StoreError> {
    match write {
        PublicationWrite::Put {
            expected,
            publication,
        } => put(tx, user, *expected, publication).await,
        PublicationWrite::Remove {
            expected,
            category,
            instance,
            container,
        } => {
            let gone = sqlx::query(
                "DELETE FROM presence_publications \
                 WHERE aor = ? AND category = ? AND instance = ? AND container = ? AND version = ?",
            )
            .bind(user.as_str())
            .bind(category)
            .bind(instance)
            .bind(container)
            .bind(expected)
            .execute(&mut **tx)
            .await
            .map_err(driver)?;
            match gone.rows_affected() {
                0 => Err(conflict(category, (*expected).into())),
                _ => Ok(()),
            }
        }
    }
}

#[async_trait]
impl PresenceStore for Database {
    async fn presence(&self, user: &AddressOfRecord) -> Result<StoredPresence, StoreError> {
        let rows = sqlx::query(ALL)
            .bind(user.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(driver)?;
        collect(&rows)
    }

    async fn write_publications(
        &self,
        user: &AddressOfRecord,
        writes: &[PublicationWrite],
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        need_account(&mut tx, user).await?;
        for one in writes {
            write(&mut tx, user, one).await?;
        }
        tx.commit().await.map_err(driver)
    }

    async fn write_rules(
        &self,
        user: &AddressOfRecord,
        expected: u64,
        rules: &StoredRules,
    ) -> Result<(), StoreError> {
        let statement = match expected {
            0 => {
                "INSERT INTO presence_rules (revision, containers, aor) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            }
            _ => "UPDATE presence_rules SET revision = ?, containers = ? WHERE aor = ? AND revision = ?",
        };
        let mut query = sqlx::query(statement)
            .bind(to_number(rules.revision)?)
            .bind(to_json(&rules.containers)?)
            .bind(user.as_str());
        if expected > 0 {
            query = query.bind(to_number(expected)?);
        }
        let mut tx = self.write().await?;
        need_account(&mut tx, user).await?;
        let written = query.execute(&mut *tx).await.map_err(driver)?;
        if written.rows_affected() == 0 {
            return Err(conflict("the access rules", expected));
        }
        tx.commit().await.map_err(driver)
    }

    async fn acknowledge(
        &self,
        user: &AddressOfRecord,
        watchers: &[AddressOfRecord],
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        need_account(&mut tx, user).await?;
        for watcher in watchers {
            sqlx::query(
                "INSERT INTO presence_acknowledged (aor, watcher) VALUES (?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(user.as_str())
            .bind(watcher.as_str())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        }
        tx.commit().await.map_err(driver)
    }

    async fn contacts(&self, user: &AddressOfRecord) -> Result<Option<StoredContacts>, StoreError> {
        contacts::read(self.readers(), user).await
    }

    async fn write_contacts(&self, user: &AddressOfRecord, write: &ContactsWrite) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        need_account(&mut tx, user).await?;
        contacts::write(&mut tx, user, write).await?;
        tx.commit().await.map_err(driver)
    }
}
