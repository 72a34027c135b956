//! Tables `account_words` and `accounts_without_words`: whom a search finds.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use store::search::{end_of_prefix, words_of};
use store::{AccountSearch, FoundAccounts, StoreError};

use crate::Database;
use crate::accounts::account_of;
use crate::columns::{address, to_json};
use crate::error::driver;

/// Accounts whose words are made in one transaction.
const BATCH: u32 = 500;

/// Accounts whose words were not made yet.
const WAITING: &str = "SELECT aor, display_name FROM accounts_without_words \
     JOIN accounts USING (aor) ORDER BY aor LIMIT ?";

/// The accounts and words are parameters, as JSON.
const WRITE: [&str; 3] = [
    "DELETE FROM account_words WHERE aor IN (SELECT value FROM json_each(?))",
    "INSERT INTO account_words (word, aor) \
     SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)",
    "DELETE FROM accounts_without_words WHERE aor IN (SELECT value FROM json_each(?))",
];

/// Makes words of accounts that have none yet, or those of a former name, some hundred at most; false if there was nothing
/// to do.
pub(crate) async fn make_words(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let waiting = sqlx::query(WAITING)
        .bind(BATCH)
        .fetch_all(&mut *connection)
        .await
        .map_err(driver)?;
    if waiting.is_empty() {
        return Ok(false);
    }
    let (mut accounts, mut words) = (Vec::new(), Vec::new());
    for row in &waiting {
        let (aor, name) = name_of(row)?;
        words.extend(
            words_of(&aor, name)
                .into_iter()
                .map(|word| (word, aor.to_string())),
        );
        accounts.push(aor.to_string());
    }
    let (accounts, words) = (to_json(&accounts)?, to_json(&words)?);
    for (statement, values) in WRITE.into_iter().zip([&accounts, &words, &accounts]) {
        let query = sqlx::query(statement).bind(values);
        query.execute(&mut *connection).await.map_err(driver)?;
    }
    Ok(true)
}

fn name_of(row: &SqliteRow) -> Result<(sip_types::AddressOfRecord, &str), StoreError> {
    Ok((address(row, "aor")?, row.try_get("display_name").map_err(driver)?))
}

impl Database {
    /// Makes all words that are missing.
    pub(crate) async fn make_missing_words(&self) -> Result<(), StoreError> {
        loop {
            let mut tx = self.write().await?;
            if !make_words(&mut tx).await? {
                return Ok(());
            }
            tx.commit().await.map_err(driver)?;
        }
    }

    pub(crate) async fn search(
        &self,
        search: &AccountSearch,
        limit: u32,
    ) -> Result<FoundAccounts, StoreError> {
        if search.is_vain() {
            return Ok(FoundAccounts::default());
        }
        let is_behind = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT * FROM accounts_without_words)");
        if is_behind.fetch_one(self.readers()).await.map_err(driver)? {
            self.make_missing_words().await?;
        }
        // Made of constants.
        let mut query = sqlx::query(AssertSqlSafe(statement(search)));
        if let Some(address) = search.address() {
            query = query.bind(address.as_str());
        }
        for domain in search.domains().unwrap_or_default() {
            query = query.bind(domain);
        }
        for prefix in search.prefixes() {
            query = query.bind(prefix).bind(end_of_prefix(prefix));
        }
        // One more, to know whether there are more.
        let rows = query
            .bind(i64::from(limit) + 1)
            .fetch_all(self.readers())
            .await
            .map_err(driver)?;
        let limit = limit as usize;
        let accounts = rows.iter().take(limit).map(account_of);
        Ok(FoundAccounts {
            accounts: accounts.collect::<Result<_, _>>()?,
            more: rows.len() > limit,
        })
    }
}

fn statement(search: &AccountSearch) -> String {
    let mut statement =
        "SELECT aor, display_name, site, enabled, created_at FROM accounts WHERE enabled".to_owned();
    if search.address().is_some() {
        statement.push_str(" AND aor = ?");
    }
    if let Some(domains) = search.domains() {
        let domains = vec!["?"; domains.len()].join(", ");
        statement.push_str(&format!(" AND domain IN ({domains})"));
    }
    for _ in search.prefixes() {
        statement.push_str(" AND aor IN (SELECT aor FROM account_words WHERE word >= ? AND word < ?)");
    }
    statement.push_str(" ORDER BY aor LIMIT ?");
    statement
}
