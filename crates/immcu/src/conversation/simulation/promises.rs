//! What must hold after every step, and at the end.

use super::*;

impl Simulation {
    pub(super) fn read_answers(&mut self) {
        for said in &mut self.said {
            let Some(answer) = answer_once(&mut said.promise, said.answer.is_some()) else {
                continue;
            };
            said.answer = Some(answer);
            if answer.is_ok() {
                let id = &said.message.id;
                assert!(
                    self.accepted.iter().any(|(accepted, _)| accepted == id),
                    "{id}: an early success"
                );
            }
        }
        for called in &mut self.called {
            let Some(answer) = answer_once(&mut called.promise, called.answer.is_some()) else {
                continue;
            };
            called.answer = Some(answer);
            if let Some(leg) = self.legs.get_mut(&called.leg) {
                match answer {
                    Ok(_) if leg.state == LegState::Opening => leg.state = LegState::Established,
                    Ok(_) => {}
                    Err(_) => leg.state = LegState::Ended,
                }
            }
            if let (Ok(opened), Some(first)) = (answer, &called.first_text) {
                let accepted = self.accepted.iter().any(|(accepted, _)| accepted == first);
                assert_eq!(opened.first_text_taken, accepted, "{first}: taken or not");
            }
        }
    }

    pub(super) fn check_delivery(&self, delivering: &Delivering) {
        let message = &delivering.deliver.message;
        for target in &delivering.deliver.targets {
            let endpoint = &target.address.endpoint;
            assert!(
                message.from != target.address.aor || message.from_endpoint != *endpoint,
                "{}: back to its own endpoint",
                message.id
            );
            assert!(
                message.kind != MessageKind::Text
                    || message.to_endpoint.as_ref().is_none_or(|only| only == endpoint),
                "{} goes to {endpoint} and is for another",
                message.id
            );
            assert!(
                !self.accepted.contains(&(message.id, endpoint.clone())),
                "{} goes to {endpoint} again",
                message.id
            );
            if message.kind == MessageKind::Text {
                self.check_alone(target, &message.id);
            }
        }
    }

    /// One text in flight per endpoint.
    pub(super) fn check_alone(&self, target: &Target, id: &MessageId) {
        for other in &self.outstanding {
            let same = other.deliver.targets.iter().any(|there| {
                there.address.aor == target.address.aor && there.address.endpoint == target.address.endpoint
            });
            let lost = !self.script.conversation.deliveries.contains_key(&other.ticket);
            assert!(
                !same || lost || other.deliver.message.kind != MessageKind::Text,
                "{id} and {} are in flight to one endpoint",
                other.deliver.message.id
            );
        }
    }

    pub(super) fn check(&mut self) {
        self.collect();
        self.check_order();
        let now = self.script.now;
        for said in &self.said {
            assert!(
                said.answer.is_some() || now <= said.until,
                "{} waits for ever",
                said.message.id
            );
        }
        for called in &self.called {
            assert!(
                called.answer.is_some() || now <= called.until,
                "{} rings for ever",
                called.leg
            );
        }
        let conversation = &self.script.conversation;
        if conversation.items.is_empty() && conversation.opens.is_empty() {
            assert_eq!(
                conversation.gauges().ringing,
                0,
                "nobody waits and somebody rings"
            );
        }
    }

    /// Every endpoint sees the texts of the conversation in the order of their submits.
    pub(super) fn check_order(&self) {
        for (endpoint, shown) in &self.shown {
            let numbers = shown.iter().filter_map(|id| self.texts.get(id));
            assert!(numbers.is_sorted(), "{endpoint:?} saw {shown:?}");
        }
    }

    pub(super) fn check_the_end(&self) {
        assert!(
            self.said.iter().all(|said| said.answer.is_some()),
            "every submit has its answer"
        );
        assert!(
            self.called.iter().all(|called| called.answer.is_some()),
            "every open has its answer"
        );
        for (id, leg) in &self.legs {
            assert_eq!(
                leg.state,
                LegState::Ended,
                "{id} at {} is left behind",
                leg.endpoint
            );
        }
        assert!(
            self.script.bound.is_empty(),
            "legs lead nowhere: {:?}",
            self.script.bound
        );
        let conversation: &Conversation = &self.script.conversation;
        assert!(conversation.is_idle(), "{conversation:#?}");
        assert!(conversation.deliveries.is_empty());
        assert!(conversation.intake.is_empty());
        self.check_archive();
    }

    /// Every committed record has exactly one outcome, and it is true.
    pub(super) fn check_archive(&self) {
        let mut outcomes = BTreeMap::new();
        for outcome in &self.script.outcomes {
            assert!(
                self.appended.contains(&outcome.id),
                "{} has an outcome and no record",
                outcome.id
            );
            let second = outcomes.insert(outcome.id, outcome.disposition);
            assert_eq!(second, None, "{} has two outcomes", outcome.id);
        }
        for id in &self.appended {
            let accepted = self.accepted.iter().any(|(accepted, _)| accepted == id);
            let disposition = outcomes.get(id).unwrap_or_else(|| panic!("{id} has no outcome"));
            if *disposition == Disposition::Accepted {
                assert!(accepted, "{id} was accepted by nobody");
            } else {
                assert!(!accepted, "{id} was accepted and is recorded as {disposition:?}");
            }
        }
    }
}

/// The answer of a promise that was not read yet.
fn answer_once<T>(promise: &mut Promise<T>, read: bool) -> Option<Result<T, FailureReason>> {
    if read { None } else { promise.answer() }
}
