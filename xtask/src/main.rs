//! Chores of this workspace that need more than a line of Makefile.
//!
//! `cargo xtask deny` checks the dependency tree against `deny.toml`; `cargo xtask fuzz` compiles the fuzz
//! targets, and with `--seconds N` it runs them. This program is *not* part of the product and depends on nothing
//! of it. To add a chore: a module with a function that returns
//! `anyhow::Result<()>`, and an arm in `main`.

mod deny;
mod fuzz;

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "usage: cargo xtask deny | fuzz [--seconds N]";

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
        [chore] if chore == "fuzz" => fuzz::check(),
        [chore, flag, seconds] if chore == "fuzz" && flag == "--seconds" => {
            // Zero would mean for ever.
            let seconds: NonZeroU32 = seconds.parse().context(USAGE)?;
            fuzz::run(seconds.get())
        }
        _ => bail!(USAGE),
    }
}
