//! Tables `policies` and `grants`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};
use store::{GrantOutcome, PolicyScope, PolicyStore, SettingValue, StoreError, StoredPolicy};
use topology::SiteId;

use crate::Database;
use crate::error::{driver, insert};
use crate::places::add_site;

type Values = BTreeMap<String, SettingValue>;

/// The two columns of a scope.
fn columns(scope: &PolicyScope) -> (&'static str, &str) {
    match scope {
        PolicyScope::Global => ("global", ""),
        PolicyScope::Site(site) => ("site", site.as_str()),
        PolicyScope::Tag(tag) => ("tag", tag),
    }
}

fn scope_of(kind: &str, name: &str) -> Result<PolicyScope, StoreError> {
    match kind {
        "global" => Ok(PolicyScope::Global),
        "site" => Ok(PolicyScope::Site(SiteId::new(name))),
        "tag" => Ok(PolicyScope::Tag(name.to_owned())),
        other => Err(StoreError::Inconsistent(format!(
            "no scope of policies is called `{other}`"
        ))),
    }
}

fn to_json(values: &Values) -> Result<String, StoreError> {
    serde_json::to_string(values).map_err(|error| StoreError::InvalidRequest(error.to_string()))
}

fn from_json(kind: &str, text: &str) -> Result<Values, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Inconsistent(format!("settings of a {kind} policy: {error}")))
}

fn policy_of(row: &SqliteRow) -> Result<StoredPolicy, StoreError> {
    let kind: String = row.try_get("kind").map_err(driver)?;
    let scope_kind = row.try_get("scope_kind").map_err(driver)?;
    let scope = scope_of(scope_kind, row.try_get("scope_name").map_err(driver)?)?;
    let values = from_json(&kind, row.try_get("settings").map_err(driver)?)?;
    Ok(StoredPolicy { kind, scope, values })
}

async fn exists(executor: impl SqliteExecutor<'_>, aor: &AddressOfRecord) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM accounts WHERE aor = ?")
        .bind(aor.as_str())
        .fetch_optional(executor)
        .await;
    Ok(row.map_err(driver)?.is_some())
}

#[async_trait]
impl PolicyStore for Database {
    async fn create_policy(&self, policy: &StoredPolicy) -> Result<(), StoreError> {
        let (scope_kind, scope_name) = columns(&policy.scope);
        let mut tx = self.write().await?;
        if let PolicyScope::Site(site) = &policy.scope {
            add_site(&mut tx, site).await?;
        }
        sqlx::query("INSERT INTO policies (kind, scope_kind, scope_name, settings) VALUES (?, ?, ?, ?)")
            .bind(&policy.kind)
            .bind(scope_kind)
            .bind(scope_name)
            .bind(to_json(&policy.values)?)
            .execute(&mut *tx)
            .await
            .map_err(|error| {
                let exists = || format!("the {} policy exists already", policy.kind);
                insert(error, exists, || {
                    format!("the {} policy refers to nothing", policy.kind)
                })
            })?;
        tx.commit().await.map_err(driver)
    }

    async fn set_policy_values(
        &self,
        kind: &str,
        scope: &PolicyScope,
        values: &Values,
    ) -> Result<Option<StoredPolicy>, StoreError> {
        let (scope_kind, scope_name) = columns(scope);
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT * FROM policies WHERE kind = ? AND scope_kind = ? AND scope_name = ?")
            .bind(kind)
            .bind(scope_kind)
            .bind(scope_name)
            .fetch_optional(&mut *tx)
            .await
            .map_err(driver)?;
        let Some(row) = row else { return Ok(None) };
        let mut policy = policy_of(&row)?;
        policy.values.extend(values.clone());
        sqlx::query("UPDATE policies SET settings = ? WHERE kind = ? AND scope_kind = ? AND scope_name = ?")
            .bind(to_json(&policy.values)?)
            .bind(kind)
            .bind(scope_kind)
            .bind(scope_name)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        tx.commit().await.map_err(driver)?;
        Ok(Some(policy))
    }

    async fn delete_policy(&self, kind: &str, scope: &PolicyScope) -> Result<bool, StoreError> {
        let (scope_kind, scope_name) = columns(scope);
        let gone = sqlx::query("DELETE FROM policies WHERE kind = ? AND scope_kind = ? AND scope_name = ?")
            .bind(kind)
            .bind(scope_kind)
            .bind(scope_name)
            .execute(self.writer())
            .await
            .map_err(driver)?;
        Ok(gone.rows_affected() > 0)
    }

    async fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError> {
        // `global`, `site`, `tag` are in the order of their names.
        let rows = sqlx::query("SELECT * FROM policies ORDER BY kind, scope_kind, scope_name")
            .fetch_all(self.readers())
            .await
            .map_err(driver)?;
        rows.iter().map(policy_of).collect()
    }

    async fn grant_policy(
        &self,
        kind: &str,
        tag: Option<&str>,
        aor: &AddressOfRecord,
    ) -> Result<GrantOutcome, StoreError> {
        let mut tx = self.write().await?;
        if !exists(&mut *tx, aor).await? {
            return Ok(GrantOutcome::NoSuchAccount);
        }
        let query = match tag {
            None => sqlx::query("DELETE FROM grants WHERE aor = ? AND kind = ?")
                .bind(aor.as_str())
                .bind(kind),
            Some(tag) => sqlx::query(
                "INSERT INTO grants (aor, kind, tag) VALUES (?, ?, ?) \
                 ON CONFLICT (aor, kind) DO UPDATE SET tag = excluded.tag",
            )
            .bind(aor.as_str())
            .bind(kind)
            .bind(tag),
        };
        match query.execute(&mut *tx).await {
            Ok(_) => tx.commit().await.map(|()| GrantOutcome::Done).map_err(driver),
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(|error| error.is_foreign_key_violation()) =>
            {
                Ok(GrantOutcome::NoSuchPolicy)
            }
            Err(error) => Err(driver(error)),
        }
    }

    async fn grants(&self, aor: &AddressOfRecord) -> Result<BTreeMap<String, String>, StoreError> {
        let rows = sqlx::query("SELECT kind, tag FROM grants WHERE aor = ?")
            .bind(aor.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(driver)?;
        let pair = |row: &SqliteRow| Ok((row.try_get("kind")?, row.try_get("tag")?));
        rows.iter()
            .map(pair)
            .collect::<Result<_, sqlx::Error>>()
            .map_err(driver)
    }
}
