//! `portico --version`, for people and, with `--json`, for programs.

use std::process::ExitCode;

use serde::Serialize;

use crate::out;

/// What was built.
#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    /// `PORTICO_COMMIT` of the environment in which this was compiled; nothing is asked of git, so that a build from an
    /// archive is the same as one from a checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    features: Vec<&'static str>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: Option<&str> = option_env!("PORTICO_COMMIT");

pub(super) fn run(json: bool) -> ExitCode {
    out::line(&if json { as_json() } else { as_text() });
    ExitCode::SUCCESS
}

fn as_text() -> String {
    match COMMIT {
        Some(commit) => format!("portico {VERSION} ({commit})"),
        None => format!("portico {VERSION}"),
    }
}

fn as_json() -> String {
    let features = [("mimalloc", cfg!(feature = "mimalloc"))];
    let version = Version {
        name: "portico",
        version: VERSION,
        commit: COMMIT,
        features: features
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| name)
            .collect(),
    };
    // Invariant: a struct of texts always has a JSON form.
    serde_json::to_string(&version).unwrap_or_default()
}
