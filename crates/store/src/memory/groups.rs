//! Organisational groups in memory.

use std::collections::BTreeSet;
use std::ops::Bound;

use async_trait::async_trait;
use sip_types::AddressOfRecord;

use super::MemoryDirectory;
use crate::{GroupPatch, GroupStore, Groups, OrganisationalGroup, StoreError};

/// A group. The size of its head is that of the members.
pub(super) struct Group {
    head: OrganisationalGroup,
    pub(super) members: BTreeSet<AddressOfRecord>,
}

impl Group {
    fn head(&self) -> OrganisationalGroup {
        OrganisationalGroup {
            size: u32::try_from(self.members.len()).unwrap_or(u32::MAX),
            ..self.head.clone()
        }
    }
}

#[async_trait]
impl Groups for MemoryDirectory {
    async fn group(&self, address: &AddressOfRecord) -> Result<Option<OrganisationalGroup>, StoreError> {
        Ok(self.tables.lock().groups.get(address).map(Group::head))
    }

    async fn group_members(&self, address: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        let tables = self.tables.lock();
        let members = tables.groups.get(address).map(|group| &group.members);
        Ok(members.into_iter().flatten().cloned().collect())
    }

    async fn groups(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.tables.lock();
        let page = tables
            .groups
            .range::<AddressOfRecord, _>((from, Bound::Unbounded))
            .take(limit as usize);
        Ok(page.map(|(_, group)| group.head()).collect())
    }

    async fn groups_of(&self, member: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        let tables = self.tables.lock();
        let of = tables
            .groups
            .iter()
            .filter(|(_, group)| group.members.contains(member));
        Ok(of.map(|(address, _)| address.clone()).collect())
    }

    async fn groups_among_contacts(
        &self,
        user: &AddressOfRecord,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        let tables = self.tables.lock();
        let contacts = tables.presence.get(user).map(|kept| kept.contacts());
        let groups = contacts.into_iter().flatten();
        Ok(groups
            .filter_map(|contact| tables.groups.get(&contact.uri).map(Group::head))
            .collect())
    }

    async fn users_with_contact(
        &self,
        contact: &AddressOfRecord,
    ) -> Result<Vec<AddressOfRecord>, StoreError> {
        let tables = self.tables.lock();
        let users = tables
            .presence
            .iter()
            .filter(|(_, kept)| kept.has_contact(contact));
        Ok(users.map(|(user, _)| user.clone()).collect())
    }
}

#[async_trait]
impl GroupStore for MemoryDirectory {
    async fn create_group(&self, group: &OrganisationalGroup) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        let address = &group.address;
        if !tables.domains.contains(address.domain()) {
            return Err(StoreError::InvalidRequest(format!(
                "{} is not a domain of this pool",
                address.domain()
            )));
        }
        if tables.groups.contains_key(address) {
            return Err(StoreError::Conflict(format!(
                "the group {address} exists already"
            )));
        }
        if tables.accounts.contains_key(address) {
            return Err(StoreError::Conflict(format!(
                "{address} is the address of an account"
            )));
        }
        let new = Group {
            head: group.clone(),
            members: BTreeSet::new(),
        };
        tables.groups.insert(address.clone(), new);
        Ok(())
    }

    async fn change_group(
        &self,
        address: &AddressOfRecord,
        patch: &GroupPatch,
        max_members: u32,
    ) -> Result<Option<OrganisationalGroup>, StoreError> {
        let mut tables = self.tables.lock();
        let Some(group) = tables.groups.get_mut(address) else {
            return Ok(None);
        };
        let mut members = group.members.clone();
        members.extend(patch.add.iter().cloned());
        members.retain(|member| !patch.remove.contains(member));
        if members.len() > max_members as usize {
            return Err(too_many(max_members));
        }
        group.members = members;
        if let Some(name) = &patch.display_name {
            group.head.display_name.clone_from(name);
        }
        Ok(Some(group.head()))
    }

    async fn delete_group(&self, address: &AddressOfRecord) -> Result<bool, StoreError> {
        Ok(self.tables.lock().groups.remove(address).is_some())
    }
}

fn too_many(max_members: u32) -> StoreError {
    StoreError::InvalidRequest(format!("a group has at most {max_members} members"))
}
