//! The presence role: it owns what people publish about themselves, and says who sees how much of it.
//!
//! [`PresenceService`] is the entry: it implements [`rpc::Presence`], keeps in a [`store::PresenceStore`] what must survive,
//! follows the registrar, and sends documents to the front ends that follow somebody. What is decided when is pure: one
//! `presentity` each, over `publications`, `aggregate`, `view`, `access`, `contacts` and `watchers`, which do no I/O and
//! read no clock.
//!
//! This crate is *not* a SIP server and renders nothing: it knows no events, bodies or entity tags, and XML only as bytes
//! that are passed on. It holds no subscriptions: front ends do, and tell who watches.
//!
//! | Question | Where |
//! |---|---|
//! | What do all sources together say? | `aggregate`; the table is in `docs/presence.md` |
//! | May this be published, and when does it end? | `publications` |
//! | What does each access level see? | `view`; the matrix is in `docs/presence.md` |
//! | Who is at which level? | `access`, [`rpc::presence::AccessRules`] |
//! | What is in a contact list? | `contacts` |
//! | What does the next owner find? | `copied`, `service/copying.rs`, `service/legacies.rs` |
//! | Who is told what, and when? | `service/settle.rs`, `service/streams.rs` |
//!
//! To extend it:
//! * a source of states: a row in the table, in `aggregate` and in its tests;
//! * a category the pool understands: a variant of [`rpc::presence::PublicationContent`], its place in `view` and `stored`;
//! * a setting an administrator may change per user: add it to [`PRESENCE_POLICY`].
//!
//! Invariants: no lock is held across a wait; what must survive is stored before a caller is answered; of documents the
//! newest replaces what waits.

mod access;
mod aggregate;
mod contacts;
mod copied;
mod counters;
mod limits;
mod policy;
mod presentity;
mod publications;
mod service;
mod stored;
mod time;
mod view;
mod watchers;

pub use counters::{Counters, Snapshot};
pub use limits::Limits;
pub use policy::PRESENCE_POLICY;
pub use presentity::deciding_row;
pub use service::PresenceService;
pub use time::{Clock, Rate, SystemClock};
