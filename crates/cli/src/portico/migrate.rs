//! `portico migrate`: the schema of the database, in one step that an upgrade can wait for.

use std::process::ExitCode;

use super::{MigrateArguments, fail, runtime, validated};
use crate::out;

pub(super) fn run(arguments: &MigrateArguments) -> ExitCode {
    let config = match validated(arguments.place.layers()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let runtime = match runtime(None) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(server::migrate(&config, arguments.wait)) {
        Ok(()) => {
            out::line("the database has the schema of this version");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}
