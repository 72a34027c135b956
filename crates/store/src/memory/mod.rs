//! Every store in memory: bindings for a Standard Edition, the rest for tests.
//!
//! [`MemoryBindings`] is the product's own where one process is the pool. [`MemoryDirectory`] keeps accounts, groups, policies,
//! places, presence and the audit log for as long as it lives: it passes the same suites as the SQL backends, so that a
//! role can be tested without a database. [`MemoryCopy`], [`MemoryPresenceCopy`] and [`MemoryLeases`] likewise stand for the shared memory of a pool.

mod bindings;
mod copy;
mod directory;
mod groups;
mod leases;
mod presence;
mod presence_copy;

pub use bindings::MemoryBindings;
pub use copy::MemoryCopy;
pub use directory::MemoryDirectory;
pub use leases::MemoryLeases;
pub use presence_copy::MemoryPresenceCopy;
