//! Presence: states, publications, access rules, documents, contact lists.

mod access;
mod contacts;
mod document;
mod publication;
mod state;

pub use access::{
    change_members, change_members_to_wire, members_changed, members_changed_to_wire, rules, rules_to_wire,
};
pub use contacts::{change, change_to_wire, contacts_changed, contacts_changed_to_wire, list, list_to_wire};
pub use document::{
    document, document_to_wire, followed, followed_to_wire, news, news_in_messages, news_to_wire, own,
    own_to_wire, watchers, watchers_to_wire,
};
pub use publication::{publish, publish_to_wire, published, published_to_wire};

use rpc::presence::{Availability, PublishRefusal};

use super::Malformed;
use crate::proto::presence::v1 as wire;

/// A number of the wire that is 16 bits wide here.
fn small(field: &'static str, value: u32) -> Result<u16, Malformed> {
    u16::try_from(value).map_err(|_| Malformed::new(field))
}

fn availability(field: &'static str, value: u32) -> Result<Availability, Malformed> {
    small(field, value).map(Availability)
}

fn refused_to_wire(refusal: &PublishRefusal) -> wire::PublishRefused {
    use wire::publish_refused::Reason;
    let (reason, text, conflicts) = match refusal {
        PublishRefusal::NoSuchUser => (Reason::NoSuchUser, String::new(), Vec::new()),
        PublishRefusal::Conflict(conflicts) => {
            let conflict = |(index, known, current): &(usize, u32, u32)| wire::Conflict {
                index: u32::try_from(*index).unwrap_or(u32::MAX),
                known: *known,
                current: *current,
            };
            (
                Reason::Conflict,
                String::new(),
                conflicts.iter().map(conflict).collect(),
            )
        }
        PublishRefusal::Limit(text) => (Reason::Limit, text.clone(), Vec::new()),
        PublishRefusal::Invalid(text) => (Reason::Invalid, text.clone(), Vec::new()),
    };
    wire::PublishRefused {
        reason: reason.into(),
        text,
        conflicts,
    }
}

fn refused(refused: wire::PublishRefused) -> PublishRefusal {
    use wire::publish_refused::Reason;
    match refused.reason() {
        Reason::NoSuchUser => PublishRefusal::NoSuchUser,
        Reason::Conflict => PublishRefusal::Conflict(
            refused
                .conflicts
                .iter()
                .map(|conflict| (conflict.index as usize, conflict.known, conflict.current))
                .collect(),
        ),
        Reason::Limit => PublishRefusal::Limit(refused.text),
        Reason::Invalid | Reason::Unspecified => PublishRefusal::Invalid(refused.text),
    }
}
