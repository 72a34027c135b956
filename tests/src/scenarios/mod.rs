//! What users see, with the real server and a puppet user agent.
//!
//! Each test starts a server of its own. Users are made as a test needs them. Nothing sleeps: a test
//! waits for what should happen, and asks for an answer where nothing should.

mod closing;
mod endpoints;
mod envelopes;
mod floods;
mod framing;
mod identity;
mod limits;
mod page;
mod page_and_session;
mod policy;
mod program;
mod requests;
mod ringing;
mod session;
mod sign_in;
mod signatures;
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
