//! The shared state of a pool in Redis: the copies of its bindings and of its presence, and the leases of its members.
//!
//! [`Redis`] is the way to the servers, whatever their set-up: one server, Sentinel, a cluster ([`RedisUrl`]).
//! Over TLS with [`Certificates`]. [`RedisBindings`], [`RedisPresence`] and [`RedisLeases`] stand on it; they are contracts of
//! `store`, and each may lose everything at any time: its owners write it anew. Every decision is a script on the server, in one round trip and by the server's clock.
//!
//! ```text
//!   key                                            type    holds                                     lives
//!   portico:<pool>:bindings:{u<partition>}         hash    user -> revision, when, state (JSON)      longest binding + 120 s
//!   portico:<pool>:fence:{u<partition>}            string  epoch and run id of who may write         48 h, renewed by writes
//!   portico:<pool>:deleted:{u<partition>}          hash    user -> revision                          120 s after the last one
//!   portico:<pool>:presence:{p<partition>}         hash    user -> revision, when, state             longest state + 120 s
//!   portico:<pool>:presence-fence:{p<partition>}   string  as above                                  as above
//!   portico:<pool>:presence-deleted:{p<partition>} hash    as above                                  as above
//!   {portico:<pool>}:members                       hash    member -> end of the lease, life, facts   24 h, renewed by renewals
//!   {portico:<pool>}:owners:users, :conversations  hash    partition -> epoch, life, member          likewise
//!   {portico:<pool>}:facts                         hash    canary, versions of both tables           likewise
//!   {portico:<pool>}:changed                       channel what changed; a hint
//! ```
//!
//! What is in braces is what a cluster hashes: each partition may be on another server, the leases are on one.
//!
//! **Lost history.** A failover throws away the newest writes, a restart or a flush everything. Who sees it: a renewal
//! returns a `history` made of the server's run id and a canary, a random value that the first renewal writes; and a fence
//! holds the run id it was set under, so that a write notices what happened to the server of its own partition.
//!
//! **Failures.** Each command has a deadline. After several failures in a row, commands of bindings are refused at once
//! and one a second is let through; renewals are never refused, for they come seldom and a member stops without them. A
//! refusal of a server that lost its replicas (`min-replicas-to-write`) is a failure like any other. What the breaker and
//! the failures come to is on the page of metrics.
//!
//! This crate spawns nothing. Passwords are in no error, no log line and no `Debug` text.

mod bindings;
mod breaker;
mod certificates;
mod connection;
mod copies;
mod counters;
mod leases;
mod link;
mod presence;
mod script;
mod signal;
mod states;
mod url;

pub use bindings::RedisBindings;
pub use certificates::{CertificateError, Certificates, OwnCertificate};
pub use connection::Redis;
pub use counters::CountersSnapshot;
pub use leases::RedisLeases;
pub use presence::RedisPresence;
pub use url::{RedisUrl, UrlError};
