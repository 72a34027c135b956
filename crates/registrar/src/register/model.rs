//! Random histories of one user's endpoints, beside a model that is too simple to be wrong: two lists and no clock of its
//! own. Whatever the history, the service answers as the model says, lookups show what the model holds, and every end is
//! told once.

use std::time::Duration;

use proptest::prelude::*;
use rpc::{
    BindingEnd, ConnectionId, Directory, EndpointId, Epoch, PolicyScope, Register, RegisterError, Registrar,
    RegistrarChange, Which,
};
use tokio_stream::StreamExt;

use crate::testing::{Fixture, aor, names, removal, request};

/// Endpoints at once, so few that they displace each other.
const MAX_ENDPOINTS: usize = 3;
const TOMBSTONE: u64 = 60_000;
const MAX_TOMBSTONES: usize = 32;

#[derive(Clone, Debug)]
enum Step {
    Register {
        endpoint: u8,
        connection: u64,
        call: u8,
        cseq: u32,
        expires: Option<u32>,
    },
    Unregister {
        endpoint: u8,
        call: u8,
        cseq: u32,
    },
    UnregisterAll {
        call: u8,
        cseq: u32,
    },
    /// A connection dies; `stale` means one of before.
    Die {
        endpoint: u8,
        stale: bool,
    },
    Kick {
        endpoint: Option<u8>,
    },
    Wait {
        seconds: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (endpoint, call, cseq) = (0..5_u8, 0..2_u8, 1..8_u32);
    let expires = prop_oneof![Just(None), Just(Some(100)), Just(Some(300)), Just(Some(900))];
    let register = (endpoint.clone(), 1..6_u64, call.clone(), cseq.clone(), expires).prop_map(
        |(endpoint, connection, call, cseq, expires)| Step::Register {
            endpoint,
            connection,
            call,
            cseq,
            expires,
        },
    );
    let unregister = (endpoint.clone(), call.clone(), cseq.clone())
        .prop_map(|(endpoint, call, cseq)| Step::Unregister { endpoint, call, cseq });
    prop_oneof![
        8 => register,
        2 => unregister,
        1 => (call, cseq).prop_map(|(call, cseq)| Step::UnregisterAll { call, cseq }),
        2 => (endpoint.clone(), any::<bool>()).prop_map(|(endpoint, stale)| Step::Die { endpoint, stale }),
        1 => proptest::option::of(endpoint).prop_map(|endpoint| Step::Kick { endpoint }),
        3 => (1..400_u16).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

#[derive(Clone, PartialEq, Debug)]
struct Live {
    endpoint: String,
    connection: u64,
    call: String,
    cseq: u32,
    epoch: Epoch,
    deadline: u64,
}

#[derive(Clone, Debug)]
struct Dead {
    live: Live,
    fenced: bool,
    until: u64,
}

/// What a REGISTER comes to.
#[derive(PartialEq, Debug)]
enum Expected {
    TooBrief,
    Late,
    Same,
    Refreshed,
    Bound,
}

#[derive(Default)]
struct Model {
    now: u64,
    /// Oldest first.
    live: Vec<Live>,
    dead: Vec<Dead>,
    ended: Vec<(String, u64, BindingEnd)>,
    newest_epoch: Option<Epoch>,
}

impl Model {
    fn end(&mut self, which: impl Fn(&Live) -> bool, end: BindingEnd, order: Option<(&str, u32)>) {
        let now = self.now;
        let gone: Vec<_> = self.live.extract_if(.., |live| which(live)).collect();
        for live in gone {
            self.ended.push((live.endpoint.clone(), live.connection, end));
            let mut live = live;
            if let Some((call, cseq)) = order {
                (live.call, live.cseq) = (call.to_owned(), cseq);
            }
            self.dead.retain(|dead| {
                let same = dead.live.endpoint == live.endpoint
                    && dead.live.connection == live.connection
                    && dead.live.call == live.call;
                dead.until > now && !same
            });
            let fenced = order.is_none() && end != BindingEnd::Expired;
            self.dead.push(Dead {
                live,
                fenced,
                until: now + TOMBSTONE,
            });
        }
        let excess = self.dead.len().saturating_sub(MAX_TOMBSTONES);
        self.dead.drain(..excess);
    }

    fn wait(&mut self, until: u64) {
        while let Some(deadline) = self
            .live
            .iter()
            .map(|live| live.deadline)
            .min()
            .filter(|due| *due <= until)
        {
            self.now = deadline;
            self.end(|live| live.deadline <= deadline, BindingEnd::Expired, None);
        }
        self.now = until;
    }

    fn judge(
        &self,
        endpoint: &str,
        connection: u64,
        call: &str,
        cseq: u32,
        expires: Option<u32>,
    ) -> Expected {
        if expires.is_some_and(|expires| expires < 300) {
            return Expected::TooBrief;
        }
        let late = |last: &Live| last.call == call && last.cseq >= cseq;
        match self.live.iter().find(|live| live.endpoint == endpoint) {
            Some(live) if live.connection == connection => {
                return match (live.call == call, live.cseq == cseq) {
                    (true, true) => Expected::Same,
                    _ if late(live) => Expected::Late,
                    _ => Expected::Refreshed,
                };
            }
            Some(live) if late(live) => return Expected::Late,
            _ => {}
        }
        let remembered = self
            .dead
            .iter()
            .filter(|dead| dead.live.endpoint == endpoint && dead.until > self.now);
        for dead in remembered {
            if late(&dead.live) || (dead.fenced && dead.live.connection == connection) {
                return Expected::Late;
            }
        }
        Expected::Bound
    }

    fn bind(&mut self, live: Live) {
        let was_bound = self.live.iter().any(|old| old.endpoint == live.endpoint);
        let endpoint = live.endpoint.clone();
        self.end(|old| old.endpoint == endpoint, BindingEnd::Replaced, None);
        while !was_bound && self.live.len() >= MAX_ENDPOINTS {
            let oldest = self.live[0].endpoint.clone();
            self.end(|old| old.endpoint == oldest, BindingEnd::Displaced, None);
        }
        self.live.push(live);
    }

    fn endpoints(&self) -> Vec<String> {
        self.live.iter().map(|live| live.endpoint.clone()).collect()
    }
}

fn endpoint_name(number: u8) -> String {
    format!("e{number}")
}

fn call_name(number: u8) -> String {
    format!("call{number}")
}

async fn play(steps: Vec<Step>) {
    let mut fixture = Fixture::new().await;
    let values = [("max_endpoints".to_owned(), MAX_ENDPOINTS.to_string())].into();
    fixture
        .service
        .create_policy("registration", PolicyScope::Global, values)
        .await
        .unwrap();
    let mut model = Model::default();
    for step in steps {
        let before = (
            model.endpoints(),
            model.live.iter().map(|live| live.connection).collect::<Vec<_>>(),
        );
        take(&fixture, &mut model, &step).await;
        let after = (
            model.endpoints(),
            model.live.iter().map(|live| live.connection).collect::<Vec<_>>(),
        );

        assert_eq!(fixture.endpoints("alice").await, model.endpoints(), "{step:?}");
        let (told, mut ended) = drain(&mut fixture).await;
        assert!(told || before == after, "{step:?}: nobody was told");
        model.ended.sort_by_key(|(endpoint, ..)| endpoint.clone());
        ended.sort_by_key(|(endpoint, ..)| endpoint.clone());
        assert_eq!(ended, std::mem::take(&mut model.ended), "{step:?}");
    }
    let online = fixture.service.totals().await.unwrap().get("endpoints").copied();
    assert_eq!(online, Some(model.live.len() as u64));
}

async fn take(fixture: &Fixture, model: &mut Model, step: &Step) {
    match step {
        Step::Register {
            endpoint,
            connection,
            call,
            cseq,
            expires,
        } => {
            let (endpoint, call) = (endpoint_name(*endpoint), call_name(*call));
            let request = Register {
                call_id: call.clone(),
                cseq: *cseq,
                expires: *expires,
                connection: ConnectionId(*connection),
                ..request("alice", &endpoint)
            };
            register(fixture, model, request).await;
        }
        Step::Unregister { endpoint, call, cseq } => {
            let endpoint = endpoint_name(*endpoint);
            let which = Which::Endpoint(EndpointId::new(&endpoint));
            unregister(fixture, model, which, (&call_name(*call), *cseq), |live| {
                live.endpoint == endpoint
            })
            .await;
        }
        Step::UnregisterAll { call, cseq } => {
            unregister(fixture, model, Which::All, (&call_name(*call), *cseq), |_| true).await;
        }
        Step::Die { endpoint, stale } => {
            let endpoint = endpoint_name(*endpoint);
            let current = model
                .live
                .iter()
                .find(|live| live.endpoint == endpoint)
                .map(|live| live.epoch);
            let epoch = current.filter(|_| !stale).unwrap_or(Epoch(1));
            let which = Which::Connection(EndpointId::new(&endpoint), epoch);
            let left = fixture
                .service
                .unregister(removal("alice", which, None))
                .await
                .unwrap();
            let died = |live: &Live| live.endpoint == endpoint && live.epoch == epoch;
            model.end(died, BindingEnd::Unregistered, None);
            assert_eq!(names(&left), model.endpoints());
        }
        Step::Kick { endpoint } => {
            let endpoint = endpoint.map(endpoint_name);
            let ended = fixture
                .service
                .kick(&aor("alice"), endpoint.as_deref())
                .await
                .unwrap();
            let before = model.live.len();
            let meant = |live: &Live| {
                endpoint
                    .as_ref()
                    .is_none_or(|endpoint| live.endpoint == *endpoint)
            };
            model.end(meant, BindingEnd::Rejected, None);
            assert_eq!(ended as usize, before - model.live.len());
        }
        Step::Wait { seconds } => {
            tokio::time::sleep(Duration::from_secs((*seconds).into())).await;
            // The sweep may be due in the very moment in which this task wakes: it goes first.
            tokio::task::yield_now().await;
            model.wait(model.now + u64::from(*seconds) * 1_000);
        }
    }
}

async fn register(fixture: &Fixture, model: &mut Model, request: Register) {
    let endpoint = request.endpoint.to_string();
    let expected = model.judge(
        &endpoint,
        request.connection.0,
        &request.call_id,
        request.cseq,
        request.expires,
    );
    let answer = fixture.service.register(request.clone()).await;
    let answer = match (expected, answer) {
        (Expected::TooBrief, Err(RegisterError::IntervalTooBrief(300))) => return,
        (Expected::Late, Err(RegisterError::OutOfOrder)) => return,
        (Expected::Same, Ok(answer)) => {
            let live = model.live.iter().find(|live| live.endpoint == endpoint).unwrap();
            assert_eq!(answer.epoch, live.epoch);
            return;
        }
        (Expected::Refreshed, Ok(answer)) => {
            let live = model.live.iter().find(|live| live.endpoint == endpoint).unwrap();
            assert_eq!(
                (answer.epoch, answer.is_new),
                (live.epoch, false),
                "a refresh keeps its epoch"
            );
            answer
        }
        (Expected::Bound, Ok(answer)) => {
            let was_bound = model.live.iter().any(|live| live.endpoint == endpoint);
            assert_eq!(answer.is_new, !was_bound);
            assert!(
                model.newest_epoch < Some(answer.epoch),
                "a new epoch is larger than all before"
            );
            model.newest_epoch = Some(answer.epoch);
            answer
        }
        (expected, answer) => panic!("{request:?}: expected {expected:?}, got {answer:?}"),
    };
    assert!((270..=900).contains(&answer.expires), "{}", answer.expires);
    let live = Live {
        endpoint: endpoint.clone(),
        connection: request.connection.0,
        call: request.call_id,
        cseq: request.cseq,
        epoch: answer.epoch,
        deadline: model.now + u64::from(answer.expires) * 1_000,
    };
    match model
        .live
        .iter_mut()
        .find(|old| old.endpoint == endpoint && old.epoch == live.epoch)
    {
        Some(old) => *old = live,
        None => model.bind(live),
    }
    assert_eq!(names(&answer.bindings), model.endpoints());
}

async fn unregister(
    fixture: &Fixture,
    model: &mut Model,
    which: Which,
    order: (&str, u32),
    meant: impl Fn(&Live) -> bool + Copy,
) {
    let late = model
        .live
        .iter()
        .any(|live| meant(live) && live.call == order.0 && live.cseq >= order.1);
    match fixture
        .service
        .unregister(removal("alice", which, Some(order)))
        .await
    {
        Err(RegisterError::OutOfOrder) => assert!(late),
        Ok(left) => {
            assert!(!late);
            model.end(meant, BindingEnd::Unregistered, Some(order));
            assert_eq!(names(&left), model.endpoints());
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whether anything was told, and what of it ended.
async fn drain(fixture: &mut Fixture) -> (bool, Vec<(String, u64, BindingEnd)>) {
    let (mut told, mut ended) = (false, Vec::new());
    while let Ok(Some(change)) = tokio::time::timeout(Duration::ZERO, fixture.changes.next()).await {
        let RegistrarChange::Bindings(change) = change else {
            continue;
        };
        told = true;
        for (address, end) in change.ended {
            ended.push((address.endpoint.to_string(), address.connection.0, end));
        }
    }
    (told, ended)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_endpoints_goes_as_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(steps));
    }
}
