//! Where message filters act: every text is shown to one [`MessageFilter`] before it is archived and delivered.

use rpc::{Content, FailureReason, InstantMessage};

/// What a filter decides about a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Deliver it as it is.
    Pass,
    /// Deliver this instead. The archive gets both.
    Replace(Content),
    /// Deliver nothing; the sender is told this reason, usually [`FailureReason::Filtered`].
    Block(FailureReason),
}

/// Looks at texts before anybody sees them.
///
/// Called once per message id, never for receipts or typing. Calls for different messages may overlap, also within one
/// conversation; the order of delivery is kept whatever a filter takes. It runs on the thread that carries the message
/// and must not block.
pub trait MessageFilter: Send + Sync + 'static {
    /// Decides about one text. Links, files and words are judged by the decoded content.
    fn check(&self, message: &InstantMessage) -> Verdict;
}

/// No filter: everything passes.
#[derive(Clone, Copy, Default, Debug)]
pub struct PassAll;

impl MessageFilter for PassAll {
    fn check(&self, _: &InstantMessage) -> Verdict {
        Verdict::Pass
    }
}
