//! Tools for tests that look at the product from outside: a puppet user agent, a sandbox that
//! runs the real server, and drivers for real client programs.
//!
//! It is *not* part of the product and links none of it. The puppet writes and reads SIP with its
//! own few lines, and computes Digest and NTLM on its own, so that a mistake in the product's
//! parser or cryptography is seen here instead of being made twice.
//!
//! Where to start:
//!
//! * [`Sandbox`] starts `portico` in a temporary directory on free ports and knows where it
//!   listens: as one process, or as a pool of five ([`Topology`]), whose [`Member`]s can be killed, paused and started
//!   again. Build the binaries first (`make test` does).
//! * [`Puppet`] is a user agent that does exactly what the test says, well-formed or not.
//! * [`clients`] starts baresip, linphone-daemon, lyncdrive and SIPp.
//! * [`stores`] starts Postgres and Redis.
//!
//! To drive one more real client, add a file in `clients/` that starts the program with a throw-away
//! home directory through [`clients::Program`], and turn its output into events to wait for.
//!
//! Nothing here sleeps. Everything waits for an event, with one [`PATIENCE`].

pub mod clients;
mod flow;
mod patience;
mod puppet;
mod sandbox;
pub mod stores;
mod wire;

pub use flow::Flow;
pub use patience::{PATIENCE, eventually, within};
pub use puppet::{Dialect, Digest, Draft, Puppet, Scheme, Session};
pub use sandbox::{Account, DOMAIN, Member, Options, Sandbox, Seed, Topology, target_dir};
pub use wire::{Wire, param_of, uri_of};
