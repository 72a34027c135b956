//! Organisational groups in contact lists: read with a list, told when they change.
//!
//! Nothing of them is kept here. The database knows who has a group as a contact, so a change of a group costs one question
//! and a hint to those of its users who are in memory; their front ends look the list up again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rpc::Error;
use rpc::presence::{ContactChange, ContactList, ListedGroup, PresenceNews};
use sip_types::AddressOfRecord;

use super::Inner;
use super::entries::{Entry, State};
use crate::contacts::ContactBook;
use crate::limits::MAX_SHOWN_MEMBERS;

/// How long changes of one group are collected: each registrar of a pool tells of one.
const COLLECT: Duration = Duration::from_millis(200);

/// How long to wait after the store failed.
const RETRY: Duration = Duration::from_secs(1);

/// Users looked at at the same time after changes were missed.
const AT_ONCE: usize = 16;

impl Inner {
    /// The list with the organisational groups in it.
    pub(super) async fn with_groups(&self, entry: &Entry, book: &ContactBook) -> Result<ContactList, Error> {
        // Before anything is read: whoever reads later has something newer.
        let version = self.next_version(&entry.user);
        let max_size = entry.state.lock().presentity.policy().max_group_size;
        let listed_groups = self.listed_groups(&entry.user, book, max_size).await?;
        entry.state.lock().shows_groups = !listed_groups.is_empty();
        Ok(ContactList {
            listed_groups,
            version,
            ..book.list().clone()
        })
    }

    async fn listed_groups(
        &self,
        user: &AddressOfRecord,
        book: &ContactBook,
        max_size: u32,
    ) -> Result<Vec<ListedGroup>, Error> {
        let groups = self.store.groups_among_contacts(user).await;
        let mut listed = Vec::new();
        let mut room = MAX_SHOWN_MEMBERS;
        for group in groups.map_err(|error| self.store_failed(error))? {
            // Else it was added since the list was read, which is told.
            let Some(id) = book.listed_id(&group.address) else {
                continue;
            };
            let members = if group.size <= max_size.min(room) {
                room -= group.size;
                let members = self.store.group_members(&group.address).await;
                Some(members.map_err(|error| self.store_failed(error))?)
            } else {
                None
            };
            listed.push(ListedGroup {
                address: group.address,
                name: group.display_name,
                id,
                members,
            });
        }
        Ok(listed)
    }

    /// Whether there are organisational groups in a contact list before or after a change.
    pub(super) async fn touches_groups(
        &self,
        user: &AddressOfRecord,
        change: &ContactChange,
    ) -> Result<bool, Error> {
        let before = self.store.groups_among_contacts(user).await;
        if !before.map_err(|error| self.store_failed(error))?.is_empty() {
            return Ok(true);
        }
        let ContactChange::SetContact(contact) = change else {
            return Ok(false);
        };
        let group = self.store.group(&contact.uri).await;
        Ok(group.map_err(|error| self.store_failed(error))?.is_some())
    }

    /// A group changed: whoever has it as a contact is told, in a moment. `None`: any, for changes may have been missed.
    pub(super) fn group_changed(self: &Arc<Self>, group: Option<AddressOfRecord>) {
        if !self.changed_groups.lock().insert(group.clone()) {
            return;
        }
        let inner = self.clone();
        self.tasks.spawn(async move {
            let stop = inner.stop.clone();
            stop.run_until_cancelled(inner.tell_of_group(group)).await;
        });
    }

    async fn tell_of_group(&self, group: Option<AddressOfRecord>) {
        tokio::time::sleep(COLLECT).await;
        self.changed_groups.lock().remove(&group);
        let Some(group) = group else {
            let look = |entry: Arc<Entry>| async move { self.tell_if_groups(&entry).await };
            let entries = stream::iter(self.entries.all());
            return entries.for_each_concurrent(AT_ONCE, look).await;
        };
        let users = loop {
            match self.store.users_with_contact(&group).await {
                Ok(users) => break users,
                Err(error) => drop(self.store_failed(error)),
            }
            tokio::time::sleep(RETRY).await;
        };
        for user in users {
            if let Some(entry) = self.entries.get(&user) {
                self.tell_groups_changed(&entry, &mut entry.state.lock());
            }
        }
    }

    fn tell_groups_changed(&self, entry: &Entry, state: &mut State) {
        self.send_to_own(state, || PresenceNews::GroupsChanged(entry.user.clone()));
    }

    /// Tells the endpoints of a user whose contact list shows groups, or showed some.
    pub(super) async fn tell_if_groups(&self, entry: &Entry) {
        if !entry.state.lock().followers.iter().any(|follower| follower.own) {
            return;
        }
        let has_groups = loop {
            if entry.state.lock().shows_groups {
                break true;
            }
            match self.store.groups_among_contacts(&entry.user).await {
                Ok(groups) => break !groups.is_empty(),
                Err(error) => drop(self.store_failed(error)),
            }
            tokio::time::sleep(RETRY).await;
        };
        if has_groups {
            self.tell_groups_changed(entry, &mut entry.state.lock());
        }
    }
}
