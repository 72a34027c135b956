//! What a SIMPLE client's document (RFC 3863, RFC 4480) says in the words of the pool.

use std::sync::Arc;

use rpc::presence::{Activity, Availability, Note, NoteKind, PublicationContent, Source, StateInput};
use sip_bodies::pidf::{self, Basic, Presence};

use super::render::DO_NOT_DISTURB;

/// States and notes of a document.
pub(crate) fn content(presence: &Presence) -> PublicationContent {
    let mut states: Vec<StateInput> = machine(presence).into_iter().collect();
    let activities = presence
        .persons
        .iter()
        .flat_map(|person| &person.value().activities);
    for activity in activities {
        let Some(state) = state(activity) else { continue };
        // Of one source the least available state counts.
        match states.iter_mut().find(|known| known.source == state.source) {
            Some(known) if known.availability >= state.availability => {}
            Some(known) => *known = state,
            None => states.push(state),
        }
    }
    PublicationContent::Document {
        states: states.into(),
        notes: notes(presence),
    }
}

/// What the document says about the device: it is there, or not. `None`: nothing. It never says when somebody was last at it:
/// these clients do not go on telling, and would seem to be left alone after a while.
fn machine(presence: &Presence) -> Option<StateInput> {
    let tuples = || presence.tuples.iter().map(pidf::Kept::value);
    let is_open = tuples().any(|tuple| tuple.basic == Some(Basic::Open));
    if !is_open {
        let is_closed = tuples().any(|tuple| tuple.basic == Some(Basic::Closed));
        return is_closed.then(|| StateInput::new(Source::Machine, Availability::OFFLINE));
    }
    let inputs = tuples().filter_map(|tuple| tuple.user_input.as_ref()).chain(
        presence
            .persons
            .iter()
            .filter_map(|person| person.value().user_input.as_ref()),
    );
    let is_idle = inputs.clone().count() > 0 && inputs.clone().all(|input| input.is_idle);
    let availability = if is_idle {
        Availability::IDLE
    } else {
        Availability::AVAILABLE
    };
    Some(StateInput::new(Source::Machine, availability))
}

/// The state an activity stands for; `None` if one can be reached as well as ever.
fn state(activity: &pidf::Activity) -> Option<StateInput> {
    use pidf::Activity as Rpid;
    let with = |source, availability, token: Option<&str>| StateInput {
        activity: token.map(|token| Activity::Token(Arc::from(token))),
        ..StateInput::new(source, availability)
    };
    Some(match activity {
        Rpid::Busy => with(Source::User, Availability::BUSY, None),
        Rpid::OnThePhone => with(Source::Phone, Availability::BUSY, Some("on-the-phone")),
        Rpid::Meeting | Rpid::Appointment => with(Source::Calendar, Availability::BUSY, Some("in-a-meeting")),
        Rpid::Presentation | Rpid::Performance => with(
            Source::User,
            Availability::DO_NOT_DISTURB,
            Some("in-presentation"),
        ),
        Rpid::Vacation | Rpid::Holiday | Rpid::PermanentAbsence => {
            with(Source::OutOfOffice, Availability::AWAY, Some("out-of-office"))
        }
        Rpid::Away
        | Rpid::Breakfast
        | Rpid::Dinner
        | Rpid::Meal
        | Rpid::Sleeping
        | Rpid::Shopping
        | Rpid::Worship
        | Rpid::InTransit
        | Rpid::Steering
        | Rpid::Travel => with(Source::User, Availability::AWAY, None),
        Rpid::Other(text) if text.eq_ignore_ascii_case(DO_NOT_DISTURB) => {
            with(Source::User, Availability::DO_NOT_DISTURB, None)
        }
        Rpid::Other(_)
        | Rpid::LookingForWork
        | Rpid::Playing
        | Rpid::Spectator
        | Rpid::Tv
        | Rpid::Working
        | Rpid::Unknown => return None,
    })
}

/// Notes of the document, its persons and its tuples: clients put the same note in several of these places.
fn notes(presence: &Presence) -> Arc<[Note]> {
    let persons = presence.persons.iter().flat_map(|person| &person.value().notes);
    let tuples = presence.tuples.iter().flat_map(|tuple| &tuple.value().notes);
    let mut notes: Vec<Note> = Vec::new();
    for said in presence.notes.iter().chain(persons).chain(tuples) {
        if said.text.is_empty() || notes.iter().any(|note| note.text == said.text) {
            continue;
        }
        notes.push(Note {
            kind: NoteKind::Personal,
            text: said.text.clone(),
            language: said.lang.clone(),
        });
    }
    notes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inner: &str) -> (Vec<(Source, Availability)>, Vec<String>) {
        let document = format!(
            "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
             xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
             xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"sip:amy@example.test\">{inner}</presence>"
        );
        let presence = Presence::parse(document.as_bytes()).unwrap();
        let PublicationContent::Document { states, notes } = content(&presence) else {
            panic!("another kind of content");
        };
        (
            states
                .iter()
                .map(|state| (state.source, state.availability))
                .collect(),
            notes.iter().map(|note| note.text.clone()).collect(),
        )
    }

    fn tuple(basic: &str) -> String {
        format!("<tuple id=\"t\"><status><basic>{basic}</basic></status></tuple>")
    }

    fn doing(what: &str) -> String {
        let open = tuple("open");
        format!("{open}<dm:person id=\"p\"><rpid:activities>{what}</rpid:activities></dm:person>")
    }

    #[test]
    fn open_is_a_device_in_use_and_closed_one_that_is_off() {
        assert_eq!(
            read(&tuple("open")).0,
            [(Source::Machine, Availability::AVAILABLE)]
        );
        assert_eq!(
            read(&tuple("closed")).0,
            [(Source::Machine, Availability::OFFLINE)]
        );
        assert_eq!(read("<tuple id=\"t\"><status/></tuple>").0, []);
        let idle = "<tuple id=\"t\"><status><basic>open</basic></status><rpid:user-input>idle</rpid:user-input></tuple>";
        assert_eq!(read(idle).0, [(Source::Machine, Availability::IDLE)]);
    }

    #[test]
    fn activities_become_states_of_their_sources() {
        for (what, source, availability) in [
            ("busy", Source::User, Availability::BUSY),
            ("away", Source::User, Availability::AWAY),
            ("on-the-phone", Source::Phone, Availability::BUSY),
            ("meeting", Source::Calendar, Availability::BUSY),
            ("vacation", Source::OutOfOffice, Availability::AWAY),
            ("presentation", Source::User, Availability::DO_NOT_DISTURB),
        ] {
            let states = read(&doing(&format!("<rpid:{what}/>"))).0;
            assert_eq!(
                states,
                [(Source::Machine, Availability::AVAILABLE), (source, availability)],
                "{what}"
            );
        }
        let both = read(&doing("<rpid:away/><rpid:busy/><rpid:playing/>")).0;
        assert_eq!(both.get(1), Some(&(Source::User, Availability::AWAY)));
        let quiet = read(&doing("<rpid:other>do not DISTURB</rpid:other>")).0;
        assert_eq!(quiet.get(1), Some(&(Source::User, Availability::DO_NOT_DISTURB)));
    }

    #[test]
    fn a_note_that_stands_in_several_places_is_one_note() {
        let document = "<tuple id=\"t\"><status/><note>back soon</note></tuple><note xml:lang=\"en\">back soon</note>\
             <dm:person id=\"p\"><dm:note>lunch</dm:note></dm:person>";
        assert_eq!(read(document).1, ["back soon", "lunch"]);
    }
}
