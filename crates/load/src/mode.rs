//! The kinds of load, one per file.

pub(crate) mod idle;
pub(crate) mod page;
pub(crate) mod session;
pub(crate) mod sign_in;

use crate::endpoint::Endpoint;
use crate::run::Run;
use std::sync::Arc;
use std::time::Duration;

/// Time for what is under way to end, and for connections to be closed.
const END: Duration = Duration::from_millis(500);

/// The two ends of each pair, the caller first. A user without a partner stays idle.
fn pairs(endpoints: &[Arc<Endpoint>]) -> Vec<(Arc<Endpoint>, Arc<Endpoint>)> {
    endpoints
        .windows(2)
        .filter(|two| two[0].index() % 2 == 0 && two[0].index() + 1 == two[1].index())
        .map(|two| (Arc::clone(&two[0]), Arc::clone(&two[1])))
        .collect()
}

/// Ends a run.
async fn end(run: &Run, endpoints: &[Arc<Endpoint>]) {
    run.stop();
    tokio::time::sleep(END).await;
    for endpoint in endpoints {
        endpoint.leave();
    }
    tokio::time::sleep(END).await;
}
