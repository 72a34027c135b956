//! What Lync-family watchers are shown: the categories of a view.

use bytes::Bytes;
use rpc::presence::{Activity, ContactCard, Kept, LevelView, Note, NoteKind, PhoneKind, category};
use sip_bodies::fragment::Fragment;
use sip_bodies::lync::categories::{Categories, Category, CategoryInstance};
use sip_bodies::lync::{contact_card, note, state};
use sip_types::AddressOfRecord;

use super::super::render::time;
use super::wanted::Wanted;

/// Whether these are all the categories of a view.
pub(crate) fn has_all(wanted: &Wanted, view: &LevelView) -> bool {
    let known = [category::STATE, category::NOTE, category::CONTACT_CARD];
    let passed_on = view.passed_on.iter().map(|passed_on| &*passed_on.category);
    known.into_iter().chain(passed_on).all(|name| wanted.has(name))
}

/// The document about one presentity, of the categories that are wanted. `made_at`, Unix milliseconds, is the time of what has
/// none in a view: of several notes a client shows the newest.
pub(crate) fn categories(
    presentity: &AddressOfRecord,
    view: &LevelView,
    wanted: &Wanted,
    made_at: u64,
) -> Bytes {
    let mut categories = Vec::new();
    if wanted.has(category::STATE) {
        categories.push(Category::Instance(aggregate_state(view)));
    }
    if wanted.has(category::NOTE) {
        categories.push(match view.notes.is_empty() {
            true => Category::Removed(category::NOTE.to_owned()),
            false => instance(category::NOTE, 0, made_at, Some(notes(&view.notes))),
        });
    }
    if wanted.has(category::CONTACT_CARD) {
        let card = card(&view.card);
        categories.push(instance(category::CONTACT_CARD, 0, made_at, Some(card)));
    }
    let passed_on = view.passed_on.iter();
    for passed_on in passed_on.filter(|passed_on| wanted.has(&passed_on.category)) {
        if let Some(element) = kept(&passed_on.kept) {
            let (name, number) = (&passed_on.category, passed_on.instance);
            categories.push(instance(name, number, passed_on.published_at, Some(element)));
        }
    }
    let uri = presentity.to_uri_string();
    Categories { uri, categories }.print()
}

/// A point in time, Unix milliseconds, as documents have it.
pub(super) fn timestamp(millis: u64) -> Option<String> {
    time(millis / 1_000).filter(|_| millis > 0)
}

/// An element as it was published; `None` if it cannot be shown.
pub(super) fn kept(kept: &Kept) -> Option<Fragment> {
    // One bad element must not keep the good ones from anybody.
    Fragment::parse(&kept.xml)
        .inspect_err(|error| tracing::debug!(%error, "a stored element of presence is not shown"))
        .ok()
}

fn instance(name: &str, number: u32, published_at: u64, content: Option<Fragment>) -> Category {
    Category::Instance(CategoryInstance {
        name: name.to_owned(),
        instance: number,
        publish_time: timestamp(published_at),
        container: None,
        version: None,
        expire_type: None,
        expires: None,
        endpoint_id: None,
        content,
    })
}

/// What all states of the user add up to.
pub(super) fn aggregate_state(view: &LevelView) -> CategoryInstance {
    let mut aggregate = state::State::new(state::StateKind::AggregateState);
    aggregate.availability = Some(view.availability.0);
    aggregate.activity = view.activity.as_ref().map(activity);
    aggregate.endpoint_location.clone_from(&view.location);
    aggregate.meeting_subject.clone_from(&view.meeting_subject);
    aggregate.last_active = view.last_active.and_then(time);
    CategoryInstance {
        name: category::STATE.to_owned(),
        instance: 1,
        publish_time: timestamp(view.since),
        container: None,
        version: None,
        expire_type: None,
        expires: None,
        endpoint_id: None,
        content: Some(aggregate.print()),
    }
}

pub(super) fn activity(activity: &Activity) -> state::Activity {
    match activity {
        Activity::Token(token) => state::Activity {
            token: Some(token.to_string()),
            ..state::Activity::default()
        },
        Activity::Custom(texts) => state::Activity {
            custom: texts
                .iter()
                .map(|custom| state::CustomText {
                    lcid: Some(custom.lcid),
                    text: custom.text.clone(),
                })
                .collect(),
            ..state::Activity::default()
        },
    }
}

pub(super) fn notes(notes: &[Note]) -> Fragment {
    let texts = notes.iter().take(note::TEXTS).map(|said| note::NoteText {
        kind: match said.kind {
            NoteKind::Personal => note::NoteKind::Personal,
            NoteKind::OutOfOffice => note::NoteKind::OutOfOffice,
        },
        ..note::NoteText::personal(said.text.clone())
    });
    note::Note {
        texts: texts.collect(),
    }
    .print()
}

pub(super) fn card(card: &ContactCard) -> Fragment {
    let phones = card.phones.iter().map(|phone| contact_card::Phone {
        kind: match phone.kind {
            PhoneKind::Work => contact_card::PhoneKind::Work,
            PhoneKind::Mobile => contact_card::PhoneKind::Mobile,
            PhoneKind::Home => contact_card::PhoneKind::Home,
            PhoneKind::Other => contact_card::PhoneKind::Other,
        },
        uri: Some(phone.uri.clone()).filter(|uri| !uri.is_empty()),
        display_string: Some(phone.display.clone()).filter(|display| !display.is_empty()),
    });
    contact_card::ContactCard {
        display_name: Some(card.display_name.clone()).filter(|name| !name.is_empty()),
        emails: card.emails.clone(),
        company: card.company.clone(),
        department: card.department.clone(),
        title: card.title.clone(),
        office: card.office.clone(),
        phones: phones.collect(),
        ..contact_card::ContactCard::default()
    }
    .print()
}
