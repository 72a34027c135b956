//! `portico run`: serve until told to stop.

use std::process::ExitCode;

use config::{Config, Layers, Setting};
use server::{Options, Running, Signal, Signals, StartError};
use telemetry::{LogFilter, LogFormat};
use topology::Role;

use super::reload::Reload;
use super::{RunArguments, fail, runtime, say, validated_with_origins};
use crate::out;

pub(super) fn list_roles() -> ExitCode {
    let rows: Vec<Vec<String>> = Role::ALL
        .iter()
        .map(|role| vec![role.to_string(), role.describe().to_owned()])
        .collect();
    out::print(&out::table(&["role", "what it does"], &rows));
    ExitCode::SUCCESS
}

pub(super) fn run(arguments: &RunArguments) -> ExitCode {
    let place = arguments.place.clone();
    let layers = Box::new(move || place.layers());
    let (config, settings) = match validated_with_origins(layers()) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let options = Options {
        roles: arguments.roles.clone(),
        demo: false,
    };
    serve(Start {
        config,
        settings,
        layers,
        options,
        format: arguments.logs.log_format,
    })
}

/// What a command starts with.
pub(super) struct Start {
    pub(super) config: Config,
    pub(super) settings: Vec<Setting>,
    /// Where the configuration came from, for a reload.
    pub(super) layers: Box<dyn Fn() -> Layers>,
    pub(super) options: Options,
    pub(super) format: LogFormat,
}

/// Serves and says so; the same for `run` and `demo`.
pub(super) fn serve(start: Start) -> ExitCode {
    let log = match telemetry::init_logging(start.format, &start.config.telemetry.log) {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    telemetry::log_panics();
    raise_file_limit();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let demo = start.options.demo;
    match runtime.block_on(until_stopped(start, log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portico: {}", say::start_error(&error, demo));
            ExitCode::FAILURE
        }
    }
}

async fn until_stopped(start: Start, log: LogFilter) -> Result<(), StartError> {
    // Before the start: a signal that comes meanwhile is obeyed afterwards instead of killing half a server.
    let mut signals = Signals::install()?;
    let running = server::serve(start.config.clone(), start.options).await?;
    announce(&start.config, &running, start.format);
    let mut reload = Reload {
        layers: start.layers,
        settings: start.settings,
        log,
    };
    while signals.next().await == Signal::Reload {
        reload.run();
        running.reload();
    }
    // A second request to stop does not wait.
    tokio::select! {
        () = running.stop() => {}
        () = signals.stop_again() => tracing::warn!("told to stop twice: not waiting any longer"),
    }
    Ok(())
}

fn announce(config: &Config, running: &Running, format: LogFormat) {
    match format {
        LogFormat::Json => {
            if let Some(demo) = running.demo() {
                out::line(&say::demo_json(demo));
            }
            out::line(&say::ready_json(running.ready()));
        }
        LogFormat::Text => out::print(&say::ready_text(
            config,
            running.ready(),
            running.demo(),
            &say::control_tool(),
        )),
    }
}

/// Every client is a file descriptor, and the soft limit is often 1,024: takes what the hard limit gives.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(limit = ?limit.maximum, "file descriptors"),
        Err(error) => {
            tracing::warn!(%error, limit = ?limit.current, "cannot raise the limit of file descriptors")
        }
    }
}
