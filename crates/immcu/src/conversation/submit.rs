//! The way in: a message is taken in, waits for its turn in the one queue of the conversation, and fans out.

use std::sync::Arc;

use rpc::{EndpointId, FailureReason, ImMode, InstantMessage, MessageId, MessageKind, Submit};
use smallvec::SmallVec;

use super::item::{Item, Stage, Waiter};
use super::{Conversation, ItemId, Side, reachable};
use crate::archive::{ArchiveMode, Disposition};
use crate::effect::{Appended, Call, Effect, Event, Outcome, Prepared, Reply, Subject, Turn};
use crate::endpoints::Endpoints;
use crate::limits::margin;
use crate::memory::Seen;
use crate::timers::Timer;

impl Conversation {
    /// A message arrives. Its place in the order of the conversation is that of this call.
    pub(crate) fn submit(&mut self, submit: Submit, reply: Reply<()>, turn: &mut Turn<'_>) {
        let until = turn.now + submit.patience;
        self.memory.trim(turn.now, self.limits.memory, turn.window);
        match self.memory.get(&submit.message.id) {
            Some(Seen::Done(outcome)) => {
                turn.count(Event::Duplicate);
                turn.out.push(Effect::Answer(reply, outcome));
            }
            Some(Seen::InFlight(id)) => {
                turn.count(Event::Duplicate);
                self.join(id, Waiter { reply, until }, turn);
            }
            None => self.take_in(submit, reply, turn),
        }
        self.pump(turn);
    }

    /// A repeated submit of a message that is still on its way gets the same outcome.
    fn join(&mut self, id: ItemId, waiter: Waiter, turn: &mut Turn<'_>) {
        match self.items.get_mut(&id) {
            Some(item) if item.accepted => turn.out.push(Effect::Answer(waiter.reply, Ok(()))),
            Some(item) => {
                self.timers.set(waiter.until, Timer::Patience(id));
                item.waiters.push(waiter);
            }
            // The memory knows an id as in flight only while its item lives.
            None => turn
                .out
                .push(Effect::Answer(waiter.reply, Err(FailureReason::Internal))),
        }
    }

    fn take_in(&mut self, submit: Submit, reply: Reply<()>, turn: &mut Turn<'_>) {
        let Submit {
            message,
            leg,
            patience,
        } = submit;
        let from = self.side_of(&message.from, &message.from_endpoint, leg);
        let receiver = match self.receiver_of(&message, from) {
            Ok(receiver) => receiver,
            Err(reason) => return Self::turn_away(&message, reply, reason, turn),
        };
        if self.items.len() >= self.limits.queue {
            turn.count(Event::QueueFull);
            return Self::turn_away(&message, reply, FailureReason::Overloaded, turn);
        }

        let until = turn.now + patience;
        let id = self.remember(&message, from, turn);
        let mut item = self.new_message(message.clone(), from.other(), turn);
        item.leg = leg;
        item.receiver = receiver;
        item.deadline = until - margin(patience);
        item.until = until;
        item.waiters.push(Waiter { reply, until });
        self.timers.set(item.deadline, Timer::Deadline(id));
        self.sweep_timers();
        if item.receiver.is_none() {
            self.intake.push_back(id);
            // What was typed has been said.
            self.party_mut(from.other()).signal.drop_pending();
        }
        if let Some(leg) = leg {
            self.touch(from, leg, turn.now);
        }
        let within = item.deadline.saturating_duration_since(turn.now);
        self.items.insert(id, item);
        turn.call(Call::Prepare {
            item: id,
            message,
            within,
        });
    }

    fn turn_away(message: &InstantMessage, reply: Reply<()>, reason: FailureReason, turn: &mut Turn<'_>) {
        let receipt = matches!(message.kind, MessageKind::Receipt { .. });
        let outcome = Err(reason);
        turn.out.push(Effect::Answer(reply, outcome));
        turn.count(Event::Message { receipt, outcome });
    }

    /// Remembers the id, and whom receipts about it are for: they may come before the delivery is answered.
    pub(super) fn remember(&mut self, message: &InstantMessage, from: Side, turn: &Turn<'_>) -> ItemId {
        let id = self.new_item();
        self.memory.begin(&message.id, id, turn.now);
        if let (MessageKind::Text, Some(imdn_id)) = (&message.kind, &message.imdn_id) {
            self.memory
                .pair(self.owner(from), imdn_id, &message.from_endpoint);
        }
        id
    }

    /// A message nobody waits for yet, with no time left.
    pub(super) fn new_message(&self, message: Arc<InstantMessage>, to: Side, turn: &Turn<'_>) -> Item {
        Item {
            message,
            original: None,
            mode: ArchiveMode::Off,
            archived: false,
            to,
            leg: None,
            receiver: None,
            stage: Stage::Preparing,
            deadline: turn.now,
            overdue: false,
            until: turn.now,
            endpoints: Endpoints::default(),
            skipped: None,
            undecided: 0,
            accepted: false,
            reached: false,
            rerouted: false,
            worst: None,
            waiters: SmallVec::new(),
            said: Vec::new(),
        }
    }

    /// What a [`Call::Prepare`] found.
    pub(crate) fn prepared(
        &mut self,
        id: ItemId,
        result: Result<Prepared, FailureReason>,
        turn: &mut Turn<'_>,
    ) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        if item.stage != Stage::Preparing {
            return;
        }
        match result {
            Ok(prepared) => {
                item.message = prepared.message;
                item.original = prepared.original;
                item.mode = prepared.mode;
                item.endpoints = prepared.endpoints;
                item.stage = Stage::Prepared;
                if item.receiver.is_some() {
                    self.send_receipt(id, turn);
                } else if let Some(endpoint) = &item.message.to_endpoint {
                    item.endpoints = item.endpoints.only_copy(endpoint);
                }
            }
            Err(reason) => self.refuse(id, reason, turn),
        }
        self.advance(turn);
        self.pump(turn);
    }

    /// What a [`Call::Append`] said of the record of message `id`.
    pub(crate) fn appended(
        &mut self,
        subject: Subject,
        id: &MessageId,
        appended: Appended,
        turn: &mut Turn<'_>,
    ) {
        let waited_for = match subject {
            Subject::Item(item) => self.message_appended(item, appended, turn),
            Subject::FirstText(leg) => self.first_text_appended(leg, appended, turn),
        };
        if !waited_for && appended != Appended::Refused {
            // Nobody waits for the record any more; it gets its outcome all the same.
            let disposition = match subject {
                Subject::Item(_) => Disposition::Failed(FailureReason::Timeout),
                Subject::FirstText(_) => Disposition::Withdrawn,
            };
            turn.out.push(Effect::Outcome(Outcome {
                id: *id,
                disposition,
                endpoints: Vec::new(),
            }));
        }
        self.pump(turn);
    }

    /// False if the message is over.
    fn message_appended(&mut self, id: ItemId, appended: Appended, turn: &mut Turn<'_>) -> bool {
        let Some(item) = self.items.get_mut(&id) else {
            return false;
        };
        if item.stage != Stage::Appending {
            return false;
        }
        item.archived = appended != Appended::Refused;
        if appended == Appended::Committed || item.mode == ArchiveMode::BestEffort {
            if appended != Appended::Committed {
                turn.count(Event::ArchiveGap);
            }
            self.intake.retain(|queued| *queued != id);
            self.fan_out(id, turn);
        } else {
            self.refuse(id, FailureReason::ArchiveUnavailable, turn);
        }
        self.advance(turn);
        true
    }

    /// Lets the messages at the head of the queue go as far as they can: the order of the conversation is decided here.
    /// One record is appended at a time, so that the archive sees the same order.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_>) {
        while let Some(id) = self.intake.front().copied() {
            let Some(item) = self.items.get(&id) else {
                self.intake.pop_front();
                continue;
            };
            if item.stage != Stage::Prepared {
                break;
            }
            let except = self.except(&item.message.from_endpoint);
            let has_leg = self
                .party(item.to)
                .leg
                .as_ref()
                .is_some_and(|leg| item.is_for(&leg.address.endpoint));
            if !reachable(&item.endpoints, except) && !has_leg {
                self.refuse(id, FailureReason::Unavailable, turn);
            } else if item.mode == ArchiveMode::Off {
                self.intake.pop_front();
                self.fan_out(id, turn);
            } else {
                self.append(id, turn);
                break;
            }
        }
    }

    fn append(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        item.stage = Stage::Appending;
        turn.call(Call::Append {
            subject: Subject::Item(id),
            message: item.message.clone(),
            original: item.original.take(),
        });
    }

    /// Puts a message into the lanes of its recipient: the session, if there is or may be one, and every page-mode
    /// endpoint that does not hold that session.
    fn fan_out(&mut self, id: ItemId, turn: &mut Turn<'_>) {
        let is_self = self.is_self();
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        let owner = if is_self { Side::Low } else { item.to };
        let party = &mut self.parties[item.to.index()];
        let except = is_self.then_some(&item.message.from_endpoint);
        item.stage = Stage::Flowing;

        let in_leg = party
            .leg
            .as_ref()
            .is_some_and(|leg| item.is_for(&leg.address.endpoint));
        let may_ring = item.message.to_endpoint.is_none() && party.ringing.is_some();
        let session = in_leg || may_ring || item.endpoints.has(ImMode::Session, except);
        if session {
            item.undecided += 1;
            party.session.push(id);
        }
        let holder = party
            .leg
            .as_ref()
            .map(|leg| &leg.address.endpoint)
            .filter(|_| in_leg);
        for address in item.endpoints.of_mode(ImMode::Page, except) {
            if holder == Some(&address.endpoint) {
                item.skipped = Some(address.endpoint.clone());
            } else {
                item.undecided += 1;
                self.lanes.push(owner, &address.endpoint, id);
            }
        }
        if item.undecided == 0 {
            // The session it was to go into vanished while it was archived.
            self.refuse(id, FailureReason::Unavailable, turn);
        }
    }

    /// For a receipt: the endpoint it belongs to.
    fn receiver_of(&self, message: &InstantMessage, from: Side) -> Result<Option<EndpointId>, FailureReason> {
        let MessageKind::Receipt { about } = &message.kind else {
            return Ok(None);
        };
        let known = self.memory.sender_of(self.owner(from.other()), about);
        let receiver = known.filter(|endpoint| Some(*endpoint) != self.except(&message.from_endpoint));
        receiver.cloned().map(Some).ok_or(FailureReason::UnknownMessage)
    }
}
