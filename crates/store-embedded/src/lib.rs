//! The durable stores of a Standard Edition in one local SQLite file: no server to run.
//!
//! [`Database`] implements [`store::AccountStore`], [`store::PolicyStore`], [`store::PresenceStore`],
//! [`store::GroupStore`], [`store::PlaceStore`] and [`store::AuditStore`], and is a [`store::ChangeFeed`] that never yields. It is **not** the
//! location service (bindings are soft state and live in memory, [`store::memory::MemoryBindings`]) and not shared by
//! processes: one process has the file open.
//!
//! What a caller may rely on: a write is on disk when its call returns (write-ahead log, `synchronous = FULL`: accounts
//! are written seldom and must survive a power cut), writes of one call happen together or not at all, readers are not
//! held up by the writer, and the file can be read by its owner only.
//!
//! Queries are plain `sqlx::query`; what holds them to the contract is the suite in `store`, which the tests here run
//! against every method.
//!
//! **To store something new**: a migration in `migrations/` (numbered, never edited after a release), the trait's method
//! in the file of its table, and the case in the suite of `store`.

mod accounts;
mod audit;
mod changes;
mod columns;
mod contacts;
mod database;
mod error;
mod groups;
mod places;
mod policies;
mod presence;
mod search;
mod transfer;

pub use database::Database;
