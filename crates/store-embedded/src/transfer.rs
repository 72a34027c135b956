//! Every table as plain rows, for a move to another backend.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};
use store::StoreError;
use store::transfer::{Cell, CellKind, Export, Row, Table};

use crate::Database;
use crate::error::driver;

fn row_of(table: Table, row: &SqliteRow) -> Result<Row, sqlx::Error> {
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

#[async_trait]
impl Export for Database {
    async fn page(&mut self, table: Table, after: Option<&Row>, limit: u32) -> Result<Vec<Row>, StoreError> {
        let statement = table.page_statement(after.is_some(), |_| "?".to_owned());
        // Made of names that are constants.
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for cell in after.iter().flat_map(|row| &row[..table.key()]) {
            query = match cell {
                Cell::Text(text) => query.bind(text),
                Cell::Number(number) => query.bind(number),
                Cell::Absent => query.bind(None::<i64>),
                Cell::Flag(flag) => query.bind(flag),
                Cell::Bytes(bytes) => query.bind(bytes),
            };
        }
        let rows = query
            .bind(limit)
            .fetch_all(self.readers())
            .await
            .map_err(driver)?;
        rows.iter()
            .map(|row| row_of(table, row))
            .collect::<Result<_, _>>()
            .map_err(driver)
    }
}
