//! `portico demo`: chatting within a minute.

use std::process::ExitCode;

use server::Options;

use super::{DemoArguments, run, validated};

pub(super) fn run(arguments: &DemoArguments) -> ExitCode {
    let layers = arguments
        .place
        .layers()
        .command("demo", "pool.domains", "example.test")
        // So that a Lync-family client can be tried too.
        .command("demo", "auth.ntlm", "true");
    let config = match validated(layers) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let options = Options {
        roles: Vec::new(),
        demo: true,
    };
    run::serve(config, options, arguments.logs.log_format)
}
