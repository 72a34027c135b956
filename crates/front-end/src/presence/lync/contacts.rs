//! A user's contact list at one client (MS-SIP, `vnd-microsoft-roaming-contacts`): the whole list, then each change.
//!
//! Organisational groups are shown as groups of contacts with their members, of which the client knows nothing. They change
//! without the number of the list: then, and with each change of such a list, the list is looked up and compared with the one
//! told before. A change under the number the client has is taken by SIPE, which goes on counting.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use rpc::presence::{
    Contact, ContactChanged, ContactGroup, ContactList, ContactNews, PresenceVersion, Shown,
};
use sip_bodies::lync::contacts as document;
use sip_types::AddressOfRecord;

use super::super::content::{Body, Next};

/// Changes that wait for a client; with one more it gets the whole list.
const CHANGES: usize = 64;

/// What a client was told of the list.
#[derive(Default)]
pub(crate) struct Contacts {
    /// The number of what is told or waits; `None`: nothing yet.
    number: Option<u64>,
    /// Of lists with the same number, the version of the one looked up last.
    version: PresenceVersion,
    /// What came before the first list may not be in it: it is to be looked up again.
    again: bool,
    /// The list, where it is to be told as a whole, or what is different from the one told last.
    list: Option<Arc<ContactList>>,
    /// The list that was told last, if there are groups in it: of a change of them only the difference is told, since SIPE 1.25
    /// takes nobody away whom a later whole list does not have.
    told: Option<Arc<ContactList>>,
    /// A whole list was told. After another one the client is to forget the groups it shows as contacts of their own.
    is_known: bool,
    /// Addresses of such groups.
    forgotten: Vec<AddressOfRecord>,
    /// Changes, in order.
    changes: VecDeque<Arc<ContactNews>>,
    /// It is not told of groups that are gone: SIPE 1.25 frees a group twice that another endpoint deletes, and dies. An empty one
    /// stays until its next sign-in.
    keeps_groups: bool,
}

/// What a change means to a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// It was known, or waits for the list.
    Known,
    /// It is to be told.
    New,
    /// Another one is missing: the list has to be looked up.
    Gap,
}

impl Contacts {
    /// Nothing was told yet. `is_sipe`: the client calls itself so.
    pub(crate) fn new(is_sipe: bool) -> Self {
        Contacts {
            keeps_groups: is_sipe,
            ..Contacts::default()
        }
    }

    /// The number of what the client knows or is about to know.
    pub(crate) fn number(&self) -> Option<u64> {
        self.number
    }

    /// The list was changed.
    pub(crate) fn take(&mut self, news: &Arc<ContactNews>) -> Taken {
        match self.number {
            Some(number) if news.delta <= number => Taken::Known,
            // Who is shown in place of a group is in no change.
            Some(_) if news.has_groups => Taken::Gap,
            Some(number) if news.previous != number || self.changes.len() >= CHANGES => Taken::Gap,
            Some(_) => {
                self.number = Some(news.delta);
                self.changes.push_back(Arc::clone(news));
                Taken::New
            }
            None if news.has_groups => {
                self.again = true;
                Taken::Known
            }
            None => {
                if self.changes.len() >= CHANGES {
                    self.changes.pop_front();
                }
                self.changes.push_back(Arc::clone(news));
                Taken::Known
            }
        }
    }

    /// Groups in the list changed. False: there is no list yet, and the first one will be looked up again.
    pub(crate) fn groups_changed(&mut self) -> bool {
        self.again |= self.number.is_none();
        self.number.is_some()
    }

    /// Whether the list has to be looked up again, which is asked once.
    pub(crate) fn take_again(&mut self) -> bool {
        std::mem::take(&mut self.again)
    }

    /// The list was looked up and is to be told as a whole. False: the client knows a newer one.
    pub(crate) fn set(&mut self, list: Arc<ContactList>) -> bool {
        let known = self.number.map(|number| (number, self.version));
        if known.is_some_and(|known| (list.delta, list.version) < known) {
            return false;
        }
        let waiting = std::mem::take(&mut self.changes);
        self.number = Some(list.delta);
        self.version = list.version;
        self.list = Some(list);
        for news in waiting {
            // What came while the list was looked up; of a gap the next change tells.
            self.take(&news);
        }
        true
    }

    /// The client has something else than it was told: the next list is told as a whole.
    pub(crate) fn forget(&mut self) {
        self.told = None;
    }

    /// See [`super::super::content::Content::next`].
    pub(crate) fn next(&mut self) -> Next {
        let Some(bytes) = self.next_document() else {
            return Next::Nothing;
        };
        Next::Body {
            body: Some(Body {
                content_type: document::CONTENT_TYPE.to_owned(),
                bytes,
            }),
            more: !self.changes.is_empty() || !self.forgotten.is_empty(),
        }
    }

    fn next_document(&mut self) -> Option<Bytes> {
        if let Some(list) = self.list.take() {
            let document = self.document_of(&list);
            self.told = Some(list).filter(|list| !list.listed_groups.is_empty());
            if document.is_some() {
                return document;
            }
        }
        if !self.forgotten.is_empty() {
            let gone = std::mem::take(&mut self.forgotten).into_iter();
            let gone = gone.map(|who| document::ContactChange::DeletedContact(who.to_string()));
            let number = number(self.number.unwrap_or_default());
            return Some(delta(number, number, gone.collect()));
        }
        Some(change(&*self.changes.pop_front()?, self.keeps_groups))
    }

    /// What is told of this list; `None`: the client has it.
    fn document_of(&mut self, list: &ContactList) -> Option<Bytes> {
        let Some(told) = &self.told else {
            if std::mem::replace(&mut self.is_known, true) {
                let expanded = list.listed_groups.iter().filter(|group| group.members.is_some());
                self.forgotten = expanded.map(|group| group.address.clone()).collect();
            }
            return Some(whole(list));
        };
        let changes = difference(told, list);
        let is_same = changes.is_empty() && told.delta == list.delta;
        (!is_same).then(|| delta(number(told.delta), number(list.delta), changes))
    }
}

/// What makes one list the other, but for groups that are gone: SIPE 1.25 dies of a group that another deletes (it frees it
/// twice), so an empty one stays until the next sign-in. Groups come before those who are in them.
fn difference(before: &ContactList, after: &ContactList) -> Vec<document::ContactChange> {
    use document::ContactChange as Change;
    let (old, new) = (before.shown_groups(), after.shown_groups());
    let known: HashMap<u32, &ContactGroup> = old.iter().map(|group| (group.id, group)).collect();
    let mut changes: Vec<Change> = Vec::new();
    for one in &new {
        match known.get(&one.id) {
            None => changes.push(Change::AddedGroup(group(one))),
            Some(known) if *known != one => changes.push(Change::ModifiedGroup(group(one))),
            Some(_) => {}
        }
    }
    let mut left: HashMap<_, _> = before
        .shown()
        .into_iter()
        .map(|one| (one.uri.clone(), one))
        .collect();
    for one in after.shown() {
        match left.remove(&one.uri) {
            None => changes.push(Change::AddedContact(shown(one))),
            Some(known) if known != one => changes.push(Change::ModifiedContact(shown(one))),
            Some(_) => {}
        }
    }
    let mut gone: Vec<String> = left.into_keys().map(|uri| uri.to_string()).collect();
    gone.sort_unstable();
    changes.extend(gone.into_iter().map(Change::DeletedContact));
    changes
}

fn delta(previous: NonZeroU32, number: NonZeroU32, changes: Vec<document::ContactChange>) -> Bytes {
    document::ContactDelta {
        delta_number: number,
        previous_delta_number: previous,
        changes,
    }
    .print()
}

/// Clients do not take 0.
fn number(delta: u64) -> NonZeroU32 {
    let number = u32::try_from(delta).unwrap_or(u32::MAX);
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn whole(list: &ContactList) -> Bytes {
    document::ContactList {
        delta_number: number(list.delta),
        groups: list.shown_groups().iter().map(group).collect(),
        contacts: list.shown().into_iter().map(shown).collect(),
    }
    .print()
}

fn change(news: &ContactNews, keeps_groups: bool) -> Bytes {
    use document::ContactChange as Change;
    let changes = match &news.changed {
        ContactChanged::AddedGroup(added) => vec![Change::AddedGroup(group(added))],
        ContactChanged::ModifiedGroup(modified) => vec![Change::ModifiedGroup(group(modified))],
        ContactChanged::DeletedGroup(id, contacts) => {
            let modified = contacts.iter().map(|one| Change::ModifiedContact(contact(one)));
            let deleted = (!keeps_groups).then_some(Change::DeletedGroup(*id));
            modified.chain(deleted).collect()
        }
        ContactChanged::AddedContact(added) => vec![Change::AddedContact(contact(added))],
        ContactChanged::ModifiedContact(modified) => vec![Change::ModifiedContact(contact(modified))],
        ContactChanged::DeletedContact(who) => vec![Change::DeletedContact(who.to_string())],
    };
    delta(number(news.previous), number(news.delta), changes)
}

fn group(group: &ContactGroup) -> document::Group {
    document::Group {
        id: group.id,
        name: group.name.clone(),
        external_uri: group.external_uri.clone(),
    }
}

fn shown(shown: Shown) -> document::Contact {
    document::Contact {
        address: shown.uri.to_string(),
        name: shown.name,
        groups: shown.groups,
        subscribed: shown.subscribed,
        external_uri: shown.external_uri,
    }
}

fn contact(contact: &Contact) -> document::Contact {
    document::Contact {
        address: contact.uri.to_string(),
        name: contact.name.clone(),
        groups: contact.groups.clone(),
        subscribed: contact.subscribed,
        external_uri: contact.external_uri.clone(),
    }
}
