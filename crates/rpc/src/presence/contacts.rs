//! Contact lists kept on the server.

use sip_types::AddressOfRecord;

/// A group of contacts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactGroup {
    /// Its number, from 1; never given again within one list.
    pub id: u32,
    /// Its name; `~` is the group of contacts that are in no other.
    pub name: String,
    /// Address of the organisational group it stands for; empty if none.
    pub external_uri: String,
}

/// A contact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// Who.
    pub uri: AddressOfRecord,
    /// The name the user gave; empty: the contact's own.
    pub name: String,
    /// The groups it is in, by number.
    pub groups: Vec<u32>,
    /// Whether the user wants to see its presence.
    pub subscribed: bool,
    /// An address elsewhere; empty if none.
    pub external_uri: String,
}

/// A user's contact list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactList {
    /// Counts changes, from 1.
    pub delta: u64,
    /// Groups, by number.
    pub groups: Vec<ContactGroup>,
    /// Contacts, in the order in which they were added.
    pub contacts: Vec<Contact>,
}

/// One change of a contact list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContactChange {
    /// Adds a group; its number is given by the pool.
    AddGroup {
        /// Name, not empty.
        name: String,
        /// See [`ContactGroup::external_uri`].
        external_uri: String,
    },
    /// Renames a group.
    ModifyGroup(ContactGroup),
    /// Deletes a group; its contacts stay, in `~` if in no other.
    DeleteGroup(u32),
    /// Adds a contact or changes it.
    SetContact(Contact),
    /// Deletes a contact.
    DeleteContact(AddressOfRecord),
}

/// A change that was made: what endpoints are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactNews {
    /// Whose list.
    pub user: AddressOfRecord,
    /// The number before.
    pub previous: u64,
    /// The number now.
    pub delta: u64,
    /// What changed, numbers of groups filled in.
    pub changed: ContactChanged,
}

/// What changed in a contact list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContactChanged {
    /// A group was added.
    AddedGroup(ContactGroup),
    /// A group was changed.
    ModifiedGroup(ContactGroup),
    /// A group was deleted, and these contacts changed by it.
    DeletedGroup(u32, Vec<Contact>),
    /// A contact was added.
    AddedContact(Contact),
    /// A contact was changed.
    ModifiedContact(Contact),
    /// A contact was deleted.
    DeletedContact(AddressOfRecord),
}

/// Why a contact list was not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContactRefusal {
    /// 404: no such user, group or contact.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// 409: the client knows another number; this is the current one.
    #[error("the list is at number {0}")]
    Stale(u64),
    /// 403: more than the policy allows.
    #[error("no more than {0} contacts are allowed")]
    Limit(u32),
    /// 400: what cannot be, in words.
    #[error("{0}")]
    Invalid(String),
}
