//! What front ends and owners of conversations ask of each other. Patience is the deadline of the item that carries a
//! request, so it is given and taken beside the message; progress of a delivery is not in the message either.

use std::sync::Arc;
use std::time::Duration;

use rpc::{
    ConversationKey, Deliver, FailureReason, HeldLeg, HeldLegs, InstantMessage, LegId, Open, Opened, Path,
    Progress, Ring, RingAnswer, Signal, Submit, Target, Typing,
};
use topology::{MemberId, Partition};

use super::endpoint::{endpoint, leg, leg_to_wire, optional_endpoint, optional_leg};
use super::message::{failure, failure_to_wire};
use super::{Malformed, aor, required};
use crate::proto::immcu::v1 as wire;

/// The outcome of one target of a delivery, or of a submit.
pub type Outcome = Result<(), FailureReason>;

// === what a front end asks ===

impl From<&Open> for wire::Open {
    fn from(open: &Open) -> Self {
        wire::Open {
            leg: leg_to_wire(open.leg),
            from: open.from.as_str().to_owned(),
            from_display: open.from_display.clone(),
            from_endpoint: open.from_endpoint.as_str().to_owned(),
            to: open.to.as_str().to_owned(),
            to_endpoint: open.to_endpoint.as_ref().map(|name| name.as_str().to_owned()),
            first_text: open.first_text.as_deref().map(Into::into),
        }
    }
}

/// An open with the deadline of its item.
///
/// # Errors
/// The field that is wrong.
pub fn open(open: wire::Open, patience: Duration) -> Result<Open, Malformed> {
    Ok(Open {
        leg: leg("open.leg", &open.leg)?,
        from: aor("open.from", &open.from)?,
        from_display: open.from_display,
        from_endpoint: endpoint("open.from_endpoint", &open.from_endpoint)?,
        to: aor("open.to", &open.to)?,
        to_endpoint: optional_endpoint("open.to_endpoint", open.to_endpoint.as_deref())?,
        first_text: first_text(open.first_text)?,
        patience,
    })
}

fn first_text(message: Option<wire::InstantMessage>) -> Result<Option<Arc<InstantMessage>>, Malformed> {
    message
        .map(|message| InstantMessage::try_from(message).map(Arc::new))
        .transpose()
}

/// How an open ended.
pub fn open_result_to_wire(result: Result<Opened, FailureReason>) -> wire::OpenResult {
    let result = match result {
        Ok(opened) => wire::open_result::Result::Opened(wire::Opened {
            first_text_taken: opened.first_text_taken,
        }),
        Err(reason) => wire::open_result::Result::Failed(failure_to_wire(reason)),
    };
    wire::OpenResult { result: Some(result) }
}

/// How an open ended.
///
/// # Errors
/// It does not say.
pub fn open_result(result: wire::OpenResult) -> Result<Result<Opened, FailureReason>, Malformed> {
    Ok(match required("open_result.result", result.result)? {
        wire::open_result::Result::Opened(opened) => Ok(Opened {
            first_text_taken: opened.first_text_taken,
        }),
        wire::open_result::Result::Failed(reason) => Err(failure(reason)),
    })
}

/// The caller of this conversation gave up.
pub fn cancel_to_wire(conversation: &ConversationKey, leg: LegId) -> wire::Cancel {
    let (one, other) = conversation.parties();
    wire::Cancel {
        leg: leg_to_wire(leg),
        from: one.as_str().to_owned(),
        to: other.as_str().to_owned(),
    }
}

/// Which attempt of which conversation was given up.
///
/// # Errors
/// The field that is wrong.
pub fn cancel(cancel: &wire::Cancel) -> Result<(ConversationKey, LegId), Malformed> {
    let (from, to) = (aor("cancel.from", &cancel.from)?, aor("cancel.to", &cancel.to)?);
    Ok((ConversationKey::new(&from, &to), leg("cancel.leg", &cancel.leg)?))
}

/// A leg of this conversation ended.
pub fn leave_to_wire(conversation: &ConversationKey, leg: LegId) -> wire::Leave {
    let (one, other) = conversation.parties();
    wire::Leave {
        leg: leg_to_wire(leg),
        one: one.as_str().to_owned(),
        other: other.as_str().to_owned(),
    }
}

/// Which leg of which conversation ended.
///
/// # Errors
/// The field that is wrong.
pub fn leave(leave: &wire::Leave) -> Result<(ConversationKey, LegId), Malformed> {
    let (one, other) = (aor("leave.one", &leave.one)?, aor("leave.other", &leave.other)?);
    Ok((ConversationKey::new(&one, &other), leg("leave.leg", &leave.leg)?))
}

impl From<&Submit> for wire::Submit {
    fn from(submit: &Submit) -> Self {
        wire::Submit {
            message: Some((&*submit.message).into()),
            leg: submit.leg.map(leg_to_wire),
        }
    }
}

/// A submit with the deadline of its item.
///
/// # Errors
/// The field that is wrong.
pub fn submit(submit: wire::Submit, patience: Duration) -> Result<Submit, Malformed> {
    Ok(Submit {
        message: Arc::new(required("submit.message", submit.message)?.try_into()?),
        leg: optional_leg("submit.leg", submit.leg.as_deref())?,
        patience,
    })
}

/// The final decision about a message.
pub fn submit_result_to_wire(result: Outcome) -> wire::SubmitResult {
    wire::SubmitResult {
        failed: result.err().map(failure_to_wire),
    }
}

/// The final decision about a message.
pub fn submit_result(result: wire::SubmitResult) -> Outcome {
    result.failed.map_or(Ok(()), |reason| Err(failure(reason)))
}

impl From<&Signal> for wire::Signal {
    fn from(signal: &Signal) -> Self {
        wire::Signal {
            from: signal.from.as_str().to_owned(),
            from_endpoint: signal.from_endpoint.as_str().to_owned(),
            to: signal.to.as_str().to_owned(),
            leg: signal.leg.map(leg_to_wire),
            composing_s: match signal.typing {
                Typing::Active { refresh } => Some(refresh),
                Typing::Idle => None,
            },
        }
    }
}

impl TryFrom<wire::Signal> for Signal {
    type Error = Malformed;

    fn try_from(signal: wire::Signal) -> Result<Self, Malformed> {
        Ok(Signal {
            from: aor("signal.from", &signal.from)?,
            from_endpoint: endpoint("signal.from_endpoint", &signal.from_endpoint)?,
            to: aor("signal.to", &signal.to)?,
            leg: optional_leg("signal.leg", signal.leg.as_deref())?,
            typing: signal
                .composing_s
                .map_or(Typing::Idle, |refresh| Typing::Active { refresh }),
        })
    }
}

impl From<&HeldLeg> for wire::HeldLeg {
    fn from(held: &HeldLeg) -> Self {
        wire::HeldLeg {
            leg: leg_to_wire(held.leg),
            address: Some((&held.address).into()),
            peer: held.peer.as_str().to_owned(),
            rung: held.rung,
        }
    }
}

impl TryFrom<wire::HeldLeg> for HeldLeg {
    type Error = Malformed;

    fn try_from(held: wire::HeldLeg) -> Result<Self, Malformed> {
        Ok(HeldLeg {
            leg: leg("held_leg.leg", &held.leg)?,
            address: required("held_leg.address", held.address)?.try_into()?,
            peer: aor("held_leg.peer", &held.peer)?,
            rung: held.rung,
        })
    }
}

impl From<&HeldLegs> for wire::HoldLegs {
    fn from(held: &HeldLegs) -> Self {
        wire::HoldLegs {
            partition: u32::from(held.partition.number()),
            legs: held.legs.iter().map(Into::into).collect(),
        }
    }
}

/// The legs `member` holds: its name is that of the stream's hello.
///
/// # Errors
/// The field that is wrong.
pub fn held_legs(held: wire::HoldLegs, member: MemberId) -> Result<HeldLegs, Malformed> {
    let partition = u16::try_from(held.partition).ok().and_then(Partition::new);
    Ok(HeldLegs {
        member,
        partition: required("hold_legs.partition", partition)?,
        legs: held
            .legs
            .into_iter()
            .map(HeldLeg::try_from)
            .collect::<Result<_, _>>()?,
    })
}

// === what an owner asks ===

impl From<&Target> for wire::Target {
    fn from(target: &Target) -> Self {
        wire::Target {
            address: Some((&target.address).into()),
            leg: match target.path {
                Path::Page => None,
                Path::Leg(leg) => Some(leg_to_wire(leg)),
            },
        }
    }
}

impl TryFrom<wire::Target> for Target {
    type Error = Malformed;

    fn try_from(target: wire::Target) -> Result<Self, Malformed> {
        Ok(Target {
            address: required("target.address", target.address)?.try_into()?,
            path: optional_leg("target.leg", target.leg.as_deref())?.map_or(Path::Page, Path::Leg),
        })
    }
}

fn targets(targets: Vec<wire::Target>) -> Result<Vec<Target>, Malformed> {
    targets.into_iter().map(Target::try_from).collect()
}

impl From<&Deliver> for wire::Deliver {
    fn from(deliver: &Deliver) -> Self {
        wire::Deliver {
            message: Some((&*deliver.message).into()),
            targets: deliver.targets.iter().map(Into::into).collect(),
        }
    }
}

/// A delivery with the deadline of its item, and where to report outcomes one by one, if anywhere.
///
/// # Errors
/// The field that is wrong.
pub fn deliver(
    deliver: wire::Deliver,
    patience: Duration,
    progress: Option<Progress>,
) -> Result<Deliver, Malformed> {
    Ok(Deliver {
        message: Arc::new(required("deliver.message", deliver.message)?.try_into()?),
        targets: targets(deliver.targets)?,
        patience,
        progress,
    })
}

/// What one endpoint said.
pub fn outcome_to_wire(outcome: Outcome) -> wire::TargetOutcome {
    wire::TargetOutcome {
        failed: outcome.err().map(failure_to_wire),
    }
}

/// What one endpoint said.
pub fn outcome(outcome: wire::TargetOutcome) -> Outcome {
    outcome.failed.map_or(Ok(()), |reason| Err(failure(reason)))
}

/// All outcomes of a delivery, in the order of its targets.
pub fn deliver_result_to_wire(outcomes: &[Outcome]) -> wire::DeliverResult {
    wire::DeliverResult {
        outcomes: outcomes.iter().copied().map(outcome_to_wire).collect(),
    }
}

/// All outcomes of a delivery to `targets` endpoints, in their order.
///
/// # Errors
/// There are more or fewer outcomes than targets.
pub fn deliver_result(result: wire::DeliverResult, targets: usize) -> Result<Vec<Outcome>, Malformed> {
    if result.outcomes.len() != targets {
        return Err(Malformed::new("deliver_result.outcomes"));
    }
    Ok(result.outcomes.into_iter().map(outcome).collect())
}

/// News of one target, by its place, for the delivery with this item number.
pub fn progress_to_wire(delivery: u64, (target, result): rpc::TargetOutcome) -> wire::DeliverProgress {
    wire::DeliverProgress {
        delivery,
        // A place that does not fit is out of range there and ignored; the answer repeats it.
        target: u32::try_from(target).unwrap_or(u32::MAX),
        outcome: Some(outcome_to_wire(result)),
    }
}

/// The number of the delivery, and the news of one of its targets.
///
/// # Errors
/// There is no outcome.
pub fn progress(progress: &wire::DeliverProgress) -> Result<(u64, rpc::TargetOutcome), Malformed> {
    let result = outcome(required("deliver_progress.outcome", progress.outcome)?);
    Ok((progress.delivery, (progress.target as usize, result)))
}

impl From<&Ring> for wire::Ring {
    fn from(ring: &Ring) -> Self {
        wire::Ring {
            leg: leg_to_wire(ring.leg),
            address: Some((&ring.address).into()),
            from: ring.from.as_str().to_owned(),
            from_display: ring.from_display.clone(),
            first_text: ring.first_text.as_deref().map(Into::into),
        }
    }
}

/// An invitation with the deadline of its item.
///
/// # Errors
/// The field that is wrong.
pub fn ring(ring: wire::Ring, patience: Duration) -> Result<Ring, Malformed> {
    Ok(Ring {
        leg: leg("ring.leg", &ring.leg)?,
        address: required("ring.address", ring.address)?.try_into()?,
        from: aor("ring.from", &ring.from)?,
        from_display: ring.from_display,
        first_text: first_text(ring.first_text)?,
        patience,
    })
}

/// How ringing ended.
pub fn ring_result_to_wire(result: Result<RingAnswer, FailureReason>) -> wire::RingResult {
    let result = match result {
        Ok(answer) => wire::ring_result::Result::Answer(wire::RingAnswer {
            first_text_taken: answer.first_text_taken,
        }),
        Err(reason) => wire::ring_result::Result::Failed(failure_to_wire(reason)),
    };
    wire::RingResult { result: Some(result) }
}

/// How ringing ended.
///
/// # Errors
/// It does not say.
pub fn ring_result(result: wire::RingResult) -> Result<Result<RingAnswer, FailureReason>, Malformed> {
    Ok(match required("ring_result.result", result.result)? {
        wire::ring_result::Result::Answer(answer) => Ok(RingAnswer {
            first_text_taken: answer.first_text_taken,
        }),
        wire::ring_result::Result::Failed(reason) => Err(failure(reason)),
    })
}

/// A typing indication for these endpoints.
pub fn show_signal_to_wire(signal: &Signal, targets: &[Target]) -> wire::ShowSignal {
    wire::ShowSignal {
        signal: Some(signal.into()),
        targets: targets.iter().map(Into::into).collect(),
    }
}

/// A typing indication and where to show it.
///
/// # Errors
/// The field that is wrong.
pub fn show_signal(show: wire::ShowSignal) -> Result<(Signal, Vec<Target>), Malformed> {
    let signal = required("show_signal.signal", show.signal)?.try_into()?;
    Ok((signal, targets(show.targets)?))
}
