//! Table `audit`.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use store::{AuditCategory, AuditEntry, AuditStore, StoreError};

use crate::Database;
use crate::error::driver;

fn entry_of(row: &SqliteRow) -> Result<AuditEntry, StoreError> {
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

#[async_trait]
impl AuditStore for Database {
    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for entry in entries {
            sqlx::query(
                "INSERT INTO audit (at, category, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(entry.at)
            .bind(entry.category.as_str())
            .bind(&entry.actor)
            .bind(&entry.action)
            .bind(&entry.subject)
            .bind(&entry.detail)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        }
        tx.commit().await.map_err(driver)
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit ORDER BY id DESC LIMIT ?")
            .bind(limit)
            .fetch_all(self.readers())
            .await
            .map_err(driver)?;
        rows.iter().map(entry_of).collect()
    }

    async fn prune_audit(&self, category: AuditCategory, before: i64) -> Result<u64, StoreError> {
        let gone = sqlx::query("DELETE FROM audit WHERE category = ? AND at < ?")
            .bind(category.as_str())
            .bind(before)
            .execute(self.writer())
            .await
            .map_err(driver)?;
        Ok(gone.rows_affected())
    }
}
