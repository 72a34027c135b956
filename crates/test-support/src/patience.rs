//! The one answer to "how long do we wait": for events, up to [`PATIENCE`], never for durations.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a test waits for something that should happen at once.
///
/// It is generous because a debug build on a busy two-core machine may stall for seconds, and it
/// costs nothing when the event comes. It stays below the 32 s of a SIP transaction (RFC 3261
/// section 17.1.2.2, Timer F), so that a lost answer is reported as such and not as a 408.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The distance between two looks of [`eventually`].
const LOOK: Duration = Duration::from_millis(50);

/// Waits for `work`, at most [`PATIENCE`]. `what` names the awaited thing in the error.
///
/// # Errors
/// The error of `work`, or that patience ran out.
pub async fn within<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .with_context(|| format!("waited {} s for {what}", PATIENCE.as_secs()))?
        .with_context(|| format!("while waiting for {what}"))
}

/// Asks `look` again and again until it gives a value, at most [`PATIENCE`].
///
/// Only for things that send no event, such as a metrics page or a client that has to be asked.
///
/// # Errors
/// The first error of `look`, or that patience ran out.
pub async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    within(what, async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
}
