//! Accounts, policies, places and audit in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use sip_types::AddressOfRecord;
use topology::SiteId;

use super::groups::Group;
use super::presence::Kept;
use crate::{
    AccountPatch, AccountSearch, AccountStore, AuditCategory, AuditEntry, AuditStore, ChangeFeed,
    FoundAccounts, GrantOutcome, PlaceStore, PolicyScope, PolicyStore, SettingValue, StoreChanges,
    StoreError, StoredAccount, StoredPolicy,
};

type Values = BTreeMap<String, SettingValue>;

#[derive(Default)]
pub(super) struct Tables {
    pub(super) domains: BTreeSet<String>,
    sites: BTreeSet<SiteId>,
    pub(super) accounts: BTreeMap<AddressOfRecord, StoredAccount>,
    pub(super) groups: BTreeMap<AddressOfRecord, Group>,
    policies: BTreeMap<(String, PolicyScope), Values>,
    /// By account and kind.
    grants: BTreeMap<(AddressOfRecord, String), String>,
    pub(super) presence: BTreeMap<AddressOfRecord, Kept>,
    audit: Vec<AuditEntry>,
}

/// What a SQL backend keeps, for as long as this value lives.
#[derive(Default)]
pub struct MemoryDirectory {
    pub(super) tables: Mutex<Tables>,
}

impl MemoryDirectory {
    /// Empty.
    pub fn new() -> Self {
        MemoryDirectory::default()
    }

    /// Reads what is kept of a user's presence.
    pub(super) fn kept<T>(&self, user: &AddressOfRecord, read: impl FnOnce(&Kept) -> T) -> T {
        match self.tables.lock().presence.get(user) {
            Some(kept) => read(kept),
            None => read(&Kept::default()),
        }
    }

    /// Changes what is kept of a user's presence.
    pub(super) fn change_kept<T>(
        &self,
        user: &AddressOfRecord,
        change: impl FnOnce(&mut Kept) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tables = self.tables.lock();
        if !tables.accounts.contains_key(user) {
            return Err(StoreError::InvalidRequest(format!("there is no account {user}")));
        }
        change(tables.presence.entry(user.clone()).or_default())
    }
}

#[async_trait]
impl PlaceStore for MemoryDirectory {
    async fn add_domain(&self, domain: &str) -> Result<(), StoreError> {
        self.tables.lock().domains.insert(domain.to_owned());
        Ok(())
    }

    async fn domains(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.tables.lock().domains.iter().cloned().collect())
    }

    async fn sites(&self) -> Result<Vec<SiteId>, StoreError> {
        Ok(self.tables.lock().sites.iter().cloned().collect())
    }
}

#[async_trait]
impl AccountStore for MemoryDirectory {
    async fn create_account(&self, mut new: StoredAccount) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        let aor = new.account.aor.clone();
        if !tables.domains.contains(aor.domain()) {
            return Err(StoreError::InvalidRequest(format!(
                "{} is not a domain of this pool",
                aor.domain()
            )));
        }
        if tables.accounts.contains_key(&aor) {
            return Err(StoreError::Conflict(format!("the account {aor} exists already")));
        }
        if tables.groups.contains_key(&aor) {
            return Err(StoreError::Conflict(format!("{aor} is the address of a group")));
        }
        new.credentials.sort_by_key(|credential| credential.kind);
        tables.sites.insert(new.account.site.clone());
        tables.accounts.insert(aor, new);
        Ok(())
    }

    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        patch: AccountPatch,
    ) -> Result<Option<StoredAccount>, StoreError> {
        let mut tables = self.tables.lock();
        let Tables { accounts, sites, .. } = &mut *tables;
        let Some(stored) = accounts.get_mut(aor) else {
            return Ok(None);
        };
        if let Some(display_name) = patch.display_name {
            stored.account.display_name = display_name;
        }
        if let Some(site) = patch.site {
            sites.insert(site.clone());
            stored.account.site = site;
        }
        if let Some(enabled) = patch.enabled {
            stored.account.enabled = enabled;
        }
        if let Some(mut credentials) = patch.credentials {
            credentials.sort_by_key(|credential| credential.kind);
            stored.credentials = credentials;
        }
        Ok(Some(stored.clone()))
    }

    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<bool, StoreError> {
        let mut tables = self.tables.lock();
        tables.grants.retain(|(owner, _), _| owner != aor);
        tables.presence.remove(aor);
        for group in tables.groups.values_mut() {
            group.members.remove(aor);
        }
        Ok(tables.accounts.remove(aor).is_some())
    }

    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<StoredAccount>, StoreError> {
        Ok(self.tables.lock().accounts.get(aor).cloned())
    }

    async fn accounts(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        let tables = self.tables.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = tables
            .accounts
            .range::<AddressOfRecord, _>((from, Bound::Unbounded));
        Ok(range
            .take(limit as usize)
            .map(|(_, stored)| stored.clone())
            .collect())
    }

    async fn search_accounts(&self, search: &AccountSearch, limit: u32) -> Result<FoundAccounts, StoreError> {
        let tables = self.tables.lock();
        let all = tables.accounts.values().map(|stored| &stored.account);
        let mut found = all.filter(|account| account.enabled && search.matches(account));
        let accounts = found.by_ref().take(limit as usize).cloned().collect();
        Ok(FoundAccounts {
            accounts,
            more: found.next().is_some(),
        })
    }

    async fn account_count(&self) -> Result<u64, StoreError> {
        Ok(self.tables.lock().accounts.len() as u64)
    }
}

#[async_trait]
impl PolicyStore for MemoryDirectory {
    async fn create_policy(&self, policy: &StoredPolicy) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        let key = (policy.kind.clone(), policy.scope.clone());
        if tables.policies.contains_key(&key) {
            return Err(StoreError::Conflict(format!(
                "the {} policy exists already",
                policy.kind
            )));
        }
        if let PolicyScope::Site(site) = &policy.scope {
            tables.sites.insert(site.clone());
        }
        tables.policies.insert(key, policy.values.clone());
        Ok(())
    }

    async fn set_policy_values(
        &self,
        kind: &str,
        scope: &PolicyScope,
        values: &Values,
    ) -> Result<Option<StoredPolicy>, StoreError> {
        let mut tables = self.tables.lock();
        let key = (kind.to_owned(), scope.clone());
        let Some(stored) = tables.policies.get_mut(&key) else {
            return Ok(None);
        };
        stored.extend(values.clone());
        let values = stored.clone();
        let (kind, scope) = key;
        Ok(Some(StoredPolicy { kind, scope, values }))
    }

    async fn delete_policy(&self, kind: &str, scope: &PolicyScope) -> Result<bool, StoreError> {
        let mut tables = self.tables.lock();
        if let PolicyScope::Tag(tag) = scope {
            tables
                .grants
                .retain(|(_, granted_kind), granted| granted_kind != kind || granted != tag);
        }
        Ok(tables
            .policies
            .remove(&(kind.to_owned(), scope.clone()))
            .is_some())
    }

    async fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError> {
        let tables = self.tables.lock();
        let stored = tables
            .policies
            .iter()
            .map(|((kind, scope), values)| StoredPolicy {
                kind: kind.clone(),
                scope: scope.clone(),
                values: values.clone(),
            });
        Ok(stored.collect())
    }

    async fn grant_policy(
        &self,
        kind: &str,
        tag: Option<&str>,
        aor: &AddressOfRecord,
    ) -> Result<GrantOutcome, StoreError> {
        let mut tables = self.tables.lock();
        if !tables.accounts.contains_key(aor) {
            return Ok(GrantOutcome::NoSuchAccount);
        }
        let key = (aor.clone(), kind.to_owned());
        let Some(tag) = tag else {
            tables.grants.remove(&key);
            return Ok(GrantOutcome::Done);
        };
        if !tables
            .policies
            .contains_key(&(kind.to_owned(), PolicyScope::Tag(tag.to_owned())))
        {
            return Ok(GrantOutcome::NoSuchPolicy);
        }
        tables.grants.insert(key, tag.to_owned());
        Ok(GrantOutcome::Done)
    }

    async fn grants(&self, aor: &AddressOfRecord) -> Result<BTreeMap<String, String>, StoreError> {
        let tables = self.tables.lock();
        let from = (aor.clone(), String::new());
        let own = tables
            .grants
            .range(from..)
            .take_while(|((owner, _), _)| owner == aor);
        Ok(own.map(|((_, kind), tag)| (kind.clone(), tag.clone())).collect())
    }
}

#[async_trait]
impl AuditStore for MemoryDirectory {
    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        self.tables.lock().audit.extend_from_slice(entries);
        Ok(())
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(self
            .tables
            .lock()
            .audit
            .iter()
            .rev()
            .take(limit as usize)
            .cloned()
            .collect())
    }

    async fn prune_audit(&self, category: AuditCategory, before: i64) -> Result<u64, StoreError> {
        let audit = &mut self.tables.lock().audit;
        let count = audit.len();
        audit.retain(|entry| entry.category != category || entry.at >= before);
        Ok((count - audit.len()) as u64)
    }
}

#[async_trait]
impl ChangeFeed for MemoryDirectory {
    /// Nobody else can change it.
    async fn watch(&self) -> Result<StoreChanges, StoreError> {
        Ok(stream::pending().boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> Box<MemoryDirectory> {
        Box::default()
    }

    crate::directory_suite!(super::fresh);
    crate::group_suite!(super::fresh);
    crate::presence_suite!(super::fresh);
}
