//! The immcu role: it owns conversations.
//!
//! [`ImMcuService`] is the entry: it implements [`rpc::ImMcu`], asks the registrar where people are, and tells front ends
//! what to deliver, whom to ring and which sessions to end. What is decided when is the business of one state machine per
//! conversation (`conversation/`), which does no I/O, spawns nothing and reads no clock; the service executes what it
//! wants done.
//!
//! This crate is *not* a SIP server: it knows no dialogs, methods or status codes. A session is two legs with names, a
//! message is content with an id. It keeps nothing on disk: when the process ends, sessions end, and front ends submit
//! again what was not answered.
//!
//! To extend it:
//! * a filter for texts: implement [`MessageFilter`];
//! * archiving: implement [`Archive`];
//! * a setting an administrator may change per user: add it to [`IM_POLICY`] and enforce it in `service/prepare.rs`;
//! * another input or effect of a conversation: a method in a file of `conversation/`, a variant in `effect.rs`, its
//!   execution in `service/run.rs`, and an action in `conversation/simulation/`.

mod access;
mod archive;
mod conversation;
mod counters;
mod effect;
mod endpoints;
mod filter;
mod limits;
mod memory;
mod policy;
mod rank;
mod service;
mod timers;

pub use access::Access;
pub use archive::{Archive, ArchiveMode, Disposition, KeepNothing, NotArchived, OutcomeRecord, Record};
pub use counters::{Counters, Snapshot};
pub use filter::{MessageFilter, PassAll, Verdict};
pub use limits::Limits;
pub use policy::IM_POLICY;
pub use service::{Hooks, ImMcuService};
