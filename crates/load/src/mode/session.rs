//! `session`: whole conversations.

use super::between_pairs::BetweenPairs;
use crate::args::{Args, Session};
use crate::endpoint::Exchange;
use crate::report::Report;
use anyhow::Result;

/// The first of each pair calls the second.
///
/// # Errors
/// Nobody could sign in, or a watched process is gone.
pub(crate) async fn run(args: &Args, session: &Session) -> Result<Report> {
    let load = BetweenPairs {
        mode: "session",
        unit: "sessions",
        part: "request",
        what: Exchange::Session {
            size: session.size,
            messages: session.messages,
        },
        both_begin: false,
        concurrency: session.concurrency,
        rate: session.rate,
        window: session.window,
    };
    load.run(args, session.floor).await
}
