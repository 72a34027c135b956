//! Ringing: all session endpoints of one side are invited, the first to answer takes the session.
//!
//! ```text
//!  message without a session, or an open
//!        |
//!        v
//!   +---------+  an endpoint answers        the side has a leg, the others stop,
//!   | Ringing |---------------------------> waiting messages go into the leg, opens succeed
//!   +---------+
//!     |  |  `---- the side opens a session itself (glare): as if that endpoint had answered
//!     |  |
//!     |  `------- nobody waits any more: all stop
//!     |
//!     `---------- all failed, or a person declined: waiting messages fail, opens fail or go on in page mode
//! ```
//!
//! One endpoint being busy leaves the others ringing; a decline is meant for all (RFC 3261 section 16.7 step 5 does the
//! same with 6xx).

use std::sync::Arc;
use std::time::Instant;

use rpc::{
    EndpointAddress, EndpointId, FailureReason, ImMode, InstantMessage, LegId, Opened, Ring, RingAnswer,
};
use sip_types::AddressOfRecord;
use smallvec::SmallVec;

use super::item::Stage;
use super::{Conversation, ItemId, Leg, Side};
use crate::archive::Disposition;
use crate::effect::{Call, CallError, Effect, Event, FirstText, Outcome, Purpose, Rung, Tell, Turn};
use crate::endpoints::Endpoints;
use crate::limits::{COPY_PATIENCE, RETRY_PAUSES, RETRY_TOTAL};
use crate::rank::more_telling;
use crate::timers::Timer;

/// An endpoint that rings.
#[derive(Debug)]
struct Candidate {
    leg: LegId,
    address: EndpointAddress,
    /// Its invitation carries the text.
    offered: bool,
    since: Instant,
    /// How often its front end could not be reached.
    retries: usize,
    /// Its registration was looked up again once already.
    relocated: bool,
    /// Its leg ended before the answer to the invitation arrived here.
    gone: bool,
}

/// The text an invitation carries, and whose it is.
#[derive(Debug)]
pub(super) enum Carried {
    Nothing,
    /// A waiting message.
    Message(ItemId),
    /// The first text of an open. It counts as a message only if it is taken.
    FirstText {
        leg: LegId,
        text: FirstText,
        archived: bool,
        /// Whom copies of it go to.
        callee: Endpoints,
    },
}

/// What every invitation says.
#[derive(Clone, Debug)]
pub(super) struct Invitation {
    pub(super) from: AddressOfRecord,
    pub(super) from_display: String,
    pub(super) from_endpoint: EndpointId,
    /// The one endpoint that may ring, if only one was called.
    pub(super) to_endpoint: Option<EndpointId>,
    pub(super) text: Option<Arc<InstantMessage>>,
}

/// One side rings.
#[derive(Debug)]
pub(super) struct Ringing {
    candidates: SmallVec<[Candidate; 2]>,
    /// Endpoints that ring or have rung: none is invited twice.
    tried: SmallVec<[EndpointId; 2]>,
    invitation: Invitation,
    carried: Carried,
    worst: Option<FailureReason>,
}

impl Ringing {
    /// Whether this endpoint rings.
    pub(super) fn rings(&self, endpoint: &EndpointId) -> bool {
        self.candidates
            .iter()
            .any(|candidate| candidate.address.endpoint == *endpoint)
    }

    /// Whether this endpoint rings with the text of a message.
    pub(super) fn offers_message_to(&self, endpoint: &EndpointId) -> bool {
        let mut candidates = self.candidates.iter();
        matches!(self.carried, Carried::Message(_))
            && candidates.any(|candidate| candidate.offered && candidate.address.endpoint == *endpoint)
    }

    #[cfg(test)]
    pub(super) fn has_leg(&self, leg: LegId) -> bool {
        self.candidates.iter().any(|candidate| candidate.leg == leg)
    }

    pub(super) fn carries(&self, id: ItemId) -> bool {
        matches!(self.carried, Carried::Message(carried) if carried == id)
    }

    pub(super) fn carries_first_text_of(&self, leg: LegId) -> bool {
        matches!(self.carried, Carried::FirstText { leg: carried, .. } if carried == leg)
    }

    /// The most telling failure so far.
    pub(super) fn worst(&self) -> Option<FailureReason> {
        self.worst
    }

    fn candidate(&mut self, leg: LegId) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|candidate| candidate.leg == leg)
    }

    fn remove(&mut self, leg: LegId) -> Option<Candidate> {
        let position = self
            .candidates
            .iter()
            .position(|candidate| candidate.leg == leg)?;
        Some(self.candidates.remove(position))
    }
}

impl Conversation {
    /// Rings for the message at the head of the session lane; false if there is nobody to ring.
    pub(super) fn ring_for(&mut self, side: Side, id: ItemId, turn: &mut Turn<'_>) -> bool {
        let Some(item) = self.items.get_mut(&id) else {
            return false;
        };
        let message = item.message.clone();
        let endpoints = item.endpoints.clone();
        let invitation = Invitation {
            from: message.from.clone(),
            from_display: message.from_display.clone(),
            from_endpoint: message.from_endpoint.clone(),
            to_endpoint: message.to_endpoint.clone(),
            text: Some(message).filter(|_| self.may_carry()),
        };
        let carried = if self.may_carry() {
            Carried::Message(id)
        } else {
            Carried::Nothing
        };
        let rings = self.start_ringing(side, &endpoints, invitation, carried, turn);
        if self.may_carry()
            && let Some(item) = self.items.get_mut(&id)
        {
            item.reached |= rings;
        }
        rings
    }

    /// Whether an invitation may carry a text. In a conversation with oneself an endpoint can ring for both sides, and two
    /// texts would arrive in the order of the answers: there, every text goes through the lane of its endpoint.
    pub(super) fn may_carry(&self) -> bool {
        !self.is_self()
    }

    /// Invites all session endpoints of a side; false if it has none.
    pub(super) fn start_ringing(
        &mut self,
        side: Side,
        endpoints: &Endpoints,
        invitation: Invitation,
        carried: Carried,
        turn: &mut Turn<'_>,
    ) -> bool {
        let sender = invitation.from_endpoint.clone();
        let mut ringing = Ringing {
            candidates: SmallVec::new(),
            tried: SmallVec::new(),
            invitation,
            carried,
            worst: None,
        };
        for address in endpoints.of_mode(ImMode::Session, self.except(&sender)) {
            self.invite(&mut ringing, side, address, turn);
        }
        if ringing.candidates.is_empty() {
            return false;
        }
        self.party_mut(side).ringing = Some(ringing);
        true
    }

    fn invite(&mut self, ringing: &mut Ringing, side: Side, address: &EndpointAddress, turn: &mut Turn<'_>) {
        let leg = self.new_leg();
        let owner = self.owner(side);
        // An offered text goes past the lane of the endpoint: only where it would be the next one there.
        let offered = match ringing.carried {
            Carried::Message(id) => self.lanes.is_next(owner, &address.endpoint, id),
            Carried::FirstText { .. } => true,
            Carried::Nothing => false,
        };
        let candidate = Candidate {
            leg,
            address: address.clone(),
            offered,
            since: turn.now,
            retries: 0,
            relocated: false,
            gone: false,
        };
        turn.out.push(Effect::Bind(leg));
        self.call_ring(&ringing.invitation, side, &candidate, turn);
        ringing.tried.push(address.endpoint.clone());
        ringing.candidates.push(candidate);
    }

    fn call_ring(&self, invitation: &Invitation, side: Side, candidate: &Candidate, turn: &mut Turn<'_>) {
        turn.call(Call::Ring {
            side,
            member: candidate.address.member.clone(),
            ring: Ring {
                leg: candidate.leg,
                address: candidate.address.clone(),
                from: invitation.from.clone(),
                from_display: invitation.from_display.clone(),
                first_text: invitation.text.clone().filter(|_| candidate.offered),
                // Whoever waits stops waiting earlier; this only ends what an owner that died left behind.
                patience: self.limits.ring,
            },
        });
    }

    /// Invites an endpoint again, under the same leg.
    pub(super) fn ring_again(&mut self, side: Side, leg: LegId, turn: &mut Turn<'_>) {
        let Some(ringing) = &self.party(side).ringing else {
            return;
        };
        if let Some(candidate) = ringing.candidates.iter().find(|candidate| candidate.leg == leg) {
            turn.count(Event::Retried);
            self.call_ring(&ringing.invitation, side, candidate, turn);
        }
    }

    /// What a front end said to a [`Call::Ring`].
    pub(crate) fn rung(&mut self, side: Side, leg: LegId, rung: Rung, turn: &mut Turn<'_>) {
        self.candidate_answered(side, leg, rung, turn);
        self.pump(turn);
    }

    fn candidate_answered(&mut self, side: Side, leg: LegId, rung: Rung, turn: &mut Turn<'_>) {
        // An answer after the end of the ringing crossed with the request to stop: the front end ends such a leg itself.
        let Some(ringing) = &mut self.party_mut(side).ringing else {
            return;
        };
        let Some(candidate) = ringing.candidate(leg) else {
            return;
        };
        match rung {
            Ok(Ok(_)) if candidate.gone => self.candidate_failed(side, leg, FailureReason::NoSession, turn),
            Ok(Ok(answer)) => self.candidate_won(side, leg, answer, turn),
            Ok(Err(FailureReason::NotOwner)) if !candidate.relocated => {
                candidate.relocated = true;
                let aor = candidate.address.aor.clone();
                turn.count(Event::NotOwner);
                turn.call(Call::Locate {
                    purpose: Purpose::Ring(side, leg),
                    aor,
                });
            }
            Ok(Err(reason)) => self.candidate_failed(side, leg, reason, turn),
            Err(CallError::Failed) => self.candidate_failed(side, leg, FailureReason::EndpointFailed, turn),
            Err(CallError::Unreachable) => self.candidate_unreachable(side, leg, turn),
        }
    }

    fn candidate_unreachable(&mut self, side: Side, leg: LegId, turn: &mut Turn<'_>) {
        let Some(ringing) = &mut self.party_mut(side).ringing else {
            return;
        };
        let Some(candidate) = ringing.candidate(leg) else {
            return;
        };
        match RETRY_PAUSES.get(candidate.retries).map(|pause| turn.now + *pause) {
            Some(at) if at <= candidate.since + RETRY_TOTAL => {
                candidate.retries += 1;
                self.timers.set(at, Timer::Rering(side, leg));
            }
            _ => self.candidate_failed(side, leg, FailureReason::Unavailable, turn),
        }
    }

    /// The registration of a ringing endpoint was looked up again. Endpoints that signed in meanwhile ring too: the old
    /// registration is often the same person's client before a restart.
    pub(super) fn candidate_located(
        &mut self,
        side: Side,
        leg: LegId,
        endpoints: &Endpoints,
        turn: &mut Turn<'_>,
    ) {
        let Some(mut ringing) = self.party_mut(side).ringing.take() else {
            return;
        };
        if ringing.candidate(leg).is_none() {
            self.party_mut(side).ringing = Some(ringing);
            return;
        }
        let sender = ringing.invitation.from_endpoint.clone();
        let called = ringing.invitation.to_endpoint.clone();
        for address in endpoints.of_mode(ImMode::Session, self.except(&sender)) {
            let may_ring = called.as_ref().is_none_or(|called| *called == address.endpoint);
            if may_ring && !ringing.tried.contains(&address.endpoint) {
                self.invite(&mut ringing, side, address, turn);
            }
        }
        let again = match ringing.candidate(leg) {
            Some(candidate) => match endpoints.find(&candidate.address.endpoint) {
                Some(newest) if *newest != candidate.address => {
                    candidate.address = newest.clone();
                    true
                }
                _ => false,
            },
            None => false,
        };
        self.party_mut(side).ringing = Some(ringing);
        if again {
            self.ring_again(side, leg, turn);
        } else {
            self.candidate_failed(side, leg, FailureReason::Unavailable, turn);
        }
    }

    fn candidate_failed(&mut self, side: Side, leg: LegId, reason: FailureReason, turn: &mut Turn<'_>) {
        let Some(ringing) = &mut self.party_mut(side).ringing else {
            return;
        };
        if ringing.remove(leg).is_none() {
            return;
        }
        let worst = more_telling(ringing.worst, reason);
        ringing.worst = Some(worst);
        let over = ringing.candidates.is_empty() || reason == FailureReason::Declined;
        turn.forget(leg);
        if over && let Some(ringing) = self.party_mut(side).ringing.take() {
            self.ringing_failed(side, ringing, worst, turn);
        }
    }

    fn candidate_won(&mut self, side: Side, leg: LegId, answer: RingAnswer, turn: &mut Turn<'_>) {
        let Some(mut ringing) = self.party_mut(side).ringing.take() else {
            return;
        };
        let Some(winner) = ringing.remove(leg) else { return };
        let endpoint = winner.address.endpoint.clone();
        self.timers
            .set(turn.now + self.limits.leg_idle, Timer::Idle(side, leg));
        let held = Leg {
            id: leg,
            address: winner.address,
            rung: true,
            opened: Opened {
                first_text_taken: false,
            },
            closing: false,
            last_used: turn.now,
        };
        self.establish(side, held, turn);
        let took = (winner.offered && answer.first_text_taken).then_some(endpoint);
        self.ringing_won(side, ringing, took, turn);
    }

    /// The side has its leg: everybody else stops ringing, what was waiting goes on. `took` is the endpoint that took
    /// the text from its invitation.
    pub(super) fn ringing_won(
        &mut self,
        side: Side,
        ringing: Ringing,
        took: Option<EndpointId>,
        turn: &mut Turn<'_>,
    ) {
        Self::stop_all(&ringing, turn);
        let mut taken_from = None;
        match (ringing.carried, took) {
            (Carried::Nothing, _) => {}
            (Carried::Message(id), Some(endpoint)) => {
                if self.party_mut(side).session.withdraw(id) {
                    let owner = self.owner(side);
                    self.lanes.given(owner, &endpoint, id);
                    self.path_accepted(id, &endpoint, turn);
                }
            }
            (Carried::Message(id), None) => self.withdraw_overdue(side, id, turn),
            (
                Carried::FirstText {
                    leg,
                    text,
                    archived,
                    callee,
                },
                Some(endpoint),
            ) => {
                taken_from = Some(leg);
                self.first_text_taken(side, text, archived, callee, &endpoint, turn);
            }
            (Carried::FirstText { text, archived, .. }, None) => {
                if archived {
                    first_text_withdrawn(&text, turn);
                }
            }
        }
        self.opens_won(side.other(), taken_from, turn);
    }

    /// Nobody took the session: everything that waited for it fails.
    fn ringing_failed(&mut self, side: Side, ringing: Ringing, reason: FailureReason, turn: &mut Turn<'_>) {
        Self::stop_all(&ringing, turn);
        if let Carried::FirstText {
            text, archived: true, ..
        } = &ringing.carried
        {
            first_text_withdrawn(text, turn);
        }
        let waiting = std::mem::take(&mut self.party_mut(side).session.queue);
        for id in waiting {
            self.path_failed(id, None, reason, turn);
        }
        self.opens_lost(side.other(), reason, turn);
    }

    /// Stops ringing when nobody waits for it any more.
    pub(super) fn tend_ringing(&mut self, side: Side, turn: &mut Turn<'_>) {
        if self.party(side).ringing.is_none() || self.ringing_is_wanted(side) {
            return;
        }
        let reason = self.silence(side);
        if let Some(ringing) = self.party_mut(side).ringing.take() {
            self.ringing_failed(side, ringing, reason, turn);
        }
    }

    /// Takes the invitations of a side back, with the text they carry. Messages that still wait ring again.
    pub(super) fn take_back(&mut self, side: Side, turn: &mut Turn<'_>) {
        if let Some(ringing) = self.party_mut(side).ringing.take() {
            Self::stop_all(&ringing, turn);
            if let Carried::FirstText {
                text, archived: true, ..
            } = &ringing.carried
            {
                first_text_withdrawn(text, turn);
            }
        }
    }

    /// Whether an open or a message that is not overdue waits for this side to answer.
    pub(super) fn ringing_is_wanted(&self, side: Side) -> bool {
        let mut waiting = self.party(side).session.queue.iter();
        self.has_ringing_open(side.other())
            || waiting.any(|id| self.items.get(id).is_some_and(|item| !item.overdue))
    }

    fn stop_all(ringing: &Ringing, turn: &mut Turn<'_>) {
        for candidate in &ringing.candidates {
            turn.tell(candidate.address.member.clone(), Tell::StopRinging(candidate.leg));
            turn.forget(candidate.leg);
        }
    }

    /// A leg ended that still rings here: its answer and its end crossed.
    pub(super) fn candidate_left(&mut self, leg: LegId) {
        for party in &mut self.parties {
            if let Some(ringing) = &mut party.ringing
                && let Some(candidate) = ringing.candidate(leg)
            {
                candidate.gone = true;
            }
        }
    }

    fn withdraw_overdue(&mut self, side: Side, id: ItemId, turn: &mut Turn<'_>) {
        let overdue = self.items.get(&id).is_some_and(|item| item.overdue);
        if overdue && self.party_mut(side).session.withdraw(id) {
            self.path_failed(id, None, FailureReason::Timeout, turn);
        }
    }

    /// The first text of an open was taken from the invitation: it is a message now, delivered to the endpoint that took
    /// it, with copies for the page-mode endpoints.
    fn first_text_taken(
        &mut self,
        side: Side,
        text: FirstText,
        archived: bool,
        callee: Endpoints,
        endpoint: &EndpointId,
        turn: &mut Turn<'_>,
    ) {
        if self.memory.get(&text.message.id).is_some() {
            return;
        }
        let id = self.remember(&text.message, side.other(), turn);
        let mut item = self.new_message(text.message, side, turn);
        item.stage = Stage::Flowing;
        item.mode = text.mode;
        item.archived = archived;
        item.reached = true;
        item.endpoints = callee;
        item.until = turn.now + COPY_PATIENCE;
        item.deadline = item.until;
        item.undecided = 1;
        let owner = self.owner(side);
        let except = self.is_self().then(|| item.message.from_endpoint.clone());
        for address in item.endpoints.of_mode(ImMode::Page, except.as_ref()) {
            item.undecided += 1;
            self.lanes.push(owner, &address.endpoint, id);
        }
        self.timers.set(item.deadline, Timer::Deadline(id));
        self.items.insert(id, item);
        self.path_accepted(id, endpoint, turn);
    }
}

/// The first text of an open was archived before it was shown, and not taken.
pub(super) fn first_text_withdrawn(text: &FirstText, turn: &mut Turn<'_>) {
    turn.out.push(Effect::Outcome(Outcome {
        id: text.message.id,
        disposition: Disposition::Withdrawn,
        endpoints: Vec::new(),
    }));
}
