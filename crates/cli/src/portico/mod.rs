//! `portico`: the server.

mod config;
mod demo;
mod healthcheck;
mod migrate;
mod reload;
mod run;
mod say;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use telemetry::LogFormat;
use topology::Role;

/// Instant messaging and presence for an organisation, on open protocols.
#[derive(Parser, Debug)]
#[command(
    name = "portico",
    disable_version_flag = true,
    subcommand_required = false,
    arg_required_else_help = true
)]
#[command(after_help = "A first try: `portico demo`. A server: `portico run --config FILE --data-dir DIR`.")]
pub struct Arguments {
    /// Show the version and end
    #[arg(short = 'V', long, global = true)]
    version: bool,
    /// With --version: as JSON, with what was built
    #[arg(long, requires = "version")]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve. Without any configuration: everything in one process, on loopback, with its own certificate authority
    Run(RunArguments),
    /// Serve with demo people, an echo contact and printed settings: for a first try
    Demo(DemoArguments),
    /// Bring the database to this version's schema and end
    Migrate(MigrateArguments),
    /// Ask the server of this configuration whether it is ready: exit code 0 or 1
    Healthcheck(Place),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What to do with the configuration.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Say what is wrong with it, if anything
    Check(Place),
    /// Show every key, its value and where that comes from
    Show(Place),
}

/// Where configuration and data are.
#[derive(Args, Debug, Clone)]
pub struct Place {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "PORTICO_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the database, the key file, the development authority and the control socket
    #[arg(long, value_name = "DIR", env = "PORTICO_DATA_DIR", default_value = ::config::DATA_DIR)]
    data_dir: PathBuf,
}

/// How to say it.
#[derive(Args, Debug, Clone, Copy)]
struct Logs {
    /// text: for people, log lines on standard error. json: one object per line on standard output
    #[arg(long, value_name = "text|json", default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Arguments of `portico run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    #[command(flatten)]
    place: Place,
    /// Run this role here; may be repeated. Without it: every role
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// List the roles and end
    #[arg(long)]
    list_roles: bool,
    #[command(flatten)]
    logs: Logs,
}

/// Arguments of `portico demo`.
#[derive(Args, Debug)]
pub struct DemoArguments {
    #[command(flatten)]
    place: Place,
    /// Allow addresses other machines can reach
    #[arg(long)]
    expose: bool,
    /// Add this to every port
    #[arg(long, value_name = "N", default_value_t = 0)]
    port_offset: u16,
    #[command(flatten)]
    logs: Logs,
}

/// Arguments of `portico migrate`.
#[derive(Args, Debug)]
pub struct MigrateArguments {
    #[command(flatten)]
    place: Place,
    /// How long a Postgres server may take to answer, and another program to finish its migration
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = ::config::parse_duration)]
    wait: std::time::Duration,
}

/// Runs the program.
pub fn main(arguments: Arguments) -> ExitCode {
    let Some(command) = arguments.command.filter(|_| !arguments.version) else {
        return version::run(arguments.json);
    };
    match command {
        Command::Run(arguments) if arguments.list_roles => run::list_roles(),
        Command::Run(arguments) => run::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Healthcheck(place) => healthcheck::run(&place),
        Command::Config(ConfigCommand::Check(place)) => config::check(&place),
        Command::Config(ConfigCommand::Show(place)) => config::show(&place),
    }
}

/// Exit code for a configuration that is refused.
const CONFIGURATION: u8 = 2;

impl Place {
    /// The layers of the configuration. The only place that reads the environment.
    fn layers(&self) -> ::config::Layers {
        // Absolute, so that what is printed can be pasted anywhere. Fails only for the empty path.
        let data_dir = std::path::absolute(&self.data_dir).unwrap_or_else(|_| self.data_dir.clone());
        let layers = ::config::Layers::new(data_dir).environment(std::env::vars_os());
        match &self.config {
            Some(path) => layers.file(path),
            None => layers,
        }
    }
}

/// The validated configuration, or the exit code after saying what is wrong with it.
fn validated(layers: ::config::Layers) -> Result<::config::Config, ExitCode> {
    layers.load().map_err(|problems| refuse(&problems))
}

/// The same with where each value comes from.
fn validated_with_origins(
    layers: ::config::Layers,
) -> Result<(::config::Config, Vec<::config::Setting>), ExitCode> {
    layers.load_with_origins().map_err(|problems| refuse(&problems))
}

/// Says what is wrong with a configuration.
fn refuse(problems: &::config::Problems) -> ExitCode {
    eprintln!("the configuration is not usable:\n{problems}");
    ExitCode::from(CONFIGURATION)
}

/// Says why something failed.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("portico: {error}");
    ExitCode::FAILURE
}

/// The runtime of the server: so many threads, or one per core. `TOKIO_WORKER_THREADS` has the last word.
fn runtime(threads: Option<usize>) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads.filter(|_| std::env::var_os("TOKIO_WORKER_THREADS").is_none()) {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name("portico").build()
}
