//! Organisational groups: addresses that stand for several people. Administrators keep them; nobody signs in as one.

use rpc::{Error, GroupChange, GroupView, NewGroup, RegistrarChange};
use sip_types::AddressOfRecord;
use store::{GroupPatch, OrganisationalGroup};

use crate::directory::{MAX_PAGE, check_address, check_display_name};
use crate::error::{invalid, not_found, store_failed};
use crate::service::Inner;

/// Members of a group.
const MAX_MEMBERS: u32 = 1_000;

/// Parts of a change that its audit entry names.
const DESCRIBED: usize = 20;

fn view_of(group: OrganisationalGroup) -> GroupView {
    GroupView {
        address: group.address,
        display_name: group.display_name,
        size: group.size,
        created_at: group.created_at,
    }
}

fn no_group(address: &AddressOfRecord) -> Error {
    not_found(format!("there is no group {address}"))
}

impl Inner {
    pub(crate) async fn create_group(&self, new: NewGroup) -> Result<GroupView, Error> {
        check_address(&new.address, &self.config.domains)?;
        let group = OrganisationalGroup {
            display_name: check_display_name(&new.display_name, &new.address)?,
            address: new.address,
            created_at: i64::try_from(self.clock.unix_seconds()).unwrap_or(i64::MAX),
            size: 0,
        };
        let groups = &self.stores.groups;
        groups.create_group(&group).await.map_err(store_failed)?;
        // Somebody may have had its address as a contact.
        self.group_changed("group.create", &group.address, String::new())
            .await;
        Ok(view_of(group))
    }

    pub(crate) async fn change_group(
        &self,
        address: &AddressOfRecord,
        change: GroupChange,
    ) -> Result<GroupView, Error> {
        for member in &change.add {
            self.check_member(member).await?;
        }
        let detail = describe(&change);
        let name = change.display_name.map(|name| check_display_name(&name, address));
        let patch = GroupPatch {
            display_name: name.transpose()?,
            add: change.add,
            remove: change.remove,
        };
        let changed = self
            .stores
            .groups
            .change_group(address, &patch, MAX_MEMBERS)
            .await;
        let group = changed.map_err(store_failed)?.ok_or_else(|| no_group(address))?;
        self.group_changed("group.set", address, detail).await;
        Ok(view_of(group))
    }

    /// A member of the pool's domains must have an account, which a group has not: groups are in no groups.
    async fn check_member(&self, member: &AddressOfRecord) -> Result<(), Error> {
        let is_ours = self.config.domains.iter().any(|domain| domain == member.domain());
        if !is_ours {
            return Ok(());
        }
        if let Some(group) = self.stores.groups.group(member).await.map_err(store_failed)? {
            return Err(invalid(format!(
                "{} is a group, and groups have no groups",
                group.address
            )));
        }
        self.known(member).await.map(drop)
    }

    pub(crate) async fn delete_group(&self, address: &AddressOfRecord) -> Result<(), Error> {
        let was_there = self.stores.groups.delete_group(address).await;
        if !was_there.map_err(store_failed)? {
            return Err(no_group(address));
        }
        self.group_changed("group.delete", address, String::new()).await;
        Ok(())
    }

    async fn group_changed(&self, action: &str, address: &AddressOfRecord, detail: String) {
        self.watchers
            .publish(RegistrarChange::Group(Some(address.clone())));
        self.audit
            .administration(action, address.to_string(), detail)
            .await;
    }

    pub(crate) async fn group(
        &self,
        address: &AddressOfRecord,
    ) -> Result<Option<(GroupView, Vec<AddressOfRecord>)>, Error> {
        let groups = &self.stores.groups;
        let Some(group) = groups.group(address).await.map_err(store_failed)? else {
            return Ok(None);
        };
        let members = groups.group_members(address).await.map_err(store_failed)?;
        Ok(Some((view_of(group), members)))
    }

    pub(crate) async fn groups(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<GroupView>, Error> {
        let page = self.stores.groups.groups(after, limit.min(MAX_PAGE)).await;
        Ok(page.map_err(store_failed)?.into_iter().map(view_of).collect())
    }
}

/// What an administrator changed, for the audit log; of many members the first ones.
fn describe(change: &GroupChange) -> String {
    let name = change
        .display_name
        .iter()
        .map(|name| format!("display name {name}"));
    let add = change.add.iter().map(|member| format!("+{member}"));
    let remove = change.remove.iter().map(|member| format!("-{member}"));
    let mut parts: Vec<String> = name.chain(add).chain(remove).collect();
    if parts.len() > DESCRIBED {
        let others = parts.len() - DESCRIBED;
        parts.truncate(DESCRIBED);
        parts.push(format!("and {others} more"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests;
