//! The immcu role: conversations.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sip_types::{AddressOfRecord, SipStr};
use topology::{MemberId, Partition};

use crate::{ConversationKey, EndpointAddress, EndpointId, Error, LegId, MessageId};

/// What a message says, as its sender wrote it. The recipient's front end translates where a dialect needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Value of Content-Type.
    pub content_type: SipStr,
    /// The body, shared by reference through the whole fan-out.
    pub body: Bytes,
}

/// Whether something is said, or is a report about something said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// Conversation text.
    Text,
    /// A disposition notification (RFC 5438). It goes back to the endpoint that sent the message it is about and is
    /// never archived, copied or receipted.
    Receipt {
        /// `imdn.Message-ID` of the message it is about.
        about: SipStr,
    },
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct InstantMessage {
    /// Identity, the same on every hop and every retry.
    pub id: MessageId,
    /// Authenticated sender.
    pub from: AddressOfRecord,
    /// Name the recipient may be shown.
    pub from_display: String,
    /// The endpoint it was sent from.
    pub from_endpoint: EndpointId,
    /// Recipient.
    pub to: AddressOfRecord,
    /// The one endpoint of the recipient it is for, when it was sent to that endpoint's GRUU (RFC 5627).
    pub to_endpoint: Option<EndpointId>,
    /// Text or receipt.
    pub kind: MessageKind,
    /// Type and body.
    pub content: Content,
    /// The sender's own id (`imdn.Message-ID`), by which receipts are paired.
    pub imdn_id: Option<SipStr>,
    /// Subject header, if any.
    pub subject: Option<SipStr>,
}

/// Why something was not delivered, in words every dialect can translate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum FailureReason {
    /// No endpoint of the recipient is signed in, or none can be reached.
    Unavailable,
    /// No endpoint answered in time.
    Timeout,
    /// The recipient does not want to be disturbed now.
    Busy,
    /// The recipient refused.
    Declined,
    /// The recipient cannot take this content type.
    UnsupportedContent,
    /// Too long for the recipient or by policy.
    TooLarge,
    /// The session offered nothing acceptable.
    NotAcceptable,
    /// Policy, or the recipient's privacy, forbids it.
    Forbidden,
    /// A filter stopped it.
    Filtered,
    /// No such user.
    NoSuchUser,
    /// The session is gone.
    NoSession,
    /// A receipt about a message nobody remembers.
    UnknownMessage,
    /// The front end asked does not hold this registration: look it up again.
    NotOwner,
    /// The caller gave up.
    Cancelled,
    /// A limit is reached; the sender may try again later.
    Overloaded,
    /// The archive could not take it and policy demands it.
    ArchiveUnavailable,
    /// The recipient's endpoint failed.
    EndpointFailed,
    /// A defect of ours.
    Internal,
}

impl FailureReason {
    /// Every reason, in the order of the enum.
    pub const ALL: [FailureReason; 18] = [
        FailureReason::Unavailable,
        FailureReason::Timeout,
        FailureReason::Busy,
        FailureReason::Declined,
        FailureReason::UnsupportedContent,
        FailureReason::TooLarge,
        FailureReason::NotAcceptable,
        FailureReason::Forbidden,
        FailureReason::Filtered,
        FailureReason::NoSuchUser,
        FailureReason::NoSession,
        FailureReason::UnknownMessage,
        FailureReason::NotOwner,
        FailureReason::Cancelled,
        FailureReason::Overloaded,
        FailureReason::ArchiveUnavailable,
        FailureReason::EndpointFailed,
        FailureReason::Internal,
    ];

    /// The final status the sender's own request gets.
    pub const fn sip_status(self) -> u16 {
        match self {
            FailureReason::Unavailable | FailureReason::NotOwner => 480,
            FailureReason::Timeout => 408,
            FailureReason::Busy => 486,
            FailureReason::Declined => 603,
            FailureReason::UnsupportedContent => 415,
            FailureReason::TooLarge => 413,
            FailureReason::NotAcceptable => 488,
            FailureReason::Forbidden => 403,
            FailureReason::Filtered => 606,
            FailureReason::NoSuchUser => 404,
            FailureReason::NoSession | FailureReason::UnknownMessage => 481,
            FailureReason::Cancelled => 487,
            FailureReason::Overloaded | FailureReason::ArchiveUnavailable => 503,
            FailureReason::EndpointFailed => 502,
            FailureReason::Internal => 500,
        }
    }

    /// What the final answer of a recipient's endpoint says about the delivery; `None` for 1xx and 2xx.
    pub const fn from_sip_status(status: u16) -> Option<Self> {
        Some(match status {
            ..300 => return None,
            401 | 403 | 407 => FailureReason::Forbidden,
            404 | 410 | 430 | 480 => FailureReason::Unavailable,
            408 | 504 => FailureReason::Timeout,
            413 => FailureReason::TooLarge,
            415 => FailureReason::UnsupportedContent,
            481 => FailureReason::NoSession,
            486 | 600 => FailureReason::Busy,
            487 => FailureReason::Cancelled,
            488 => FailureReason::NotAcceptable,
            603 => FailureReason::Declined,
            606 => FailureReason::Filtered,
            503 => FailureReason::Overloaded,
            _ => FailureReason::EndpointFailed,
        })
    }

    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            FailureReason::Unavailable => "unavailable",
            FailureReason::Timeout => "timeout",
            FailureReason::Busy => "busy",
            FailureReason::Declined => "declined",
            FailureReason::UnsupportedContent => "unsupported_content",
            FailureReason::TooLarge => "too_large",
            FailureReason::NotAcceptable => "not_acceptable",
            FailureReason::Forbidden => "forbidden",
            FailureReason::Filtered => "filtered",
            FailureReason::NoSuchUser => "no_such_user",
            FailureReason::NoSession => "no_session",
            FailureReason::UnknownMessage => "unknown_message",
            FailureReason::NotOwner => "not_owner",
            FailureReason::Cancelled => "cancelled",
            FailureReason::Overloaded => "overloaded",
            FailureReason::ArchiveUnavailable => "archive_unavailable",
            FailureReason::EndpointFailed => "endpoint_failed",
            FailureReason::Internal => "internal",
        }
    }
}

/// An endpoint wants a session with somebody (INVITE with `m=message`).
#[derive(Clone, Debug)]
pub struct Open {
    /// The caller's leg, made by its front end.
    pub leg: LegId,
    /// Authenticated caller.
    pub from: AddressOfRecord,
    /// Name the callee may be shown.
    pub from_display: String,
    /// The caller's endpoint.
    pub from_endpoint: EndpointId,
    /// Callee.
    pub to: AddressOfRecord,
    /// The one endpoint that may ring, when its GRUU was called (RFC 5627).
    pub to_endpoint: Option<EndpointId>,
    /// First text carried in the invitation itself, to be delivered once: either the callee takes it from the
    /// invitation, or the caller sends it again as a message.
    pub first_text: Option<Arc<InstantMessage>>,
    /// How long the callee may ring.
    pub patience: Duration,
}

/// How an [`Open`] ended well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// True: the first text counts as delivered, the caller must not send it again.
    pub first_text_taken: bool,
}

/// A message to deliver.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The message.
    pub message: Arc<InstantMessage>,
    /// The sender's leg it came in; `None`: page mode.
    pub leg: Option<LegId>,
    /// The sender's client stops waiting after this.
    pub patience: Duration,
}

/// Somebody types, or stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Typing {
    /// Composing; holds for this many seconds unless repeated (RFC 3994 `refresh`).
    Active {
        /// Seconds.
        refresh: u32,
    },
    /// Stopped.
    Idle,
}

/// A typing indication. State, not text: it is dropped where it cannot be shown, and never rings anybody.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Authenticated sender.
    pub from: AddressOfRecord,
    /// The endpoint it came from.
    pub from_endpoint: EndpointId,
    /// Recipient.
    pub to: AddressOfRecord,
    /// The sender's leg; `None`: page mode.
    pub leg: Option<LegId>,
    /// What it says.
    pub typing: Typing,
}

/// A leg a front end holds: a session of one of its endpoints that stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldLeg {
    /// Its name.
    pub leg: LegId,
    /// Where it is.
    pub address: EndpointAddress,
    /// The other party of the conversation.
    pub peer: AddressOfRecord,
    /// True: the pool rang for it; false: the endpoint opened it.
    pub rung: bool,
}

/// All legs a front end holds of the conversations of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldLegs {
    /// The front end.
    pub member: MemberId,
    /// The partition.
    pub partition: Partition,
    /// Its legs, if it has any.
    pub legs: Vec<HeldLeg>,
}

/// The front end's side of a change of owners: what its router needs to know of the legs it holds.
pub trait LegHolder: Send + Sync + 'static {
    /// The established legs of the conversations of these partitions.
    fn held_legs(&self, partitions: &HashSet<Partition>) -> Vec<HeldLeg>;

    /// The owner that rang for conversations of these partitions is gone: what rings for it stops ringing. Whoever owns
    /// them now rings anew.
    fn stop_ringing_of(&self, partitions: &HashSet<Partition>);
}

/// What a front end asks of the owner of a conversation.
///
/// An owner that does not own the conversation (any more) answers [`crate::ErrorCode::Unavailable`] and has done nothing: the
/// request is to be made again, to the new owner, in the old order.
#[async_trait]
pub trait ImMcu: Send + Sync + 'static {
    /// Opens a session: rings the callee's session endpoints, the first to answer takes it. Resolves with the final
    /// decision. Repeating it with the same leg joins the attempt in flight.
    async fn open(&self, open: Open) -> Result<Result<Opened, FailureReason>, Error>;

    /// The caller gave up before the answer (CANCEL): `open` resolves with [`FailureReason::Cancelled`]. Harmless if it ended.
    async fn cancel(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error>;

    /// Delivers a message. Resolves when at least one endpoint of the recipient accepted it, or none will. A repeated
    /// submit of one message id joins the attempt in flight or gets its recorded outcome, never an early success.
    async fn submit(&self, submit: Submit) -> Result<Result<(), FailureReason>, Error>;

    /// Passes a typing indication on. Best effort.
    async fn signal(&self, signal: Signal) -> Result<(), Error>;

    /// A leg ended (BYE, or its connection died). Repeating it is harmless.
    async fn leave(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error>;

    /// A front end says which legs it holds of a partition that this owner took over, so that sessions go on. Repeating it is
    /// harmless; legs the owner knows already stay as they are.
    async fn hold(&self, held: HeldLegs) -> Result<(), Error>;
}

/// Reaches the owner of a conversation wherever it is.
#[derive(Clone)]
pub struct ImMcuClient(Arc<dyn ImMcu>);

impl ImMcuClient {
    /// An immcu in this process.
    pub fn local(immcu: Arc<dyn ImMcu>) -> Self {
        ImMcuClient(immcu)
    }
}

impl Deref for ImMcuClient {
    type Target = dyn ImMcu;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_reports_success_has_no_failure() {
        assert_eq!(FailureReason::from_sip_status(200), None);
        assert_eq!(FailureReason::from_sip_status(180), None);
    }

    #[test]
    fn what_an_endpoint_answers_reaches_the_sender_as_the_same_status_where_the_dialects_agree() {
        for status in [403, 408, 413, 415, 480, 481, 486, 487, 488, 503, 603, 606] {
            let reason = FailureReason::from_sip_status(status).unwrap();
            assert_eq!(reason.sip_status(), status, "{reason:?}");
        }
    }
}
