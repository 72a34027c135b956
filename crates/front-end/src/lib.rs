//! The SIP server of one pool member: ends every client's SIP, turns requests into domain verbs for the role that
//! answers them, and turns what roles send back into SIP in the client's dialect.
//!
//! It is not a proxy (no request is forwarded; every dialog ends here), not a user database and not the owner of a
//! conversation: who somebody is, where they are and what happens to a message is decided by the roles behind
//! [`rpc::RegistrarClient`], [`rpc::ImMcuClient`] and [`rpc::PresenceClient`].
//!
//! Entry: [`FrontEnd`]. It is the [`sip_transport::Handler`] of the client listeners and the
//! [`rpc::FrontEnd`] that owners of conversations call.
//!
//! A request goes down one straight line: `service` (bytes became a message) -> `flow` (transaction, signature) ->
//! `dispatch` (who sent it, may they, what do they want) -> `method::*` (the verb) -> the role -> the answer.
//! What a role sends to a client goes the other way: `deliver`, `ring`, `signal` -> `dialect` (the words that client
//! understands) -> `flow`. Presence is in `presence`: whom this front end follows, and what its clients watch.
//!
//! **To answer a new method**: a file in `method/`, an arm in `dispatch::dispatch`, a scenario in `tests/`.
//! **To support a client's peculiarity**: `client` (how it is recognised) and `dialect` (what it is sent).

mod bindings;
mod client;
mod config;
mod counters;
mod deliver;
mod dialect;
mod dispatch;
mod drain;
mod flow;
mod identity;
mod ids;
mod leg;
mod message_id;
mod method;
mod presence;
mod recent;
mod ring;
mod service;
mod shards;
mod share;
mod sign_in;
mod signal;
mod signing;
mod trace;

pub use config::{Advertised, FrontEndConfig};
pub use counters::Counters;
pub use service::{FrontEnd, Session};
