//! `portico-load`: a load generator for any SIP server over TLS or TCP, and the floor to compare it with.
//!
//! It signs in many endpoints from one process, has them exchange messages or presence, and prints what that took: rate,
//! latency, and CPU time and memory of the processes it is told to watch. It is *not* a test: it asserts nothing,
//! and knows no more of a server than SIP. README.md says how to run it and what to raise on the server.
//!
//! Entry points: [`args::Args`] is the command line, each file under `mode` is one kind of load, and
//! [`endpoint::Endpoint`] is one signed-in user. A new load is a file under `mode`, and what an endpoint has to
//! do for it in a file under `endpoint`.

mod args;
mod endpoint;
mod histogram;
mod mode;
mod pacing;
mod population;
mod process;
mod relay;
mod report;
mod run;
mod sign_in;
mod switchboard;

use anyhow::{Context, Result};
use args::{Args, Mode};
use clap::Parser;

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads.max(1))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let report = match &args.mode {
            Mode::Relay(relay) => return relay::run(relay).await,
            Mode::Switchboard(switchboard) => return switchboard::run(switchboard).await,
            Mode::Idle(idle) => mode::idle::run(&args, idle).await?,
            Mode::SignIn(sign_in) => mode::sign_in::run(&args, sign_in).await?,
            Mode::Page(page) => mode::page::run(&args, page).await?,
            Mode::Session(session) => mode::session::run(&args, session).await?,
            Mode::Presence(presence) => mode::presence::run(&args, presence).await?,
            Mode::Storm(storm) => mode::storm::run(&args, storm).await?,
        };
        report.print(args.output);
        report.check()
    })
}
