//! What the pool around the conversation does: front ends, registrar and archive, slow and unreliable.

use super::*;

impl Simulation {
    /// Moves what the machine wants done into the network.
    pub(super) fn collect(&mut self) {
        while let Some(delivering) = self.script.deliveries.pop_front() {
            self.check_delivery(&delivering);
            self.outstanding.push(delivering);
        }
        self.rings
            .retain(|(_, ring)| self.script.bound.contains(&ring.leg));
        while let Some(ring) = self.script.rings.pop_front() {
            self.rings.push(ring);
        }
        self.read_answers();
    }

    pub(super) fn serve(&mut self) {
        self.collect();
        match self.random.below(8) {
            0 | 1 => self.look_up(),
            2 => self.append(),
            3 => self.execute_delivery(),
            4 => self.execute_ring(),
            5 => self.answer_ringing(),
            6 => self.return_something(),
            _ => self.tell_something(),
        }
    }

    pub(super) fn look_up(&mut self) {
        let held = self.script.hold.as_mut().unwrap();
        let index = self.random.below(held.len());
        let Some(lookup) = held.remove(index) else { return };
        if self.random.chance(3)
            && let Call::Prepare { item, .. } = lookup
        {
            self.script.feed(|conversation, turn| {
                conversation.prepared(item, Err(FailureReason::Forbidden), turn);
            });
            return;
        }
        self.script.look_up(lookup);
    }

    pub(super) fn append(&mut self) {
        if self.script.appends.is_empty() {
            return;
        }
        let id = self.script.appends[0].1;
        let appended = match self.random.below(10) {
            0 => Appended::Refused,
            1 => Appended::Unknown,
            _ => Appended::Committed,
        };
        if appended != Appended::Refused {
            self.appended.insert(id);
        }
        self.script.archive(appended);
    }

    pub(super) fn is_current(&self, target: &Target) -> bool {
        self.script.directory[&target.address.aor]
            .iter()
            .any(|binding| binding.address == target.address)
    }

    /// A front end executes a delivery; its answer travels back, or gets lost on the way while it is away.
    pub(super) fn execute_delivery(&mut self) {
        let index = self.random.below(self.outstanding.len());
        if index >= self.outstanding.len() {
            return;
        }
        let delivering = self.outstanding.remove(index);
        let late = self.script.now > delivering.sent + delivering.deliver.patience;
        let mut outcomes = Vec::new();
        for target in &delivering.deliver.targets {
            let outcome = if late {
                Err(FailureReason::Timeout)
            } else {
                self.show(&delivering.deliver.message, target)
            };
            outcomes.push(outcome);
        }
        if outcomes.len() > 1 && self.random.chance(50) {
            let target = self.random.below(outcomes.len());
            let news = (target, outcomes[target]);
            self.returning.push(Returning::Progress(delivering.ticket, news));
        }
        let answer = if self.away {
            Err(CallError::Unreachable)
        } else {
            Ok(outcomes)
        };
        self.returning
            .push(Returning::Delivered(delivering.ticket, answer));
    }

    pub(super) fn show(&mut self, message: &InstantMessage, target: &Target) -> Result<(), FailureReason> {
        if !self.is_current(target) {
            return Err(FailureReason::NotOwner);
        }
        if let Path::Leg(leg) = target.path
            && self
                .legs
                .get(&leg)
                .is_none_or(|leg| leg.state != LegState::Established)
        {
            return Err(FailureReason::NoSession);
        }
        let shown = self
            .shown
            .entry((target.address.aor.to_string(), target.address.endpoint.clone()));
        let shown = shown.or_default();
        if shown.contains(&message.id) {
            return Ok(());
        }
        if self.random.chance(15) {
            return Err(*self.random.pick(&REFUSALS).unwrap());
        }
        shown.push(message.id);
        Ok(())
    }

    /// An invitation arrives at its front end.
    pub(super) fn execute_ring(&mut self) {
        let index = self.random.below(self.rings.len());
        if index >= self.rings.len() {
            return;
        }
        let (side, ring) = self.rings.remove(index);
        let target = Target {
            address: ring.address.clone(),
            path: Path::Page,
        };
        if self.away || !self.is_current(&target) {
            let rung = if self.away {
                Err(CallError::Unreachable)
            } else {
                Ok(Err(FailureReason::NotOwner))
            };
            self.returning.push(Returning::Rung(side, ring.leg, rung));
            return;
        }
        let user = self.users[side.index()];
        // A front end does not offer a text again that the endpoint has seen: it answers for ids it knows.
        let text = ring.first_text.map(|message| message.id);
        let seen = self
            .shown
            .get(&(ring.address.aor.to_string(), ring.address.endpoint.clone()));
        self.legs.insert(
            ring.leg,
            FrontEndLeg {
                user,
                endpoint: ring.address.endpoint.clone(),
                state: LegState::Ringing,
                took: text.filter(|id| !seen.is_some_and(|seen| seen.contains(id))),
            },
        );
    }

    /// Somebody reacts to the ringing.
    pub(super) fn answer_ringing(&mut self) {
        let ringing = self.legs_in(LegState::Ringing);
        let Some(id) = self.random.pick(&ringing).copied() else {
            return;
        };
        let takes = self.random.chance(75);
        let refusal = self
            .random
            .chance(35)
            .then(|| *self.random.pick(&REFUSALS).unwrap());
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let side = side_of(&self.script, id);
        let rung = match refusal {
            Some(reason) => {
                leg.state = LegState::Ended;
                Err(reason)
            }
            None => {
                leg.state = LegState::Established;
                leg.took = leg.took.take().filter(|_| takes);
                Ok(RingAnswer {
                    first_text_taken: leg.took.is_some(),
                })
            }
        };
        if let Some(side) = side {
            self.returning.push(Returning::Rung(side, id, Ok(rung)));
        }
    }

    /// An answer arrives at the owner of the conversation.
    pub(super) fn return_something(&mut self) {
        let index = self.random.below(self.returning.len());
        if index >= self.returning.len() {
            return;
        }
        match self.returning.swap_remove(index) {
            Returning::Progress(ticket, news) => {
                self.note_progress(ticket, news);
                self.script
                    .feed(|conversation, turn| conversation.target_delivered(ticket, news, turn));
            }
            Returning::Delivered(ticket, answer) => {
                self.note_accepted(ticket, &answer);
                self.script
                    .feed(|conversation, turn| conversation.delivered(ticket, answer, turn));
            }
            Returning::Rung(side, leg, rung) => {
                let before = self
                    .script
                    .conversation
                    .party(side)
                    .leg
                    .as_ref()
                    .map(|leg| leg.id);
                self.script
                    .feed(|conversation, turn| conversation.rung(side, leg, rung, turn));
                self.note_winner(side, leg, before);
            }
        }
    }

    pub(super) fn note_accepted(&mut self, ticket: Ticket, answer: &Delivered) {
        if let Ok(outcomes) = answer {
            for (target, outcome) in outcomes.iter().enumerate() {
                self.note_progress(ticket, (target, *outcome));
            }
        }
    }

    pub(super) fn note_progress(&mut self, ticket: Ticket, (target, outcome): TargetOutcome) {
        let conversation = &self.script.conversation;
        let Some(delivery) = conversation.deliveries.get(&ticket) else {
            return;
        };
        let Some(item) = conversation.items.get(&delivery.item) else {
            return;
        };
        if let (Some(endpoint), Ok(())) = (delivery.waits_for(target), outcome) {
            self.accepted.insert((item.message.id, endpoint));
        }
    }

    /// The endpoint that won shows the text it took; its front end would have shown it when it answered.
    pub(super) fn note_winner(&mut self, side: Side, id: LegId, before: Option<LegId>) {
        let now = self
            .script
            .conversation
            .party(side)
            .leg
            .as_ref()
            .map(|leg| leg.id);
        let Some(leg) = self.legs.get(&id) else { return };
        if now != Some(id) || now == before {
            return;
        }
        if let Some(took) = leg.took {
            let key = (aor(leg.user).to_string(), leg.endpoint.clone());
            let shown = self.shown.entry(key).or_default();
            assert!(!shown.contains(&took), "{took} is shown twice");
            shown.push(took);
            self.accepted.insert((took, leg.endpoint.clone()));
        }
    }

    pub(super) fn tell_something(&mut self) {
        if !self.leaving.is_empty() && self.random.chance(50) {
            let index = self.random.below(self.leaving.len());
            let leg = self.leaving.swap_remove(index);
            self.script.leave(leg);
            return;
        }
        let index = self.random.below(self.script.tells.len());
        match self.script.tells.remove(index) {
            Some((_, Tell::StopRinging(leg) | Tell::EndLeg(leg))) => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.state = LegState::Ended;
                }
            }
            Some((_, Tell::Signal(..))) | None => {}
        }
    }

    /// A call or its answer is lost for good: its front end died.
    pub(super) fn lose_something(&mut self) {
        self.collect();
        if self.random.chance(50) && !self.returning.is_empty() {
            let index = self.random.below(self.returning.len());
            if let Returning::Delivered(..) = self.returning[index] {
                self.returning.swap_remove(index);
            }
        } else if !self.outstanding.is_empty() {
            let index = self.random.below(self.outstanding.len());
            self.outstanding.swap_remove(index);
        }
    }

    /// Nobody does anything new; everything that is on its way arrives, then everybody hangs up.
    pub(super) fn calm_down(&mut self) {
        self.away = false;
        for _ in 0..60 {
            self.serve_all();
            self.script.wait(Duration::from_secs(1));
        }
        for leg in self.legs_in(LegState::Established) {
            if let Some(held) = self.legs.get_mut(&leg) {
                held.state = LegState::Ended;
            }
            self.leaving.push(leg);
        }
        for _ in 0..60 {
            self.serve_all();
            self.script.wait(Duration::from_secs(1));
        }
        self.script.wait(Duration::from_secs(1_300));
        self.serve_all();
    }

    pub(super) fn serve_all(&mut self) {
        self.check();
        while self.is_busy() {
            self.serve();
            self.check();
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        let script = &self.script;
        !(script.hold.as_ref().is_none_or(VecDeque::is_empty)
            && script.appends.is_empty()
            && script.tells.is_empty()
            && self.outstanding.is_empty()
            && self.returning.is_empty()
            && self.rings.is_empty()
            && self.leaving.is_empty()
            && self.legs_in(LegState::Ringing).is_empty())
    }
}

/// The side a leg rings for.
fn side_of(script: &Script, leg: LegId) -> Option<Side> {
    Side::BOTH.into_iter().find(|side| {
        let ringing = script.conversation.party(*side).ringing.as_ref();
        ringing.is_some_and(|ringing| ringing.has_leg(leg))
    })
}
