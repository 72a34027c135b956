//! Whatever the link does, every request has one outcome and nothing lives for ever.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::testing::{Link, Random};

/// A user above each end: sends requests at random times, answers after a random while, cancels at random.
struct Users {
    pair: Pair,
    random: Random,
    /// What each of Alice's requests came to.
    outcomes: HashMap<ClientKey, Vec<u16>>,
    invites: HashSet<ClientKey>,
    /// Requests Bob has and will answer at the given time.
    owed: Vec<(Instant, ServerKey, Request)>,
    /// How many final answers Bob's transactions took, by the name of the transaction.
    answered: HashMap<String, usize>,
    accepted: usize,
    given_up: usize,
}

/// The outcome of a request that got no answer.
const NONE: u16 = 0;

impl Users {
    fn new(seed: u64, link: Link) -> Self {
        let mut pair = Pair::new(seed);
        pair.link = link;
        Self {
            pair,
            random: Random(seed ^ 0xa5a5),
            outcomes: HashMap::new(),
            invites: HashSet::new(),
            owed: Vec::new(),
            answered: HashMap::new(),
            accepted: 0,
            given_up: 0,
        }
    }

    fn send(&mut self) {
        let is_invite = self.random.percent(50);
        let request = self.pair.alice.request(if is_invite {
            Method::Invite
        } else {
            Method::Message
        });
        let key = self.pair.start(Alice, &request);
        self.outcomes.insert(key.clone(), Vec::new());
        if is_invite {
            self.invites.insert(key.clone());
            if self.random.percent(30) {
                self.run(Duration::from_millis(200));
                let now = self.pair.now;
                if let Some(cancel) = self.pair.alice.transactions.cancel(&key, now) {
                    self.pair.write(Alice, cancel);
                }
            }
        }
    }

    fn react(&mut self) {
        while let Some(event) = self.pair.alice.events.pop_front() {
            match event {
                Event::Received(Received::Response { key, response, .. }) if response.status().is_final() => {
                    self.outcomes
                        .get_mut(&key)
                        .unwrap()
                        .push(response.status().code());
                }
                Event::TimedOut(TimedOut::NoAnswer(key)) => self.outcomes.get_mut(&key).unwrap().push(NONE),
                _ => {}
            }
        }
        while let Some(event) = self.pair.bob.events.pop_front() {
            match event {
                Event::Received(Received::Request(key, request)) => self.accept(key, request),
                Event::Received(Received::Cancel {
                    cancel: (key, cancel),
                    invite,
                }) => {
                    self.accepted += 1;
                    self.answer(&key, &cancel, StatusCode::OK);
                    if let Some(position) = self.owed.iter().position(|(_, owed, _)| *owed == invite) {
                        let (_, _, request) = self.owed.swap_remove(position);
                        self.answer(&invite, &request, StatusCode::REQUEST_TERMINATED);
                    }
                }
                Event::TimedOut(TimedOut::Unanswered(_)) => self.given_up += 1,
                _ => {}
            }
        }
    }

    fn accept(&mut self, key: ServerKey, request: Request) {
        self.accepted += 1;
        let wait = match self.random.below(4) {
            0 => Duration::ZERO,
            1 => Duration::from_millis(self.random.below(1_000)),
            2 => Duration::from_millis(self.random.below(20_000)),
            // Perhaps too late for anything but an INVITE.
            _ => Duration::from_millis(25_000 + self.random.below(20_000)),
        };
        if request.method() == &Method::Invite && self.random.percent(50) {
            self.pair.respond(Bob, &key, &request, StatusCode::RINGING);
        }
        self.owed.push((self.pair.now + wait, key, request));
    }

    fn answer_due(&mut self) {
        let now = self.pair.now;
        let (due, owed) = self.owed.drain(..).partition(|(at, _, _)| *at <= now);
        self.owed = owed;
        for (_, key, request) in due {
            let statuses = [StatusCode::OK, StatusCode::BUSY_HERE, StatusCode::NOT_FOUND];
            let status = statuses[self.random.below(3) as usize];
            self.answer(&key, &request, status);
            // A careless user answers twice.
            self.answer(&key, &request, StatusCode::SERVER_INTERNAL_ERROR);
        }
    }

    fn answer(&mut self, key: &ServerKey, request: &Request, status: StatusCode) {
        if self.pair.respond(Bob, key, request, status) {
            *self.answered.entry(format!("{key:?}")).or_default() += 1;
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.pair.now + time;
        loop {
            self.react();
            self.answer_due();
            let next = self
                .owed
                .iter()
                .map(|(at, _, _)| *at)
                .min()
                .unwrap_or(until)
                .min(until);
            if self.pair.step(next) {
                continue;
            }
            self.pair.now = next;
            if next == until {
                break;
            }
        }
        self.react();
    }
}

fn play(seed: u64, link: Link) -> Users {
    let mut users = Users::new(seed, link);
    for _ in 0..12 {
        users.send();
        let pause = Duration::from_millis(users.random.below(5_000));
        users.run(pause);
    }
    // Longer than timer C and everything that can follow it.
    users.run(TIMER_C + 4 * TIMEOUT);
    users
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_request_has_one_outcome_and_nothing_lives_for_ever(
        seed: u64,
        loss_percent in 0..40_u64,
        repeat_percent in 0..40_u64,
        latency in 0..2_000_u64,
        jitter in 0..4_000_u64,
    ) {
        let link = Link {
            latency: Duration::from_millis(latency),
            jitter: Duration::from_millis(jitter),
            loss_percent,
            repeat_percent,
        };
        let users = play(seed, link);
        for (key, outcomes) in &users.outcomes {
            let repeated_2xx = users.invites.contains(key) && outcomes.iter().all(|status| *status == 200);
            prop_assert!(!outcomes.is_empty(), "{:?} has no outcome", key);
            prop_assert!(outcomes.len() == 1 || repeated_2xx, "{:?}: {:?}", key, outcomes);
        }
        prop_assert!(users.answered.values().all(|count| *count == 1), "{:?}", users.answered);
        prop_assert_eq!(users.accepted, users.answered.len() + users.given_up, "each is answered or given up");
        users.pair.assert_idle();
    }

    #[test]
    fn on_a_good_link_every_invite_is_answered_and_a_request_is_lost_only_to_a_slow_user(seed: u64, latency in 0..100_u64) {
        let link = Link { latency: Duration::from_millis(latency), ..Link::default() };
        let users = play(seed, link);
        let (invites, others): (Vec<_>, Vec<_>) = users.outcomes.iter().partition(|(key, _)| users.invites.contains(*key));
        prop_assert!(invites.iter().all(|(_, outcomes)| **outcomes != [NONE]));
        let lost = others.iter().filter(|(_, outcomes)| **outcomes == [NONE]).count();
        prop_assert!(lost >= users.given_up, "{} lost, {} given up", lost, users.given_up);
        users.pair.assert_idle();
    }
}
