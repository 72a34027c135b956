//! Changes of a contact list.

use rpc::presence::{
    Contact, ContactChange, ContactChanged, ContactGroup, ContactList, ContactNews, ContactRefusal,
    PresenceVersion,
};
use sip_types::AddressOfRecord;
use store::{ContactsWrite, StoredContact, StoredContacts, StoredGroup};

use crate::limits::{Limits, MAX_EXTERNAL_URI_BYTES, MAX_NAME_BYTES};

/// The group of contacts that are in no other. It is always there.
pub(crate) const DEFAULT_GROUP: u32 = 1;

/// And its name.
const DEFAULT_GROUP_NAME: &str = "~";

/// The first number of a group that shows the members of an organisational group: the user's own have smaller ones.
const FIRST_LISTED: u32 = 1 << 30;

/// The number of the group that shows the members of a contact that is an organisational group: another for each, and the same
/// for as long as it is a contact.
fn listed_id(added: u64) -> u32 {
    FIRST_LISTED | u32::try_from(added % u64::from(FIRST_LISTED)).unwrap_or(0)
}

/// A contact list with what is remembered of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ContactBook {
    /// False: nothing is stored.
    is_stored: bool,
    list: ContactList,
    last_group: u32,
    /// The number at which each contact was added, in the order of the list.
    added: Vec<u64>,
}

/// A change that may be made.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// The list afterwards.
    pub(crate) after: ContactBook,
    /// What is to be stored first.
    pub(crate) write: ContactsWrite,
    /// What endpoints are told.
    pub(crate) news: ContactNews,
}

impl ContactBook {
    /// What is stored, or the list of somebody who never changed it.
    pub(crate) fn new(stored: Option<StoredContacts>) -> Self {
        let Some(stored) = stored else {
            return ContactBook {
                is_stored: false,
                list: ContactList {
                    delta: 1,
                    groups: vec![ContactGroup {
                        id: DEFAULT_GROUP,
                        name: DEFAULT_GROUP_NAME.to_owned(),
                        external_uri: String::new(),
                    }],
                    contacts: Vec::new(),
                    listed_groups: Vec::new(),
                    version: PresenceVersion::default(),
                },
                last_group: DEFAULT_GROUP,
                added: Vec::new(),
            };
        };
        let added = stored.contacts.iter().map(|contact| contact.added).collect();
        let groups = stored.groups.into_iter().map(|group| ContactGroup {
            id: group.id,
            name: group.name,
            external_uri: group.external_uri,
        });
        let contacts = stored.contacts.into_iter().map(|contact| Contact {
            uri: contact.uri,
            name: contact.name,
            groups: contact.groups,
            subscribed: contact.subscribed,
            external_uri: contact.external_uri,
        });
        ContactBook {
            is_stored: true,
            list: ContactList {
                delta: stored.delta,
                groups: groups.collect(),
                contacts: contacts.collect(),
                listed_groups: Vec::new(),
                version: PresenceVersion::default(),
            },
            last_group: stored.last_group,
            added,
        }
    }

    /// The number of the group that shows the members of this contact, if it is an organisational group.
    pub(crate) fn listed_id(&self, contact: &AddressOfRecord) -> Option<u32> {
        let added = self.added.get(self.position(contact)?)?;
        Some(listed_id(*added))
    }

    /// The list, without the organisational groups in it.
    pub(crate) fn list(&self) -> &ContactList {
        &self.list
    }

    /// What a change would do.
    ///
    /// # Errors
    /// See [`ContactRefusal`]. A stale number comes before everything else: the client works on another list.
    pub(crate) fn change(
        &self,
        user: &AddressOfRecord,
        known: Option<u64>,
        change: ContactChange,
        max_contacts: u32,
        limits: &Limits,
    ) -> Result<Change, ContactRefusal> {
        if known.is_some_and(|known| known != self.list.delta) {
            return Err(ContactRefusal::Stale(self.list.delta));
        }
        let mut after = self.clone();
        after.list.delta += 1;
        after.is_stored = true;
        let changed = after.apply(change, max_contacts, limits)?;
        let write = self.write(&after, &changed);
        let news = ContactNews {
            user: user.clone(),
            previous: self.list.delta,
            delta: after.list.delta,
            has_groups: false,
            changed,
        };
        Ok(Change { after, write, news })
    }

    fn apply(
        &mut self,
        change: ContactChange,
        max_contacts: u32,
        limits: &Limits,
    ) -> Result<ContactChanged, ContactRefusal> {
        match change {
            ContactChange::AddGroup { name, external_uri } => {
                if self.list.groups.len() >= limits.groups {
                    return Err(ContactRefusal::Invalid(format!(
                        "a contact list has at most {} groups",
                        limits.groups
                    )));
                }
                check_group_name(&name)?;
                check_external(&external_uri)?;
                self.last_group += 1;
                let group = ContactGroup {
                    id: self.last_group,
                    name,
                    external_uri,
                };
                self.list.groups.push(group.clone());
                Ok(ContactChanged::AddedGroup(group))
            }
            ContactChange::ModifyGroup(group) if group.id >= FIRST_LISTED => Err(ContactRefusal::Invalid(
                "only administrators change an organisational group".to_owned(),
            )),
            ContactChange::ModifyGroup(group) => {
                check_not_default(group.id)?;
                check_group_name(&group.name)?;
                check_external(&group.external_uri)?;
                let at = self.group(group.id)?;
                self.list.groups[at] = group.clone();
                Ok(ContactChanged::ModifiedGroup(group))
            }
            // A client sees a group of contacts, and there is a contact.
            ContactChange::DeleteGroup(id) if id >= FIRST_LISTED => {
                let at = self.added.iter().position(|added| listed_id(*added) == id);
                self.delete(at.ok_or(ContactRefusal::NotFound("group"))?)
            }
            ContactChange::DeleteGroup(id) => {
                check_not_default(id)?;
                let at = self.group(id)?;
                self.list.groups.remove(at);
                Ok(ContactChanged::DeletedGroup(id, self.leave_group(id)))
            }
            ContactChange::SetContact(contact) => self.set(contact, max_contacts),
            ContactChange::DeleteContact(uri) => {
                self.delete(self.position(&uri).ok_or(ContactRefusal::NotFound("contact"))?)
            }
        }
    }

    fn delete(&mut self, at: usize) -> Result<ContactChanged, ContactRefusal> {
        let gone = self.list.contacts.remove(at);
        self.added.remove(at);
        Ok(ContactChanged::DeletedContact(gone.uri))
    }

    fn set(&mut self, mut contact: Contact, max_contacts: u32) -> Result<ContactChanged, ContactRefusal> {
        check_name(&contact.name)?;
        check_external(&contact.external_uri)?;
        contact.groups.sort_unstable();
        contact.groups.dedup();
        // Who is a member of an organisational group is not the user's to say; the rest is what the user says of a person.
        contact.groups.retain(|id| *id < FIRST_LISTED);
        for id in &contact.groups {
            self.group(*id)?;
        }
        if contact.groups.is_empty() {
            contact.groups.push(DEFAULT_GROUP);
        }
        if let Some(at) = self.position(&contact.uri) {
            self.list.contacts[at] = contact.clone();
            return Ok(ContactChanged::ModifiedContact(contact));
        }
        if self.list.contacts.len() >= max_contacts as usize {
            return Err(ContactRefusal::Limit(max_contacts));
        }
        self.list.contacts.push(contact.clone());
        self.added.push(self.list.delta);
        Ok(ContactChanged::AddedContact(contact))
    }

    /// Takes everybody out of a group, and tells who that was.
    fn leave_group(&mut self, id: u32) -> Vec<Contact> {
        let mut left = Vec::new();
        for contact in &mut self.list.contacts {
            if contact.groups.contains(&id) {
                contact.groups.retain(|group| *group != id);
                if contact.groups.is_empty() {
                    contact.groups.push(DEFAULT_GROUP);
                }
                left.push(contact.clone());
            }
        }
        left
    }

    fn group(&self, id: u32) -> Result<usize, ContactRefusal> {
        self.list
            .groups
            .iter()
            .position(|group| group.id == id)
            .ok_or(ContactRefusal::NotFound("group"))
    }

    fn position(&self, uri: &AddressOfRecord) -> Option<usize> {
        self.list.contacts.iter().position(|contact| contact.uri == *uri)
    }

    /// What has to be stored so that the stored list becomes `after`.
    fn write(&self, after: &ContactBook, changed: &ContactChanged) -> ContactsWrite {
        let mut write = ContactsWrite {
            expected: if self.is_stored { self.list.delta } else { 0 },
            delta: after.list.delta,
            last_group: after.last_group,
            ..ContactsWrite::default()
        };
        if !self.is_stored {
            write.put_groups.extend(self.list.groups.iter().map(stored_group));
        }
        let put = |contact: &Contact| {
            let at = after.position(&contact.uri)?;
            Some(stored_contact(contact, *after.added.get(at)?))
        };
        match changed {
            ContactChanged::AddedGroup(group) | ContactChanged::ModifiedGroup(group) => {
                write.put_groups.push(stored_group(group));
            }
            ContactChanged::DeletedGroup(id, left) => {
                write.remove_groups.push(*id);
                write.put_contacts.extend(left.iter().filter_map(put));
            }
            ContactChanged::AddedContact(contact) | ContactChanged::ModifiedContact(contact) => {
                write.put_contacts.extend(put(contact));
            }
            ContactChanged::DeletedContact(uri) => write.remove_contacts.push(uri.clone()),
        }
        write
    }
}

fn stored_group(group: &ContactGroup) -> StoredGroup {
    StoredGroup {
        id: group.id,
        name: group.name.clone(),
        external_uri: group.external_uri.clone(),
    }
}

fn stored_contact(contact: &Contact, added: u64) -> StoredContact {
    StoredContact {
        uri: contact.uri.clone(),
        added,
        name: contact.name.clone(),
        groups: contact.groups.clone(),
        subscribed: contact.subscribed,
        external_uri: contact.external_uri.clone(),
    }
}

fn check_not_default(id: u32) -> Result<(), ContactRefusal> {
    if id == DEFAULT_GROUP {
        return Err(ContactRefusal::Invalid(format!(
            "the group {DEFAULT_GROUP_NAME} stays as it is"
        )));
    }
    Ok(())
}

fn check_group_name(name: &str) -> Result<(), ContactRefusal> {
    if name.is_empty() {
        return Err(ContactRefusal::Invalid("a group has a name".to_owned()));
    }
    check_name(name)
}

fn check_name(name: &str) -> Result<(), ContactRefusal> {
    if name.len() > MAX_NAME_BYTES {
        return Err(ContactRefusal::Invalid(format!(
            "a name has at most {MAX_NAME_BYTES} bytes"
        )));
    }
    if name.contains(char::is_control) {
        return Err(ContactRefusal::Invalid(
            "a name has no control characters".to_owned(),
        ));
    }
    Ok(())
}

fn check_external(uri: &str) -> Result<(), ContactRefusal> {
    if uri.len() > MAX_EXTERNAL_URI_BYTES {
        return Err(ContactRefusal::Invalid(format!(
            "an external address has at most {MAX_EXTERNAL_URI_BYTES} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
