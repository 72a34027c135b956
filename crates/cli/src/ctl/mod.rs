//! `porticoctl`: the control tool. It speaks to a running server over the control socket in its data directory.

mod client;
mod confirm;
mod csv;
mod explain;
mod failure;
mod group;
mod migrate;
mod node;
mod password;
mod policy;
mod presence;
mod settings;
mod status;
mod table;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::Serialize;

use client::Client;
use failure::Failure;

use crate::out;

/// Administers a running Portico server.
#[derive(Parser, Debug)]
#[command(
    name = "porticoctl",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "It reaches the server over the socket in its data directory, as the user the server runs as or \
    as root. Reaching one over the network comes with the administration interface of a later version.\n\n\
    Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unauthorised, 7 unreachable."
)]
struct Arguments {
    /// Data directory of the server
    #[arg(long, global = true, value_name = "DIR", env = "PORTICO_DATA_DIR", default_value = config::DATA_DIR)]
    data_dir: PathBuf,
    /// How to show answers
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(subcommand)]
    noun: Noun,
}

/// How answers are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs: the answer of the server as JSON, errors as JSON on standard error
    Json,
}

/// What it is about.
#[derive(Subcommand, Debug)]
pub enum Noun {
    /// Accounts and where they are signed in
    #[command(subcommand, visible_alias = "users")]
    User(user::Verb),
    /// Organisational groups: addresses that stand for several people in contact lists
    #[command(subcommand, visible_alias = "groups")]
    Group(group::Verb),
    /// Policies: what is stored, who has them, what applies to whom
    #[command(subcommand, visible_alias = "policies")]
    Policy(policy::Verb),
    /// What people publish, and who sees how much of it
    #[command(subcommand)]
    Presence(presence::Verb),
    /// Why something is as it is
    #[command(subcommand)]
    Explain(explain::Verb),
    /// Members of the pool, and the planned stop of one
    #[command(subcommand, visible_alias = "nodes")]
    Node(node::Verb),
    /// Move the data of a server that is stopped
    #[command(subcommand)]
    Migrate(migrate::Verb),
    /// The server in one screen
    Status,
    /// Print a completion script for a shell; bash: `source <(porticoctl completion bash)`
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// Runs the program with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(settings::options_first(arguments)) {
        Ok(arguments) => arguments,
        // Help and version come this way too, with exit code 0.
        Err(error) => error.exit(),
    };
    let terms = Terms {
        client: Client::new(&arguments.data_dir),
        data_dir: arguments.data_dir,
        format: arguments.output,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(&terms, arguments.noun)),
        Err(error) => Err(Failure::failed(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(terms.format);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn dispatch(terms: &Terms, noun: Noun) -> Result<(), Failure> {
    match noun {
        Noun::User(verb) => user::run(terms, verb).await,
        Noun::Group(verb) => group::run(terms, verb).await,
        Noun::Policy(verb) => policy::run(terms, verb).await,
        Noun::Presence(verb) => presence::run(terms, verb).await,
        Noun::Explain(verb) => explain::run(terms, verb).await,
        Noun::Node(verb) => node::run(terms, verb).await,
        Noun::Migrate(verb) => migrate::run(terms, verb).await,
        Noun::Status => status::run(terms).await,
        Noun::Completion { shell } => {
            completion(shell);
            Ok(())
        }
    }
}

/// Prints what a shell needs to complete our words.
fn completion(shell: Shell) {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(shell, &mut command, "porticoctl", &mut script);
    out::print(&String::from_utf8_lossy(&script));
}

/// Whom to ask, and how to show the answer.
#[derive(Debug)]
struct Terms {
    client: Client,
    /// Where the data of the server is, for what is done without it.
    data_dir: PathBuf,
    format: Format,
}

impl Terms {
    /// Shows an answer: as it came for programs, as `text` makes it for people.
    fn show<T: Serialize>(&self, answer: &T, text: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Table => out::print(&text(answer)),
            Format::Json => {
                // Invariant: what was read from JSON can be written as JSON.
                out::line(&serde_json::to_string_pretty(answer).unwrap_or_default());
            }
        }
    }

    /// Says that something was done: for people only, a program has the exit code.
    fn done(&self, text: &str) {
        if self.format == Format::Table {
            out::line(text);
        }
    }
}
