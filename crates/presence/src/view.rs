//! What each access level sees. `docs/presence.md` has the matrix, and the tests its rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use rpc::presence::{
    AccessLevel, Bound, ContactCard, Kept, KeptFormat, LevelView, Note, NoteKind, PassedOn, Phone, PhoneKind,
    Publication, PublicationContent, category,
};

use crate::aggregate::Aggregate;

/// The container whose states, notes, cards and documents are for all levels that may see them: the pool puts together
/// what is published there.
pub(crate) const FOR_ALL: u16 = 2;

/// The container of states for the workgroup.
pub(crate) const FOR_WORKGROUP: u16 = 3;

/// Who somebody is by the pool's own account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Who {
    /// The name people see; empty: none.
    pub(crate) display_name: String,
    /// The mail address.
    pub(crate) mail: String,
}

/// What the views of one presentity are made of.
pub(crate) struct Material<'a> {
    pub(crate) publications: &'a [Arc<Publication>],
    /// What all levels but the workgroup see of the states.
    pub(crate) aggregate: &'a Aggregate,
    /// What the workgroup sees of them.
    pub(crate) workgroup: &'a Aggregate,
    /// Since when each of the two stands, Unix milliseconds.
    pub(crate) since: (u64, u64),
    pub(crate) who: &'a Who,
}

/// The views of all levels, in the order of [`AccessLevel::ALL`].
pub(crate) fn views(material: &Material<'_>) -> [Arc<LevelView>; 6] {
    AccessLevel::ALL.map(|level| Arc::new(view(material, level)))
}

fn view(material: &Material<'_>, level: AccessLevel) -> LevelView {
    let card = Arc::new(card(material, level));
    if matches!(level, AccessLevel::Default | AccessLevel::Blocked) {
        return LevelView {
            availability: rpc::presence::Availability::OFFLINE,
            activity: None,
            // Any time at all would tell something: also when others began to look.
            since: 0,
            last_active: None,
            location: None,
            meeting_subject: None,
            notes: Arc::default(),
            card,
            passed_on: Arc::default(),
            documents: Arc::default(),
        };
    }
    let (aggregate, since) = match level {
        AccessLevel::Workgroup => (material.workgroup, material.since.1),
        _ => (material.aggregate, material.since.0),
    };
    let is_inside = level >= AccessLevel::Colleagues;
    let inside = |text: &Option<String>| text.clone().filter(|_| is_inside);
    LevelView {
        availability: aggregate.availability,
        activity: aggregate.activity.clone().filter(|_| is_inside),
        since,
        last_active: aggregate.last_active.filter(|_| is_inside),
        location: inside(&aggregate.location),
        meeting_subject: inside(&aggregate.meeting_subject),
        notes: notes(material, level),
        card,
        passed_on: passed_on(material, level),
        documents: documents(material, level),
    }
}

/// Newest first.
fn newest_first<'a>(publications: impl Iterator<Item = &'a Arc<Publication>>) -> Vec<&'a Arc<Publication>> {
    let mut sorted: Vec<_> = publications.collect();
    sorted.sort_by(|one, other| (other.published_at, &other.key).cmp(&(one.published_at, &one.key)));
    sorted
}

/// Notes of the level's own container, and for those inside also of the one for all.
fn notes(material: &Material<'_>, level: AccessLevel) -> Arc<[Note]> {
    let is_inside = level >= AccessLevel::Colleagues;
    let visible = material.publications.iter().filter(|publication| {
        publication.key.container == level.container() || (is_inside && publication.key.container == FOR_ALL)
    });
    let mut seen = BTreeSet::new();
    newest_first(visible)
        .into_iter()
        .flat_map(|publication| match &publication.content {
            PublicationContent::Notes(notes) | PublicationContent::Document { notes, .. } => &notes[..],
            _ => &[],
        })
        .filter(|note| is_inside || note.kind == NoteKind::Personal)
        .filter(|note| seen.insert((note.kind == NoteKind::Personal, note.text.as_str())))
        .cloned()
        .collect()
}

/// Whether a phone number is for this level.
fn shows_phone(level: AccessLevel, kind: PhoneKind) -> bool {
    match level {
        AccessLevel::Default | AccessLevel::External | AccessLevel::Blocked => false,
        AccessLevel::Colleagues => kind == PhoneKind::Work,
        AccessLevel::Workgroup => matches!(kind, PhoneKind::Work | PhoneKind::Mobile),
        AccessLevel::Friends => true,
    }
}

/// The card: what the pool knows itself comes first and is never replaced, then what was published, newest first.
fn card(material: &Material<'_>, level: AccessLevel) -> ContactCard {
    let mut card = ContactCard {
        display_name: material.who.display_name.clone(),
        emails: vec![material.who.mail.clone()],
        ..ContactCard::default()
    };
    if matches!(level, AccessLevel::Default | AccessLevel::Blocked) {
        return card;
    }
    let is_inside = level >= AccessLevel::Colleagues;
    let published = material
        .publications
        .iter()
        .filter(|publication| [level.container(), FOR_ALL].contains(&publication.key.container));
    let fill = |own: &mut Option<String>, more: &Option<String>| {
        if own.is_none() {
            own.clone_from(more);
        }
    };
    for publication in newest_first(published) {
        let PublicationContent::Card(more) = &publication.content else {
            continue;
        };
        if card.display_name.is_empty() {
            card.display_name.clone_from(&more.display_name);
        }
        for mail in &more.emails {
            if !card.emails.contains(mail) {
                card.emails.push(mail.clone());
            }
        }
        fill(&mut card.title, &more.title);
        fill(&mut card.company, &more.company);
        if is_inside {
            fill(&mut card.office, &more.office);
            fill(&mut card.department, &more.department);
            fill(&mut card.url, &more.url);
        }
        for phone in &more.phones {
            let is_known = |known: &Phone| known.uri == phone.uri && known.kind == phone.kind;
            if shows_phone(level, phone.kind) && !card.phones.iter().any(is_known) {
                card.phones.push(phone.clone());
            }
        }
    }
    card
}

/// Publications of the level's own container that are passed on as they are.
fn passed_on(material: &Material<'_>, level: AccessLevel) -> Arc<[PassedOn]> {
    let is_inside = level >= AccessLevel::Colleagues;
    material
        .publications
        .iter()
        .filter(|publication| publication.key.container == level.container())
        .filter(|publication| match &*publication.key.category {
            category::STATE | category::NOTE | category::CONTACT_CARD | category::DEVICE | category::PIDF => {
                false
            }
            category::CALENDAR_DATA | "noteHistory" => is_inside,
            _ => true,
        })
        // What ends with an endpoint gives away that there is one.
        .filter(|publication| !material.aggregate.is_hidden || publication.lifetime.bound == Bound::Static)
        .filter_map(|publication| {
            let kept = publication
                .kept
                .as_ref()
                .filter(|kept| kept.format == KeptFormat::Category)?;
            Some(PassedOn {
                category: publication.key.category.clone(),
                instance: publication.key.instance,
                published_at: publication.published_at,
                kept: kept.clone(),
            })
        })
        .collect()
}

/// Documents of SIMPLE clients, for those inside, while the user is seen.
fn documents(material: &Material<'_>, level: AccessLevel) -> Arc<[Kept]> {
    if level < AccessLevel::Colleagues || material.aggregate.is_hidden {
        return Arc::default();
    }
    let documents = material
        .publications
        .iter()
        .filter(|publication| publication.key.container == FOR_ALL);
    newest_first(documents)
        .into_iter()
        .filter_map(|publication| publication.kept.clone())
        .filter(|kept| kept.format == KeptFormat::Pidf)
        .collect()
}

#[cfg(test)]
mod tests;
