//! What users see, with the real server and a puppet user agent.
//!
//! The same scenarios run in two shapes: the Standard Edition in one process, and a pool of two front ends, a registrar and
//! two owners of conversations over Redis and Postgres, where successive connections go to different front ends
//! (`PORTICO_TEST_TOPOLOGY=pool`, `make test` runs both). `standard` has what only the first can show.
//!
//! Each test starts a server of its own. Users are made as a test needs them. Nothing sleeps: a test
//! waits for what should happen, and asks for an answer where nothing should.

mod closing;
mod drain;
mod endpoints;
mod envelopes;
mod failover;
mod floods;
mod framing;
mod groups;
mod identity;
mod limits;
mod page;
mod page_and_session;
mod policy;
mod presence;
mod presence_attacks;
mod program;
mod requests;
mod ringing;
mod search;
mod session;
mod sign_in;
mod signatures;
mod standard;
mod tls_stores;
mod torture;
mod typing_and_receipts;

use anyhow::{Result, ensure};
use test_support::{Puppet, Wire};

/// Fails unless the answer has this status; shows it.
fn status(answer: &Wire, expected: u16) -> Result<()> {
    ensure!(
        answer.status() == Some(expected),
        "expected {expected}, got:\n{answer}"
    );
    Ok(())
}

/// The control connection of an attack: this one must be served whatever others do.
async fn still_served(control: &mut Puppet) -> Result<()> {
    let options = control.request("OPTIONS", "sip:example.test");
    status(&control.call(options).await?, 200)
}
