//! Every table as plain rows: reading them, and filling an empty database in one transaction.

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Row as _};
use store::transfer::{Cell, CellKind, Export, Row, Table};
use store::{StoreChange, StoreError};

use crate::database::with_settings;
use crate::error::{driver, insert};
use crate::feed::notify;
use crate::search::make_words_within;
use crate::{audit, url};

use std::time::Duration;

/// How long one statement of an import may run.
const STATEMENT: Duration = Duration::from_secs(300);

/// A transaction on a connection of its own that holds every table: nobody else writes until it is over. Dropped, it has
/// changed nothing.
pub struct Import {
    connection: PgConnection,
}

/// The names of a table's columns, each made into something.
fn listed(table: Table, each: impl Fn(usize, &str, CellKind) -> String) -> String {
    let columns = table.columns().iter().enumerate();
    let texts: Vec<String> = columns.map(|(at, (name, kind))| each(at, name, *kind)).collect();
    texts.join(", ")
}

const fn array_type(kind: CellKind) -> &'static str {
    match kind {
        CellKind::Text => "text[]",
        CellKind::Number | CellKind::OptionalNumber => "bigint[]",
        CellKind::Flag => "boolean[]",
        CellKind::Bytes => "bytea[]",
    }
}

fn row_of(table: Table, row: &PgRow) -> Result<Row, sqlx::Error> {
    let cells = table.columns().iter().map(|(name, kind)| {
        Ok(match kind {
            CellKind::Text => Cell::Text(row.try_get(*name)?),
            CellKind::Number => Cell::Number(row.try_get(*name)?),
            CellKind::OptionalNumber => row
                .try_get::<Option<i64>, _>(*name)?
                .map_or(Cell::Absent, Cell::Number),
            CellKind::Flag => Cell::Flag(row.try_get(*name)?),
            CellKind::Bytes => Cell::Bytes(row.try_get(*name)?),
        })
    });
    cells.collect()
}

/// Binds one column of many rows. A cell of another type than its column is left out, and the server refuses the lengths.
fn bind_column<'q>(
    query: Query<'q, Postgres, PgArguments>,
    rows: &'q [Row],
    at: usize,
    kind: CellKind,
) -> Query<'q, Postgres, PgArguments> {
    let cells = rows.iter().filter_map(|row| row.get(at));
    match kind {
        CellKind::Text => query.bind(cells.filter_map(text_of).collect::<Vec<_>>()),
        CellKind::Number => query.bind(cells.filter_map(number_of).collect::<Vec<_>>()),
        CellKind::OptionalNumber => query.bind(cells.filter_map(optional_number_of).collect::<Vec<_>>()),
        CellKind::Flag => query.bind(cells.filter_map(flag_of).collect::<Vec<_>>()),
        CellKind::Bytes => query.bind(cells.filter_map(bytes_of).collect::<Vec<_>>()),
    }
}

fn text_of(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(audit::storable(text)),
        _ => None,
    }
}

fn number_of(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Number(number) => Some(*number),
        _ => None,
    }
}

fn optional_number_of(cell: &Cell) -> Option<Option<i64>> {
    match cell {
        Cell::Number(number) => Some(Some(*number)),
        Cell::Absent => Some(None),
        _ => None,
    }
}

fn flag_of(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Flag(flag) => Some(*flag),
        _ => None,
    }
}

fn bytes_of(cell: &Cell) -> Option<&[u8]> {
    match cell {
        Cell::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

impl Import {
    /// Begins, on a database with the schema of this program ([`crate::migrate`]).
    ///
    /// # Errors
    /// [`StoreError::InvalidRequest`]: the URL can not be used. [`StoreError::Driver`]: the server does not answer, or
    /// others work with the database and do not let go of it.
    pub async fn begin(url: &str) -> Result<Self, StoreError> {
        let options = with_settings(url::parse(url)?, STATEMENT);
        let mut connection = PgConnection::connect_with(&options).await.map_err(driver)?;
        let tables: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
        for statement in [
            "BEGIN".to_owned(),
            "SET LOCAL lock_timeout = '30s'".to_owned(),
            format!("LOCK TABLE {} IN EXCLUSIVE MODE", tables.join(", ")),
        ] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .map_err(driver)?;
        }
        Ok(Import { connection })
    }

    /// Adds rows to a table. Tables come in the order of [`Table::ALL`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: a row is there already. Others as the server fails; the import is over then.
    pub async fn add(&mut self, table: Table, rows: &[Row]) -> Result<(), StoreError> {
        let statement = format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest({})",
            table.name(),
            listed(table, |_, name, _| name.to_owned()),
            listed(table, |at, _, kind| format!("${}::{}", at + 1, array_type(kind))),
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (at, (_, kind)) in table.columns().iter().enumerate() {
            query = bind_column(query, rows, at, *kind);
        }
        query.execute(&mut self.connection).await.map_err(|error| {
            let twice = || format!("a row of the table {} is there already", table.name());
            let dangling = || format!("a row of the table {} refers to nothing", table.name());
            insert(error, twice, dangling)
        })?;
        Ok(())
    }

    /// Makes it true, and tells members that run on this database already.
    ///
    /// # Errors
    /// [`StoreError::Driver`]: unknown whether it is.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        // No search has to wait for that.
        make_words_within(&mut self.connection).await?;
        // What is written from now on comes behind what was imported.
        let next =
            "SELECT setval(pg_get_serial_sequence('audit', 'id'), max(id)) FROM audit HAVING count(*) > 0";
        sqlx::query(next)
            .execute(&mut self.connection)
            .await
            .map_err(driver)?;
        notify(&mut self.connection, &StoreChange::Everything).await?;
        sqlx::query("COMMIT")
            .execute(&mut self.connection)
            .await
            .map_err(driver)?;
        self.connection.close().await.map_err(driver)
    }
}

#[async_trait]
impl Export for Import {
    async fn page(&mut self, table: Table, after: Option<&Row>, limit: u32) -> Result<Vec<Row>, StoreError> {
        let statement = table.page_statement(after.is_some(), |at| format!("${at}"));
        // Made of names that are constants.
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for cell in after.iter().flat_map(|row| row.iter().take(table.key())) {
            query = match cell {
                Cell::Text(text) => query.bind(text),
                Cell::Number(number) => query.bind(number),
                Cell::Absent => query.bind(None::<i64>),
                Cell::Flag(flag) => query.bind(flag),
                Cell::Bytes(bytes) => query.bind(bytes),
            };
        }
        let rows = query
            .bind(i64::from(limit))
            .fetch_all(&mut self.connection)
            .await
            .map_err(driver)?;
        rows.iter()
            .map(|row| row_of(table, row))
            .collect::<Result<_, _>>()
            .map_err(driver)
    }
}
