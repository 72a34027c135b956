//! A list of users in one subscription (RFC 4662): who is in it, and what the client was told of each.

use bytes::Bytes;
use hashbrown::HashSet;
use rpc::presence::PresenceVersion;
use sip_bodies::lang_text::LangText;
use sip_bodies::multipart::{Related, RelatedPart, RelatedStyle};
use sip_bodies::rlmi::{Instance, Resource, ResourceList};
use sip_bodies::{pidf, rlmi};
use sip_types::AddressOfRecord;

use super::content::{Body, Next, Sight};
use super::following::Known;
use super::render::Dialect;

/// Members of a list.
pub(crate) const MEMBERS: usize = 1_000;

/// Documents in one NOTIFY, bytes: what has no room goes with the next.
pub(super) const DOCUMENTS: usize = 256 * 1024;

/// Who is to be in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// The URI the list has them by.
    pub(crate) uri: String,
    /// The user; `None`: nobody of this pool.
    pub(crate) who: Option<AddressOfRecord>,
    /// The name in the list; empty if there is none.
    pub(crate) name: String,
}

struct Member {
    entry: Entry,
    /// To be told.
    changed: bool,
    /// What the client was told last.
    told: Option<Told>,
}

#[derive(PartialEq, Eq)]
enum Told {
    /// Nothing is known.
    Unknown,
    /// There is no such user.
    Nobody,
    Document(Bytes),
}

/// A list.
pub(crate) struct List {
    /// The URI that was subscribed to, letter for letter.
    uri: String,
    style: RelatedStyle,
    /// It is the watcher's own contact list, at this number and version.
    pub(crate) contacts: Option<(u64, PresenceVersion)>,
    members: Vec<Member>,
    version: u32,
    /// Somebody was removed: only a full document says so (RFC 4662 section 5.2).
    removed: bool,
}

/// How the members of a list changed.
#[derive(Default)]
pub(crate) struct Changed {
    pub(crate) added: Vec<AddressOfRecord>,
    pub(crate) removed: Vec<AddressOfRecord>,
}

impl List {
    /// An empty list. `contacts`: it follows the watcher's contact list.
    pub(crate) fn new(uri: String, contacts: bool, style: RelatedStyle) -> Self {
        List {
            uri,
            style,
            contacts: contacts.then_some((0, PresenceVersion::default())),
            members: Vec::new(),
            version: 0,
            removed: false,
        }
    }

    /// The users in it.
    pub(crate) fn presentities(&self) -> Vec<AddressOfRecord> {
        let users = self.members.iter().filter_map(|member| member.entry.who.clone());
        users.collect()
    }

    /// Sets who is in it; who is there twice is taken once.
    pub(crate) fn set(&mut self, entries: Vec<Entry>) -> Changed {
        let before: HashSet<AddressOfRecord> = self.presentities().into_iter().collect();
        let mut former: Vec<Member> = std::mem::take(&mut self.members);
        let mut users = HashSet::new();
        let mut uris = HashSet::new();
        for entry in entries {
            let is_new = match &entry.who {
                Some(who) => users.insert(who.clone()),
                None => uris.insert(entry.uri.clone()),
            };
            if !is_new {
                continue;
            }
            let known = former.iter().position(|member| member.entry == entry);
            self.members.push(match known {
                Some(place) => former.swap_remove(place),
                None => Member {
                    entry,
                    changed: true,
                    told: None,
                },
            });
        }
        self.removed |= former.iter().any(|member| {
            let stays = |left: &Member| left.entry.uri == member.entry.uri;
            !self.members.iter().any(stays)
        });
        Changed {
            added: users.difference(&before).cloned().collect(),
            removed: before.difference(&users).cloned().collect(),
        }
    }

    /// See [`super::content::Content::note`].
    pub(crate) fn note(&mut self, presentity: &AddressOfRecord) -> Option<bool> {
        let mut members = self.members.iter_mut();
        let member = members.find(|member| member.entry.who.as_ref() == Some(presentity))?;
        Some(std::mem::replace(&mut member.changed, true))
    }

    /// See [`super::content::Content::next`].
    pub(crate) fn next(&mut self, everything: bool, sight: &Sight<'_>) -> Next {
        let full = std::mem::take(&mut self.removed) || everything || self.version == 0;
        if self.members.is_empty() {
            // Linphone 5.1 dies of a list without resources.
            return if full {
                Next::Body {
                    body: None,
                    more: false,
                }
            } else {
                Next::Nothing
            };
        }
        let mut parts = Vec::new();
        let mut resources = Vec::new();
        let (mut bytes, mut more) = (0, false);
        for (place, member) in self.members.iter_mut().enumerate() {
            if !full && !member.changed {
                continue;
            }
            let mut now = member.look(sight);
            if !full && member.told.as_ref() == Some(&now) {
                member.changed = false;
                continue;
            }
            member.changed = false;
            if let Told::Document(document) = &now {
                bytes += document.len();
                if bytes > DOCUMENTS && !parts.is_empty() {
                    more = true;
                    member.changed = true;
                    if !full {
                        break;
                    }
                    now = Told::Unknown;
                }
            }
            let cid = format!("{}.{place}@{}", self.version, sight.host);
            resources.push(member.resource(&now, &cid));
            if let Told::Document(document) = &now {
                parts.push(RelatedPart {
                    content_id: cid,
                    content_type: pidf::CONTENT_TYPE.to_owned(),
                    body: document.clone(),
                });
            }
            member.told = Some(now);
        }
        if resources.is_empty() {
            return Next::Nothing;
        }
        let body = self.print(full, resources, parts, sight.host);
        self.version = self.version.wrapping_add(1);
        Next::Body { body, more }
    }

    fn print(
        &self,
        full_state: bool,
        resources: Vec<Resource>,
        parts: Vec<RelatedPart>,
        host: &str,
    ) -> Option<Body> {
        let list = ResourceList {
            uri: self.uri.clone(),
            version: self.version,
            full_state,
            cid: None,
            names: Vec::new(),
            resources,
        };
        // Neither fails: there are resources, active ones have a part, and the names of parts are ours.
        let bytes = list.print().inspect_err(|error| defect(error)).ok()?;
        let root = RelatedPart {
            content_id: format!("{}@{host}", self.version),
            content_type: format!("{};charset=\"UTF-8\"", rlmi::CONTENT_TYPE),
            body: bytes,
        };
        let related = Related::new(root, parts, self.style)
            .inspect_err(|error| defect(error))
            .ok()?;
        Some(Body {
            content_type: related.content_type(),
            bytes: related.print(),
        })
    }
}

fn defect(error: &dyn std::fmt::Display) {
    tracing::error!(%error, "a list was not written");
}

impl Member {
    fn look(&self, sight: &Sight<'_>) -> Told {
        let Some(who) = &self.entry.who else {
            return Told::Nobody;
        };
        match sight.following.present(who) {
            Some(Known::Shown(shown)) => Told::Document(shown.for_watcher(Dialect::Pidf, sight.watcher)),
            Some(Known::Nobody) => Told::Nobody,
            None => Told::Unknown,
        }
    }

    fn resource(&self, now: &Told, cid: &str) -> Resource {
        let instance = match now {
            Told::Document(_) => Some(Instance::active("1", cid)),
            Told::Nobody => Some(Instance::terminated("1", "noresource")),
            Told::Unknown => None,
        };
        let name = Some(&self.entry.name).filter(|name| !name.is_empty());
        Resource {
            uri: self.entry.uri.clone(),
            names: name
                .map(|name| LangText::new(name.as_str()))
                .into_iter()
                .collect(),
            instances: instance.into_iter().collect(),
        }
    }
}
