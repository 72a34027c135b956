//! The kinds of load, one per file, and what two of them share.

mod between_pairs;
pub(crate) mod idle;
pub(crate) mod page;
pub(crate) mod presence;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod storm;

use crate::endpoint::Endpoint;
use crate::run::Run;
use std::sync::Arc;
use std::time::Duration;

/// Time for what is under way to end, and for connections to be closed.
const END: Duration = Duration::from_millis(500);

/// Ends a run.
async fn end(run: &Run, endpoints: &[Arc<Endpoint>]) {
    run.stop();
    tokio::time::sleep(END).await;
    for endpoint in endpoints {
        endpoint.leave();
    }
    tokio::time::sleep(END).await;
}
