//! The one entry of this crate for a flow: [`Transactions`].

mod ids;
mod machines;
mod outgoing;
mod timers;
mod transactions;

pub use ids::IdSource;
pub use transactions::{ClientKey, MAX_PENDING, Received, ServerKey, StartError, TimedOut, Transactions};
