//! `porticoctl migrate ...`: moves data while no server runs on it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use server::{MoveError, MoveReport, StartError};

use super::Terms;
use super::failure::Failure;
use crate::out;

/// What to move.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Copy all that the Standard Edition in --data-dir keeps in its database into the empty database of a pool
    #[command(
        after_help = "The server of the data directory must be stopped; its files stay as they are. A move that was \
        interrupted is done again from the start, and one that was done already is only checked.\n\n\
        Exit codes: 0 moved and checked, 3 no database in the data directory, 4 the database of the pool is not empty \
        or a server runs in the data directory, 1 anything else."
    )]
    StandardToPool(StandardToPool),
}

/// Where to.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct StandardToPool {
    /// Database of the pool, such as postgres://user:password@host/name; other users of this machine see a command line,
    /// so with a password prefer the variable or the file
    #[arg(
        long,
        value_name = "URL",
        env = "PORTICO_STORE__DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,
    /// File whose only line is that URL
    #[arg(long, value_name = "FILE", env = "PORTICO_STORE__DATABASE_FILE")]
    database_file: Option<PathBuf>,
}

pub(super) async fn run(terms: &Terms, verb: Verb) -> Result<(), Failure> {
    let Verb::StandardToPool(to) = verb;
    let url = url(to)?;
    let report = server::move_to_pool(&terms.data_dir, &url)
        .await
        .map_err(failure)?;
    match terms.format {
        super::Format::Table => out::print(&text(&report)),
        super::Format::Json => out::line(&json_of(&report)),
    }
    Ok(())
}

fn url(to: StandardToPool) -> Result<String, Failure> {
    match (to.database, to.database_file) {
        (Some(url), _) => Ok(url),
        (None, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(Failure::usage(format!("cannot read {}: {error}", path.display()))),
        },
        (None, None) => Err(Failure::usage("--database or --database-file is needed")),
    }
}

fn failure(error: MoveError) -> Failure {
    let text = error.to_string();
    match error {
        MoveError::NoSource(_) => Failure::NotFound(text),
        MoveError::NotEmpty { .. } | MoveError::InUse(StartError::DataDirInUse(_)) => Failure::Conflict(text),
        _ => Failure::Failed(text),
    }
}

fn text(report: &MoveReport) -> String {
    let mut text = String::from(if report.was_there {
        "the database of the pool holds all of this already\n"
    } else {
        "moved, and read back the same\n"
    });
    let rows: Vec<Vec<String>> = report
        .tables
        .iter()
        .map(|table| {
            vec![
                table.name.to_owned(),
                table.rows.to_string(),
                table.checksum.clone(),
            ]
        })
        .collect();
    text.push_str(&out::table(&["table", "rows", "sha-256"], &rows));
    text.push_str(&match &report.key_file {
        Some(path) => format!(
            "now give every member of the pool a copy of {} as its secrets.key_file: with another key nobody can sign in\n",
            path.display()
        ),
        None => "now give every member of the pool the file that was secrets.key_file here: with another key nobody can \
                 sign in\n"
            .to_owned(),
    });
    text
}

fn json_of(report: &MoveReport) -> String {
    let tables: Vec<_> = report
        .tables
        .iter()
        .map(|table| json!({ "name": table.name, "rows": table.rows, "sha256": table.checksum }))
        .collect();
    json!({ "was_there": report.was_there, "tables": tables, "key_file": report.key_file }).to_string()
}
