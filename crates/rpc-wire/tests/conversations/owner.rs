//! The contract of `ImMcu`: what a front end asks of the owner of a conversation.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use rpc::{ConversationKey, ErrorCode, FailureReason, HeldLeg, LegId, Open, Opened, Submit, Typing};
use tokio::join;
use tokio::task::coop::{Unconstrained, unconstrained};

use crate::every_way;
use crate::probes::OfOwner;
use crate::rig::{Rig, Road, until};
use crate::words::{
    PATIENCE, errors, held, is_left_of, key, open, outcomes, receipt, same, signal, submit, text,
};

every_way! {
    what_an_open_says_arrives_and_its_decision_comes_back,
    what_a_submit_says_arrives_and_its_outcome_comes_back,
    a_cancel_a_leave_and_a_signal_arrive,
    every_error_comes_back,
    who_is_not_the_owner_says_so_and_has_done_nothing,
    legs_that_are_held_are_told,
    an_owner_that_refuses_to_hear_of_legs_is_told_again,
    requests_begin_in_order_and_each_gets_its_own_answer,
    patience_is_what_is_left_of_it_and_ends,
}

/// The open that arrived has the patience that was left; the rest is as it was.
fn same_open(arrived: Open, sent: &Open) {
    is_left_of(arrived.patience, sent.patience);
    let patience = sent.patience;
    same(&Open { patience, ..arrived }, sent);
}

fn same_submit(arrived: Submit, sent: &Submit) {
    is_left_of(arrived.patience, sent.patience);
    let patience = sent.patience;
    same(&Submit { patience, ..arrived }, sent);
}

async fn what_an_open_says_arrives_and_its_decision_comes_back(rig: Rig) -> Rig {
    let opened = [true, false].map(|first_text_taken| Ok(Opened { first_text_taken }));
    let refused = outcomes()
        .into_iter()
        .filter_map(|outcome| outcome.err().map(Err));
    let texts = [None, Some(text(1)), Some(receipt())].into_iter().cycle();
    for (decision, first_text) in opened.into_iter().chain(refused).zip(texts) {
        let sent = open(first_text);
        let answering = async {
            let OfOwner::Open(arrived, reply) = rig.of_owner.next().await else {
                panic!("not an open");
            };
            same_open(arrived, &sent);
            reply.ok(decision);
        };
        let (answer, ()) = join!(rig.owner.open(sent.clone()), answering);
        assert_eq!(answer.unwrap(), decision);
    }
    rig
}

async fn what_a_submit_says_arrives_and_its_outcome_comes_back(rig: Rig) -> Rig {
    let messages = [
        (text(1), None),
        (text(2), Some(LegId(u128::MAX))),
        (receipt(), Some(LegId(0))),
    ];
    for (outcome, (message, leg)) in outcomes().into_iter().zip(messages.into_iter().cycle()) {
        let sent = submit(message, leg);
        let answering = async {
            let OfOwner::Submit(arrived, reply) = rig.of_owner.next().await else {
                panic!("not a submit");
            };
            same_submit(arrived, &sent);
            reply.ok(outcome);
        };
        let (answer, ()) = join!(rig.owner.submit(sent.clone()), answering);
        assert_eq!(answer.unwrap(), outcome);
    }
    rig
}

async fn a_cancel_a_leave_and_a_signal_arrive(rig: Rig) -> Rig {
    let (parties, leg) = (key(), LegId(u128::MAX - 7));
    let cancelling = async {
        let OfOwner::Cancel(conversation, cancelled, reply) = rig.of_owner.next().await else {
            panic!("not a cancel");
        };
        assert_eq!((conversation, cancelled), (key(), leg));
        reply.ok(());
    };
    let (answer, ()) = join!(rig.owner.cancel(&parties, leg), cancelling);
    answer.unwrap();
    let leaving = async {
        let OfOwner::Leave(conversation, left, reply) = rig.of_owner.next().await else {
            panic!("not a leave");
        };
        assert_eq!((conversation, left), (key(), leg));
        reply.ok(());
    };
    let (answer, ()) = join!(rig.owner.leave(&parties, leg), leaving);
    answer.unwrap();
    let said = [0, 120, u32::MAX].map(|refresh| Typing::Active { refresh });
    for typing in said.into_iter().chain([Typing::Idle]) {
        for leg in [None, Some(leg)] {
            let sent = signal(leg, typing);
            let showing = async {
                let OfOwner::Signal(arrived, reply) = rig.of_owner.next().await else {
                    panic!("not a signal");
                };
                same(&arrived, &sent);
                reply.ok(());
            };
            let (answer, ()) = join!(rig.owner.signal(sent.clone()), showing);
            answer.unwrap();
        }
    }
    rig
}

/// Asks for everything, one after the other, and returns what came back.
async fn ask_everything(rig: &Rig) -> Vec<Option<rpc::Error>> {
    vec![
        rig.owner.open(open(None)).await.err(),
        rig.owner.submit(submit(text(1), None)).await.err(),
        rig.owner.cancel(&key(), LegId(1)).await.err(),
        rig.owner.leave(&key(), LegId(1)).await.err(),
        rig.owner.signal(signal(None, Typing::Idle)).await.err(),
    ]
}

/// Answers the next call with this error.
async fn refuse(rig: &Rig, error: &rpc::Error) {
    let error = error.clone();
    match rig.of_owner.next().await {
        OfOwner::Open(_, reply) => reply.send(Err(error)),
        OfOwner::Submit(_, reply) => reply.send(Err(error)),
        OfOwner::Cancel(_, _, reply) | OfOwner::Leave(_, _, reply) | OfOwner::Signal(_, reply) => {
            reply.send(Err(error));
        }
    }
}

async fn every_error_comes_back(rig: Rig) -> Rig {
    for error in errors() {
        // Whoever routes acts on this one itself.
        if error.code == ErrorCode::Unavailable {
            continue;
        }
        let refusing = async {
            for _ in 0..5 {
                refuse(&rig, &error).await;
            }
        };
        let (refused, ()) = join!(ask_everything(&rig), refusing);
        for refusal in refused {
            same(&refusal, &Some(error.clone()));
        }
    }
    rig
}

async fn who_is_not_the_owner_says_so_and_has_done_nothing(rig: Rig) -> Rig {
    for error in errors() {
        if error.code != ErrorCode::Unavailable {
            continue;
        }
        let accepting = async {
            for _ in 0..5 {
                refuse(&rig, &error).await;
                if rig.road == Road::Trait {
                    continue;
                }
                // Whoever routes asks again, and the caller hears only of what came of that.
                match rig.of_owner.next().await {
                    OfOwner::Open(arrived, reply) => {
                        same_open(arrived, &open(None));
                        reply.ok(Err(FailureReason::Declined));
                    }
                    OfOwner::Submit(arrived, reply) => {
                        same_submit(arrived, &submit(text(1), None));
                        reply.ok(Ok(()));
                    }
                    OfOwner::Cancel(_, _, reply) | OfOwner::Leave(_, _, reply) => reply.ok(()),
                    OfOwner::Signal(_, reply) => reply.ok(()),
                }
            }
        };
        let (answers, ()) = join!(ask_everything(&rig), accepting);
        let expected = (rig.road == Road::Trait).then_some(error);
        for answer in answers {
            same(&answer, &expected);
        }
    }
    rig
}

/// Waits until the owner knows these legs, and nothing else of their partition.
async fn is_told(rig: &Rig, legs: Vec<HeldLeg>) {
    let expected = rig.hold(legs).await;
    let told = || {
        let held = rig.owner_probe.held.lock();
        held.iter().any(|held| !held.legs.is_empty())
    };
    until("the owner is told", told).await;
    let mut held = rig.owner_probe.held.lock();
    held.retain(|held| held.partition == expected.partition);
    assert_eq!(*held, [expected]);
    held.clear();
}

async fn legs_that_are_held_are_told(rig: Rig) -> Rig {
    is_told(&rig, vec![held(u128::MAX, true), held(0, false)]).await;
    let stopped = rig.front_end_probe.stopped.lock().clone();
    if rig.road != Road::Trait {
        assert!(
            stopped.contains(&key().partition()),
            "what rang for the owner before stops"
        );
    }
    // Later it holds others.
    let all: Vec<_> = (1..500).map(|leg| held(leg, leg % 3 == 0)).collect();
    is_told(&rig, all).await;
    rig
}

async fn an_owner_that_refuses_to_hear_of_legs_is_told_again(rig: Rig) -> Rig {
    let refusals = errors()
        .into_iter()
        .filter(|error| error.code == ErrorCode::Unavailable);
    rig.owner_probe.refusals.lock().extend(refusals);
    is_told(&rig, vec![held(5, true)]).await;
    assert!(rig.owner_probe.refusals.lock().is_empty());
    rig
}

/// Takes the first step of each, so that they begin in order: all of them, whatever share of the processor is left.
fn begin<F: Future>(requests: impl IntoIterator<Item = F>) -> Vec<Pin<Box<Unconstrained<F>>>> {
    let begin = |request: F| {
        let mut request = Box::pin(unconstrained(request));
        let first = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(first.is_pending());
        request
    };
    requests.into_iter().map(begin).collect()
}

async fn requests_begin_in_order_and_each_gets_its_own_answer(rig: Rig) -> Rig {
    const MANY: u128 = 300;
    let asked = begin((0..MANY).map(|number| rig.owner.submit(submit(text(number), None))));
    let mut replies = Vec::new();
    for number in 0..MANY {
        let OfOwner::Submit(arrived, reply) = rig.of_owner.next().await else {
            panic!("not a submit");
        };
        same_submit(arrived, &submit(text(number), None));
        replies.push((number, reply));
    }
    // The last is decided first.
    let outcome = |number: u128| outcomes().into_iter().cycle().nth(number as usize).unwrap();
    for (number, reply) in replies.into_iter().rev() {
        reply.ok(outcome(number));
    }
    for (number, asked) in (0..MANY).zip(asked) {
        assert_eq!(asked.await.unwrap(), outcome(number), "{number}");
    }
    rig
}

async fn patience_is_what_is_left_of_it_and_ends(rig: Rig) -> Rig {
    let patience = Duration::from_millis(200);
    let short = Submit {
        patience,
        ..submit(text(1), None)
    };
    let brief = Open {
        patience,
        ..open(None)
    };
    // Nobody decides.
    let since = Instant::now();
    let (submitted, opened) = join!(rig.owner.submit(short), rig.owner.open(brief));
    let took = since.elapsed();
    // The owner says so, or whoever waits for it.
    let is_late = |reason, error: Option<rpc::Error>| {
        reason == Some(FailureReason::Timeout) || error.is_some_and(|error| error.code == ErrorCode::Timeout)
    };
    assert!(is_late(
        submitted.as_ref().ok().and_then(|it| it.err()),
        submitted.err()
    ));
    assert!(is_late(
        opened.as_ref().ok().and_then(|it| it.err()),
        opened.err()
    ));
    assert!(took >= patience && took < PATIENCE / 3, "{took:?}");
    for _ in 0..2 {
        let left = match rig.of_owner.next().await {
            OfOwner::Submit(arrived, _) => arrived.patience,
            OfOwner::Open(arrived, _) => arrived.patience,
            other => panic!("{other:?}"),
        };
        assert!(left <= patience + Duration::from_millis(1), "{left:?}");
    }
    // The next one is answered: nothing of those is left over.
    let parties = ConversationKey::new(&text(1).from, &text(1).to);
    let answering = async {
        let OfOwner::Cancel(conversation, _, reply) = rig.of_owner.next().await else {
            panic!("not a cancel");
        };
        assert_eq!(conversation, key());
        reply.ok(());
    };
    let (answer, ()) = join!(rig.owner.cancel(&parties, LegId(1)), answering);
    answer.unwrap();
    rig
}
