//! SIP above the message and below the application: transactions and dialogs as state machines.
//!
//! This crate is *not* a SIP stack: it opens no socket, reads no clock, makes no random numbers and logs nothing.
//! Messages, instants and a random seed come in as arguments; what to write and what happened come out as values. The
//! same inputs give the same outputs.
//!
//! * [`Transactions`] holds the transactions of one flow (RFC 3261 section 17, RFC 6026, RFC 4320), for reliable
//!   transports: nothing is retransmitted. Give it every message with [`Transactions::receive`]; act on the
//!   [`Received`]; answer with [`Transactions::respond`]; send requests with [`Transactions::start`]; sleep until
//!   [`Transactions::next_timeout`].
//! * [`Dialog`] holds what two parties share over several requests (section 12), and builds the requests in it.
//! * [`IdSource`] makes tags, branches and Call-IDs out of a seed.
//!
//! To change a rule of a transaction, change the machine in `transaction/`, its diagram, and add a test in
//! `endpoint/transactions/tests.rs` that plays it between two ends with a virtual clock. A subscription machine
//! (RFC 6665) would be a sibling of `dialog`.

mod dialog;
mod endpoint;
#[cfg(test)]
mod testing;
mod transaction;

pub use dialog::{Dialog, DialogError, DialogId, DialogState, OutOfOrder, RouteSet};
pub use endpoint::{
    ClientKey, IdSource, MAX_PENDING, Received, ServerKey, StartError, TimedOut, Transactions,
};
pub use transaction::RespondError;
pub use transaction::timer;
