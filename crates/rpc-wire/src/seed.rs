//! The seed: one member keeps in memory, for a pool without Redis, what Redis would keep.
//!
//! ```text
//!   every member                                      the member at the seat
//!   membership ---- LeaseStore --.                 .---- MemoryLeases
//!                                 RemoteSeed --gRPC-- SeedTable
//!   registrar  ---- BindingCopy -'                 '---- MemoryCopy
//! ```
//!
//! The *seat* is where all members are configured to look: a fixed address, or the lowest of those of a name. Each member
//! sends the seat it means along with every call, and a member that sees the seat elsewhere refuses; who asks and who
//! answers agree, or nothing happens. A seed that sees the seat move forgets everything, so that it never answers from
//! what was true before: for members that is a store that lost its contents, and they say again what they own.

mod client;
mod service;
mod table;

use std::sync::Arc;

use tokio::sync::watch;

pub use client::RemoteSeed;
pub(crate) use service::SeedService;
pub use table::SeedTable;

/// Where the seed is, as one member sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Its address as `host:port`. All members must come to the same text.
    pub address: Arc<str>,
    /// How often this member saw it move.
    pub moves: u64,
}

/// The seat as it moves; `None`: not known yet.
pub type SeatWatch = watch::Receiver<Option<Seat>>;
