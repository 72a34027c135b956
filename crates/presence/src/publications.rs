//! The publications of one user: names, versions, conflicts, ends.
//!
//! A publish is prepared first, which changes nothing, and committed when what must survive has been stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rpc::EndpointId;
use rpc::presence::{
    Activity, Bound, ContactCard, Lifetime, Note, Publication, PublicationContent, PublicationKey, Publish,
    PublishOne, PublishRefusal, StateInput, StoredVersion,
};

use crate::limits::{Limits, MAX_CATEGORY_BYTES, MAX_CHANGES, MAX_CONTAINER};
use crate::time::{Now, millis_of};

/// A publication and when it ends by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) publication: Arc<Publication>,
    /// Monotone milliseconds.
    pub(crate) ends_at: Option<u64>,
    /// What it counts for in the limit of bytes.
    bytes: usize,
}

impl Held {
    fn is_volatile(&self) -> bool {
        self.publication.lifetime.bound != Bound::Static
    }
}

/// All publications of one user.
#[derive(Default, Debug)]
pub(crate) struct Publications {
    held: BTreeMap<PublicationKey, Held>,
    bytes: usize,
    /// Counts changes of what is in no database.
    volatile_changes: u64,
}

/// A publish that may be committed.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Prepared {
    /// What each name stands for afterwards; `None`: nothing.
    pub(crate) after: BTreeMap<PublicationKey, Option<Held>>,
    /// The answer, in the order of the changes.
    pub(crate) versions: Vec<StoredVersion>,
}

/// One thing that must be stored before a [`Prepared`] is committed.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Durable<'a> {
    pub(crate) key: &'a PublicationKey,
    /// The version that is stored; 0: none is.
    pub(crate) expected: u32,
    /// What is to be stored; `None`: nothing any more.
    pub(crate) held: Option<&'a Held>,
}

impl Prepared {
    pub(crate) fn nothing() -> Self {
        Prepared {
            after: BTreeMap::new(),
            versions: Vec::new(),
        }
    }

    /// This and that, of which one may not undo the other.
    pub(crate) fn add(&mut self, more: Prepared) {
        self.after.extend(more.after);
        self.versions.extend(more.versions);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.after.is_empty()
    }

    /// Names of the categories that change, each once.
    pub(crate) fn categories(&self) -> Vec<Arc<str>> {
        let names: BTreeSet<&Arc<str>> = self.after.keys().map(|key| &key.category).collect();
        names.into_iter().cloned().collect()
    }
}

impl Publications {
    /// The publications, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Publication>> {
        self.held.values().map(|held| &held.publication)
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Takes in what was stored, whatever the limits are now.
    pub(crate) fn restore(&mut self, publication: Publication, ends_at: Option<u64>) {
        let held = held(publication, ends_at);
        self.put(held.publication.key.clone(), Some(held));
    }

    /// Takes in what a former owner left of what is in no database, unless what is stored has its name.
    pub(crate) fn inherit(&mut self, publication: Arc<Publication>, ends_at: Option<u64>) {
        if !self.held.contains_key(&publication.key) {
            let held = held_of(publication, ends_at);
            self.put(held.publication.key.clone(), Some(held));
        }
    }

    /// Replaces what is stored by what was read again; the rest stays, unless its name is taken.
    pub(crate) fn replace_static(&mut self, statics: Publications) {
        let old: Vec<PublicationKey> = self
            .iter()
            .filter(|publication| publication.lifetime.bound == Bound::Static)
            .map(|publication| publication.key.clone())
            .collect();
        for key in old {
            self.put(key, None);
        }
        for (key, held) in statics.held {
            self.put(key, Some(held));
        }
    }

    /// What a publish would do.
    ///
    /// # Errors
    /// All conflicts there are; else the first thing that cannot be, or the first limit that is reached.
    pub(crate) fn prepare(
        &self,
        publish: &Publish,
        now: Now,
        limits: &Limits,
    ) -> Result<Prepared, PublishRefusal> {
        if publish.changes.len() > MAX_CHANGES {
            return Err(PublishRefusal::Limit(format!(
                "at most {MAX_CHANGES} publications may be changed at once"
            )));
        }
        for change in &publish.changes {
            check(change, publish.endpoint.as_ref(), limits)?;
        }
        let mut after: BTreeMap<PublicationKey, Option<Held>> = BTreeMap::new();
        let mut versions = Vec::with_capacity(publish.changes.len());
        let mut conflicts = Vec::new();
        for (index, change) in publish.changes.iter().enumerate() {
            let key = change.key();
            let current = match after.get(key) {
                Some(changed) => changed.as_ref(),
                None => self.held.get(key),
            };
            let version = current.map_or(0, |held| held.publication.version);
            if let Some(known) = change.known()
                && known != version
                && !begins_again(change, publish.endpoint.as_ref(), current)
            {
                conflicts.push((index, known, version));
                continue;
            }
            let changed = apply(change, publish.endpoint.as_ref(), current, now);
            versions.push(StoredVersion {
                key: key.clone(),
                version: changed.as_ref().map_or(0, |held| held.publication.version),
            });
            after.insert(key.clone(), changed);
        }
        if !conflicts.is_empty() {
            return Err(PublishRefusal::Conflict(conflicts));
        }
        self.check_totals(&after, limits)?;
        Ok(Prepared { after, versions })
    }

    fn check_totals(
        &self,
        after: &BTreeMap<PublicationKey, Option<Held>>,
        limits: &Limits,
    ) -> Result<(), PublishRefusal> {
        let (mut count, mut bytes) = (self.held.len(), self.bytes);
        let mut grows = false;
        for (key, changed) in after {
            let before = self.held.get(key);
            let (before_bytes, after_bytes) = (
                before.map_or(0, |held| held.bytes),
                changed.as_ref().map_or(0, |held| held.bytes),
            );
            grows |= after_bytes > before_bytes || before.is_none();
            count = count + usize::from(changed.is_some()) - usize::from(before.is_some());
            bytes = bytes + after_bytes - before_bytes;
        }
        // Whoever is above a limit that was lowered may still change and remove things.
        if grows && count > limits.publications {
            return Err(PublishRefusal::Limit(format!(
                "at most {} publications are kept of a user",
                limits.publications
            )));
        }
        if grows && bytes > limits.user_bytes {
            return Err(PublishRefusal::Limit(format!(
                "at most {} bytes of publications are kept of a user",
                limits.user_bytes
            )));
        }
        Ok(())
    }

    /// What has to be stored before this is committed.
    pub(crate) fn durable<'a>(&self, prepared: &'a Prepared) -> Vec<Durable<'a>> {
        let is_static = |held: &&Held| held.publication.lifetime.bound == Bound::Static;
        prepared
            .after
            .iter()
            .filter_map(|(key, after)| {
                let stored = self.held.get(key).filter(is_static);
                let expected = stored.map_or(0, |held| held.publication.version);
                let held = after.as_ref().filter(is_static);
                (expected != 0 || held.is_some()).then_some(Durable { key, expected, held })
            })
            .collect()
    }

    /// Makes it true.
    pub(crate) fn commit(&mut self, prepared: Prepared) {
        for (key, held) in prepared.after {
            self.put(key, held);
        }
    }

    fn put(&mut self, key: PublicationKey, held: Option<Held>) {
        let mut is_volatile = held.as_ref().is_some_and(Held::is_volatile);
        let before = match held {
            Some(held) => {
                self.bytes += held.bytes;
                self.held.insert(key, held)
            }
            None => self.held.remove(&key),
        };
        is_volatile |= before.as_ref().is_some_and(Held::is_volatile);
        self.volatile_changes += u64::from(is_volatile);
        self.bytes -= before.map_or(0, |before| before.bytes);
    }

    /// What ends with endpoints, and so is in no database.
    pub(crate) fn volatile(&self) -> impl Iterator<Item = &Held> {
        self.held.values().filter(|held| held.is_volatile())
    }

    /// Grows with each change of what [`Publications::volatile`] has.
    pub(crate) fn volatile_changes(&self) -> u64 {
        self.volatile_changes
    }

    /// The end of everything that is due.
    pub(crate) fn due(&self, now: Now) -> Prepared {
        self.ending(|held| held.ends_at.is_some_and(|at| at <= now.ms))
    }

    /// When the first one ends by itself, monotone milliseconds.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.held.values().filter_map(|held| held.ends_at).min()
    }

    /// The end of everything that is bound to this endpoint.
    pub(crate) fn of_endpoint(&self, endpoint: &EndpointId) -> Prepared {
        self.ending(|held| {
            held.publication.lifetime.bound == Bound::Endpoint
                && held.publication.endpoint.as_ref() == Some(endpoint)
        })
    }

    /// The end of everything that is bound to the user's last endpoint.
    pub(crate) fn of_user(&self) -> Prepared {
        self.ending(|held| held.publication.lifetime.bound == Bound::User)
    }

    fn ending(&self, ends: impl Fn(&Held) -> bool) -> Prepared {
        let after: BTreeMap<_, _> = self
            .held
            .iter()
            .filter(|(_, held)| ends(held))
            .map(|(key, _)| (key.clone(), None))
            .collect();
        Prepared {
            after,
            versions: Vec::new(),
        }
    }

    /// The endpoints something is bound to.
    pub(crate) fn endpoints(&self) -> BTreeSet<EndpointId> {
        self.iter()
            .filter(|publication| publication.lifetime.bound == Bound::Endpoint)
            .filter_map(|publication| publication.endpoint.clone())
            .collect()
    }

    /// Whether anything stands that is not stored.
    pub(crate) fn has_volatile(&self) -> bool {
        self.volatile().next().is_some()
    }

    /// The version of a publication, for tests.
    #[cfg(test)]
    pub(crate) fn version_of(&self, key: &PublicationKey) -> u32 {
        self.held.get(key).map_or(0, |held| held.publication.version)
    }
}

/// A client that signed in again knows nothing of what it published before, and publishes as if for the first time: a
/// conflict would tell it nothing it can use.
fn begins_again(change: &PublishOne, endpoint: Option<&EndpointId>, current: Option<&Held>) -> bool {
    let PublishOne::Set {
        known: Some(0),
        lifetime,
        ..
    } = change
    else {
        return false;
    };
    lifetime.bound == Bound::Endpoint
        && endpoint.is_some()
        && current.is_some_and(|held| {
            held.publication.lifetime.bound == Bound::Endpoint
                && held.publication.endpoint.as_ref() == endpoint
        })
}

/// Whether a change is what stands already, but for its end, and is in no database: a front end says again what it has, and
/// nobody shall be told of another version of it.
fn says_the_same(held: &Held, change: &PublishOne, endpoint: Option<&EndpointId>) -> bool {
    let PublishOne::Set {
        lifetime,
        content,
        kept,
        ..
    } = change
    else {
        return false;
    };
    let publication = &held.publication;
    held.is_volatile()
        && publication.lifetime.bound == lifetime.bound
        && publication.endpoint.as_ref() == endpoint
        && publication.content == *content
        && publication.kept == *kept
}

fn apply(
    change: &PublishOne,
    endpoint: Option<&EndpointId>,
    current: Option<&Held>,
    now: Now,
) -> Option<Held> {
    let version = current
        .map_or(0, |held| held.publication.version)
        .saturating_add(1);
    let ends_at = |lifetime: &Lifetime| {
        lifetime
            .expires
            .map(|expires| now.ms.saturating_add(millis_of(expires)))
    };
    match change {
        PublishOne::Set {
            key,
            known,
            lifetime,
            content,
            kept,
        } => {
            if known.is_none()
                && let Some(held) = current.filter(|held| says_the_same(held, change, endpoint))
            {
                return Some(Held {
                    ends_at: ends_at(lifetime),
                    ..held.clone()
                });
            }
            let publication = Publication {
                key: key.clone(),
                version,
                endpoint: endpoint.cloned(),
                lifetime: *lifetime,
                published_at: now.unix_ms,
                content: content.clone(),
                kept: kept.clone(),
            };
            Some(held(publication, ends_at(lifetime)))
        }
        PublishOne::Refresh { lifetime, .. } => current.map(|held| {
            let mut publication = Publication::clone(&held.publication);
            publication.version = version;
            publication.lifetime = *lifetime;
            publication.endpoint = endpoint.cloned();
            Held {
                publication: Arc::new(publication),
                ends_at: ends_at(lifetime),
                bytes: held.bytes,
            }
        }),
        PublishOne::Remove { .. } => None,
    }
}

fn held(publication: Publication, ends_at: Option<u64>) -> Held {
    held_of(Arc::new(publication), ends_at)
}

fn held_of(publication: Arc<Publication>, ends_at: Option<u64>) -> Held {
    Held {
        bytes: size_of(
            &publication.content,
            publication.kept.as_ref().map_or(0, |kept| kept.xml.len()),
        ),
        publication,
        ends_at,
    }
}

/// What cannot be, whatever stands.
fn check(change: &PublishOne, endpoint: Option<&EndpointId>, limits: &Limits) -> Result<(), PublishRefusal> {
    let invalid = |why: &str| Err(PublishRefusal::Invalid(why.to_owned()));
    let key = change.key();
    if key.container > MAX_CONTAINER {
        return invalid("containers have the numbers 0 to 32767");
    }
    if key.container == 0 {
        return invalid("what is in container 0 is published by the pool");
    }
    if key.category.is_empty()
        || key
            .category
            .contains(|c: char| c.is_control() || c.is_whitespace())
    {
        return invalid("a category has a name without blanks");
    }
    if key.category.len() > MAX_CATEGORY_BYTES {
        return Err(PublishRefusal::Limit(format!(
            "the name of a category has at most {MAX_CATEGORY_BYTES} bytes"
        )));
    }
    let (lifetime, content) = match change {
        PublishOne::Set {
            lifetime,
            content,
            kept,
            ..
        } => {
            if let Some(kept) = kept
                && std::str::from_utf8(&kept.xml).is_err()
            {
                return invalid("a publication is text in UTF-8");
            }
            let bytes = size_of(content, kept.as_ref().map_or(0, |kept| kept.xml.len()));
            (lifetime, Some(bytes))
        }
        PublishOne::Refresh { known: 0, .. } => {
            return invalid("a refresh names the version it is of");
        }
        PublishOne::Refresh { lifetime, .. } => (lifetime, None),
        PublishOne::Remove { .. } => return Ok(()),
    };
    if lifetime.bound == Bound::Endpoint && endpoint.is_none() {
        return invalid("only an endpoint publishes what ends with an endpoint");
    }
    if lifetime.expires.is_some_and(|expires| expires.is_zero()) {
        return invalid("a publication lives longer than no time");
    }
    if content.is_some_and(|bytes| bytes > limits.publication_bytes) {
        return Err(PublishRefusal::Limit(format!(
            "a publication has at most {} bytes",
            limits.publication_bytes
        )));
    }
    Ok(())
}

// === what a publication weighs ===

/// What everything costs besides its texts.
const EACH: usize = 64;

fn size_of(content: &PublicationContent, kept: usize) -> usize {
    let states = |states: &[StateInput]| states.iter().map(state_size).sum::<usize>();
    let notes = |notes: &[Note]| notes.iter().map(note_size).sum::<usize>();
    let understood = match content {
        PublicationContent::States(inputs) => states(inputs),
        PublicationContent::Notes(texts) => notes(texts),
        PublicationContent::Document {
            states: inputs,
            notes: texts,
        } => states(inputs) + notes(texts),
        PublicationContent::Card(card) => card_size(card),
        PublicationContent::Opaque => 0,
    };
    EACH + understood + kept
}

fn state_size(state: &StateInput) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let activity = match &state.activity {
        None => 0,
        Some(Activity::Token(token)) => token.len(),
        Some(Activity::Custom(texts)) => texts.iter().map(|one| EACH + one.text.len()).sum(),
    };
    EACH + activity + text(&state.location) + text(&state.meeting_subject) + text(&state.meeting_location)
}

fn note_size(note: &Note) -> usize {
    EACH + note.text.len() + note.language.as_ref().map_or(0, String::len)
}

fn card_size(card: &ContactCard) -> usize {
    let ContactCard {
        display_name,
        emails,
        phones,
        title,
        office,
        company,
        department,
        url,
    } = card;
    let texts = [title, office, company, department, url];
    EACH + display_name.len()
        + emails.iter().map(|mail| EACH + mail.len()).sum::<usize>()
        + phones
            .iter()
            .map(|phone| EACH + phone.uri.len() + phone.display.len())
            .sum::<usize>()
        + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

#[cfg(test)]
mod tests;
