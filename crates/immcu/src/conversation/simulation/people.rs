//! What people and their clients do.

use super::*;

impl Simulation {
    pub(super) fn user(&mut self) -> (&'static str, &'static str) {
        let from = self.random.below(2);
        (self.users[from], self.users[1 - from])
    }

    pub(super) fn somebody(&mut self, user: &str) -> Option<EndpointId> {
        let bound: Vec<EndpointId> = self.script.directory[&aor(user)]
            .iter()
            .map(|binding| binding.address.endpoint.clone())
            .collect();
        self.random.pick(&bound).cloned()
    }

    pub(super) fn sign_in(&mut self) {
        let user = self.user().0;
        let index = self.random.below(ENDPOINTS.len());
        let spec = ENDPOINTS[index];
        let endpoint = spec.split_once('@').unwrap().0;
        self.connection_dies(user, &EndpointId::new(endpoint));
        self.next_epoch += 1;
        let member = if self.random.chance(80) { "fe1" } else { "fe2" };
        let spec = format!("{endpoint}@{member}");
        self.script.sign_in_with_epoch(user, &spec, self.next_epoch);
    }

    pub(super) fn sign_out(&mut self) {
        let user = self.user().0;
        let Some(endpoint) = self.somebody(user) else {
            return;
        };
        self.connection_dies(user, &endpoint);
        self.script.sign_out(user, endpoint.as_str());
    }

    pub(super) fn connection_dies(&mut self, user: &str, endpoint: &EndpointId) {
        for (id, leg) in &mut self.legs {
            if leg.user == user && leg.endpoint == *endpoint && leg.state != LegState::Ended {
                leg.state = LegState::Ended;
                self.leaving.push(*id);
            }
        }
    }

    pub(super) fn leg_of(&self, user: &str, endpoint: &EndpointId) -> Option<LegId> {
        let mut legs = self.legs.iter();
        let found = legs.find(|(_, leg)| {
            leg.user == user && leg.endpoint == *endpoint && leg.state == LegState::Established
        });
        found.map(|(id, _)| *id)
    }

    pub(super) fn patience(&mut self) -> Duration {
        Duration::from_millis(500 + self.random.next() % 40_000)
    }

    pub(super) fn say(&mut self) {
        let (from, to) = self.user();
        let Some(endpoint) = self.somebody(from) else {
            return;
        };
        let number = self.said.len();
        let mut message = text(&format!("{from}/{endpoint}"), to, &format!("m{number}"));
        if self.random.chance(15) {
            message = addressed(&message, self.somebody(to));
        }
        let leg = self.leg_of(from, &endpoint);
        self.submit(message, leg);
    }

    pub(super) fn submit(&mut self, message: Arc<InstantMessage>, leg: Option<LegId>) {
        if message.kind == MessageKind::Text {
            let number = self.texts.len();
            self.texts.entry(message.id).or_insert(number);
        }
        let patience = self.patience();
        let until = self.script.now + patience;
        let promise = self.script.submit_in(&message, leg, patience);
        self.said.push(Said {
            message,
            promise,
            answer: None,
            until,
        });
    }

    pub(super) fn repeat(&mut self) {
        let index = self.random.below(self.said.len());
        let Some(message) = self.said.get(index).map(|said| said.message.clone()) else {
            return;
        };
        // A message that ended without reaching anybody is a new attempt, with a new place in the order.
        if self.script.conversation.memory.get(&message.id).is_none() {
            return;
        }
        self.submit(message, None);
    }

    pub(super) fn report(&mut self) {
        let index = self.random.below(self.said.len());
        let Some(message) = self.said.get(index).map(|said| said.message.clone()) else {
            return;
        };
        let MessageKind::Text = message.kind else { return };
        let (from, to) = (message.to.user().to_owned(), message.from.user().to_owned());
        let Some(endpoint) = self.somebody(&from) else {
            return;
        };
        let about = message.id.to_string();
        let report = receipt(&format!("{from}/{endpoint}"), &to, &about);
        if self.said.iter().any(|said| said.message.id == report.id) {
            return;
        }
        self.submit(report, None);
    }

    pub(super) fn call(&mut self) {
        let (from, to) = self.user();
        let Some(endpoint) = self.somebody(from) else {
            return;
        };
        self.next_leg += 1;
        let leg = LegId(self.next_leg);
        let with_text = self.random.chance(80);
        let caller = format!("{from}/{endpoint}");
        let first_text = with_text.then(|| text(&caller, to, &format!("first{}", leg.0)));
        let from_user = self.users.iter().copied().find(|user| *user == from).unwrap();
        self.legs.insert(
            leg,
            FrontEndLeg {
                user: from_user,
                endpoint,
                state: LegState::Opening,
                took: None,
            },
        );
        let until = self.script.now + PATIENCE;
        let promise = self.script.open(leg.0, &caller, to, first_text.as_ref());
        self.called.push(Called {
            leg,
            first_text: first_text.map(|message| message.id),
            promise,
            answer: None,
            until,
        });
    }

    pub(super) fn give_up(&mut self) {
        let opening: Vec<LegId> = self.legs_in(LegState::Opening);
        if let Some(leg) = self.random.pick(&opening).copied() {
            self.script.cancel(leg.0);
        }
    }

    pub(super) fn legs_in(&self, state: LegState) -> Vec<LegId> {
        self.legs
            .iter()
            .filter(|(_, leg)| leg.state == state)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn hang_up(&mut self) {
        let established = self.legs_in(LegState::Established);
        let Some(id) = self.random.pick(&established).copied() else {
            return;
        };
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.state = LegState::Ended;
        }
        self.leaving.push(id);
    }

    pub(super) fn type_something(&mut self) {
        let (from, to) = self.user();
        let Some(endpoint) = self.somebody(from) else {
            return;
        };
        self.script
            .typing(&format!("{from}/{endpoint}"), to, Typing::Idle);
    }

    pub(super) fn pass_time(&mut self) {
        let millis = match self.random.below(10) {
            0 => 30_000,
            1..4 => 3_000,
            _ => 100,
        };
        let duration = Duration::from_millis(self.random.next() % millis);
        self.script.wait(duration);
    }
}

/// The same message, for one endpoint only.
fn addressed(message: &InstantMessage, endpoint: Option<EndpointId>) -> Arc<InstantMessage> {
    let mut message = message.clone();
    message.to_endpoint = endpoint;
    Arc::new(message)
}
