//! Tables `accounts` and `credentials`.

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};
use store::{
    Account, AccountPatch, AccountSearch, AccountStore, CredentialKind, FoundAccounts, SealedCredential,
    StoreChange, StoreError, StoredAccount,
};
use topology::SiteId;

use crate::Database;
use crate::columns::address;
use crate::connection::call;
use crate::error::{driver, insert};
use crate::feed::notify;
use crate::groups::{groups_of, is_group};
use crate::places::add_site;
use crate::search::{make_words_of, search};

/// One row per account and credential; an account without any is one row with NULLs.
const ONE: &str = "SELECT a.aor, a.display_name, a.site, a.enabled, a.created_at, c.kind, c.sealed \
     FROM accounts a LEFT JOIN credentials c ON c.aor = a.aor WHERE a.aor = $1 ORDER BY c.kind";

const PAGE: &str = "SELECT a.aor, a.display_name, a.site, a.enabled, a.created_at, c.kind, c.sealed \
     FROM (SELECT * FROM accounts WHERE aor > $1 ORDER BY aor LIMIT $2) a \
     LEFT JOIN credentials c ON c.aor = a.aor ORDER BY a.aor, c.kind";

pub(crate) fn account_of(row: &PgRow) -> Result<Account, StoreError> {
    Ok(Account {
        aor: address(row, "aor")?,
        display_name: row.try_get("display_name").map_err(driver)?,
        site: SiteId::new(row.try_get::<&str, _>("site").map_err(driver)?),
        enabled: row.try_get("enabled").map_err(driver)?,
        created_at: row.try_get("created_at").map_err(driver)?,
    })
}

fn credential_of(row: &PgRow) -> Result<Option<SealedCredential>, StoreError> {
    let Some(kind) = row.try_get::<Option<&str>, _>("kind").map_err(driver)? else {
        return Ok(None);
    };
    let Some(kind) = CredentialKind::parse(kind) else {
        return Err(StoreError::Inconsistent(format!(
            "no credential is called `{kind}`"
        )));
    };
    let sealed = row.try_get("sealed").map_err(driver)?;
    Ok(Some(SealedCredential { kind, sealed }))
}

/// Puts the rows of a join together; rows of one account stand together.
fn collect(rows: &[PgRow]) -> Result<Vec<StoredAccount>, StoreError> {
    let mut accounts: Vec<StoredAccount> = Vec::new();
    for row in rows {
        let aor: &str = row.try_get("aor").map_err(driver)?;
        if accounts
            .last()
            .is_none_or(|last| last.account.aor.as_str() != aor)
        {
            accounts.push(StoredAccount {
                account: account_of(row)?,
                credentials: Vec::new(),
            });
        }
        if let (Some(last), Some(credential)) = (accounts.last_mut(), credential_of(row)?) {
            last.credentials.push(credential);
        }
    }
    for stored in &mut accounts {
        stored.credentials.sort_by_key(|credential| credential.kind);
    }
    Ok(accounts)
}

async fn read(
    connection: &mut PgConnection,
    aor: &AddressOfRecord,
) -> Result<Option<StoredAccount>, StoreError> {
    let rows = sqlx::query(ONE)
        .bind(aor.as_str())
        .fetch_all(connection)
        .await
        .map_err(driver)?;
    Ok(collect(&rows)?.pop())
}

async fn page(
    connection: &mut PgConnection,
    after: Option<&AddressOfRecord>,
    limit: u32,
) -> Result<Vec<StoredAccount>, StoreError> {
    // Every address is greater than the empty text.
    let after = after.map_or("", AddressOfRecord::as_str);
    let rows = sqlx::query(PAGE)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await;
    collect(&rows.map_err(driver)?)
}

async fn count(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM accounts")
        .fetch_one(connection)
        .await;
    Ok(count.map_err(driver)?.unsigned_abs())
}

async fn write_credentials(
    connection: &mut PgConnection,
    aor: &AddressOfRecord,
    credentials: &[SealedCredential],
) -> Result<(), StoreError> {
    for credential in credentials {
        sqlx::query("INSERT INTO credentials (aor, kind, sealed) VALUES ($1, $2, $3)")
            .bind(aor.as_str())
            .bind(credential.kind.as_str())
            .bind(&credential.sealed[..])
            .execute(&mut *connection)
            .await
            .map_err(|error| {
                let twice = || format!("{aor} was given two credentials of one kind");
                insert(error, twice, || format!("the account {aor} does not exist"))
            })?;
    }
    Ok(())
}

async fn create(connection: &mut PgConnection, new: StoredAccount) -> Result<(), StoreError> {
    let account = &new.account;
    let mut tx = connection.begin().await.map_err(driver)?;
    if is_group(&mut tx, &account.aor).await? {
        return Err(StoreError::Conflict(format!(
            "{} is the address of a group",
            account.aor
        )));
    }
    add_site(&mut tx, &account.site).await?;
    sqlx::query(
        "INSERT INTO accounts (aor, domain, display_name, site, enabled, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(account.aor.as_str())
    .bind(account.aor.domain())
    .bind(&account.display_name)
    .bind(account.site.as_str())
    .bind(account.enabled)
    .bind(account.created_at)
    .execute(&mut *tx)
    .await
    .map_err(|error| {
        let exists = || format!("the account {} exists already", account.aor);
        insert(error, exists, || {
            format!("{} is not a domain of this pool", account.aor.domain())
        })
    })?;
    write_credentials(&mut tx, &account.aor, &new.credentials).await?;
    make_words_of(&mut tx, &account.aor, &account.display_name).await?;
    // Others may have it cached as unknown.
    notify(&mut tx, &StoreChange::Account(account.aor.clone())).await?;
    tx.commit().await.map_err(driver)
}

async fn change(
    connection: &mut PgConnection,
    aor: &AddressOfRecord,
    patch: AccountPatch,
) -> Result<Option<StoredAccount>, StoreError> {
    let mut tx = connection.begin().await.map_err(driver)?;
    let is_renamed = patch.display_name.is_some();
    if let Some(site) = &patch.site {
        add_site(&mut tx, site).await?;
    }
    // It also holds the row, so that two who change the credentials take turns.
    let changed = sqlx::query(
        "UPDATE accounts SET display_name = coalesce($1, display_name), site = coalesce($2, site), \
         enabled = coalesce($3, enabled) WHERE aor = $4",
    )
    .bind(patch.display_name)
    .bind(patch.site.as_ref().map(SiteId::as_str))
    .bind(patch.enabled)
    .bind(aor.as_str())
    .execute(&mut *tx)
    .await
    .map_err(driver)?;
    if changed.rows_affected() == 0 {
        return Ok(None);
    }
    if let Some(credentials) = patch.credentials {
        let old = sqlx::query("DELETE FROM credentials WHERE aor = $1").bind(aor.as_str());
        old.execute(&mut *tx).await.map_err(driver)?;
        write_credentials(&mut tx, aor, &credentials).await?;
    }
    let stored = read(&mut tx, aor).await?;
    if let Some(stored) = stored.as_ref().filter(|_| is_renamed) {
        make_words_of(&mut tx, aor, &stored.account.display_name).await?;
    }
    notify(&mut tx, &StoreChange::Account(aor.clone())).await?;
    tx.commit().await.map_err(driver)?;
    Ok(stored)
}

async fn delete(connection: &mut PgConnection, aor: &AddressOfRecord) -> Result<bool, StoreError> {
    let mut tx = connection.begin().await.map_err(driver)?;
    let groups = groups_of(&mut tx, aor).await?;
    let gone = sqlx::query("DELETE FROM accounts WHERE aor = $1")
        .bind(aor.as_str())
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    if gone.rows_affected() == 0 {
        return Ok(false);
    }
    for group in groups {
        notify(&mut tx, &StoreChange::Group(group)).await?;
    }
    notify(&mut tx, &StoreChange::Account(aor.clone())).await?;
    tx.commit().await.map_err(driver)?;
    Ok(true)
}

#[async_trait]
impl AccountStore for Database {
    async fn create_account(&self, new: StoredAccount) -> Result<(), StoreError> {
        call!(self, connection => create(connection, new))
    }

    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        patch: AccountPatch,
    ) -> Result<Option<StoredAccount>, StoreError> {
        call!(self, connection => change(connection, aor, patch))
    }

    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<bool, StoreError> {
        call!(self, connection => delete(connection, aor))
    }

    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<StoredAccount>, StoreError> {
        call!(self, connection => read(connection, aor))
    }

    async fn accounts(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        call!(self, connection => page(connection, after, limit))
    }

    async fn search_accounts(&self, wanted: &AccountSearch, limit: u32) -> Result<FoundAccounts, StoreError> {
        call!(self, connection => search(connection, wanted, limit))
    }

    async fn account_count(&self) -> Result<u64, StoreError> {
        call!(self, connection => count(connection))
    }
}
