//! Contact lists kept on the server.

use std::collections::HashMap;

use sip_types::AddressOfRecord;

use super::PresenceVersion;

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
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ContactList {
    /// Counts changes, from 1.
    pub delta: u64,
    /// Groups, by number.
    pub groups: Vec<ContactGroup>,
    /// Contacts, in the order in which they were added.
    pub contacts: Vec<Contact>,
    /// Organisational groups among the contacts, in the same order.
    pub listed_groups: Vec<ListedGroup>,
    /// Of lists with the same number the one with the greater version was read later: groups change without the list.
    pub version: PresenceVersion,
}

/// An organisational group in a contact list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// Its address, which is that of a contact.
    pub address: AddressOfRecord,
    /// The name people see.
    pub name: String,
    /// The number of the group of contacts that shows its members; no other group of the list has it.
    pub id: u32,
    /// Who is shown in its place; `None`: it is shown itself, for it has too many members.
    pub members: Option<Vec<AddressOfRecord>>,
}

/// Somebody a contact list shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Who.
    pub uri: AddressOfRecord,
    /// The name the user gave, or that of a group shown itself; empty: the person's own.
    pub name: String,
    /// The numbers of the groups it is shown in.
    pub groups: Vec<u32>,
    /// Whether the user wants to see its presence.
    pub subscribed: bool,
    /// An address elsewhere; empty if none.
    pub external_uri: String,
}

impl ContactList {
    /// Those it shows, each once: contacts, and in the place of organisational groups their members.
    pub fn shown(&self) -> Vec<Shown> {
        let groups = self.listed_groups.iter().map(|group| (&group.address, group));
        let groups: HashMap<_, _> = groups.collect();
        let mut shown: Vec<Shown> = Vec::with_capacity(self.contacts.len());
        let mut places = HashMap::new();
        for contact in &self.contacts {
            let group = groups.get(&contact.uri);
            if group.is_some_and(|group| group.members.is_some()) {
                continue;
            }
            let name = match group {
                Some(group) if contact.name.is_empty() => &group.name,
                _ => &contact.name,
            };
            places.insert(&contact.uri, shown.len());
            shown.push(Shown {
                uri: contact.uri.clone(),
                name: name.clone(),
                groups: contact.groups.clone(),
                subscribed: contact.subscribed,
                external_uri: contact.external_uri.clone(),
            });
        }
        for group in &self.listed_groups {
            for member in group.members.iter().flatten() {
                let at = *places.entry(member).or_insert_with(|| {
                    shown.push(Shown {
                        uri: member.clone(),
                        name: String::new(),
                        groups: Vec::new(),
                        subscribed: true,
                        external_uri: String::new(),
                    });
                    shown.len() - 1
                });
                shown[at].groups.push(group.id);
                // Whoever wants to see the group wants to see all of it.
                shown[at].subscribed = true;
            }
        }
        shown
    }

    /// The groups it shows people in: those of the user, and organisational groups that are shown as their members.
    pub fn shown_groups(&self) -> Vec<ContactGroup> {
        let expanded = self.listed_groups.iter().filter(|group| group.members.is_some());
        let expanded = expanded.map(|group| ContactGroup {
            id: group.id,
            name: group.name.clone(),
            external_uri: String::new(),
        });
        self.groups.iter().cloned().chain(expanded).collect()
    }
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
    /// There are, or were, organisational groups in the list: whoever shows them looks the list up.
    pub has_groups: bool,
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

#[cfg(test)]
mod tests;
