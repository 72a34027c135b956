//! Organisational groups: addresses that stand for several people.

use async_trait::async_trait;
use sip_types::AddressOfRecord;

use crate::StoreError;

/// A group, without its members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrganisationalGroup {
    /// Its address, the key; no account has it.
    pub address: AddressOfRecord,
    /// The name people see.
    pub display_name: String,
    /// Unix seconds.
    pub created_at: i64,
    /// How many members it has.
    pub size: u32,
}

/// A change of a group, made as a whole or not at all.
#[derive(Clone, Default, Debug)]
pub struct GroupPatch {
    /// The name people see; `None` leaves it as it is.
    pub display_name: Option<String>,
    /// Members from now on. Harmless for those who are.
    pub add: Vec<AddressOfRecord>,
    /// Members no more. Harmless for those who are not.
    pub remove: Vec<AddressOfRecord>,
}

/// Reads groups. Each call sees one state of the tables.
#[async_trait]
pub trait Groups: Send + Sync + 'static {
    /// One group.
    async fn group(&self, address: &AddressOfRecord) -> Result<Option<OrganisationalGroup>, StoreError>;

    /// The members of a group in order of address (bytewise); none if there is no such group.
    async fn group_members(&self, address: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError>;

    /// Groups in order of address (bytewise), after `after`, at most `limit`.
    async fn groups(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<OrganisationalGroup>, StoreError>;

    /// The groups somebody is a member of, in order of address (bytewise).
    async fn groups_of(&self, member: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError>;

    /// The groups a user has as contacts, in the order in which they were added to the contact list.
    async fn groups_among_contacts(
        &self,
        user: &AddressOfRecord,
    ) -> Result<Vec<OrganisationalGroup>, StoreError>;

    /// Users who have this address as a contact, in order of address (bytewise).
    async fn users_with_contact(&self, contact: &AddressOfRecord)
    -> Result<Vec<AddressOfRecord>, StoreError>;
}

/// Keeps groups. Every write is one transaction, durable when the call returns.
///
/// Whoever had an account is a member of no group once the account is deleted.
#[async_trait]
pub trait GroupStore: Groups {
    /// Adds a group without members; its size is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the address is that of a group or an account; [`StoreError::InvalidRequest`] if its domain
    /// was never added with [`crate::PlaceStore::add_domain`].
    async fn create_group(&self, group: &OrganisationalGroup) -> Result<(), StoreError>;

    /// Changes a group and returns it as it is now; `None` if there is none. Repeating it is harmless.
    ///
    /// # Errors
    /// [`StoreError::InvalidRequest`] if it would have more than `max_members`.
    async fn change_group(
        &self,
        address: &AddressOfRecord,
        patch: &GroupPatch,
        max_members: u32,
    ) -> Result<Option<OrganisationalGroup>, StoreError>;

    /// Removes a group; contacts of its address stay. False if there was none.
    async fn delete_group(&self, address: &AddressOfRecord) -> Result<bool, StoreError>;
}
