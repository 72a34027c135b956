//! The rows of the matrix in `docs/presence.md`.

use bytes::Bytes;
use rpc::presence::{Activity, Availability, Lifetime, PublicationKey};

use super::*;

fn publication(name: &str, container: u16, content: PublicationContent) -> Publication {
    Publication {
        key: PublicationKey {
            category: name.into(),
            instance: 1,
            container,
        },
        version: 1,
        endpoint: None,
        lifetime: Lifetime {
            bound: Bound::Static,
            expires: None,
        },
        published_at: 1_000,
        content,
        kept: Some(Kept {
            format: KeptFormat::Category,
            xml: Bytes::from(format!("<{name}/>")),
        }),
    }
}

fn aggregate(availability: Availability) -> Aggregate {
    Aggregate {
        availability,
        activity: Some(Activity::Token("in-a-meeting".into())),
        since: Some(5_000),
        last_active: Some(7),
        location: Some("Office".to_owned()),
        meeting_subject: Some("Budget".to_owned()),
        is_hidden: false,
        row: 15,
    }
}

/// The views of what a test publishes, in the order of [`AccessLevel::ALL`].
fn views_of(publications: Vec<Publication>, aggregate: &Aggregate) -> [Arc<LevelView>; 6] {
    let publications: Vec<Arc<Publication>> = publications.into_iter().map(Arc::new).collect();
    let who = Who {
        display_name: "Alice".to_owned(),
        mail: "alice@example.test".to_owned(),
    };
    views(&Material {
        publications: &publications,
        aggregate,
        workgroup: &aggregate.clone().for_workgroup(),
        since: (5_000, 6_000),
        who: &who,
    })
}

/// Whether something holds at each level: default, external, colleagues, workgroup, friends, blocked.
fn levels(views: &[Arc<LevelView>; 6], holds: impl Fn(&LevelView) -> bool) -> [bool; 6] {
    views.each_ref().map(|view| holds(view))
}

const NOBODY: [bool; 6] = [false; 6];
const VISIBLE: [bool; 6] = [false, true, true, true, true, false];
const INSIDE: [bool; 6] = [false, false, true, true, true, false];

#[test]
fn state_is_availability_for_external_and_everything_inside() {
    let views = views_of(Vec::new(), &aggregate(Availability::DO_NOT_DISTURB));
    assert_eq!(
        views.each_ref().map(|view| view.availability.0),
        [18_500, 9_500, 9_500, 6_900, 9_500, 18_500]
    );
    assert_eq!(levels(&views, |view| view.activity.is_some()), INSIDE);
    assert_eq!(levels(&views, |view| view.location.is_some()), INSIDE);
    assert_eq!(levels(&views, |view| view.meeting_subject.is_some()), INSIDE);
    assert_eq!(levels(&views, |view| view.last_active.is_some()), INSIDE);
    assert_eq!(
        views.each_ref().map(|view| view.since),
        [0, 5_000, 5_000, 6_000, 5_000, 0]
    );
}

#[test]
fn blocked_watchers_see_what_nobody_in_particular_sees() {
    let note = Note {
        kind: NoteKind::Personal,
        text: "here".to_owned(),
        language: None,
    };
    let mut all = Vec::new();
    for container in [0, 2, 3, 100, 200, 300, 400, 32_000] {
        let notes = PublicationContent::Notes([note.clone()].into());
        all.push(publication(category::NOTE, container, notes));
        all.push(publication("services", container, PublicationContent::Opaque));
    }
    let views = views_of(all, &aggregate(Availability::BUSY));
    assert_eq!(views[0], views[5]);
    assert_eq!(views[0].notes.len() + views[0].passed_on.len(), 0);
}

#[test]
fn notes_are_for_the_level_they_are_published_to_and_those_for_all_for_everybody_inside() {
    let note = |kind, text: &str| Note {
        kind,
        text: text.to_owned(),
        language: None,
    };
    let notes = |container, published_at, kind, text| {
        let content = PublicationContent::Notes([note(kind, text)].into());
        Publication {
            published_at,
            ..publication(category::NOTE, container, content)
        }
    };
    let views = views_of(
        vec![
            notes(2, 1, NoteKind::Personal, "for all"),
            notes(200, 3, NoteKind::Personal, "for colleagues"),
            notes(300, 2, NoteKind::OutOfOffice, "back on Monday"),
            notes(100, 1, NoteKind::OutOfOffice, "nothing for outside"),
            notes(100, 2, NoteKind::Personal, "for outside"),
        ],
        &aggregate(Availability::BUSY),
    );
    let texts = views.each_ref().map(|view| {
        view.notes
            .iter()
            .map(|note| note.text.as_str())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        texts,
        [
            vec![],
            vec!["for outside"],
            vec!["for colleagues", "for all"],
            vec!["back on Monday", "for all"],
            vec!["for all"],
            vec![],
        ]
    );
}

#[test]
fn the_card_has_more_the_nearer_somebody_is() {
    let phone = |kind, uri: &str| Phone {
        kind,
        uri: uri.to_owned(),
        display: String::new(),
    };
    let card = ContactCard {
        display_name: "Somebody else".to_owned(),
        emails: vec!["alice@example.test".to_owned(), "a@example.test".to_owned()],
        phones: vec![
            phone(PhoneKind::Work, "tel:1"),
            phone(PhoneKind::Mobile, "tel:2"),
            phone(PhoneKind::Home, "tel:3"),
            phone(PhoneKind::Other, "tel:4"),
        ],
        title: Some("Engineer".to_owned()),
        office: Some("B5".to_owned()),
        company: Some("Example".to_owned()),
        department: Some("R&D".to_owned()),
        url: Some("https://example.test/".to_owned()),
    };
    let content = PublicationContent::Card(Arc::new(card));
    let views = views_of(
        vec![publication(category::CONTACT_CARD, 2, content)],
        &aggregate(Availability::BUSY),
    );
    // The name is the account's, whatever was published.
    assert_eq!(
        levels(&views, |view| view.card.display_name == "Alice"),
        [true; 6]
    );
    assert_eq!(
        views.each_ref().map(|view| view.card.emails.len()),
        [1, 2, 2, 2, 2, 1]
    );
    assert_eq!(
        views.each_ref().map(|view| view.card.phones.len()),
        [0, 0, 1, 2, 4, 0]
    );
    assert_eq!(levels(&views, |view| view.card.title.is_some()), VISIBLE);
    assert_eq!(levels(&views, |view| view.card.company.is_some()), VISIBLE);
    assert_eq!(levels(&views, |view| view.card.office.is_some()), INSIDE);
    assert_eq!(levels(&views, |view| view.card.department.is_some()), INSIDE);
    assert_eq!(levels(&views, |view| view.card.url.is_some()), INSIDE);
}

#[test]
fn a_card_for_one_level_stays_there_and_the_newest_field_counts() {
    let card = |container, published_at, title: &str| {
        let card = ContactCard {
            title: Some(title.to_owned()),
            ..ContactCard::default()
        };
        Publication {
            published_at,
            ..publication(
                category::CONTACT_CARD,
                container,
                PublicationContent::Card(Arc::new(card)),
            )
        }
    };
    let views = views_of(
        vec![card(2, 1, "old"), card(400, 2, "new")],
        &aggregate(Availability::BUSY),
    );
    let titles = views
        .each_ref()
        .map(|view| view.card.title.clone().unwrap_or_default());
    assert_eq!(titles, ["", "old", "old", "old", "new", ""]);
}

#[test]
fn what_is_passed_on_is_for_the_level_it_is_published_to() {
    let everywhere = |name: &str| -> Vec<Publication> {
        [0, 1, 2, 3, 100, 200, 300, 400, 32_000]
            .map(|container| publication(name, container, PublicationContent::Opaque))
            .into()
    };
    let busy = aggregate(Availability::BUSY);
    let shown = |name| {
        let views = views_of(everywhere(name), &busy);
        levels(&views, |view| !view.passed_on.is_empty())
    };
    assert_eq!(shown(category::SERVICES), VISIBLE);
    assert_eq!(shown("somethingLater"), VISIBLE);
    assert_eq!(shown(category::CALENDAR_DATA), INSIDE);
    assert_eq!(shown("noteHistory"), INSIDE);
    for own in [
        category::STATE,
        category::NOTE,
        category::CONTACT_CARD,
        category::DEVICE,
        category::PIDF,
    ] {
        assert_eq!(shown(own), NOBODY, "{own}");
    }
}

fn pidf(published_at: u64, xml: &'static str) -> Publication {
    Publication {
        kept: Some(Kept {
            format: KeptFormat::Pidf,
            xml: Bytes::from_static(xml.as_bytes()),
        }),
        published_at,
        ..publication(category::PIDF, FOR_ALL, PublicationContent::Opaque)
    }
}

#[test]
fn documents_of_simple_clients_are_for_those_inside_newest_first() {
    let views = views_of(
        vec![pidf(1, "<a/>"), pidf(2, "<b/>")],
        &aggregate(Availability::BUSY),
    );
    assert_eq!(levels(&views, |view| view.documents.len() == 2), INSIDE);
    assert_eq!(
        levels(&views, |view| view.documents.is_empty()),
        INSIDE.map(|inside| !inside)
    );
    assert_eq!(&*views[2].documents[0].xml, b"<b/>");
}

#[test]
fn whoever_appears_offline_is_given_away_by_nothing_that_an_endpoint_published() {
    let of_endpoint = |name| Publication {
        lifetime: Lifetime {
            bound: Bound::Endpoint,
            expires: None,
        },
        ..publication(name, 200, PublicationContent::Opaque)
    };
    let hidden = Aggregate {
        is_hidden: true,
        ..Aggregate::nobody()
    };
    let views = views_of(
        vec![
            pidf(1, "<a/>"),
            of_endpoint("services"),
            publication(category::CALENDAR_DATA, 200, PublicationContent::Opaque),
        ],
        &hidden,
    );
    assert!(views.iter().all(|view| view.documents.is_empty()));
    let passed_on: Vec<&str> = views[2].passed_on.iter().map(|one| &*one.category).collect();
    assert_eq!(passed_on, [category::CALENDAR_DATA]);
}
