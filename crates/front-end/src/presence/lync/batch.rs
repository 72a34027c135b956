//! Many users in one subscription of a Lync-family client (MS-PRES section 3.5): its answers name all that were asked for, later
//! notifications those that changed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use sip_bodies::lync::categories;
use sip_bodies::multipart::{Related, RelatedPart, RelatedStyle};
use sip_bodies::rlmi::{self, Instance, Resource, ResourceList};
use sip_types::AddressOfRecord;

use super::super::content::{Body, Next, Sight};
use super::super::following::Known;
use super::super::list::{Changed, DOCUMENTS, MEMBERS};
use super::defect;
use super::wanted::Wanted;

/// The name of the part that lists the others.
const LIST_PART: &str = "resourceList";

/// A user in it.
#[derive(Default)]
struct Member {
    /// What of the user the client wants to see.
    wanted: Wanted,
    /// To be told.
    changed: bool,
    /// The client was told last.
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

/// See the module.
#[derive(Default)]
pub(crate) struct Batch {
    members: BTreeMap<AddressOfRecord, Member>,
    /// Who was asked for and is nobody of this pool, by URI: told of with the next answer, then forgotten.
    strangers: Vec<String>,
    version: u32,
    /// The next document answers a request.
    answers: bool,
}

/// More users than there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany;

impl Batch {
    /// The users in it.
    pub(crate) fn presentities(&self) -> Vec<AddressOfRecord> {
        self.members.keys().cloned().collect()
    }

    /// A request asks for these users, and for some who are nobody here. The next document tells of all of them.
    ///
    /// # Errors
    /// [`TooMany`] beyond [`MEMBERS`]; nothing is changed.
    pub(crate) fn add(
        &mut self,
        users: Vec<(AddressOfRecord, Wanted)>,
        strangers: Vec<String>,
    ) -> Result<Changed, TooMany> {
        let mut asked: BTreeMap<AddressOfRecord, Wanted> = BTreeMap::new();
        for (user, wanted) in users {
            match asked.entry(user) {
                Entry::Vacant(entry) => drop(entry.insert(wanted)),
                // Two actions of one request.
                Entry::Occupied(mut entry) => entry.get_mut().add(&wanted),
            }
        }
        let is_new = |user: &&AddressOfRecord| !self.members.contains_key(*user);
        if self.members.len() + asked.keys().filter(is_new).count() > MEMBERS {
            return Err(TooMany);
        }
        let mut added = Vec::new();
        for (user, wanted) in asked {
            let member = self.members.entry(user.clone()).or_insert_with(|| {
                added.push(user);
                Member::default()
            });
            (member.wanted, member.changed, member.told) = (wanted, true, None);
        }
        self.strangers = strangers;
        self.answers = true;
        Ok(Changed {
            added,
            removed: Vec::new(),
        })
    }

    /// A request asks for these users no more. Those who were in it.
    pub(crate) fn remove(&mut self, users: Vec<AddressOfRecord>) -> Vec<AddressOfRecord> {
        let was_in = |user: &AddressOfRecord| self.members.remove(user).is_some();
        users.into_iter().filter(was_in).collect()
    }

    /// See [`super::super::content::Content::note`].
    pub(crate) fn note(&mut self, presentity: &AddressOfRecord) -> Option<bool> {
        let member = self.members.get_mut(presentity)?;
        Some(std::mem::replace(&mut member.changed, true))
    }

    /// See [`super::super::content::Content::next`].
    pub(crate) fn next(&mut self, everything: bool, sight: &Sight<'_>) -> Next {
        let answers = std::mem::take(&mut self.answers) || everything;
        let (mut resources, mut parts) = (Vec::new(), Vec::new());
        let (mut bytes, mut more) = (0, false);
        for (who, member) in &mut self.members {
            if !everything && !member.changed {
                continue;
            }
            let mut now = look(who, &member.wanted, sight);
            member.changed = false;
            if !everything && member.told.as_ref() == Some(&now) {
                continue;
            }
            if let Told::Document(document) = &now {
                bytes += document.len();
                if bytes > DOCUMENTS && !parts.is_empty() {
                    more = true;
                    member.changed = true;
                    if !answers {
                        break;
                    }
                    // It is named now and told of with the next.
                    now = Told::Unknown;
                }
            }
            resources.push(resource(who, &now));
            if let Told::Document(document) = &now {
                parts.push(part(who, document));
            }
            member.told = Some(now);
        }
        for uri in std::mem::take(&mut self.strangers) {
            resources.push(Resource {
                uri,
                names: Vec::new(),
                instances: vec![Instance::terminated("0", "noresource")],
            });
        }
        let body = match (&resources[..], &mut parts[..]) {
            ([], _) => None,
            ([_], [only]) if !answers => Some(Body {
                content_type: categories::CONTENT_TYPE.to_owned(),
                bytes: std::mem::take(&mut only.body),
            }),
            _ => self.print(resources, parts, sight),
        };
        match body {
            None if !answers => Next::Nothing,
            body => Next::Body { body, more },
        }
    }

    fn print(
        &mut self,
        resources: Vec<Resource>,
        parts: Vec<RelatedPart>,
        sight: &Sight<'_>,
    ) -> Option<Body> {
        let list = ResourceList {
            uri: sight.watcher.to_uri_string(),
            version: self.version,
            full_state: false,
            cid: None,
            names: Vec::new(),
            resources,
        };
        self.version = self.version.wrapping_add(1);
        // Neither fails: there are resources, active ones have a part, and the names of parts are addresses.
        let root = RelatedPart {
            content_id: LIST_PART.to_owned(),
            content_type: rlmi::CONTENT_TYPE.to_owned(),
            body: list.print().inspect_err(|error| defect(error)).ok()?,
        };
        let related = Related::new(root, parts, RelatedStyle::LyncFamily)
            .inspect_err(|error| defect(error))
            .ok()?;
        Some(Body {
            content_type: related.content_type(),
            bytes: related.print(),
        })
    }
}

fn look(who: &AddressOfRecord, wanted: &Wanted, sight: &Sight<'_>) -> Told {
    match sight.following.present(who) {
        Some(Known::Shown(shown)) => Told::Document(shown.of_categories(wanted, sight.watcher)),
        Some(Known::Nobody) => Told::Nobody,
        None => Told::Unknown,
    }
}

fn resource(who: &AddressOfRecord, now: &Told) -> Resource {
    let instance = match now {
        Told::Document(_) => Instance::active("0", content_id(who)),
        Told::Nobody => Instance::terminated("0", "noresource"),
        Told::Unknown => Instance::pending("0"),
    };
    Resource {
        uri: who.to_uri_string(),
        names: Vec::new(),
        instances: vec![instance],
    }
}

/// The address, with the escapes a URI has: a Content-ID is ASCII.
fn content_id(who: &AddressOfRecord) -> String {
    who.to_uri_string().trim_start_matches("sip:").to_owned()
}

fn part(who: &AddressOfRecord, document: &Bytes) -> RelatedPart {
    RelatedPart {
        content_id: content_id(who),
        content_type: categories::CONTENT_TYPE.to_owned(),
        body: document.clone(),
    }
}
