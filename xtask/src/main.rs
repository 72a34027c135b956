//! Chores of this workspace that need more than a line of Makefile.
//!
//! `cargo xtask deny` checks the dependency tree against `deny.toml`; `cargo xtask fuzz` compiles the fuzz
//! targets. This program is *not* part of the
//! product and depends on nothing of it. To add a chore: a module with a function that returns
//! `anyhow::Result<()>`, and an arm in `main`.

mod deny;
mod fuzz;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask deny|fuzz";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [chore] if chore == "deny" => deny::run(),
        [chore] if chore == "fuzz" => fuzz::run(),
        _ => bail!(USAGE),
    }
}
