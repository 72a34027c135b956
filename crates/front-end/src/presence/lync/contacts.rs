//! A user's contact list at one client (MS-SIP, `vnd-microsoft-roaming-contacts`): the whole list, then each change.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use rpc::presence::{Contact, ContactChanged, ContactGroup, ContactList, ContactNews};
use sip_bodies::lync::contacts as document;

use super::super::content::{Body, Next};

/// Changes that wait for a client; with one more it gets the whole list.
const CHANGES: usize = 64;

/// What a client was told of the list.
#[derive(Default)]
pub(crate) struct Contacts {
    /// The number of what is told or waits; `None`: nothing yet.
    number: Option<u64>,
    /// The list, where it is to be told as a whole.
    list: Option<Arc<ContactList>>,
    /// Changes, in order.
    changes: VecDeque<Arc<ContactNews>>,
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
    /// The number of what the client knows or is about to know.
    pub(crate) fn number(&self) -> Option<u64> {
        self.number
    }

    /// The list was changed.
    pub(crate) fn take(&mut self, news: &Arc<ContactNews>) -> Taken {
        match self.number {
            Some(number) if news.delta <= number => Taken::Known,
            Some(number) if news.previous != number || self.changes.len() >= CHANGES => Taken::Gap,
            Some(_) => {
                self.number = Some(news.delta);
                self.changes.push_back(Arc::clone(news));
                Taken::New
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

    /// The list was looked up and is to be told as a whole. False: the client knows a newer one.
    pub(crate) fn set(&mut self, list: Arc<ContactList>) -> bool {
        if self.number.is_some_and(|number| list.delta < number) {
            return false;
        }
        let waiting = std::mem::take(&mut self.changes);
        self.number = Some(list.delta);
        self.list = Some(list);
        for news in waiting {
            // What came while the list was looked up; of a gap the next change tells.
            self.take(&news);
        }
        true
    }

    /// See [`super::super::content::Content::next`].
    pub(crate) fn next(&mut self) -> Next {
        let (bytes, more) = if let Some(list) = self.list.take() {
            (whole(&list), !self.changes.is_empty())
        } else {
            let Some(news) = self.changes.pop_front() else {
                return Next::Nothing;
            };
            (change(&news), !self.changes.is_empty())
        };
        Next::Body {
            body: Some(Body {
                content_type: document::CONTENT_TYPE.to_owned(),
                bytes,
            }),
            more,
        }
    }
}

/// Clients do not take 0.
fn number(delta: u64) -> NonZeroU32 {
    let number = u32::try_from(delta).unwrap_or(u32::MAX);
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn whole(list: &ContactList) -> Bytes {
    document::ContactList {
        delta_number: number(list.delta),
        groups: list.groups.iter().map(group).collect(),
        contacts: list.contacts.iter().map(contact).collect(),
    }
    .print()
}

fn change(news: &ContactNews) -> Bytes {
    use document::ContactChange as Change;
    let changes = match &news.changed {
        ContactChanged::AddedGroup(added) => vec![Change::AddedGroup(group(added))],
        ContactChanged::ModifiedGroup(modified) => vec![Change::ModifiedGroup(group(modified))],
        ContactChanged::DeletedGroup(id, contacts) => {
            let modified = contacts.iter().map(|one| Change::ModifiedContact(contact(one)));
            modified.chain([Change::DeletedGroup(*id)]).collect()
        }
        ContactChanged::AddedContact(added) => vec![Change::AddedContact(contact(added))],
        ContactChanged::ModifiedContact(modified) => vec![Change::ModifiedContact(contact(modified))],
        ContactChanged::DeletedContact(who) => vec![Change::DeletedContact(who.to_string())],
    };
    document::ContactDelta {
        delta_number: number(news.delta),
        previous_delta_number: number(news.previous),
        changes,
    }
    .print()
}

fn group(group: &ContactGroup) -> document::Group {
    document::Group {
        id: group.id,
        name: group.name.clone(),
        external_uri: group.external_uri.clone(),
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
