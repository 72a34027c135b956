//! What somebody is doing.

use std::sync::Arc;

use rpc::presence::{
    Activity, ContactCard, CustomText, Note, NoteKind, Phone, PhoneKind, Source, StateInput,
};

use super::super::Malformed;
use super::availability;
use crate::proto::presence::v1 as wire;

pub(super) fn activity_to_wire(activity: &Activity) -> wire::Activity {
    match activity {
        Activity::Token(token) => wire::Activity {
            token: token.to_string(),
            texts: Vec::new(),
        },
        Activity::Custom(texts) => wire::Activity {
            token: String::new(),
            texts: texts
                .iter()
                .map(|custom| wire::CustomText {
                    lcid: custom.lcid,
                    text: custom.text.clone(),
                })
                .collect(),
        },
    }
}

pub(super) fn activity(activity: wire::Activity) -> Activity {
    if !activity.token.is_empty() {
        return Activity::Token(activity.token.into());
    }
    Activity::Custom(
        activity
            .texts
            .into_iter()
            .map(|custom| CustomText {
                lcid: custom.lcid,
                text: custom.text,
            })
            .collect(),
    )
}

pub(super) fn state_to_wire(state: &StateInput) -> wire::StateInput {
    let source = match state.source {
        Source::Machine => wire::Source::Machine,
        Source::User => wire::Source::User,
        Source::Calendar => wire::Source::Calendar,
        Source::OutOfOffice => wire::Source::OutOfOffice,
        Source::Phone => wire::Source::Phone,
        Source::Conference => wire::Source::Conference,
    };
    wire::StateInput {
        source: source.into(),
        availability: state.availability.0.into(),
        activity: state.activity.as_ref().map(activity_to_wire),
        location: state.location.clone(),
        meeting_subject: state.meeting_subject.clone(),
        meeting_location: state.meeting_location.clone(),
        starts_at_s: state.starts_at,
        last_active_s: state.last_active,
    }
}

pub(super) fn state(state: wire::StateInput) -> Result<StateInput, Malformed> {
    let source = match state.source() {
        wire::Source::Machine => Source::Machine,
        wire::Source::User => Source::User,
        wire::Source::Calendar => Source::Calendar,
        wire::Source::OutOfOffice => Source::OutOfOffice,
        wire::Source::Phone => Source::Phone,
        wire::Source::Conference => Source::Conference,
        wire::Source::Unspecified => return Err(Malformed::new("state.source")),
    };
    Ok(StateInput {
        source,
        availability: availability("state.availability", state.availability)?,
        activity: state.activity.map(activity),
        location: state.location,
        meeting_subject: state.meeting_subject,
        meeting_location: state.meeting_location,
        starts_at: state.starts_at_s,
        last_active: state.last_active_s,
    })
}

pub(super) fn states(states: Vec<wire::StateInput>) -> Result<Arc<[StateInput]>, Malformed> {
    states.into_iter().map(state).collect()
}

pub(super) fn note_to_wire(note: &Note) -> wire::Note {
    let kind = match note.kind {
        NoteKind::Personal => wire::NoteKind::Personal,
        NoteKind::OutOfOffice => wire::NoteKind::OutOfOffice,
    };
    wire::Note {
        kind: kind.into(),
        text: note.text.clone(),
        language: note.language.clone(),
    }
}

pub(super) fn notes(notes: Vec<wire::Note>) -> Arc<[Note]> {
    let note = |note: wire::Note| Note {
        kind: match note.kind() {
            wire::NoteKind::OutOfOffice => NoteKind::OutOfOffice,
            wire::NoteKind::Personal | wire::NoteKind::Unspecified => NoteKind::Personal,
        },
        text: note.text,
        language: note.language,
    };
    notes.into_iter().map(note).collect()
}

pub(super) fn card_to_wire(card: &ContactCard) -> wire::ContactCard {
    let phone = |phone: &Phone| {
        let kind = match phone.kind {
            PhoneKind::Work => wire::PhoneKind::Work,
            PhoneKind::Mobile => wire::PhoneKind::Mobile,
            PhoneKind::Home => wire::PhoneKind::Home,
            PhoneKind::Other => wire::PhoneKind::Other,
        };
        wire::Phone {
            kind: kind.into(),
            uri: phone.uri.clone(),
            display: phone.display.clone(),
        }
    };
    wire::ContactCard {
        display_name: card.display_name.clone(),
        emails: card.emails.clone(),
        phones: card.phones.iter().map(phone).collect(),
        title: card.title.clone(),
        office: card.office.clone(),
        company: card.company.clone(),
        department: card.department.clone(),
        url: card.url.clone(),
    }
}

pub(super) fn card(card: wire::ContactCard) -> ContactCard {
    let phone = |phone: wire::Phone| Phone {
        kind: match phone.kind() {
            wire::PhoneKind::Work => PhoneKind::Work,
            wire::PhoneKind::Mobile => PhoneKind::Mobile,
            wire::PhoneKind::Home => PhoneKind::Home,
            wire::PhoneKind::Other | wire::PhoneKind::Unspecified => PhoneKind::Other,
        },
        uri: phone.uri,
        display: phone.display,
    };
    ContactCard {
        display_name: card.display_name,
        emails: card.emails,
        phones: card.phones.into_iter().map(phone).collect(),
        title: card.title,
        office: card.office,
        company: card.company,
        department: card.department,
        url: card.url,
    }
}
