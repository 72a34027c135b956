//! Presence in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sip_types::AddressOfRecord;

use super::MemoryDirectory;
use crate::{
    ContactsWrite, PresenceStore, PublicationWrite, StoreError, StoredContact, StoredContacts, StoredGroup,
    StoredPresence, StoredPublication, StoredRules,
};

type Key = (String, u32, u16);

/// What is kept of one user.
#[derive(Default)]
pub(super) struct Kept {
    publications: BTreeMap<Key, StoredPublication>,
    rules: Option<StoredRules>,
    acknowledged: BTreeSet<AddressOfRecord>,
    contacts: Option<Contacts>,
}

struct Contacts {
    delta: u64,
    last_group: u32,
    groups: BTreeMap<u32, StoredGroup>,
    contacts: BTreeMap<AddressOfRecord, StoredContact>,
}

fn conflict(what: &str, expected: u64, stored: u64) -> StoreError {
    StoreError::Conflict(format!("{what}: {expected} was expected and {stored} is stored"))
}

impl Kept {
    /// The contacts, in the order in which they were added.
    pub(super) fn contacts(&self) -> Vec<&StoredContact> {
        let list = self.contacts.iter();
        let mut contacts: Vec<_> = list.flat_map(|list| list.contacts.values()).collect();
        contacts.sort_by_key(|contact| contact.added);
        contacts
    }

    /// Whether this address is a contact.
    pub(super) fn has_contact(&self, uri: &AddressOfRecord) -> bool {
        let list = self.contacts.as_ref();
        list.is_some_and(|list| list.contacts.contains_key(uri))
    }

    fn write_publications(&mut self, writes: &[PublicationWrite]) -> Result<(), StoreError> {
        for write in writes {
            let (key, expected) = match write {
                PublicationWrite::Put {
                    expected,
                    publication,
                } => (key_of(publication), *expected),
                PublicationWrite::Remove {
                    expected,
                    category,
                    instance,
                    container,
                } => ((category.clone(), *instance, *container), *expected),
            };
            let stored = self.publications.get(&key).map_or(0, |stored| stored.version);
            if stored != expected {
                return Err(conflict(&key.0, expected.into(), stored.into()));
            }
        }
        for write in writes {
            match write {
                PublicationWrite::Put { publication, .. } => {
                    self.publications.insert(key_of(publication), publication.clone());
                }
                PublicationWrite::Remove {
                    category,
                    instance,
                    container,
                    ..
                } => {
                    self.publications
                        .remove(&(category.clone(), *instance, *container));
                }
            }
        }
        Ok(())
    }

    fn write_contacts(&mut self, write: &ContactsWrite) -> Result<(), StoreError> {
        let stored = self.contacts.as_ref().map_or(0, |contacts| contacts.delta);
        if stored != write.expected {
            return Err(conflict("the contact list", write.expected, stored));
        }
        let list = self.contacts.get_or_insert_with(|| Contacts {
            delta: 0,
            last_group: 0,
            groups: BTreeMap::new(),
            contacts: BTreeMap::new(),
        });
        list.delta = write.delta;
        list.last_group = write.last_group;
        for id in &write.remove_groups {
            list.groups.remove(id);
        }
        for group in &write.put_groups {
            list.groups.insert(group.id, group.clone());
        }
        for uri in &write.remove_contacts {
            list.contacts.remove(uri);
        }
        for contact in &write.put_contacts {
            list.contacts.insert(contact.uri.clone(), contact.clone());
        }
        Ok(())
    }
}

fn key_of(publication: &StoredPublication) -> Key {
    (
        publication.category.clone(),
        publication.instance,
        publication.container,
    )
}

#[async_trait]
impl PresenceStore for MemoryDirectory {
    async fn presence(&self, user: &AddressOfRecord) -> Result<StoredPresence, StoreError> {
        Ok(self.kept(user, |kept| StoredPresence {
            publications: kept.publications.values().cloned().collect(),
            rules: kept.rules.clone(),
            acknowledged: kept.acknowledged.iter().cloned().collect(),
        }))
    }

    async fn write_publications(
        &self,
        user: &AddressOfRecord,
        writes: &[PublicationWrite],
    ) -> Result<(), StoreError> {
        self.change_kept(user, |kept| kept.write_publications(writes))
    }

    async fn write_rules(
        &self,
        user: &AddressOfRecord,
        expected: u64,
        rules: &StoredRules,
    ) -> Result<(), StoreError> {
        self.change_kept(user, |kept| {
            let stored = kept.rules.as_ref().map_or(0, |rules| rules.revision);
            if stored != expected {
                return Err(conflict("the access rules", expected, stored));
            }
            kept.rules = Some(rules.clone());
            Ok(())
        })
    }

    async fn acknowledge(
        &self,
        user: &AddressOfRecord,
        watchers: &[AddressOfRecord],
    ) -> Result<(), StoreError> {
        self.change_kept(user, |kept| {
            kept.acknowledged.extend(watchers.iter().cloned());
            Ok(())
        })
    }

    async fn contacts(&self, user: &AddressOfRecord) -> Result<Option<StoredContacts>, StoreError> {
        Ok(self.kept(user, |kept| {
            let list = kept.contacts.as_ref()?;
            Some(StoredContacts {
                delta: list.delta,
                last_group: list.last_group,
                groups: list.groups.values().cloned().collect(),
                contacts: kept.contacts().into_iter().cloned().collect(),
            })
        }))
    }

    async fn write_contacts(&self, user: &AddressOfRecord, write: &ContactsWrite) -> Result<(), StoreError> {
        self.change_kept(user, |kept| kept.write_contacts(write))
    }
}
