//! `page`: MESSAGEs outside of dialogs.

use super::between_pairs::BetweenPairs;
use crate::args::{Args, Page};
use crate::endpoint::Exchange;
use crate::report::Report;
use anyhow::Result;

/// Both ends of each pair send.
///
/// # Errors
/// Nobody could sign in, or a watched process is gone.
pub(crate) async fn run(args: &Args, page: &Page) -> Result<Report> {
    let load = BetweenPairs {
        mode: "page",
        unit: "messages",
        part: "",
        what: Exchange::Page { size: page.size },
        both_begin: true,
        concurrency: page.concurrency,
        rate: page.rate,
        window: page.window,
    };
    load.run(args, page.floor).await
}
