//! A message on its way: who waits for it, which ways to the recipient are still undecided, and how it ends.

use std::sync::Arc;
use std::time::Instant;

use rpc::{Content, EndpointId, FailureReason, ImMode, InstantMessage, LegId, MessageKind};
use smallvec::SmallVec;

use super::{Conversation, ItemId, Side};
use crate::archive::{ArchiveMode, Disposition};
use crate::effect::{Effect, Event, Outcome, Reply, Turn};
use crate::endpoints::Endpoints;
use crate::rank::{more_telling, told};

/// Where a message is.
///
/// ```text
///   submit
///     |
///     v
/// +-----------+  looked up,   +----------+  its turn,    +-----------+  committed   +---------+
/// | Preparing |-------------->| Prepared |-------------->| Appending |------------->| Flowing |
/// +-----------+  judged       +----------+  archived     +-----------+              +---------+
///     |                            |        `--- its turn, not archived -------------->|
///     | refused                    | nobody there              | not committed         | every way decided
///     v                            v                           v                       v
///   over                         over                        over                    over
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Being looked up. Later messages wait behind it.
    Preparing,
    /// Waiting for its turn.
    Prepared,
    /// Being archived. Later messages wait behind it.
    Appending,
    /// On its ways to the recipient's endpoints.
    Flowing,
}

/// Somebody who waits for the outcome.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) reply: Reply<()>,
    /// When it stops waiting.
    pub(crate) until: Instant,
}

/// One message from its submit until every way it took is decided.
///
/// Invariant: `undecided` counts the ways that have neither succeeded nor failed. A message that flows is over when it
/// becomes zero, and only then.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) message: Arc<InstantMessage>,
    /// The content before a filter replaced it.
    pub(crate) original: Option<Content>,
    pub(crate) mode: ArchiveMode,
    /// A record was appended: the outcome has to follow.
    pub(crate) archived: bool,
    /// The side it goes to.
    pub(crate) to: Side,
    /// The sender's leg it came in.
    pub(crate) leg: Option<LegId>,
    /// For a receipt: the endpoint that sent the message it is about.
    pub(crate) receiver: Option<EndpointId>,
    pub(crate) stage: Stage,
    /// What was not sent by then is not sent any more. A little before the sender stops waiting.
    pub(crate) deadline: Instant,
    /// The deadline has passed.
    pub(crate) overdue: bool,
    /// When the first sender stops waiting.
    pub(crate) until: Instant,
    /// The recipient's endpoints as looked up for this message.
    pub(crate) endpoints: Endpoints,
    /// A page-mode endpoint that gets no copy because the session is with it.
    pub(crate) skipped: Option<EndpointId>,
    pub(crate) undecided: u16,
    pub(crate) accepted: bool,
    /// It was handed to some front end.
    pub(crate) reached: bool,
    /// The session it was sent into vanished once already.
    pub(crate) rerouted: bool,
    pub(crate) worst: Option<FailureReason>,
    pub(crate) waiters: SmallVec<[Waiter; 1]>,
    /// What endpoints said, for the archive.
    pub(crate) said: Vec<(EndpointId, Result<(), FailureReason>)>,
}

impl Item {
    /// Whether the message may go to this endpoint: it is for all of them, or for this one.
    pub(crate) fn is_for(&self, endpoint: &EndpointId) -> bool {
        self.message
            .to_endpoint
            .as_ref()
            .is_none_or(|only| only == endpoint)
    }

    /// Whether a copy outside any session went, or will go, to this endpoint.
    pub(crate) fn is_copied_to(&self, endpoint: &EndpointId) -> bool {
        self.endpoints.mode(endpoint) == Some(ImMode::Page) && self.skipped.as_ref() != Some(endpoint)
    }

    fn note(&mut self, endpoint: &EndpointId, said: Result<(), FailureReason>) {
        if self.archived {
            self.said.push((endpoint.clone(), said));
        }
    }
}

impl Conversation {
    /// An endpoint accepted the message.
    pub(super) fn path_accepted(&mut self, id: ItemId, endpoint: &EndpointId, turn: &mut Turn<'_>) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        item.note(endpoint, Ok(()));
        item.accepted = true;
        for waiter in item.waiters.drain(..) {
            turn.out.push(Effect::Answer(waiter.reply, Ok(())));
        }
        self.path_decided(id, turn);
    }

    /// A way ended without success: an endpoint refused, or none was asked.
    pub(super) fn path_failed(
        &mut self,
        id: ItemId,
        endpoint: Option<&EndpointId>,
        reason: FailureReason,
        turn: &mut Turn<'_>,
    ) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        if let Some(endpoint) = endpoint {
            item.note(endpoint, Err(reason));
        }
        item.worst = Some(more_telling(item.worst, reason));
        self.path_decided(id, turn);
    }

    fn path_decided(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        debug_assert!(item.undecided > 0, "a way is decided once");
        item.undecided = item.undecided.saturating_sub(1);
        if item.undecided == 0 {
            self.finish(id, turn);
        }
    }

    /// The message ends before it took any way.
    pub(super) fn refuse(&mut self, id: ItemId, reason: FailureReason, turn: &mut Turn<'_>) {
        self.intake.retain(|queued| *queued != id);
        if let Some(item) = self.items.get_mut(&id) {
            item.worst = Some(reason);
            self.finish(id, turn);
        }
    }

    /// The message is over: everybody who still waits is told, and the outcome is remembered and archived.
    fn finish(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let Some(item) = self.items.remove(&id) else {
            return;
        };
        let outcome = if item.accepted {
            Ok(())
        } else {
            Err(told(item.worst))
        };
        for waiter in item.waiters {
            turn.out.push(Effect::Answer(waiter.reply, outcome));
        }
        if item.reached {
            self.memory.finish(&item.message.id, id, outcome);
        } else {
            self.memory.forget(&item.message.id);
        }
        if item.archived {
            turn.out.push(Effect::Outcome(Outcome {
                id: item.message.id,
                disposition: match outcome {
                    Ok(()) => Disposition::Accepted,
                    Err(reason) => Disposition::Failed(reason),
                },
                endpoints: item.said,
            }));
        }
        let receipt = matches!(item.message.kind, MessageKind::Receipt { .. });
        turn.count(Event::Message { receipt, outcome });
    }
}
