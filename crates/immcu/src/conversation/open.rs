//! Opening a session: the caller's leg, and whom it is connected to.
//!
//! ```text
//!   open
//!     |
//!     v
//! +-----------+   the callee has a leg, or is calling itself (glare), or has only page-mode endpoints
//! | Preparing |---------------------------------------------------------------------> opened, first text not taken
//! +-----------+
//!     |    `---- the first text has to be archived ----> Archiving ----.
//!     v                                                                |
//! +---------+ <--------------------------------------------------------'
//! | Ringing |--- an endpoint answers ---> opened, first text taken or not
//! +---------+
//!     |
//!     `--- all fail: refused, or (nobody said no, and there are page-mode endpoints) opened in page mode
//! ```
//!
//! *Glare.* Both open at once: the open that is decided second finds its own side ringing for the other's open. It counts
//! as the answer to that ringing: both opens succeed, both first texts count as not taken, nobody rings any more.
//!
//! *A second open of the same side* while one is pending joins the ringing. When it ends, the newest gets the session;
//! an older one is answered as cancelled, or, if its first text was taken, as opened and then ended.

use std::sync::Arc;
use std::time::Instant;

use rpc::{EndpointAddress, FailureReason, ImMode, LegId, Open, Opened};
use smallvec::{SmallVec, smallvec};

use super::ringing::{Carried, Invitation};
use super::{Conversation, Leg, Side, answer_open, reachable};
use crate::archive::ArchiveMode;
use crate::effect::{Appended, Call, Effect, Event, FirstText, PreparedOpen, Reply, Subject, Tell, Turn};
use crate::endpoints::Endpoints;
use crate::limits::margin;
use crate::rank::{is_refusal, told};
use crate::timers::Timer;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Being looked up.
    Preparing,
    /// Its first text is being archived.
    Archiving,
    /// Waiting for the callee's endpoints.
    Ringing,
}

/// A session an endpoint wants and does not have yet.
#[derive(Debug)]
pub(super) struct PendingOpen {
    open: Arc<Open>,
    /// Repeated opens join.
    replies: SmallVec<[Reply<Opened>; 1]>,
    stage: Stage,
    side: Side,
    deadline: Instant,
    /// Where the caller's leg is. Known once it was looked up.
    caller: Option<EndpointAddress>,
    callee: Endpoints,
    first_text: Option<FirstText>,
    /// Whether the first text is in the archive.
    archived: bool,
}

impl Conversation {
    /// An endpoint wants a session.
    pub(crate) fn open(&mut self, open: Open, reply: Reply<Opened>, turn: &mut Turn<'_>) {
        if let Some(pending) = self.opens.iter_mut().find(|pending| pending.open.leg == open.leg) {
            pending.replies.push(reply);
            return;
        }
        let legs = self.parties.iter().filter_map(|party| party.leg.as_ref());
        if let Some(leg) = legs.into_iter().find(|leg| leg.id == open.leg) {
            turn.out.push(Effect::AnswerOpen(reply, Ok(leg.opened)));
            return;
        }
        turn.count(Event::Open);
        let deadline = turn.now + open.patience - margin(open.patience);
        self.timers.set(deadline, Timer::Open(open.leg));
        turn.out.push(Effect::Bind(open.leg));
        let open = Arc::new(open);
        self.opens.push(PendingOpen {
            open: open.clone(),
            replies: smallvec![reply],
            stage: Stage::Preparing,
            side: Side::Low,
            deadline,
            caller: None,
            callee: Endpoints::default(),
            first_text: None,
            archived: false,
        });
        let within = deadline.saturating_duration_since(turn.now);
        turn.call(Call::PrepareOpen { open, within });
    }

    /// What a [`Call::PrepareOpen`] found.
    pub(crate) fn open_prepared(
        &mut self,
        leg: LegId,
        result: Result<PreparedOpen, FailureReason>,
        turn: &mut Turn<'_>,
    ) {
        let may_carry = self.may_carry();
        let Some(pending) = self.pending_mut(leg) else {
            return;
        };
        match result {
            Ok(prepared) => {
                pending.caller = Some(prepared.caller);
                pending.callee = match &pending.open.to_endpoint {
                    Some(endpoint) => prepared.callee.only(endpoint),
                    None => prepared.callee,
                };
                pending.first_text = prepared.first_text.filter(|_| may_carry);
                self.decide_open(leg, turn);
            }
            Err(reason) => self.fail_open(leg, reason, turn),
        }
        self.pump(turn);
    }

    /// What a [`Call::Append`] for a first text said. Meanwhile the world may have changed: decide anew. False if the open
    /// is over.
    pub(super) fn first_text_appended(
        &mut self,
        leg: LegId,
        appended: Appended,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(pending) = self.pending_mut(leg) else {
            return false;
        };
        if pending.stage != Stage::Archiving {
            return false;
        }
        pending.archived = appended != Appended::Refused;
        let required = pending
            .first_text
            .as_ref()
            .is_some_and(|text| text.mode == ArchiveMode::Required);
        if appended != Appended::Committed {
            if required {
                // What is not archived is not shown. Its sender learns why when it sends the text as a message.
                withdraw_first_text(pending, turn);
            } else {
                turn.count(Event::ArchiveGap);
            }
        }
        self.decide_open(leg, turn);
        true
    }

    fn decide_open(&mut self, leg: LegId, turn: &mut Turn<'_>) {
        let Some(pending) = self.opens.iter().find(|pending| pending.open.leg == leg) else {
            return;
        };
        let open = pending.open.clone();
        let side = self.side_of(&open.from, &open.from_endpoint, Some(leg));
        let except = self.except(&open.from_endpoint);
        let in_session = self.party(side.other()).leg.as_ref().is_some_and(|leg| {
            let called = open.to_endpoint.as_ref();
            called.is_none_or(|endpoint| *endpoint == leg.address.endpoint)
        });
        let answers_itself = in_session || self.is_glare(side);
        let nobody = !reachable(&pending.callee, except);
        let page_mode = !pending.callee.has(ImMode::Session, except);
        if let Some(pending) = self.pending_mut(leg) {
            pending.side = side;
        }
        if answers_itself {
            self.open_won(leg, false, turn);
        } else if nobody {
            self.fail_open(leg, FailureReason::Unavailable, turn);
        } else if page_mode {
            self.open_won(leg, false, turn);
        } else if self.party(side.other()).ringing.is_some() {
            self.wait_for_ringing(leg, turn);
        } else if !self.archive_first_text(leg, turn) {
            self.ring_for_open(leg, side.other(), turn);
        }
    }

    /// The other party's open rings this side at this moment.
    fn is_glare(&self, side: Side) -> bool {
        self.party(side).ringing.is_some() && self.has_ringing_open(side.other())
    }

    /// Whether an open of this side waits for the other to answer.
    pub(super) fn has_ringing_open(&self, side: Side) -> bool {
        self.opens
            .iter()
            .any(|pending| pending.side == side && pending.stage == Stage::Ringing)
    }

    /// Joins the ringing that goes on. It carries a text of its own, so that this one's first text is not offered.
    fn wait_for_ringing(&mut self, leg: LegId, turn: &mut Turn<'_>) {
        if let Some(pending) = self.pending_mut(leg) {
            pending.stage = Stage::Ringing;
            withdraw_first_text(pending, turn);
        }
    }

    /// True if the invitation has to wait for the archive.
    fn archive_first_text(&mut self, leg: LegId, turn: &mut Turn<'_>) -> bool {
        let Some(pending) = self.pending_mut(leg) else {
            return false;
        };
        let Some(text) = &mut pending.first_text else {
            return false;
        };
        if pending.stage != Stage::Preparing || text.mode == ArchiveMode::Off {
            return false;
        }
        pending.stage = Stage::Archiving;
        turn.call(Call::Append {
            subject: Subject::FirstText(leg),
            message: text.message.clone(),
            original: text.original.take(),
        });
        true
    }

    fn ring_for_open(&mut self, leg: LegId, callee: Side, turn: &mut Turn<'_>) {
        let Some(pending) = self.pending_mut(leg) else {
            return;
        };
        pending.stage = Stage::Ringing;
        let text = pending.first_text.take();
        let endpoints = pending.callee.clone();
        let open = pending.open.clone();
        let invitation = Invitation {
            from: open.from.clone(),
            from_display: open.from_display.clone(),
            from_endpoint: open.from_endpoint.clone(),
            to_endpoint: open.to_endpoint.clone(),
            text: text.as_ref().map(|text| text.message.clone()),
        };
        let archived = std::mem::take(&mut pending.archived);
        let carried = match text {
            Some(text) => Carried::FirstText {
                leg,
                text,
                archived,
                callee: endpoints.clone(),
            },
            None => Carried::Nothing,
        };
        self.start_ringing(callee, &endpoints, invitation, carried, turn);
    }

    fn pending_mut(&mut self, leg: LegId) -> Option<&mut PendingOpen> {
        self.opens.iter_mut().find(|pending| pending.open.leg == leg)
    }

    fn take_open(&mut self, leg: LegId) -> Option<PendingOpen> {
        let position = self.opens.iter().position(|pending| pending.open.leg == leg)?;
        Some(self.opens.remove(position))
    }

    /// The caller has its session: its leg is this side's leg from now on.
    fn open_won(&mut self, leg: LegId, first_text_taken: bool, turn: &mut Turn<'_>) {
        let Some(mut pending) = self.take_open(leg) else {
            return;
        };
        withdraw_first_text(&mut pending, turn);
        let Some(address) = pending.caller else {
            // Only opens that were looked up are decided.
            answer_open(pending.replies, Err(FailureReason::Internal), turn);
            return turn.forget(leg);
        };
        let opened = Opened { first_text_taken };
        answer_open(pending.replies, Ok(opened), turn);
        let held = Leg {
            id: leg,
            address,
            rung: false,
            opened,
            closing: false,
            last_used: turn.now,
        };
        self.establish(pending.side, held, turn);
    }

    pub(super) fn fail_open(&mut self, leg: LegId, reason: FailureReason, turn: &mut Turn<'_>) {
        let Some(mut pending) = self.take_open(leg) else {
            return;
        };
        withdraw_first_text(&mut pending, turn);
        answer_open(pending.replies, Err(reason), turn);
        turn.forget(leg);
    }

    /// The callee answered: the newest open of this side gets the session. `taken_from` is the open whose first text
    /// was taken.
    pub(super) fn opens_won(&mut self, side: Side, taken_from: Option<LegId>, turn: &mut Turn<'_>) {
        let Some(newest) = self.supersede_all_but_newest(side, taken_from, turn) else {
            return;
        };
        self.open_won(newest, taken_from == Some(newest), turn);
    }

    /// The callee did not answer. Where nobody said no and there are page-mode endpoints, messages can still be sent.
    pub(super) fn opens_lost(&mut self, side: Side, reason: FailureReason, turn: &mut Turn<'_>) {
        let Some(newest) = self.supersede_all_but_newest(side, None, turn) else {
            return;
        };
        if is_refusal(reason) {
            self.fail_open(newest, reason, turn);
        } else {
            self.open_in_page_mode(newest, reason, turn);
        }
    }

    fn open_in_page_mode(&mut self, leg: LegId, reason: FailureReason, turn: &mut Turn<'_>) {
        let Some(pending) = self.opens.iter().find(|pending| pending.open.leg == leg) else {
            return;
        };
        let except = self.except(&pending.open.from_endpoint);
        if pending.caller.is_some() && pending.callee.has(ImMode::Page, except) {
            self.open_won(leg, false, turn);
        } else {
            self.fail_open(leg, told(Some(reason)), turn);
        }
    }

    fn supersede_all_but_newest(
        &mut self,
        side: Side,
        taken_from: Option<LegId>,
        turn: &mut Turn<'_>,
    ) -> Option<LegId> {
        let mut waiting: SmallVec<[LegId; 2]> = self
            .opens
            .iter()
            .filter(|pending| pending.side == side && pending.stage == Stage::Ringing)
            .map(|pending| pending.open.leg)
            .collect();
        let newest = waiting.pop()?;
        for older in waiting {
            if taken_from == Some(older) {
                self.end_superseded(older, turn);
            } else {
                self.fail_open(older, FailureReason::Cancelled, turn);
            }
        }
        Some(newest)
    }

    /// The older open's first text was taken, so that it must be told so; its session is over at once.
    fn end_superseded(&mut self, leg: LegId, turn: &mut Turn<'_>) {
        let Some(pending) = self.take_open(leg) else {
            return;
        };
        let opened = Opened {
            first_text_taken: true,
        };
        answer_open(pending.replies, Ok(opened), turn);
        if let Some(caller) = pending.caller {
            turn.tell(caller.member, Tell::EndLeg(leg));
        }
        turn.forget(leg);
    }

    /// The caller of this leg stops waiting.
    pub(super) fn open_overdue(&mut self, leg: LegId, turn: &mut Turn<'_>) {
        let Some(pending) = self.pending_mut(leg) else {
            return;
        };
        if pending.deadline > turn.now {
            return;
        }
        let callee = pending.side.other();
        let reason = self.silence(callee);
        self.take_invitation_back(leg, callee, turn);
        if is_refusal(reason) {
            self.fail_open(leg, reason, turn);
        } else {
            self.open_in_page_mode(leg, reason, turn);
        }
    }

    /// The caller gave up before it was answered.
    pub(crate) fn cancel(&mut self, leg: LegId, turn: &mut Turn<'_>) {
        if let Some(pending) = self.pending_mut(leg) {
            let callee = pending.side.other();
            self.take_invitation_back(leg, callee, turn);
            self.fail_open(leg, FailureReason::Cancelled, turn);
        }
        self.pump(turn);
    }

    /// An open ends while the invitations that carry its first text still ring: whoever took the text now would see it
    /// although its sender is told that nobody did, and again when the sender repeats it. Another open that waits rings
    /// anew; so do waiting messages.
    fn take_invitation_back(&mut self, leg: LegId, callee: Side, turn: &mut Turn<'_>) {
        let carried = self.party(callee).ringing.as_ref();
        if !carried.is_some_and(|ringing| ringing.carries_first_text_of(leg)) {
            return;
        }
        self.take_back(callee, turn);
        let waiting = |pending: &&PendingOpen| {
            pending.side.other() == callee && pending.stage == Stage::Ringing && pending.open.leg != leg
        };
        if let Some(next) = self
            .opens
            .iter()
            .rev()
            .find(waiting)
            .map(|pending| pending.open.leg)
        {
            self.ring_for_open(next, callee, turn);
        }
    }
}

/// The first text of an open will not be offered to anybody (any more). If it is archived, the archive is told.
fn withdraw_first_text(pending: &mut PendingOpen, turn: &mut Turn<'_>) {
    if let Some(text) = pending.first_text.take()
        && std::mem::take(&mut pending.archived)
    {
        super::ringing::first_text_withdrawn(&text, turn);
    }
}
