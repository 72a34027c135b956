//! What is seen, in the words of the control socket.

use rpc::presence::{AccessLevel, Activity, NoteKind, PresenceDocument};
use sip_types::AddressOfRecord;

use super::{Presences, api};

/// The level of a watcher; without one the user's own.
pub(super) fn level(
    presences: &Presences,
    document: &PresenceDocument,
    watcher: Option<&AddressOfRecord>,
) -> AccessLevel {
    let watcher = watcher.unwrap_or(&document.presentity);
    document.rules.level_of(watcher, presences.origin(watcher))
}

/// What a watcher sees; without one what the user sees.
pub(super) fn shown(
    presences: &Presences,
    document: &PresenceDocument,
    watcher: Option<&AddressOfRecord>,
) -> api::Presence {
    let level = level(presences, document, watcher);
    let view = document.view(level);
    let notes = view.notes.iter().map(|note| api::PresenceNote {
        kind: match note.kind {
            NoteKind::Personal => "personal".to_owned(),
            NoteKind::OutOfOffice => "out-of-office".to_owned(),
        },
        text: note.text.clone(),
    });
    api::Presence {
        presentity: document.presentity.to_string(),
        watcher: watcher.map(ToString::to_string),
        level: level.as_str().to_owned(),
        state: view.availability.band().as_str().to_owned(),
        availability: view.availability.0,
        activity: view.activity.as_ref().and_then(activity),
        since: view.since / 1_000,
        last_active: view.last_active,
        location: view.location.clone(),
        meeting_subject: view.meeting_subject.clone(),
        notes: notes.collect(),
        display_name: view.card.display_name.clone(),
    }
}

/// An activity as one word or in the first of its languages.
pub(super) fn activity(activity: &Activity) -> Option<String> {
    match activity {
        Activity::Token(token) => Some(token.to_string()),
        Activity::Custom(texts) => texts.first().map(|custom| custom.text.clone()),
    }
}
