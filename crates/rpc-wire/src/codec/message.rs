//! Messages of conversations and why they fail.

use rpc::{Content, FailureReason, InstantMessage, MessageKind};
use sip_types::SipStr;

use super::endpoint::{endpoint, message_id, message_id_to_wire, optional_endpoint};
use super::{Malformed, aor, required};
use crate::proto::immcu::v1 as wire;

impl From<&Content> for wire::Content {
    fn from(content: &Content) -> Self {
        wire::Content {
            content_type: content.content_type.as_str().to_owned(),
            body: content.body.clone(),
        }
    }
}

impl From<wire::Content> for Content {
    fn from(content: wire::Content) -> Self {
        Content {
            content_type: SipStr::from(content.content_type),
            body: content.body,
        }
    }
}

impl From<&InstantMessage> for wire::InstantMessage {
    fn from(message: &InstantMessage) -> Self {
        let receipt = match &message.kind {
            MessageKind::Text => None,
            MessageKind::Receipt { about } => Some(wire::Receipt {
                about: about.as_str().to_owned(),
            }),
        };
        wire::InstantMessage {
            id: message_id_to_wire(message.id),
            from: message.from.as_str().to_owned(),
            from_display: message.from_display.clone(),
            from_endpoint: message.from_endpoint.as_str().to_owned(),
            to: message.to.as_str().to_owned(),
            to_endpoint: message.to_endpoint.as_ref().map(|name| name.as_str().to_owned()),
            receipt,
            content: Some((&message.content).into()),
            imdn_id: message.imdn_id.clone().map(String::from),
            subject: message.subject.clone().map(String::from),
        }
    }
}

impl TryFrom<wire::InstantMessage> for InstantMessage {
    type Error = Malformed;

    fn try_from(message: wire::InstantMessage) -> Result<Self, Malformed> {
        let kind = match message.receipt {
            None => MessageKind::Text,
            Some(receipt) => MessageKind::Receipt {
                about: SipStr::from(receipt.about),
            },
        };
        Ok(InstantMessage {
            id: message_id("message.id", &message.id)?,
            from: aor("message.from", &message.from)?,
            from_display: message.from_display,
            from_endpoint: endpoint("message.from_endpoint", &message.from_endpoint)?,
            to: aor("message.to", &message.to)?,
            to_endpoint: optional_endpoint("message.to_endpoint", message.to_endpoint.as_deref())?,
            kind,
            content: required("message.content", message.content)?.into(),
            imdn_id: message.imdn_id.map(SipStr::from),
            subject: message.subject.map(SipStr::from),
        })
    }
}

/// Every reason beside its name on the wire.
const REASONS: [(FailureReason, wire::FailureReason); 18] = [
    (FailureReason::Unavailable, wire::FailureReason::Unavailable),
    (FailureReason::Timeout, wire::FailureReason::Timeout),
    (FailureReason::Busy, wire::FailureReason::Busy),
    (FailureReason::Declined, wire::FailureReason::Declined),
    (
        FailureReason::UnsupportedContent,
        wire::FailureReason::UnsupportedContent,
    ),
    (FailureReason::TooLarge, wire::FailureReason::TooLarge),
    (FailureReason::NotAcceptable, wire::FailureReason::NotAcceptable),
    (FailureReason::Forbidden, wire::FailureReason::Forbidden),
    (FailureReason::Filtered, wire::FailureReason::Filtered),
    (FailureReason::NoSuchUser, wire::FailureReason::NoSuchUser),
    (FailureReason::NoSession, wire::FailureReason::NoSession),
    (FailureReason::UnknownMessage, wire::FailureReason::UnknownMessage),
    (FailureReason::NotOwner, wire::FailureReason::NotOwner),
    (FailureReason::Cancelled, wire::FailureReason::Cancelled),
    (FailureReason::Overloaded, wire::FailureReason::Overloaded),
    (
        FailureReason::ArchiveUnavailable,
        wire::FailureReason::ArchiveUnavailable,
    ),
    (FailureReason::EndpointFailed, wire::FailureReason::EndpointFailed),
    (FailureReason::Internal, wire::FailureReason::Internal),
];

/// A reason as the wire has it.
pub fn failure_to_wire(reason: FailureReason) -> i32 {
    let row = REASONS.iter().find(|row| row.0 == reason);
    row.map_or(wire::FailureReason::Internal, |row| row.1).into()
}

/// A reason of the wire; not told is a defect.
pub fn failure(value: i32) -> FailureReason {
    let row = REASONS.iter().find(|row| i32::from(row.1) == value);
    row.map_or(FailureReason::Internal, |row| row.0)
}
