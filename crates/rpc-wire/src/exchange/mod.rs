//! Conversations between processes: one stream between each front end and each owner, in batches.
//!
//! ```text
//!   front end                                                    owner of conversations
//!   +---------------------+   open, submit, leave, hold ...    +---------------------+
//!   | ConversationRouter  | ---------------------------------> | ExchangeOwner       |
//!   |  lane per partition |   deliver, ring ... and answers    |  one RemoteFrontEnd |
//!   |  link per owner     | <--------------------------------- |  per stream         |
//!   +---------------------+                                    +---------------------+
//! ```
//!
//! The router sends each request to whoever owns its conversation, keeps it until it is answered, and sends it again, in
//! the old order, when the stream breaks or the owner changes. Before it asks a new owner anything it says which legs it
//! holds ([`rpc::HeldLegs`]), and stops what still rings for the old one. Message ids and leg ids make every repetition
//! harmless; epochs keep an owner that was left behind from reaching anybody.
//!
//! | File | What |
//! |---|---|
//! | `router` | the front end's end: lanes, links, resending |
//! | `link` | one stream to one owner, and what comes down on it |
//! | `owner` | the owner's end |
//!
//! What any such stream is made of is in `duplex`.

mod link;
mod owner;
mod router;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::task::{Context, Waker};

use tokio_util::task::TaskTracker;

pub use self::owner::{Epochs, ExchangeOwner};
pub use self::router::{ConversationRouter, Dial, Local};

/// Runs a task whose first step is taken before this returns: what came in order is begun in order.
fn poll_once_then_spawn(tasks: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
    let mut task = Box::pin(task);
    if task
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
    {
        tasks.spawn(task);
    }
}
