//! Tables `policies` and `grants`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};
use store::{GrantOutcome, PolicyScope, PolicyStore, SettingValue, StoreChange, StoreError, StoredPolicy};
use topology::SiteId;

use crate::Database;
use crate::connection::call;
use crate::error::{driver, insert};
use crate::feed::{notify, notify_accounts};
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

fn policy_of(row: &PgRow) -> Result<StoredPolicy, StoreError> {
    let kind: String = row.try_get("kind").map_err(driver)?;
    let scope_kind = row.try_get("scope_kind").map_err(driver)?;
    let scope = scope_of(scope_kind, row.try_get("scope_name").map_err(driver)?)?;
    let values = from_json(&kind, row.try_get("settings").map_err(driver)?)?;
    Ok(StoredPolicy { kind, scope, values })
}

async fn create(connection: &mut PgConnection, policy: &StoredPolicy) -> Result<(), StoreError> {
    let (scope_kind, scope_name) = columns(&policy.scope);
    let mut tx = connection.begin().await.map_err(driver)?;
    if let PolicyScope::Site(site) = &policy.scope {
        add_site(&mut tx, site).await?;
    }
    sqlx::query("INSERT INTO policies (kind, scope_kind, scope_name, settings) VALUES ($1, $2, $3, $4)")
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
    notify(&mut tx, &StoreChange::Policies).await?;
    tx.commit().await.map_err(driver)
}

async fn set_values(
    connection: &mut PgConnection,
    kind: &str,
    scope: &PolicyScope,
    values: &Values,
) -> Result<Option<StoredPolicy>, StoreError> {
    let (scope_kind, scope_name) = columns(scope);
    let mut tx = connection.begin().await.map_err(driver)?;
    let row = sqlx::query(
        "SELECT * FROM policies WHERE kind = $1 AND scope_kind = $2 AND scope_name = $3 FOR UPDATE",
    )
    .bind(kind)
    .bind(scope_kind)
    .bind(scope_name)
    .fetch_optional(&mut *tx)
    .await
    .map_err(driver)?;
    let Some(row) = row else { return Ok(None) };
    let mut policy = policy_of(&row)?;
    policy.values.extend(values.clone());
    sqlx::query("UPDATE policies SET settings = $1 WHERE kind = $2 AND scope_kind = $3 AND scope_name = $4")
        .bind(to_json(&policy.values)?)
        .bind(kind)
        .bind(scope_kind)
        .bind(scope_name)
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    notify(&mut tx, &StoreChange::Policies).await?;
    tx.commit().await.map_err(driver)?;
    Ok(Some(policy))
}

async fn delete(connection: &mut PgConnection, kind: &str, scope: &PolicyScope) -> Result<bool, StoreError> {
    let (scope_kind, scope_name) = columns(scope);
    let mut tx = connection.begin().await.map_err(driver)?;
    // Nobody can grant it from here on.
    let row = sqlx::query(
        "SELECT 1 FROM policies WHERE kind = $1 AND scope_kind = $2 AND scope_name = $3 FOR UPDATE",
    )
    .bind(kind)
    .bind(scope_kind)
    .bind(scope_name)
    .fetch_optional(&mut *tx)
    .await
    .map_err(driver)?;
    if row.is_none() {
        return Ok(false);
    }
    // Here and not by the cascade, to know whose they were.
    let had_it: Vec<String> = sqlx::query_scalar(
        "DELETE FROM grants WHERE kind = $1 AND scope_kind = $2 AND tag = $3 RETURNING aor",
    )
    .bind(kind)
    .bind(scope_kind)
    .bind(scope_name)
    .fetch_all(&mut *tx)
    .await
    .map_err(driver)?;
    sqlx::query("DELETE FROM policies WHERE kind = $1 AND scope_kind = $2 AND scope_name = $3")
        .bind(kind)
        .bind(scope_kind)
        .bind(scope_name)
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    notify(&mut tx, &StoreChange::Policies).await?;
    notify_accounts(&mut tx, &had_it).await?;
    tx.commit().await.map_err(driver)?;
    Ok(true)
}

async fn list(connection: &mut PgConnection) -> Result<Vec<StoredPolicy>, StoreError> {
    // `global`, `site`, `tag` are in the order of their names.
    let rows = sqlx::query("SELECT * FROM policies ORDER BY kind, scope_kind, scope_name")
        .fetch_all(connection)
        .await
        .map_err(driver)?;
    rows.iter().map(policy_of).collect()
}

async fn grant(
    connection: &mut PgConnection,
    kind: &str,
    tag: Option<&str>,
    aor: &AddressOfRecord,
) -> Result<GrantOutcome, StoreError> {
    let mut tx = connection.begin().await.map_err(driver)?;
    // Held, so that what a broken reference below means is certain: the policy is missing, not the account.
    let account = sqlx::query("SELECT 1 FROM accounts WHERE aor = $1 FOR KEY SHARE")
        .bind(aor.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(driver)?;
    if account.is_none() {
        return Ok(GrantOutcome::NoSuchAccount);
    }
    let query = match tag {
        None => sqlx::query("DELETE FROM grants WHERE aor = $1 AND kind = $2")
            .bind(aor.as_str())
            .bind(kind),
        Some(tag) => sqlx::query(
            "INSERT INTO grants (aor, kind, tag) VALUES ($1, $2, $3) \
             ON CONFLICT (aor, kind) DO UPDATE SET tag = excluded.tag",
        )
        .bind(aor.as_str())
        .bind(kind)
        .bind(tag),
    };
    if let Err(error) = query.execute(&mut *tx).await {
        let dangling = error
            .as_database_error()
            .is_some_and(|error| error.is_foreign_key_violation());
        return if dangling {
            Ok(GrantOutcome::NoSuchPolicy)
        } else {
            Err(driver(error))
        };
    }
    notify(&mut tx, &StoreChange::Account(aor.clone())).await?;
    tx.commit().await.map_err(driver)?;
    Ok(GrantOutcome::Done)
}

async fn granted(
    connection: &mut PgConnection,
    aor: &AddressOfRecord,
) -> Result<BTreeMap<String, String>, StoreError> {
    let rows = sqlx::query("SELECT kind, tag FROM grants WHERE aor = $1")
        .bind(aor.as_str())
        .fetch_all(connection)
        .await
        .map_err(driver)?;
    let pair = |row: &PgRow| Ok((row.try_get("kind")?, row.try_get("tag")?));
    rows.iter()
        .map(pair)
        .collect::<Result<_, sqlx::Error>>()
        .map_err(driver)
}

#[async_trait]
impl PolicyStore for Database {
    async fn create_policy(&self, policy: &StoredPolicy) -> Result<(), StoreError> {
        call!(self, connection => create(connection, policy))
    }

    async fn set_policy_values(
        &self,
        kind: &str,
        scope: &PolicyScope,
        values: &Values,
    ) -> Result<Option<StoredPolicy>, StoreError> {
        call!(self, connection => set_values(connection, kind, scope, values))
    }

    async fn delete_policy(&self, kind: &str, scope: &PolicyScope) -> Result<bool, StoreError> {
        call!(self, connection => delete(connection, kind, scope))
    }

    async fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError> {
        call!(self, connection => list(connection))
    }

    async fn grant_policy(
        &self,
        kind: &str,
        tag: Option<&str>,
        aor: &AddressOfRecord,
    ) -> Result<GrantOutcome, StoreError> {
        call!(self, connection => grant(connection, kind, tag, aor))
    }

    async fn grants(&self, aor: &AddressOfRecord) -> Result<BTreeMap<String, String>, StoreError> {
        call!(self, connection => granted(connection, aor))
    }
}
