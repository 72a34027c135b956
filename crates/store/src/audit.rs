//! The audit log: who did what, when.

use async_trait::async_trait;

use crate::StoreError;

/// What kind of thing an entry tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AuditCategory {
    /// An administrator changed something. Kept for good.
    Administration,
    /// A sign-in was refused. Kept as long as the operator wants.
    SignIn,
}

impl AuditCategory {
    /// The name under which it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            AuditCategory::Administration => "administration",
            AuditCategory::SignIn => "sign-in",
        }
    }

    /// The category of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [AuditCategory::Administration, AuditCategory::SignIn]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}

/// One line of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Unix seconds.
    pub at: i64,
    /// What kind of thing it is.
    pub category: AuditCategory,
    /// Who: an administrator's name, or the address a sign-in came from.
    pub actor: String,
    /// What was done, such as `user.create`.
    pub action: String,
    /// To whom or what, such as an address of record.
    pub subject: String,
    /// More, in words. Never a secret.
    pub detail: String,
}

/// Keeps the audit log. Entries are only ever added, and removed by age.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Adds entries, in order, in one transaction.
    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;

    /// The newest entries, newest first, at most `limit`.
    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// Removes entries of a category older than `before` (Unix seconds); returns how many.
    async fn prune_audit(&self, category: AuditCategory, before: i64) -> Result<u64, StoreError>;
}
