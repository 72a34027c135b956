//! Table `audit`.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use store::{AuditCategory, AuditEntry, AuditStore, StoreError};

use crate::Database;
use crate::connection::call;
use crate::error::driver;

/// One statement for any number of entries, numbered in their order.
const APPEND: &str = "INSERT INTO audit (at, category, actor, action, subject, detail) \
     SELECT at, category, actor, action, subject, detail \
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) \
     WITH ORDINALITY AS entry (at, category, actor, action, subject, detail, place) ORDER BY place";

fn entry_of(row: &PgRow) -> Result<AuditEntry, StoreError> {
    let category: &str = row.try_get("category").map_err(driver)?;
    let category = AuditCategory::parse(category).ok_or_else(|| {
        StoreError::Inconsistent(format!("no category of the audit log is called `{category}`"))
    })?;
    Ok(AuditEntry {
        at: row.try_get("at").map_err(driver)?,
        category,
        actor: row.try_get("actor").map_err(driver)?,
        action: row.try_get("action").map_err(driver)?,
        subject: row.try_get("subject").map_err(driver)?,
        detail: row.try_get("detail").map_err(driver)?,
    })
}

/// What the server can store: a stranger's U+0000 must not cost the entries beside it.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

async fn append(connection: &mut PgConnection, entries: &[AuditEntry]) -> Result<(), StoreError> {
    let texts = |text: fn(&AuditEntry) -> &str| {
        entries
            .iter()
            .map(|entry| storable(text(entry)))
            .collect::<Vec<_>>()
    };
    sqlx::query(APPEND)
        .bind(entries.iter().map(|entry| entry.at).collect::<Vec<_>>())
        .bind(texts(|entry| entry.category.as_str()))
        .bind(texts(|entry| &entry.actor))
        .bind(texts(|entry| &entry.action))
        .bind(texts(|entry| &entry.subject))
        .bind(texts(|entry| &entry.detail))
        .execute(connection)
        .await
        .map_err(driver)?;
    Ok(())
}

async fn newest(connection: &mut PgConnection, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = sqlx::query("SELECT * FROM audit ORDER BY id DESC LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(driver)?;
    rows.iter().map(entry_of).collect()
}

async fn prune(
    connection: &mut PgConnection,
    category: AuditCategory,
    before: i64,
) -> Result<u64, StoreError> {
    let gone = sqlx::query("DELETE FROM audit WHERE category = $1 AND at < $2")
        .bind(category.as_str())
        .bind(before)
        .execute(connection)
        .await
        .map_err(driver)?;
    Ok(gone.rows_affected())
}

#[async_trait]
impl AuditStore for Database {
    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        call!(self, connection => append(connection, entries))
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        call!(self, connection => newest(connection, limit))
    }

    async fn prune_audit(&self, category: AuditCategory, before: i64) -> Result<u64, StoreError> {
        call!(self, connection => prune(connection, category, before))
    }
}
