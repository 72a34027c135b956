//! Policies and grants.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sip_types::AddressOfRecord;
use topology::SiteId;

use crate::StoreError;

/// Whom a policy is for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PolicyScope {
    /// Everybody.
    Global,
    /// Everybody of a site.
    Site(SiteId),
    /// Whoever it was granted to.
    Tag(String),
}

/// One setting as stored. In JSON it is the bare value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// On or off.
    Bool(bool),
    /// A number.
    Number(i64),
    /// A word.
    Text(String),
}

/// A policy: the settings somebody made for a kind and a scope. The store does not know which settings a kind has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPolicy {
    /// The kind, as registered by the role that uses it.
    pub kind: String,
    /// Whom it is for. At most one policy per kind and scope.
    pub scope: PolicyScope,
    /// The settings made.
    pub values: BTreeMap<String, SettingValue>,
}

/// How a grant ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantOutcome {
    /// It is as asked.
    Done,
    /// No policy of that kind has that tag.
    NoSuchPolicy,
    /// No such account.
    NoSuchAccount,
}

/// Keeps policies and who was granted which. Every write is one transaction, durable when the call returns.
#[async_trait]
pub trait PolicyStore: Send + Sync + 'static {
    /// Adds a policy; [`StoreError::Conflict`] if kind and scope have one.
    async fn create_policy(&self, policy: &StoredPolicy) -> Result<(), StoreError>;

    /// Sets these values of a policy, leaves its others, and returns it as it is now; `None` if there is none.
    /// Two concurrent calls with different settings both take effect.
    async fn set_policy_values(
        &self,
        kind: &str,
        scope: &PolicyScope,
        values: &BTreeMap<String, SettingValue>,
    ) -> Result<Option<StoredPolicy>, StoreError>;

    /// Removes a policy and the grants of it. False if there was none.
    async fn delete_policy(&self, kind: &str, scope: &PolicyScope) -> Result<bool, StoreError>;

    /// All policies, in order of kind and scope (global, sites, tags). There are tens, not thousands.
    async fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError>;

    /// Gives an account the policy with this tag in place of the one it had, or takes it back (`None`).
    async fn grant_policy(
        &self,
        kind: &str,
        tag: Option<&str>,
        aor: &AddressOfRecord,
    ) -> Result<GrantOutcome, StoreError>;

    /// The tags granted to an account, by kind.
    async fn grants(&self, aor: &AddressOfRecord) -> Result<BTreeMap<String, String>, StoreError>;
}
