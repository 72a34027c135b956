//! `portico run`: serve until told to stop.

use std::process::ExitCode;

use config::{Config, Layers, Setting};
use server::{Options, Running, Signal, Signals, StartError};
use telemetry::otlp::Exporter;
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
        exporter: None,
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
pub(super) fn serve(mut start: Start) -> ExitCode {
    let runtime = match runtime(threads(&start.options.roles)) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let exporter = {
        let _within = runtime.enter();
        exporter(&start)
    };
    start.options.exporter = match exporter {
        Ok(exporter) => exporter,
        Err(error) => return fail(&error),
    };
    let filter = &start.config.telemetry.log;
    let log = match telemetry::init_logging(start.format, filter, start.options.exporter.as_ref()) {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    telemetry::log_panics();
    raise_file_limit();
    let demo = start.options.demo;
    match runtime.block_on(until_stopped(start, log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portico: {}", say::start_error(&error, demo));
            ExitCode::FAILURE
        }
    }
}

/// Threads of a member with these roles; none are all of them. One that only owns conversations or presence has work for a few
/// microseconds at a time and is added to by further members: with more threads most of what it is told would wake a second one
/// for nothing.
fn threads(roles: &[Role]) -> Option<usize> {
    let owns_only = |role: &Role| matches!(role, Role::ImMcu | Role::Presence);
    (!roles.is_empty() && roles.iter().all(owns_only)).then_some(1)
}

/// What sends telemetry, if a collector is named.
fn exporter(start: &Start) -> Result<Option<Exporter>, StartError> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = server::otlp_settings(&start.config, &start.options.roles, variable)?;
    Ok(settings
        .map(|settings| telemetry::otlp::start(&settings))
        .transpose()?)
}

async fn until_stopped(start: Start, log: LogFilter) -> Result<(), StartError> {
    // Before the start: a signal that comes meanwhile is obeyed afterwards instead of killing half a server.
    let mut signals = Signals::install()?;
    let exporter = start.options.exporter.clone();
    let running = match server::serve(start.config.clone(), start.options).await {
        Ok(running) => running,
        Err(error) => {
            if let Some(exporter) = exporter {
                exporter.stop().await;
            }
            return Err(error);
        }
    };
    announce(&start.config, &running, start.format);
    let mut reload = Reload {
        layers: start.layers,
        settings: start.settings,
        log,
    };
    let drain = running.drain_request().clone();
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            () = drain.asked() => Signal::Stop,
        };
        if signal == Signal::Stop {
            break;
        }
        reload.run();
        running.reload();
    }
    let mut stop = std::pin::pin!(running.stop());
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = signals.stop_again() => {
                // A second request moves no clients any longer, and waits for nothing where none are moved.
                if !drain.hurry() {
                    tracing::warn!("told to stop again: not waiting any longer");
                    return Ok(());
                }
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_member_that_has_no_clients_and_no_users_runs_on_one_thread() {
        for roles in [
            &[Role::ImMcu][..],
            &[Role::Presence],
            &[Role::Presence, Role::ImMcu],
        ] {
            assert_eq!(threads(roles), Some(1), "{roles:?}");
        }
        for roles in [
            &[][..],
            &[Role::FrontEnd],
            &[Role::Registrar],
            &[Role::Presence, Role::Registrar],
            &[Role::ImMcu, Role::FrontEnd],
        ] {
            assert_eq!(threads(roles), None, "{roles:?}");
        }
    }
}
