//! Carries SIP over TLS and TCP: accepts and opens flows, cuts them into messages, keeps them alive, and bounds
//! what a peer may do to us.
//!
//! This crate is *not* a transaction layer and takes no decision about requests: it knows neither users nor
//! dialogs, answers nothing but what is no message, and routes nothing. It is the only code of the project that
//! owns a SIP socket.
//!
//! Begin at [`Transport`] (one per process, with its [`Limits`] and [`Counters`]), bind a [`BoundListener`], and
//! serve it with a [`Handler`]. Each connection is one task, see the `driver` module; the rest of the program
//! holds it as an [`Arc<Connection>`](Connection) and calls [`Connection::send`].
//!
//! ```text
//!  listener ----> admission (who may connect)
//!     |
//!  driver --+--> proxy, tls    before a connection is usable
//!           +--> framing       which bytes are one message
//!           +--> handler       what is done with it
//!           +--> wire          sockets, encryption, scratch memory
//! ```
//!
//! To bound something new: a figure in `limits.rs`, a name in `counters.rs`, the check where the resource is
//! taken, and a test that hits it. To carry SIP over something else than TCP: implement tokio's `AsyncRead` and
//! `AsyncWrite` for it and give it to [`Transport::carry`].

mod admission;
mod alarm;
mod cidr;
mod closed_set;
mod connection;
mod counters;
mod driver;
pub mod framing;
mod handler;
mod limits;
mod listener;
pub mod proxy;
mod rate_limit;
mod registry;
mod reject;
#[cfg(test)]
mod test_rig;
pub mod tls;
mod transport;
mod wire;

pub use cidr::{Cidr, InvalidCidr};
pub use connection::{CloseReason, Connection, ConnectionId, SendError};
pub use counters::{Count, Counters, Limit, Sample};
pub use handler::Handler;
pub use limits::{InvalidLimit, Limits};
pub use listener::{BoundListener, Listener, ListenerConfig};
pub use rate_limit::RateLimit;
pub use transport::{ConnectError, Target, Transport};
