//! Where archiving acts: a [`Record`] before delivery, and an [`OutcomeRecord`] that refers to it afterwards.
//!
//! A message that nobody can receive is not delivered and not archived. Receipts and typing are never archived.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use rpc::{Content, ConversationKey, EndpointId, FailureReason, InstantMessage, MessageId};
use sip_types::AddressOfRecord;

/// Whether the messages of two people are kept, and what happens when they cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchiveMode {
    /// Nothing is kept.
    Off,
    /// Kept if possible; a message is delivered also when its record was refused, and the gap is counted.
    BestEffort,
    /// No delivery without a committed record: the sender gets [`FailureReason::ArchiveUnavailable`] instead.
    Required,
}

/// A message about to be delivered.
#[derive(Clone, Debug)]
pub struct Record {
    /// The conversation it belongs to.
    pub conversation: ConversationKey,
    /// What will be delivered. Its id is unique: appending it again must change nothing.
    pub message: Arc<InstantMessage>,
    /// What its sender wrote, where a filter replaced it.
    pub original: Option<Content>,
    /// When the record was made.
    pub at: SystemTime,
}

/// What became of a recorded message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// At least one endpoint of the recipient accepted it.
    Accepted,
    /// Nobody did, and the sender was told so.
    Failed(FailureReason),
    /// It was offered as the first text of an invitation and not taken. If its sender says it again, that is another
    /// message with another id.
    Withdrawn,
}

/// The second record of a message: it refers to the first by its id and follows it always.
#[derive(Clone, Debug)]
pub struct OutcomeRecord {
    /// The conversation it belongs to.
    pub conversation: ConversationKey,
    /// The id of the message.
    pub id: MessageId,
    /// What became of it.
    pub disposition: Disposition,
    /// What each endpoint that was asked said, in the order of the answers. An endpoint may be listed twice when the
    /// message had to be sent to it again.
    pub endpoints: Vec<(EndpointId, Result<(), FailureReason>)>,
    /// When this was known.
    pub at: SystemTime,
}

/// The archive did not take a record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the archive did not take the record: {0}")]
pub struct NotArchived(pub String);

/// Keeps what was said.
///
/// `append` is called for the messages of one conversation one after the other, in the order in which they are
/// delivered. It may be repeated for one message id. Each call is given up after the time the role allows (3 s); the
/// fate of such a record is unknown, and its outcome follows in case it was kept: an outcome without a record is
/// dropped.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// Whether the conversation of these two is kept. Asked for every message: answer from memory.
    async fn mode(&self, from: &AddressOfRecord, to: &AddressOfRecord) -> ArchiveMode;

    /// Takes a record. `Ok` means it survives whatever happens next.
    async fn append(&self, record: Record) -> Result<(), NotArchived>;

    /// Takes what became of an appended message.
    async fn outcome(&self, record: OutcomeRecord) -> Result<(), NotArchived>;
}

/// No archive: nothing is kept.
#[derive(Clone, Copy, Default, Debug)]
pub struct KeepNothing;

#[async_trait]
impl Archive for KeepNothing {
    async fn mode(&self, _: &AddressOfRecord, _: &AddressOfRecord) -> ArchiveMode {
        ArchiveMode::Off
    }

    async fn append(&self, _: Record) -> Result<(), NotArchived> {
        Ok(())
    }

    async fn outcome(&self, _: OutcomeRecord) -> Result<(), NotArchived> {
        Ok(())
    }
}
