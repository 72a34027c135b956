//! Connections between members: plain on loopback, TLS 1.3 with a certificate on both sides anywhere else.
//!
//! | Part | Where |
//! |---|---|
//! | The pool's own certificate authority, made from its key file | `authority` |
//! | The name of a member in its certificate | `name` |
//! | Who is let in, and certificates that renew themselves | `tls` |
//! | Connecting | `connector`, `one_task` |
//! | Accepting, with its bounds | `listener` |
//! | Who is to be asked whether he lives | `suspects` |

mod authority;
mod connector;
mod io;
mod listener;
mod name;
mod one_task;
mod suspects;
mod tls;

pub use authority::{Authority, AuthorityError};
pub use connector::{Connector, ConnectorError};
pub use io::Peer;
pub(crate) use listener::Accepting;
pub use listener::{Bound, HANDSHAKE_TIMEOUT, HANDSHAKES, ListenError, MAX_CONNECTIONS, listen};
pub use suspects::Suspects;
pub use tls::MemberTls;
pub use tonic::transport::Channel;

use std::time::Duration;

/// Flow-control window of one stream, in bytes.
pub(crate) const STREAM_WINDOW: u32 = 1024 * 1024;
/// Flow-control window of one connection, in bytes.
pub(crate) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Longest list of headers, in bytes.
pub(crate) const MAX_HEADER_LIST: u32 = 16 * 1024;
/// How often a peer that is silent is asked whether it is there.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to say so.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
