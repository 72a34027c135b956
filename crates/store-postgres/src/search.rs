//! Tables `account_words` and `accounts_without_words`: whom a search finds.

use sip_types::AddressOfRecord;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use store::search::{end_of_prefix, words_of};
use store::{AccountSearch, FoundAccounts, StoreError};

use crate::accounts::account_of;
use crate::columns::address;
use crate::error::driver;

/// Accounts whose words are made in one transaction.
const BATCH: i64 = 500;

/// Accounts whose words were not made yet; whoever changes one meanwhile makes its words.
const WAITING: &str = "SELECT a.aor, a.display_name FROM accounts_without_words w JOIN accounts a ON a.aor = w.aor \
     ORDER BY a.aor LIMIT $1 FOR UPDATE SKIP LOCKED";

const WRITE: &str = "INSERT INTO account_words (word, aor) SELECT * FROM unnest($1::text[], $2::text[])";

/// Before and after the words are written.
const FORGET: [&str; 2] = [
    "DELETE FROM account_words WHERE aor = ANY ($1)",
    "DELETE FROM accounts_without_words WHERE aor = ANY ($1)",
];

/// Makes words anew for these accounts, which the transaction holds.
async fn make_words(
    transaction: &mut PgConnection,
    accounts: &[(AddressOfRecord, String)],
) -> Result<(), StoreError> {
    let addresses: Vec<&str> = accounts.iter().map(|(aor, _)| aor.as_str()).collect();
    let (mut words, mut owners) = (Vec::new(), Vec::new());
    for (aor, name) in accounts {
        for word in words_of(aor, name) {
            words.push(word);
            owners.push(aor.as_str());
        }
    }
    let [words_before, waiting] = FORGET.map(|statement| sqlx::query(statement).bind(&addresses));
    words_before.execute(&mut *transaction).await.map_err(driver)?;
    sqlx::query(WRITE)
        .bind(&words)
        .bind(&owners)
        .execute(&mut *transaction)
        .await
        .map_err(driver)?;
    waiting.execute(transaction).await.map_err(driver)?;
    Ok(())
}

/// Makes the words of one account, which this transaction has just written.
pub(crate) async fn make_words_of(
    transaction: &mut PgConnection,
    aor: &AddressOfRecord,
    display_name: &str,
) -> Result<(), StoreError> {
    make_words(transaction, &[(aor.clone(), display_name.to_owned())]).await
}

/// Makes words of accounts whose words were not made yet, some hundred at most; false if there was nothing to do.
async fn make_some(transaction: &mut PgConnection) -> Result<bool, StoreError> {
    let rows = sqlx::query(WAITING)
        .bind(BATCH)
        .fetch_all(&mut *transaction)
        .await
        .map_err(driver)?;
    let mut accounts = Vec::with_capacity(rows.len());
    for row in &rows {
        accounts.push((address(row, "aor")?, row.try_get("display_name").map_err(driver)?));
    }
    if accounts.is_empty() {
        return Ok(false);
    }
    make_words(transaction, &accounts).await?;
    Ok(true)
}

/// Makes all words that are missing, in transactions of their own.
pub(crate) async fn make_missing_words(connection: &mut PgConnection) -> Result<(), StoreError> {
    loop {
        let mut tx = connection.begin().await.map_err(driver)?;
        if !make_some(&mut tx).await? {
            return Ok(());
        }
        tx.commit().await.map_err(driver)?;
    }
}

/// Makes all words that are missing, in the transaction that is under way.
pub(crate) async fn make_words_within(transaction: &mut PgConnection) -> Result<(), StoreError> {
    while make_some(transaction).await? {}
    Ok(())
}

pub(crate) async fn search(
    connection: &mut PgConnection,
    search: &AccountSearch,
    limit: u32,
) -> Result<FoundAccounts, StoreError> {
    if search.is_vain() {
        return Ok(FoundAccounts::default());
    }
    let is_behind = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM accounts_without_words)");
    if is_behind.fetch_one(&mut *connection).await.map_err(driver)? {
        make_missing_words(connection).await?;
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
        .fetch_all(connection)
        .await
        .map_err(driver)?;
    let limit = limit as usize;
    let accounts = rows.iter().take(limit).map(account_of);
    Ok(FoundAccounts {
        accounts: accounts.collect::<Result<_, _>>()?,
        more: rows.len() > limit,
    })
}

fn statement(search: &AccountSearch) -> String {
    let mut statement =
        "SELECT aor, display_name, site, enabled, created_at FROM accounts WHERE enabled".to_owned();
    let mut parameters = 1..;
    let mut parameter = || parameters.next().unwrap_or_default();
    if search.address().is_some() {
        statement.push_str(&format!(" AND aor = ${}", parameter()));
    }
    if let Some(domains) = search.domains() {
        let domains: Vec<String> = domains.iter().map(|_| format!("${}", parameter())).collect();
        statement.push_str(&format!(" AND domain IN ({})", domains.join(", ")));
    }
    for _ in search.prefixes() {
        let (from, to) = (parameter(), parameter());
        let words = format!("SELECT aor FROM account_words WHERE word >= ${from} AND word < ${to}");
        statement.push_str(&format!(" AND aor IN ({words})"));
    }
    statement.push_str(&format!(" ORDER BY aor LIMIT ${}", parameter()));
    statement
}
