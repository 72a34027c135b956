//! Tables `accounts` and `credentials`.

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};
use store::{
    Account, AccountPatch, AccountSearch, AccountStore, CredentialKind, FoundAccounts, SealedCredential,
    StoreError, StoredAccount,
};
use topology::SiteId;

use crate::Database;
use crate::columns::address;
use crate::error::{driver, insert};
use crate::groups::is_group;
use crate::places::add_site;
use crate::search::make_words;

/// One row per account and credential; an account without any is one row with NULLs.
const ONE: &str = "SELECT a.aor, a.display_name, a.site, a.enabled, a.created_at, c.kind, c.sealed \
     FROM accounts a LEFT JOIN credentials c ON c.aor = a.aor WHERE a.aor = ? ORDER BY c.kind";

const PAGE: &str = "SELECT a.aor, a.display_name, a.site, a.enabled, a.created_at, c.kind, c.sealed \
     FROM (SELECT * FROM accounts WHERE aor > ? ORDER BY aor LIMIT ?) a \
     LEFT JOIN credentials c ON c.aor = a.aor ORDER BY a.aor, c.kind";

pub(crate) fn account_of(row: &SqliteRow) -> Result<Account, StoreError> {
    Ok(Account {
        aor: address(row, "aor")?,
        display_name: row.try_get("display_name").map_err(driver)?,
        site: SiteId::new(row.try_get("site").map_err(driver)?),
        enabled: row.try_get("enabled").map_err(driver)?,
        created_at: row.try_get("created_at").map_err(driver)?,
    })
}

fn credential_of(row: &SqliteRow) -> Result<Option<SealedCredential>, StoreError> {
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
fn collect(rows: &[SqliteRow]) -> Result<Vec<StoredAccount>, StoreError> {
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
    executor: impl SqliteExecutor<'_>,
    aor: &AddressOfRecord,
) -> Result<Option<StoredAccount>, StoreError> {
    let rows = sqlx::query(ONE)
        .bind(aor.as_str())
        .fetch_all(executor)
        .await
        .map_err(driver)?;
    Ok(collect(&rows)?.pop())
}

async fn write_credentials(
    tx: &mut Transaction<'_, Sqlite>,
    aor: &AddressOfRecord,
    credentials: &[SealedCredential],
) -> Result<(), StoreError> {
    for credential in credentials {
        sqlx::query("INSERT INTO credentials (aor, kind, sealed) VALUES (?, ?, ?)")
            .bind(aor.as_str())
            .bind(credential.kind.as_str())
            .bind(&credential.sealed[..])
            .execute(&mut **tx)
            .await
            .map_err(|error| {
                let twice = || format!("{aor} was given two credentials of one kind");
                insert(error, twice, || format!("the account {aor} does not exist"))
            })?;
    }
    Ok(())
}

async fn write_patch(
    tx: &mut Transaction<'_, Sqlite>,
    aor: &AddressOfRecord,
    patch: AccountPatch,
) -> Result<bool, StoreError> {
    if let Some(site) = &patch.site {
        add_site(tx, site).await?;
    }
    let changed = sqlx::query(
        "UPDATE accounts SET display_name = coalesce(?, display_name), site = coalesce(?, site), \
         enabled = coalesce(?, enabled) WHERE aor = ?",
    )
    .bind(patch.display_name)
    .bind(patch.site.as_ref().map(SiteId::as_str))
    .bind(patch.enabled)
    .bind(aor.as_str())
    .execute(&mut **tx)
    .await
    .map_err(driver)?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    if let Some(credentials) = patch.credentials {
        let old = sqlx::query("DELETE FROM credentials WHERE aor = ?").bind(aor.as_str());
        old.execute(&mut **tx).await.map_err(driver)?;
        write_credentials(tx, aor, &credentials).await?;
    }
    Ok(true)
}

#[async_trait]
impl AccountStore for Database {
    async fn create_account(&self, new: StoredAccount) -> Result<(), StoreError> {
        let account = &new.account;
        let mut tx = self.write().await?;
        if is_group(&mut tx, &account.aor).await? {
            return Err(StoreError::Conflict(format!(
                "{} is the address of a group",
                account.aor
            )));
        }
        add_site(&mut tx, &account.site).await?;
        sqlx::query(
            "INSERT INTO accounts (aor, domain, display_name, site, enabled, created_at) VALUES (?, ?, ?, ?, ?, ?)",
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
            insert(error, exists, || format!("{} is not a domain of this pool", account.aor.domain()))
        })?;
        write_credentials(&mut tx, &account.aor, &new.credentials).await?;
        make_words(&mut tx).await?;
        tx.commit().await.map_err(driver)
    }

    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        patch: AccountPatch,
    ) -> Result<Option<StoredAccount>, StoreError> {
        let mut tx = self.write().await?;
        if !write_patch(&mut tx, aor, patch).await? {
            return Ok(None);
        }
        let stored = read(&mut *tx, aor).await?;
        make_words(&mut tx).await?;
        tx.commit().await.map_err(driver)?;
        Ok(stored)
    }

    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM accounts WHERE aor = ?")
            .bind(aor.as_str())
            .execute(self.writer())
            .await;
        Ok(gone.map_err(driver)?.rows_affected() > 0)
    }

    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<StoredAccount>, StoreError> {
        read(self.readers(), aor).await
    }

    async fn accounts(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        // Every address is greater than the empty text.
        let after = after.map_or("", AddressOfRecord::as_str);
        let rows = sqlx::query(PAGE)
            .bind(after)
            .bind(limit)
            .fetch_all(self.readers())
            .await;
        collect(&rows.map_err(driver)?)
    }

    async fn search_accounts(&self, search: &AccountSearch, limit: u32) -> Result<FoundAccounts, StoreError> {
        self.search(search, limit).await
    }

    async fn account_count(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM accounts")
            .fetch_one(self.readers())
            .await;
        Ok(count.map_err(driver)?.unsigned_abs())
    }
}
