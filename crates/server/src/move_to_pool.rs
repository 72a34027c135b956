//! Moves what a Standard Edition keeps in its data directory into the database of a pool.
//!
//! Everything happens in one transaction on the side of the pool, which holds its tables: after a failure at any point
//! nothing is there, and the move is simply done again. Before it becomes true, every table is read back and compared by
//! its number of rows and a checksum over all of them. A pool that holds exactly the same already is left alone, so that
//! nobody has to know whether the last attempt got that far; one that holds anything else is refused.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use store::StoreError;
use store::transfer::{Cell, Export, Row, Table};
use store_postgres::Import;

use crate::control;
use crate::error::StartError;

/// Rows read and written at once.
const PAGE: u32 = 1_000;

/// How long the database of the pool may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a Standard Edition keeps its database and its key unless it is told otherwise.
const DATABASE: &str = "portico.db";
const KEY_FILE: &str = "pool.key";

/// Why nothing was moved. Nothing was changed on either side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// There is no database in the data directory.
    #[error("there is no {DATABASE} in {0}: is this the data directory of a Standard Edition?")]
    NoSource(PathBuf),
    /// The data directory can not be used: a server runs in it, as a rule.
    #[error("{0}")]
    InUse(#[from] StartError),
    /// The database in the data directory can not be read.
    #[error("the database of the Standard Edition: {0}")]
    Source(StoreError),
    /// The database of the pool can not be reached or written.
    #[error("the database of the pool: {0}")]
    Target(StoreError),
    /// The pool holds something else.
    #[error(
        "the database of the pool is not empty: its table {table} has {rows} rows that are not those of the Standard \
         Edition. Move into a new database"
    )]
    NotEmpty {
        /// The first table that differs.
        table: &'static str,
        /// How many rows it has.
        rows: u64,
    },
    /// What arrived is not what was sent.
    #[error("the table {table} did not arrive as it was: {arrived} where {sent} was expected")]
    Differs {
        /// The table.
        table: &'static str,
        /// As it was.
        sent: MovedTable,
        /// As it arrived.
        arrived: MovedTable,
    },
}

/// A table by what can be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 over all its rows in the order of their keys, in hexadecimal.
    pub checksum: String,
}

impl fmt::Display for MovedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows with checksum {}", self.rows, self.checksum)
    }
}

/// What was moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MoveReport {
    /// Every table, the same on both sides.
    pub tables: Vec<MovedTable>,
    /// True: an earlier move had brought all of it; nothing was written.
    pub was_there: bool,
    /// The key under which passwords are sealed. Every member of the pool needs this file as its `secrets.key_file`:
    /// with another one nobody can sign in. `None`: it is not in the data directory, but where `secrets.key_file` says.
    pub key_file: Option<PathBuf>,
}

/// Copies the database of a Standard Edition into that of a pool, which must be empty and is given the schema of this
/// version. No server may run in the data directory; it stays as it is.
///
/// # Errors
/// See [`MoveError`]. It can be called again after any of them.
pub async fn move_to_pool(from_data_dir: &Path, to_database_url: &str) -> Result<MoveReport, MoveError> {
    let path = from_data_dir.join(DATABASE);
    // Opening would make it.
    match std::fs::metadata(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MoveError::NoSource(from_data_dir.to_owned()));
        }
        Err(error) => return Err(StartError::file("read", path)(error).into()),
    }
    let _lock = control::bind(&control::socket_path(from_data_dir))?;
    let mut source = store_embedded::Database::open(&path)
        .await
        .map_err(MoveError::Source)?;
    let moved = copy(&mut source, to_database_url).await;
    source.close().await;
    let (tables, was_there) = moved?;
    let key_file = from_data_dir.join(KEY_FILE);
    Ok(MoveReport {
        tables,
        was_there,
        key_file: key_file.is_file().then_some(key_file),
    })
}

async fn copy(source: &mut impl Export, url: &str) -> Result<(Vec<MovedTable>, bool), MoveError> {
    store_postgres::migrate(url, PATIENCE)
        .await
        .map_err(MoveError::Target)?;
    let sent = summary(source).await.map_err(MoveError::Source)?;
    let mut target = Import::begin(url).await.map_err(MoveError::Target)?;
    let before = summary(&mut target).await.map_err(MoveError::Target)?;
    let missing = |(there, sent): &(&MovedTable, &MovedTable)| there != sent;
    let mut both = before.iter().zip(&sent).filter(missing);
    if let Some((there, _)) = both.clone().find(|(there, _)| there.rows > 0) {
        return Err(MoveError::NotEmpty {
            table: there.name,
            rows: there.rows,
        });
    }
    if both.next().is_none() {
        return Ok((sent, true));
    }
    for (table, (there, sent)) in Table::ALL.into_iter().zip(before.iter().zip(&sent)) {
        // A member that was started too early has made its domains known, and they may be the same.
        if there != sent {
            copy_table(source, &mut target, table).await?;
        }
    }
    let arrived = summary(&mut target).await.map_err(MoveError::Target)?;
    if let Some((sent, arrived)) = sent.iter().zip(&arrived).find(|(sent, arrived)| sent != arrived) {
        return Err(MoveError::Differs {
            table: sent.name,
            sent: sent.clone(),
            arrived: arrived.clone(),
        });
    }
    target.commit().await.map_err(MoveError::Target)?;
    Ok((sent, false))
}

async fn copy_table(source: &mut impl Export, target: &mut Import, table: Table) -> Result<(), MoveError> {
    let mut last = None;
    loop {
        let mut page = page(source, table, last.as_ref())
            .await
            .map_err(MoveError::Source)?;
        if page.is_empty() {
            return Ok(());
        }
        target.add(table, &page).await.map_err(MoveError::Target)?;
        last = page.pop();
    }
}

/// A page as the pool can keep it: its database has no U+0000, which only the audit log of refused sign-ins may have.
async fn page(from: &mut impl Export, table: Table, after: Option<&Row>) -> Result<Vec<Row>, StoreError> {
    let mut rows = from.page(table, after, PAGE).await?;
    for cell in rows.iter_mut().flatten() {
        if let Cell::Text(text) = cell
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    Ok(rows)
}

/// Every table by its number of rows and its checksum.
async fn summary(from: &mut impl Export) -> Result<Vec<MovedTable>, StoreError> {
    let mut tables = Vec::with_capacity(Table::ALL.len());
    for table in Table::ALL {
        let mut digest = Context::new(&SHA256);
        let mut rows = 0;
        let mut last = None;
        loop {
            let mut page = page(from, table, last.as_ref()).await?;
            if page.is_empty() {
                break;
            }
            rows += page.len() as u64;
            page.iter().flatten().for_each(|cell| add_cell(&mut digest, cell));
            last = page.pop();
        }
        tables.push(MovedTable {
            name: table.name(),
            rows,
            checksum: hex::encode(digest.finish()),
        });
    }
    Ok(tables)
}

/// Type, length and bytes, so that no two rows look alike.
fn add_cell(digest: &mut Context, cell: &Cell) {
    let number;
    let (kind, bytes): (u8, &[u8]) = match cell {
        Cell::Text(text) => (b't', text.as_bytes()),
        Cell::Number(value) => {
            number = value.to_be_bytes();
            (b'n', &number)
        }
        Cell::Absent => (b'-', &[]),
        Cell::Flag(true) => (b'f', &[1]),
        Cell::Flag(false) => (b'f', &[0]),
        Cell::Bytes(bytes) => (b'b', bytes),
    };
    digest.update(&[kind]);
    digest.update(&(bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests;
