//! Whatever can be said arrives as it was said.

use std::sync::Arc;

use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rpc::{
    ConnectionId, Content, EndpointAddress, EndpointId, Epoch, Error, InstantMessage, LegId, MessageId,
    MessageKind, Open, Path, Ring, Signal, Submit, Target, Typing,
};
use sip_types::{AddressOfRecord, SipStr};
use tokio::join;
use tokio::runtime::{Builder, Runtime};
use topology::MemberId;

use crate::probes::{OfFrontEnd, OfOwner};
use crate::rig::{Rig, Road};
use crate::words::{PATIENCE, deliver, errors, outcomes, same};

/// Things of each kind that are tried in each way.
const CASES: u32 = 48;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn header() -> impl Strategy<Value = SipStr> {
    text().prop_map(SipStr::from)
}

fn aor() -> impl Strategy<Value = AddressOfRecord> {
    "[a-z0-9._+-]{1,20}@[a-z]{1,9}\\.test"
        .prop_filter_map("no address of record", |text| AddressOfRecord::parse(&text).ok())
}

fn endpoint() -> impl Strategy<Value = EndpointId> {
    "\\PC{1,40}".prop_map(|name| EndpointId::new(&name))
}

fn leg() -> impl Strategy<Value = LegId> {
    any::<u128>().prop_map(LegId)
}

fn message() -> impl Strategy<Value = InstantMessage> {
    let who = (aor(), text(), endpoint(), aor(), option::of(endpoint()));
    let kind = option::of(header());
    let content = (header(), prop::collection::vec(any::<u8>(), 0..2_000));
    let ids = (any::<u128>(), option::of(header()), option::of(header()));
    (who, kind, content, ids).prop_map(|(who, about, (content_type, body), (id, imdn_id, subject))| {
        let (from, from_display, from_endpoint, to, to_endpoint) = who;
        InstantMessage {
            id: MessageId(id),
            from,
            from_display,
            from_endpoint,
            to,
            to_endpoint,
            kind: about.map_or(MessageKind::Text, |about| MessageKind::Receipt { about }),
            content: Content {
                content_type,
                body: body.into(),
            },
            imdn_id,
            subject,
        }
    })
}

fn open() -> impl Strategy<Value = Open> {
    let who = (aor(), text(), endpoint(), aor(), option::of(endpoint()));
    (leg(), who, option::of(message())).prop_map(|(leg, who, first_text)| {
        let (from, from_display, from_endpoint, to, to_endpoint) = who;
        Open {
            leg,
            from,
            from_display,
            from_endpoint,
            to,
            to_endpoint,
            first_text: first_text.map(Arc::new),
            patience: PATIENCE,
        }
    })
}

fn submit() -> impl Strategy<Value = Submit> {
    (message(), option::of(leg())).prop_map(|(message, leg)| crate::words::submit(message, leg))
}

fn signal() -> impl Strategy<Value = Signal> {
    (
        aor(),
        endpoint(),
        aor(),
        option::of(leg()),
        option::of(any::<u32>()),
    )
        .prop_map(|(from, from_endpoint, to, leg, refresh)| Signal {
            from,
            from_endpoint,
            to,
            leg,
            typing: refresh.map_or(Typing::Idle, |refresh| Typing::Active { refresh }),
        })
}

fn address() -> impl Strategy<Value = EndpointAddress> {
    (aor(), endpoint(), any::<u64>(), "[a-z0-9-]{1,20}", any::<u64>()).prop_map(
        |(aor, endpoint, epoch, member, connection)| EndpointAddress {
            aor,
            endpoint,
            epoch: Epoch(epoch),
            member: MemberId::new(&member),
            connection: ConnectionId(connection),
        },
    )
}

fn targets() -> impl Strategy<Value = Vec<Target>> {
    let target = (address(), option::of(leg())).prop_map(|(address, leg)| Target {
        address,
        path: leg.map_or(Path::Page, Path::Leg),
    });
    prop::collection::vec(target, 0..6)
}

fn ring() -> impl Strategy<Value = Ring> {
    (leg(), address(), aor(), text(), option::of(message())).prop_map(
        |(leg, address, from, from_display, first_text)| Ring {
            leg,
            address,
            from,
            from_display,
            first_text: first_text.map(Arc::new),
            patience: PATIENCE,
        },
    )
}

/// What went wrong; its text is any.
fn error() -> impl Strategy<Value = Error> {
    (prop::sample::select(errors()), text()).prop_map(|(error, message)| Error { message, ..error })
}

/// Runs `behaviour` for many values, in every way.
fn for_any<S>(strategy: impl Fn() -> S, behaviour: impl AsyncFn(&Rig, S::Value))
where
    S: Strategy,
{
    for road in [Road::Trait, Road::SameProcess, Road::Codec, Road::Tcp, Road::Tls] {
        let runtime: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let rig = runtime.block_on(Rig::new(road));
        let config = Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        };
        let tried = TestRunner::new(config).run(&strategy(), |value| {
            runtime.block_on(behaviour(&rig, value));
            Ok(())
        });
        tried.unwrap_or_else(|problem| panic!("{road:?}: {problem}"));
        runtime.block_on(rig.end());
    }
}

#[test]
fn any_message_reaches_the_owner_as_it_was_said() {
    let outcome = || prop::sample::select(outcomes());
    for_any(
        || (submit(), outcome()),
        async |rig, (sent, outcome)| {
            let answering = async {
                let OfOwner::Submit(arrived, reply) = rig.of_owner.next().await else {
                    panic!("not a submit");
                };
                let patience = PATIENCE;
                same(&Submit { patience, ..arrived }, &sent);
                reply.ok(outcome);
            };
            let (answer, ()) = join!(rig.owner.submit(sent.clone()), answering);
            assert_eq!(answer.unwrap(), outcome);
        },
    );
}

#[test]
fn any_invitation_and_any_signal_reach_the_owner_as_they_were_said() {
    for_any(
        || (open(), signal()),
        async |rig, (sent, signal)| {
            let answering = async {
                let OfOwner::Open(arrived, reply) = rig.of_owner.next().await else {
                    panic!("not an open");
                };
                let patience = PATIENCE;
                same(&Open { patience, ..arrived }, &sent);
                reply.ok(Err(rpc::FailureReason::Busy));
                let OfOwner::Signal(arrived, reply) = rig.of_owner.next().await else {
                    panic!("not a signal");
                };
                same(&arrived, &signal);
                reply.ok(());
            };
            let asking = async {
                rig.owner.open(sent.clone()).await.unwrap().unwrap_err();
                rig.owner.signal(signal.clone()).await.unwrap();
            };
            join!(asking, answering);
        },
    );
}

#[test]
fn any_delivery_reaches_the_front_end_as_it_was_asked_for() {
    for_any(
        || (message(), targets()),
        async |rig, (message, targets)| {
            let sent = deliver(message, targets);
            let outcomes: Vec<_> = outcomes().into_iter().take(sent.targets.len()).collect();
            let answering = async {
                let OfFrontEnd::Deliver(arrived, reply) = rig.of_front_end.next().await else {
                    panic!("not a delivery");
                };
                same(&arrived.message, &sent.message);
                assert_eq!(arrived.targets, sent.targets);
                reply.ok(outcomes.clone());
            };
            let (answer, ()) = join!(rig.front_end.deliver(sent.clone()), answering);
            assert_eq!(answer.unwrap(), outcomes);
        },
    );
}

#[test]
fn any_ring_and_any_signal_reach_the_front_end_as_they_were_asked_for() {
    let what = || (ring(), signal(), targets());
    for_any(what, async |rig, (sent, signal, targets)| {
        let answering = async {
            let OfFrontEnd::Ring(arrived, reply) = rig.of_front_end.next().await else {
                panic!("not a ring");
            };
            let patience = PATIENCE;
            same(&Ring { patience, ..arrived }, &sent);
            reply.ok(Err(rpc::FailureReason::Declined));
            let OfFrontEnd::Signal(arrived, at, reply) = rig.of_front_end.next().await else {
                panic!("not a signal");
            };
            same(&arrived, &signal);
            assert_eq!(at, targets);
            reply.ok(());
        };
        let asking = async {
            rig.front_end.ring(sent.clone()).await.unwrap().unwrap_err();
            let shown = rig.front_end.signal(signal.clone(), targets.clone());
            shown.await.unwrap();
        };
        join!(asking, answering);
    });
}

#[test]
fn any_error_of_a_front_end_comes_back_as_it_was() {
    for_any(error, async |rig, error| {
        let answering = async {
            let OfFrontEnd::EndLeg(_, reply) = rig.of_front_end.next().await else {
                panic!("not the end of a leg");
            };
            reply.send(Err(error.clone()));
        };
        let (answer, ()) = join!(rig.front_end.end_leg(LegId(1)), answering);
        same(&answer.unwrap_err(), &error);
    });
}
