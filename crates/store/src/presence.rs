//! What must survive of presence: static publications, access rules, acknowledged watchers, contact lists.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sip_types::AddressOfRecord;

use crate::{Groups, StoreError};

/// A publication that stays while its user is signed in nowhere. (category, instance, container) is its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPublication {
    /// Name of the category.
    pub category: String,
    /// Instance number.
    pub instance: u32,
    /// Container it is published to.
    pub container: u16,
    /// Counts its changes, from 1.
    pub version: u32,
    /// When it was published, Unix milliseconds.
    pub published_at: u64,
    /// When it ends by itself, Unix milliseconds. The store does not act on it.
    pub expires_at: Option<u64>,
    /// What was published, in an encoding of the role's own. The store does not look into it.
    pub data: Vec<u8>,
}

impl StoredPublication {
    /// The name: category, instance, container.
    pub fn key(&self) -> (&str, u32, u16) {
        (&self.category, self.instance, self.container)
    }
}

/// One change in [`PresenceStore::write_publications`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublicationWrite {
    /// Adds or replaces a publication.
    Put {
        /// The version that is stored; 0: none is.
        expected: u32,
        /// What is stored from now on.
        publication: StoredPublication,
    },
    /// Removes a publication.
    Remove {
        /// The version that is stored, never 0.
        expected: u32,
        /// Name of the category.
        category: String,
        /// Instance number.
        instance: u32,
        /// Container.
        container: u16,
    },
}

/// The members of one container. SQL backends keep it as JSON: the names of its fields never change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredContainer {
    /// Its number.
    pub id: u16,
    /// Counts its changes.
    pub version: u32,
    /// Its members in a text form of the role's own, in order, each once.
    pub members: Vec<String>,
}

/// Who sees how much of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRules {
    /// Counts the changes of all containers together, from 1.
    pub revision: u64,
    /// Containers, by number.
    pub containers: Vec<StoredContainer>,
}

/// All that is kept of a user's presence but the contact list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoredPresence {
    /// Publications in order of category (bytewise), instance, container.
    pub publications: Vec<StoredPublication>,
    /// `None`: the user never changed them.
    pub rules: Option<StoredRules>,
    /// Watchers the user has seen, in order of address (bytewise).
    pub acknowledged: Vec<AddressOfRecord>,
}

/// A group of contacts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredGroup {
    /// Its number, from 1.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Address of what it stands for elsewhere; empty if none.
    pub external_uri: String,
}

/// A contact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredContact {
    /// Who.
    pub uri: AddressOfRecord,
    /// Orders contacts: the number of the list at which it was added.
    pub added: u64,
    /// The name the user gave; may be empty.
    pub name: String,
    /// Numbers of its groups, in order.
    pub groups: Vec<u32>,
    /// Whether the user wants to see its presence.
    pub subscribed: bool,
    /// An address elsewhere; empty if none.
    pub external_uri: String,
}

/// A contact list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredContacts {
    /// The number of the list, from 1: grows with each change.
    pub delta: u64,
    /// The largest group number that was ever given in this list.
    pub last_group: u32,
    /// Groups, by number.
    pub groups: Vec<StoredGroup>,
    /// Contacts in order of `added`.
    pub contacts: Vec<StoredContact>,
}

/// One change of a contact list: what is different afterwards. No group and no contact occurs twice in one of its lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContactsWrite {
    /// The number of the stored list; 0: none is stored.
    pub expected: u64,
    /// The number of the list from now on.
    pub delta: u64,
    /// See [`StoredContacts::last_group`].
    pub last_group: u32,
    /// Groups to add or replace.
    pub put_groups: Vec<StoredGroup>,
    /// Groups to remove. Their numbers are in no contact afterwards: the caller puts such contacts too.
    pub remove_groups: Vec<u32>,
    /// Contacts to add or replace.
    pub put_contacts: Vec<StoredContact>,
    /// Contacts to remove.
    pub remove_contacts: Vec<AddressOfRecord>,
}

/// Keeps presence. Every write is one transaction, durable when the call returns, and all of it or nothing.
///
/// All of it belongs to accounts: it goes with the account, and a write for somebody who has none is
/// [`StoreError::InvalidRequest`]. Reads of somebody who has none find nothing.
///
/// Writes compare: what they expect to be stored must be stored, else they are [`StoreError::Conflict`] and change
/// nothing. So a member that lost its ownership without knowing can not overwrite what the next owner wrote, and a write
/// that is repeated because its outcome is unknown is a conflict if the first one took.
///
/// Whoever reads a contact list also reads the organisational groups in it.
#[async_trait]
pub trait PresenceStore: Groups {
    /// All that is kept of a user but the contact list, in one consistent read.
    async fn presence(&self, user: &AddressOfRecord) -> Result<StoredPresence, StoreError>;

    /// Adds, replaces and removes publications of a user. No name occurs twice.
    async fn write_publications(
        &self,
        user: &AddressOfRecord,
        writes: &[PublicationWrite],
    ) -> Result<(), StoreError>;

    /// Replaces the access rules of a user, if those that are stored have the revision `expected` (0: none are stored).
    async fn write_rules(
        &self,
        user: &AddressOfRecord,
        expected: u64,
        rules: &StoredRules,
    ) -> Result<(), StoreError>;

    /// Adds watchers to those the user has seen. Repeating it is harmless.
    async fn acknowledge(
        &self,
        user: &AddressOfRecord,
        watchers: &[AddressOfRecord],
    ) -> Result<(), StoreError>;

    /// A user's contact list; `None` if it was never changed.
    async fn contacts(&self, user: &AddressOfRecord) -> Result<Option<StoredContacts>, StoreError>;

    /// Changes a contact list.
    async fn write_contacts(&self, user: &AddressOfRecord, write: &ContactsWrite) -> Result<(), StoreError>;
}
