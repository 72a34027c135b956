//! What watchers are shown: one document per dialect and access level, made once and shared by all who see that level. PIDF is
//! written here, categories in `lync::render`.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use rpc::presence::{AccessLevel, Activity, Band, Kept, LevelView, Origin, PresenceDocument};
use sip_bodies::lang_text::LangText;
use sip_bodies::lync::categories;
use sip_bodies::pidf::{self, Basic, Contact, Person, Presence, Tuple, UserInput};
use sip_types::AddressOfRecord;

use super::lync;
use super::lync::wanted::Wanted;

/// In which words a watcher is shown presence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    /// `application/pidf+xml` (RFC 3863).
    Pidf,
    /// Categories of the Lync family (MS-PRES).
    Categories,
}

impl Dialect {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Dialect::Pidf => pidf::CONTENT_TYPE,
            Dialect::Categories => categories::CONTENT_TYPE,
        }
    }
}

/// Documents by the place of the level in [`AccessLevel::ALL`]; made when somebody of that level is to see it.
type Bodies = [OnceLock<Bytes>; AccessLevel::ALL.len()];

/// A document and what became of it for each dialect and level.
pub(crate) struct Shown {
    pub(crate) document: Arc<PresenceDocument>,
    /// When it came, Unix milliseconds.
    made_at: u64,
    pidf: Bodies,
    categories: Bodies,
    /// Of documents for who wants some categories and not others: as many as there are usual choices.
    chosen: Mutex<Vec<Chosen>>,
}

/// What a level sees of the categories that somebody wants.
#[derive(Clone)]
struct Chosen {
    level: AccessLevel,
    wanted: Wanted,
    body: Bytes,
}

/// Most documents kept of [`Chosen`]; the oldest leaves for another.
const CHOSEN: usize = 16;

impl Shown {
    /// A document nobody was shown.
    pub(crate) fn new(document: Arc<PresenceDocument>) -> Self {
        Shown {
            document,
            made_at: unix_millis(),
            pidf: std::array::from_fn(|_| OnceLock::new()),
            categories: std::array::from_fn(|_| OnceLock::new()),
            chosen: Mutex::default(),
        }
    }

    /// The document after `before`: what did not change for a level is not made again.
    pub(crate) fn after(before: &Shown, document: Arc<PresenceDocument>) -> Self {
        let shown = Shown::new(document);
        for (place, level) in AccessLevel::ALL.into_iter().enumerate() {
            let (was, is) = (before.document.view(level), shown.document.view(level));
            if !Arc::ptr_eq(was, is) && was != is {
                continue;
            }
            for (old, new) in [
                (&before.pidf, &shown.pidf),
                (&before.categories, &shown.categories),
            ] {
                if let (Some(body), Some(new)) = (old.get(place).and_then(OnceLock::get), new.get(place)) {
                    new.get_or_init(|| body.clone());
                }
            }
            let chosen = before.chosen.lock();
            let of_level = chosen.iter().filter(|chosen| chosen.level == level);
            shown.chosen.lock().extend(of_level.cloned());
        }
        shown
    }

    /// What this watcher, a user of the pool's domains, sees of the categories it wants.
    pub(crate) fn of_categories(&self, wanted: &Wanted, watcher: &AddressOfRecord) -> Bytes {
        let level = self.document.rules.level_of(watcher, Origin::SameEnterprise);
        let view = self.document.view(level);
        if lync::render::has_all(wanted, view) {
            return self.for_level(Dialect::Categories, level);
        }
        let is_it = |known: &&Chosen| known.level == level && known.wanted == *wanted;
        if let Some(known) = self.chosen.lock().iter().find(is_it) {
            return known.body.clone();
        }
        let body = lync::render::categories(&self.document.presentity, view, wanted, self.made_at);
        let mut chosen = self.chosen.lock();
        if chosen.len() >= CHOSEN {
            chosen.remove(0);
        }
        chosen.push(Chosen {
            level,
            wanted: wanted.clone(),
            body: body.clone(),
        });
        body
    }

    /// What this watcher, a user of the pool's domains, sees.
    pub(crate) fn for_watcher(&self, dialect: Dialect, watcher: &AddressOfRecord) -> Bytes {
        let level = self.document.rules.level_of(watcher, Origin::SameEnterprise);
        self.for_level(dialect, level)
    }

    fn for_level(&self, dialect: Dialect, level: AccessLevel) -> Bytes {
        let (presentity, view) = (&self.document.presentity, self.document.view(level));
        let make = || match dialect {
            Dialect::Pidf => render(presentity, view),
            Dialect::Categories => lync::render::categories(presentity, view, &Wanted::All, self.made_at),
        };
        let bodies = match dialect {
            Dialect::Pidf => &self.pidf,
            Dialect::Categories => &self.categories,
        };
        let place = AccessLevel::ALL.iter().position(|known| *known == level);
        match place.and_then(|place| bodies.get(place)) {
            Some(body) => body.get_or_init(make).clone(),
            None => make(),
        }
    }
}

fn unix_millis() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// The PIDF document of a view.
fn render(presentity: &AddressOfRecord, view: &LevelView) -> Bytes {
    let uri = presentity.to_uri_string();
    let band = view.availability.band();
    let basic = match band {
        Band::Undefined | Band::Offline => Basic::Closed,
        _ => Basic::Open,
    };
    let notes: Vec<LangText> = view
        .notes
        .iter()
        .map(|note| LangText {
            lang: note.language.clone(),
            text: note.text.clone(),
        })
        .collect();
    let mut presence = Presence::new(&uri);
    if basic == Basic::Open {
        presence.tuples = tuples_of(&view.documents);
    }
    // Some clients look at the first tuple only.
    presence
        .tuples
        .sort_by_key(|tuple| tuple.value().basic != Some(Basic::Open));
    let is_open = |tuple: &pidf::Kept<Tuple>| tuple.value().basic == Some(Basic::Open);
    if !presence.tuples.first().is_some_and(is_open) {
        presence.tuples.insert(0, pool_tuple(basic, uri));
    }
    presence
        .persons
        .push(pidf::Kept::new(person(view, band, notes.clone())));
    presence.notes = notes;
    if let Err(error) = presence.unify_ids() {
        tracing::debug!(%error, "published tuples are not shown");
        let own = pool_tuple(basic, presence.entity.clone());
        presence.tuples = vec![own];
    }
    presence.print()
}

/// The tuple of the pool itself: how the user is reached whatever clients there are.
fn pool_tuple(basic: Basic, uri: String) -> pidf::Kept<Tuple> {
    pidf::Kept::new(Tuple {
        contact: Some(Contact { uri, priority: None }),
        ..Tuple::new("pool", basic)
    })
}

/// The tuples SIMPLE clients published.
fn tuples_of(documents: &[Kept]) -> Vec<pidf::Kept<Tuple>> {
    let read = documents
        .iter()
        .filter_map(|kept| match Presence::parse(&kept.xml) {
            Ok(presence) => Some(presence.tuples),
            Err(error) => {
                // One bad document must not keep the good ones from anybody.
                tracing::debug!(%error, "a stored presence document is not shown");
                None
            }
        });
    read.flatten().collect()
}

fn person(view: &LevelView, band: Band, notes: Vec<LangText>) -> Person {
    let card = &view.card;
    let mut person = Person {
        id: Some("person".to_owned()),
        activities: activities(band, view.activity.as_ref()),
        notes,
        timestamp: time(view.since / 1_000).filter(|_| view.since > 0),
        ..Person::default()
    };
    person.cipid.display_name = Some(card.display_name.clone()).filter(|name| !name.is_empty());
    person.cipid.homepage = card.url.clone();
    let is_idle = matches!(band, Band::Idle | Band::BusyIdle | Band::BeRightBack | Band::Away);
    if is_idle {
        person.user_input = Some(UserInput {
            is_idle,
            idle_threshold: None,
            last_input: view.last_active.and_then(time),
        });
    }
    person
}

/// Unix seconds as RFC 3339 has them; `None` beyond all calendars.
pub(super) fn time(seconds: u64) -> Option<String> {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(time.to_string())
}

/// RPID has no word for some states of the Lync family: the nearest one, and the words themselves for clients that show them.
fn activities(band: Band, activity: Option<&Activity>) -> Vec<pidf::Activity> {
    use pidf::Activity as Rpid;
    let mut told = Vec::new();
    match activity {
        Some(Activity::Token(token)) => told.extend(match &**token {
            "on-the-phone" => Some(Rpid::OnThePhone),
            "in-a-conference" | "in-a-meeting" => Some(Rpid::Meeting),
            "in-presentation" => Some(Rpid::Presentation),
            "out-of-office" => Some(Rpid::Other("Out of office".to_owned())),
            "urgent-interruptions-only" => Some(Rpid::Other("Urgent interruptions only".to_owned())),
            _ => None,
        }),
        Some(Activity::Custom(texts)) => {
            told.extend(texts.first().map(|custom| Rpid::Other(custom.text.clone())));
        }
        None => {}
    }
    match band {
        Band::Busy | Band::BusyIdle => told.push(Rpid::Busy),
        Band::DoNotDisturb => told.extend([Rpid::Busy, Rpid::Other(DO_NOT_DISTURB.to_owned())]),
        Band::BeRightBack => told.extend([Rpid::Away, Rpid::Other("Be right back".to_owned())]),
        Band::Away => told.push(Rpid::Away),
        // Nothing anybody does while not there.
        Band::Undefined | Band::Offline => told.clear(),
        Band::Available | Band::Idle => {}
    }
    told
}

/// The words for it, in both directions.
pub(super) const DO_NOT_DISTURB: &str = "Do not disturb";

#[cfg(test)]
mod tests {
    use rpc::presence::{
        AccessRules, Availability, ContactCard, CustomText, KeptFormat, Note, NoteKind, PresenceVersion,
    };

    use super::*;

    fn view(availability: Availability) -> LevelView {
        LevelView {
            availability,
            activity: None,
            since: 0,
            last_active: None,
            location: None,
            meeting_subject: None,
            notes: Arc::new([]),
            card: Arc::default(),
            passed_on: Arc::new([]),
            documents: Arc::new([]),
        }
    }

    fn amy() -> AddressOfRecord {
        AddressOfRecord::parse("amy@example.test").unwrap()
    }

    fn shown(view: &LevelView) -> Presence {
        Presence::parse(&render(&amy(), view)).unwrap()
    }

    fn published(tuples: &str) -> Kept {
        let xml = format!(
            "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:amy@example.test\">{tuples}</presence>"
        );
        Kept {
            format: KeptFormat::Pidf,
            xml: xml.into(),
        }
    }

    fn token(token: &str) -> Option<Activity> {
        Some(Activity::Token(token.into()))
    }

    #[test]
    fn states_have_the_activities_stock_clients_look_for() {
        let custom = Activity::Custom(
            [CustomText {
                lcid: 1033,
                text: "Gone fishing".into(),
            }]
            .into(),
        );
        for (availability, activity, basic, told) in [
            (Availability::AVAILABLE, None, Basic::Open, vec![]),
            (Availability::IDLE, None, Basic::Open, vec![]),
            (Availability::BUSY, None, Basic::Open, vec!["busy"]),
            (
                Availability::BUSY,
                token("on-the-phone"),
                Basic::Open,
                vec!["on-the-phone", "busy"],
            ),
            (
                Availability::BUSY,
                token("in-a-meeting"),
                Basic::Open,
                vec!["meeting", "busy"],
            ),
            (
                Availability::DO_NOT_DISTURB,
                None,
                Basic::Open,
                vec!["busy", "other"],
            ),
            (
                Availability::BE_RIGHT_BACK,
                None,
                Basic::Open,
                vec!["away", "other"],
            ),
            (Availability::AWAY, None, Basic::Open, vec!["away"]),
            (Availability::AVAILABLE, Some(custom), Basic::Open, vec!["other"]),
            (
                Availability::OFFLINE,
                token("on-the-phone"),
                Basic::Closed,
                vec![],
            ),
            (Availability(0), None, Basic::Closed, vec![]),
        ] {
            let presence = shown(&LevelView {
                activity,
                ..view(availability)
            });
            assert_eq!(presence.tuples[0].value().basic, Some(basic), "{availability:?}");
            let person = presence.persons[0].value();
            let names: Vec<&str> = person.activities.iter().map(pidf::Activity::name).collect();
            assert_eq!(names, told, "{availability:?}");
            let idle = matches!(
                availability,
                Availability::IDLE | Availability::BE_RIGHT_BACK | Availability::AWAY
            );
            assert_eq!(person.user_input.is_some(), idle, "{availability:?}");
        }
        let busy = render(&amy(), &view(Availability::BUSY));
        let busy = std::str::from_utf8(&busy).unwrap();
        // The words baresip 1.0 searches for, letter for letter.
        assert!(
            busy.contains("<rpid:busy/>") && busy.contains("<basic>open</basic>"),
            "{busy}"
        );
    }

    #[test]
    fn name_page_notes_and_times_are_told() {
        let card = ContactCard {
            display_name: "Amy A. <amy>".into(),
            url: Some("https://example.test/amy".into()),
            ..ContactCard::default()
        };
        let note = Note {
            kind: NoteKind::Personal,
            text: "Back at 3".into(),
            language: Some("en".into()),
        };
        let presence = shown(&LevelView {
            card: card.into(),
            notes: [note].into(),
            since: 1_000_000_000_000,
            last_active: Some(1_000_000_000),
            ..view(Availability::AWAY)
        });
        assert_eq!(presence.entity, "sip:amy@example.test");
        let person = presence.persons[0].value();
        assert_eq!(person.cipid.display_name.as_deref(), Some("Amy A. <amy>"));
        assert_eq!(person.cipid.homepage.as_deref(), Some("https://example.test/amy"));
        assert_eq!(person.timestamp.as_deref(), Some("2001-09-09T01:46:40Z"));
        let input = person.user_input.as_ref().unwrap();
        assert_eq!(input.last_input.as_deref(), Some("2001-09-09T01:46:40Z"));
        for notes in [&presence.notes, &person.notes] {
            assert_eq!(notes[0].text, "Back at 3");
            assert_eq!(notes[0].lang.as_deref(), Some("en"));
        }
    }

    #[test]
    fn tuples_of_clients_are_shown_open_ones_first_and_with_ids_of_their_own() {
        let tuple = |basic: &str, port: u16| {
            format!(
                "<tuple id=\"t\"><status><basic>{basic}</basic></status><contact>sip:amy@192.0.2.1:{port}</contact></tuple>"
            )
        };
        let documents = [
            published(&tuple("closed", 1)),
            published("<broken"),
            published(&tuple("open", 2)),
        ];
        let presence = shown(&LevelView {
            documents: documents.clone().into(),
            ..view(Availability::AVAILABLE)
        });
        let contacts: Vec<&str> = presence
            .tuples
            .iter()
            .map(|tuple| tuple.value().contact.as_ref().unwrap().uri.as_str())
            .collect();
        assert_eq!(contacts, ["sip:amy@192.0.2.1:2", "sip:amy@192.0.2.1:1"]);
        assert_ne!(presence.tuples[0].value().id, presence.tuples[1].value().id);
        // Another client says that the user is there.
        let presence = shown(&LevelView {
            documents: documents[..1].into(),
            ..view(Availability::AVAILABLE)
        });
        assert_eq!(presence.tuples.len(), 2);
        assert_eq!(
            presence.tuples[0].value().contact.as_ref().unwrap().uri,
            "sip:amy@example.test"
        );
        // Who is not to be seen has no tuples that say otherwise.
        let presence = shown(&LevelView {
            documents: documents.into(),
            ..view(Availability::OFFLINE)
        });
        assert_eq!(presence.tuples.len(), 1);
        assert_eq!(presence.tuples[0].value().basic, Some(Basic::Closed));
    }

    #[test]
    fn what_a_level_sees_is_written_once_as_long_as_it_stays() {
        let document = |count: u64, colleagues: Availability| {
            let views = AccessLevel::ALL.map(|level| {
                Arc::new(view(match level {
                    AccessLevel::Colleagues => colleagues,
                    _ => Availability::AVAILABLE,
                }))
            });
            Arc::new(PresenceDocument {
                presentity: amy(),
                version: PresenceVersion { epoch: 1, count },
                rules: Arc::new(AccessRules::usual(amy())),
                views,
            })
        };
        let bob = AddressOfRecord::parse("bob@example.test").unwrap();
        let first = Shown::new(document(1, Availability::AVAILABLE));
        let (colleague, own) = (
            first.for_watcher(Dialect::Pidf, &bob),
            first.for_watcher(Dialect::Pidf, &amy()),
        );
        assert_eq!(
            first.for_watcher(Dialect::Pidf, &bob).as_ptr(),
            colleague.as_ptr()
        );
        let second = Shown::after(&first, document(2, Availability::BUSY));
        assert_ne!(second.for_watcher(Dialect::Pidf, &bob), colleague);
        assert_eq!(second.for_watcher(Dialect::Pidf, &amy()).as_ptr(), own.as_ptr());
    }
}
