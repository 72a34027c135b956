//! What a subscription shows: users, who watches, or what only the user may see.

use bytes::Bytes;
use hashbrown::HashMap;
use rpc::presence::WatcherStatus;
use sha2::{Digest as _, Sha256};
use sip_bodies::watcherinfo::{self, Watcher, WatcherEvent, WatcherInfo, WatcherList};
use sip_types::AddressOfRecord;

use super::following::{Following, Known};
use super::list::List;
use super::lync::batch::Batch;
use super::lync::contacts::Contacts;
use super::lync::own::Own;
use super::render::Dialect;

/// A body for a client.
pub(crate) struct Body {
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
}

/// What is to be sent.
pub(crate) enum Next {
    /// Nothing: it was told already.
    Nothing,
    /// A NOTIFY with this body, or none if there is nothing to say. `more`: not everything had room.
    Body { body: Option<Body>, more: bool },
}

/// What a subscription sees.
pub(crate) struct Sight<'a> {
    pub(crate) following: &'a Following,
    pub(crate) watcher: &'a AddressOfRecord,
    /// The host part of Content-IDs.
    pub(crate) host: &'a str,
}

/// See the module.
pub(crate) enum Content {
    Person(Person),
    List(List),
    Watchers(Watchers),
    /// Many users, for a Lync-family client.
    Batch(Batch),
    /// The user's own data, for a Lync-family client.
    Own(Box<Own>),
    /// The user's contact list, for a Lync-family client.
    Contacts(Contacts),
}

impl Content {
    /// Whom it shows.
    pub(crate) fn presentities(&self) -> Vec<AddressOfRecord> {
        match self {
            Content::Person(person) => vec![person.presentity.clone()],
            Content::List(list) => list.presentities(),
            Content::Batch(batch) => batch.presentities(),
            Content::Own(own) => vec![own.user().clone()],
            Content::Watchers(_) | Content::Contacts(_) => Vec::new(),
        }
    }

    /// A presentity changed. Whether that replaces a change that was not told; `None`: it is not shown here.
    pub(crate) fn note(&mut self, presentity: &AddressOfRecord) -> Option<bool> {
        match self {
            Content::Person(person) if person.presentity == *presentity => {
                Some(std::mem::replace(&mut person.changed, true))
            }
            Content::List(list) => list.note(presentity),
            Content::Batch(batch) => batch.note(presentity),
            // What its own states add up to.
            Content::Own(own) if *own.user() == *presentity => Some(false),
            Content::Person(_) | Content::Watchers(_) | Content::Own(_) | Content::Contacts(_) => None,
        }
    }

    /// What the client is to be told now: everything, or what it was not told.
    pub(crate) fn next(&mut self, everything: bool, sight: &Sight<'_>) -> Next {
        match self {
            Content::Person(person) => person.next(everything, sight),
            Content::List(list) => list.next(everything, sight),
            Content::Watchers(watchers) => watchers.next(everything, sight),
            Content::Batch(batch) => batch.next(everything, sight),
            Content::Own(own) => own.next(everything, sight),
            Content::Contacts(contacts) => contacts.next(),
        }
    }
}

/// One user.
pub(crate) struct Person {
    presentity: AddressOfRecord,
    dialect: Dialect,
    changed: bool,
    /// What the client was told last.
    told: Option<Bytes>,
}

impl Person {
    pub(crate) fn new(presentity: AddressOfRecord, dialect: Dialect) -> Self {
        Person {
            presentity,
            dialect,
            changed: false,
            told: None,
        }
    }

    fn next(&mut self, everything: bool, sight: &Sight<'_>) -> Next {
        self.changed = false;
        let Some(Known::Shown(shown)) = sight.following.present(&self.presentity) else {
            return if everything {
                Next::Body {
                    body: None,
                    more: false,
                }
            } else {
                Next::Nothing
            };
        };
        let bytes = shown.for_watcher(self.dialect, sight.watcher);
        if !everything && self.told.as_ref() == Some(&bytes) {
            return Next::Nothing;
        }
        self.told = Some(bytes.clone());
        Next::Body {
            body: Some(Body {
                content_type: self.dialect.content_type().to_owned(),
                bytes,
            }),
            more: false,
        }
    }
}

/// Who watches the user (RFC 3857, RFC 3858).
#[derive(Default)]
pub(crate) struct Watchers {
    version: u32,
    /// Whom the client was told of, with their names.
    told: HashMap<AddressOfRecord, String>,
}

impl Watchers {
    fn next(&mut self, everything: bool, sight: &Sight<'_>) -> Next {
        let present = sight.following.own_watchers(sight.watcher);
        let present: HashMap<AddressOfRecord, String> = present
            .iter()
            .flat_map(|watchers| watchers.all.iter())
            .filter(|seen| seen.status == WatcherStatus::Active)
            .map(|seen| (seen.watcher.clone(), seen.display_name.clone()))
            .collect();
        let came = present
            .iter()
            .filter(|(who, _)| everything || !self.told.contains_key(*who))
            .map(|(who, name)| {
                watcher(
                    who,
                    name,
                    watcherinfo::WatcherStatus::Active,
                    WatcherEvent::Subscribe,
                )
            });
        let went = self
            .told
            .iter()
            .filter(|(who, _)| !everything && !present.contains_key(*who))
            .map(|(who, name)| {
                watcher(
                    who,
                    name,
                    watcherinfo::WatcherStatus::Terminated,
                    WatcherEvent::Timeout,
                )
            });
        let mut watchers: Vec<Watcher> = came.chain(went).collect();
        if watchers.is_empty() && !everything {
            return Next::Nothing;
        }
        watchers.sort_by(|one, other| one.uri.cmp(&other.uri));
        let info = WatcherInfo {
            version: self.version,
            is_full: everything,
            lists: vec![WatcherList {
                resource: sight.watcher.to_uri_string(),
                package: "presence".to_owned(),
                watchers,
            }],
        };
        self.version = self.version.wrapping_add(1);
        self.told = present;
        Next::Body {
            body: Some(Body {
                content_type: watcherinfo::CONTENT_TYPE.to_owned(),
                bytes: info.print(),
            }),
            more: false,
        }
    }
}

fn watcher(
    who: &AddressOfRecord,
    name: &str,
    status: watcherinfo::WatcherStatus,
    event: WatcherEvent,
) -> Watcher {
    let digest = Sha256::digest(who.as_str());
    Watcher {
        // The same in all documents about this watcher, of whatever front end.
        id: format!("w{}", hex::encode(digest.get(..8).unwrap_or_default())),
        uri: who.to_uri_string(),
        display_name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        status,
        event,
        expiration: None,
        duration_subscribed: None,
    }
}
