//! What the product keeps, as traits: accounts with sealed credentials, policies and grants, presence, bindings, the audit
//! log.
//!
//! Here are the contracts, one implementation of them in memory ([`memory`]) and, behind the feature `suite`, the tests
//! every backend must pass (`suite`). Here is **no** rule: what a REGISTER may change, which policy is the nearest and
//! who may sign in is decided by the `registrar` role. Nothing here reads a clock, makes random numbers or spawns: time
//! comes in as an argument.
//!
//! | Trait | Keeps | Backends |
//! |---|---|---|
//! | [`AccountStore`] | accounts, sealed credentials | SQL: must survive everything |
//! | [`PolicyStore`] | policies and grants | SQL |
//! | [`GroupStore`] | organisational groups and their members | SQL |
//! | [`PresenceStore`] | static publications, access rules, contact lists | SQL: must survive everything |
//! | [`PlaceStore`] | sites and SIP domains | SQL |
//! | [`AuditStore`] | who changed what, refused sign-ins of interest | SQL |
//! | [`ChangeFeed`] | nothing: tells what others changed | SQL, where it is shared by processes |
//! | [`BindingStore`] | bindings and tombstones: the location service | memory; [`PartitionedBindings`] in a pool: soft state |
//! | [`BindingCopy`] | what the next owner of a partition needs of the bindings | shared memory of a pool |
//! | [`PresenceCopy`] | what the next owner of a partition needs of presence | shared memory of a pool |
//! | [`LeaseStore`] | who is in the pool, and who owns which partition | shared memory of a pool |
//!
//! Four things to know:
//!
//! 1. Not found is `Ok(None)` (or an outcome that says so), never an error.
//! 2. [`StoreError`] tells apart what a caller does differently: try again later, report a defect, refuse the request.
//! 3. Durable writes are on disk when the call returns. Bindings are soft: losing all of them costs clients one refresh.
//! 4. Traits are object-safe: callers hold `Arc<dyn AccountStore>` and cannot tell which backend it is.
//!
//! **To store something new**: add a method (or a trait) here with a comment that says what a retry does, a case in the
//! suite, the in-memory form, then each backend; for SQL backends a migration.

mod accounts;
mod audit;
mod binding_copy;
mod bindings;
mod changes;
mod error;
mod groups;
mod leases;
pub mod memory;
mod partitioned;
mod places;
mod policies;
mod presence;
mod presence_copy;
pub mod search;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub mod transfer;

pub use accounts::{
    Account, AccountPatch, AccountStore, CredentialKind, FoundAccounts, SealedCredential, StoredAccount,
};
pub use audit::{AuditCategory, AuditEntry, AuditStore};
pub use binding_copy::{BindingCopy, Written};
pub use bindings::{
    Binding, BindingStore, BindingTotals, BindingUpdate, Ended, MAX_TOMBSTONES, Revision, SweepResult,
    TOMBSTONE_TTL_MS, Timestamp, Tombstone, UserBindings,
};
pub use changes::{ChangeFeed, StoreChange, StoreChanges};
pub use error::StoreError;
pub use groups::{GroupPatch, GroupStore, Groups, OrganisationalGroup};
pub use leases::{
    Incarnation, LEASE_TTL_MS, Lease, LeaseStore, Owner, OwnerTable, PoolView, TableVersions, UNKNOWN_TABLES,
};
pub use partitioned::{Flushed, PartitionedBindings};
pub use places::PlaceStore;
pub use policies::{GrantOutcome, PolicyScope, PolicyStore, SettingValue, StoredPolicy};
pub use presence::{
    ContactsWrite, PresenceStore, PublicationWrite, StoredContact, StoredContacts, StoredContainer,
    StoredGroup, StoredPresence, StoredPublication, StoredRules,
};
pub use presence_copy::{CopiedPresence, PresenceCopy, PresenceState};
pub use search::AccountSearch;
