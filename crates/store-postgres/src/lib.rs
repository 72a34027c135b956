//! The durable stores of a pool in one Postgres database, shared by all of its members.
//!
//! [`Database`] implements [`store::AccountStore`], [`store::PolicyStore`], [`store::PresenceStore`],
//! [`store::GroupStore`], [`store::PlaceStore`] and [`store::AuditStore`], as `store-embedded` does for one process, and [`store::ChangeFeed`]:
//! every write of accounts, policies and groups tells the other members in the transaction that makes it, so that what they have
//! cached goes when it is old. Presence is kept by its owner alone. It is **not** the location service: bindings are soft
//! state.
//!
//! What a caller may rely on: a write is on the server's disk when its call returns (`synchronous_commit = on`), writes of
//! one call happen together or not at all, and every call ends: with an answer, or with [`store::StoreError::Driver`] once
//! the deadlines of [`ConnectOptions`] have passed. A call that was cut off may have taken effect. No password of a URL is
//! in an error, a log line or a `Debug` form.
//!
//! # The schema: expand, then contract
//!
//! During an upgrade programs of two releases work on one database. So a migration never changes what the release before
//! still uses. It takes three releases to replace something:
//!
//! 1. *expand*: a migration adds the new column or table; the program writes both and reads the old one;
//! 2. the program reads and writes only the new one, and raises [`NEWEST_MAJOR`]: it would work without the old one;
//! 3. *contract*: a migration removes the old one.
//!
//! The number of a migration is its major part times 10,000 and a count: `10001`, `10002`, `20003`. An expanding migration
//! keeps the major part of the one before, a contracting one takes the next. A program refuses a database with a larger
//! major part than [`NEWEST_MAJOR`], works on a newer one of a major part it knows, and waits for an older one to be
//! migrated ([`migrate`]). A released migration is never edited.
//!
//! **To store something new**: a migration here and one in `store-embedded`, the trait's method in the file of its table,
//! the case in the suite of `store`, and a notification if somebody caches it (`feed`).

mod accounts;
mod audit;
mod columns;
mod connection;
mod contacts;
mod database;
mod error;
mod feed;
mod groups;
mod places;
mod policies;
mod presence;
mod schema;
mod search;
mod transfer;
mod url;

pub use database::{ConnectOptions, Database};
pub use schema::{NEWEST_MAJOR, migrate};
pub use transfer::Import;
