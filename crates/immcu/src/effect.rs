//! What a conversation wants done: the output of the state machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::{
    Content, Deliver, EndpointAddress, EndpointId, FailureReason, InstantMessage, LegId, MessageId, Open,
    Opened, Ring, RingAnswer, Signal, Target,
};
use sip_types::AddressOfRecord;
use tokio::sync::oneshot;
use topology::MemberId;

use crate::archive::{ArchiveMode, Disposition};
use crate::conversation::{ItemId, Side, Ticket};
use crate::endpoints::Endpoints;

/// Where one waiting caller gets its one answer. Only data: nothing waits inside the state machine.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, FailureReason>>;

/// One input to a conversation: when it happened, and where what follows from it is collected.
pub(crate) struct Turn<'a> {
    /// The time of this input.
    pub(crate) now: Instant,
    /// How many message ids a conversation may remember at this moment.
    pub(crate) window: usize,
    /// What is to be done, in order.
    pub(crate) out: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    pub(crate) fn call(&mut self, call: Call) {
        self.out.push(Effect::Call(call));
    }

    pub(crate) fn tell(&mut self, member: MemberId, tell: Tell) {
        self.out.push(Effect::Tell(member, tell));
    }

    pub(crate) fn count(&mut self, event: Event) {
        self.out.push(Effect::Count(event));
    }

    pub(crate) fn forget(&mut self, leg: LegId) {
        self.out.push(Effect::Forget(leg));
    }
}

/// One thing to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A call that is answered by exactly one input, or never: the conversation then counts it as lost by itself.
    Call(Call),
    /// Something a front end is told; nothing comes back.
    Tell(MemberId, Tell),
    /// The answer to a submit.
    Answer(Reply<()>, Result<(), FailureReason>),
    /// The answer to an open.
    AnswerOpen(Reply<Opened>, Result<Opened, FailureReason>),
    /// What became of an archived message.
    Outcome(Outcome),
    /// From now on this leg leads to this conversation. Comes before the call that makes the leg known to anybody.
    Bind(LegId),
    /// The leg leads nowhere any more.
    Forget(LegId),
    /// Something to be counted.
    Count(Event),
}

/// A call to somebody else.
#[derive(Debug)]
pub(crate) enum Call {
    /// Look up what is needed to deliver this message: answered by [`crate::Conversation::prepared`].
    Prepare {
        item: ItemId,
        message: Arc<InstantMessage>,
        within: Duration,
    },
    /// The same for a session: answered by `open_prepared`.
    PrepareOpen { open: Arc<Open>, within: Duration },
    /// Append this message to the archive: answered by `appended`.
    Append {
        subject: Subject,
        message: Arc<InstantMessage>,
        original: Option<Content>,
    },
    /// Deliver: answered by `delivered`.
    Deliver {
        ticket: Ticket,
        member: MemberId,
        deliver: Deliver,
    },
    /// Ring: answered by `rung`.
    Ring {
        side: Side,
        member: MemberId,
        ring: Ring,
    },
    /// Look a user up (again): answered by `located`.
    Locate { purpose: Purpose, aor: AddressOfRecord },
}

impl Call {
    /// The message this is about, if it is about one.
    pub(crate) fn message(&self) -> Option<MessageId> {
        match self {
            Call::Prepare { message, .. } | Call::Append { message, .. } => Some(message.id),
            Call::Deliver { deliver, .. } => Some(deliver.message.id),
            Call::PrepareOpen { .. } | Call::Ring { .. } | Call::Locate { .. } => None,
        }
    }
}

/// What a front end is told.
#[derive(Debug)]
pub(crate) enum Tell {
    StopRinging(LegId),
    EndLeg(LegId),
    Signal(Signal, Vec<Target>),
}

/// What an archive record is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Subject {
    /// A message in the queue.
    Item(ItemId),
    /// The first text of the session this leg wants to open.
    FirstText(LegId),
}

/// What is known of a record after its append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Appended {
    /// It is kept.
    Committed,
    /// It is not.
    Refused,
    /// The archive did not answer in time: it may be kept or not.
    Unknown,
}

/// Why somebody is looked up after the beginning.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A front end did not hold the registration a delivery was for.
    Deliver(Ticket),
    /// The same for an invitation.
    Ring(Side, LegId),
    /// A typing indication for this side.
    Signal(Side, Box<Signal>),
}

/// The second archive record of a message.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) id: MessageId,
    pub(crate) disposition: Disposition,
    pub(crate) endpoints: Vec<(EndpointId, Result<(), FailureReason>)>,
}

/// A message that was looked up, judged and found deliverable.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The message as it may be delivered.
    pub(crate) message: Arc<InstantMessage>,
    /// Its content before a filter replaced it.
    pub(crate) original: Option<Content>,
    /// Whether it has to be archived.
    pub(crate) mode: ArchiveMode,
    /// The recipient's endpoints.
    pub(crate) endpoints: Endpoints,
}

/// A first text that may be carried in an invitation.
#[derive(Clone, Debug)]
pub(crate) struct FirstText {
    pub(crate) message: Arc<InstantMessage>,
    pub(crate) original: Option<Content>,
    pub(crate) mode: ArchiveMode,
}

/// A session that was looked up and found possible.
#[derive(Clone, Debug)]
pub(crate) struct PreparedOpen {
    /// Where the caller's leg is.
    pub(crate) caller: EndpointAddress,
    /// The callee's endpoints.
    pub(crate) callee: Endpoints,
    /// What the invitation may carry. A text that may not be delivered is left out here; its sender learns why when it
    /// sends it as a message.
    pub(crate) first_text: Option<FirstText>,
}

/// How a call to a front end failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallError {
    /// It could not be reached; the same call may succeed later.
    Unreachable,
    /// It refused or failed; the same call would fail again.
    Failed,
}

/// The answer of a front end to a delivery.
pub(crate) type Delivered = Result<Vec<Result<(), FailureReason>>, CallError>;

/// The answer of a front end to an invitation.
pub(crate) type Rung = Result<Result<RingAnswer, FailureReason>, CallError>;

/// Something to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A message is over.
    Message {
        receipt: bool,
        outcome: Result<(), FailureReason>,
    },
    /// A session was asked for.
    Open,
    /// A submit of an id that was known.
    Duplicate,
    /// The queue of a conversation was full.
    QueueFull,
    /// A call to a front end was repeated.
    Retried,
    /// A registration was looked up again because its front end did not hold it.
    NotOwner,
    /// A message took another way because the session it was for had vanished.
    Rerouted,
    /// A call to a front end never came back.
    Lost,
    /// A message was delivered without its best-effort record.
    ArchiveGap,
    /// Something was refused because its recipient has blocked the sender.
    Blocked,
    /// Something went on although it is not known whom its recipient has blocked.
    RulesUnknown,
    /// A typing indication was passed on.
    SignalSent,
    /// A typing indication was replaced by a newer one.
    SignalConflated,
}
