//! The contract of `FrontEnd`: what the owner of a conversation asks of the front end that holds an endpoint.

use std::time::{Duration, Instant};

use rpc::{Deliver, Error, FailureReason, LegId, Progress, Ring, RingAnswer, Typing};
use tokio::join;

use crate::every_way;
use crate::probes::OfFrontEnd;
use crate::rig::Rig;
use crate::words::{
    PATIENCE, deliver, errors, is_left_of, outcomes, receipt, ring, same, signal, targets, text,
};

every_way! {
    what_a_delivery_says_arrives_and_the_outcome_of_each_target_comes_back,
    news_of_single_targets_come_before_the_answer,
    what_a_ring_says_arrives_and_how_it_ended_comes_back,
    the_end_of_ringing_of_a_leg_and_a_signal_arrive,
    every_error_comes_back,
    answers_find_their_deliveries_in_any_order,
    an_endpoint_that_does_not_answer_within_patience_has_failed_for_that,
}

/// The delivery that arrived; that there is somebody to tell of single targets is not the same in every way.
fn same_delivery(arrived: &Deliver, sent: &Deliver) {
    is_left_of(arrived.patience, sent.patience);
    let bare = |deliver: &Deliver| Deliver {
        progress: None,
        patience: sent.patience,
        ..deliver.clone()
    };
    same(&bare(arrived), &bare(sent));
}

async fn what_a_delivery_says_arrives_and_the_outcome_of_each_target_comes_back(rig: Rig) -> Rig {
    let all = outcomes();
    let many: Vec<_> = targets().into_iter().cycle().take(all.len()).collect();
    let sent = [
        (deliver(text(1), many.clone()), all.clone()),
        (deliver(receipt(), many), all.iter().rev().copied().collect()),
        (deliver(text(2), Vec::new()), Vec::new()),
    ];
    let single = all.into_iter().map(|outcome| {
        let one = targets().into_iter().take(1).collect();
        (deliver(text(3), one), vec![outcome])
    });
    for (sent, outcomes) in sent.into_iter().chain(single) {
        let answering = async {
            let OfFrontEnd::Deliver(arrived, reply) = rig.of_front_end.next().await else {
                panic!("not a delivery");
            };
            same_delivery(&arrived, &sent);
            reply.ok(outcomes.clone());
        };
        let (answer, ()) = join!(rig.front_end.deliver(sent.clone()), answering);
        assert_eq!(answer.unwrap(), outcomes);
    }
    rig
}

async fn news_of_single_targets_come_before_the_answer(rig: Rig) -> Rig {
    let (progress, mut news) = Progress::channel(3);
    let sent = Deliver {
        progress: Some(progress),
        ..deliver(text(1), targets())
    };
    let outcomes = [Ok(()), Err(FailureReason::Busy), Err(FailureReason::Timeout)];
    let answering = async {
        let OfFrontEnd::Deliver(arrived, reply) = rig.of_front_end.next().await else {
            panic!("not a delivery");
        };
        let progress = arrived.progress.expect("somebody listens");
        for target in [2, 0, 1] {
            progress.report(target, outcomes[target]);
            assert_eq!(news.recv().await, Some((target, outcomes[target])));
        }
        // A target that does not exist is no news of those that do.
        reply.ok(outcomes.to_vec());
    };
    let (answer, ()) = join!(rig.front_end.deliver(sent.clone()), answering);
    assert_eq!(answer.unwrap(), outcomes);
    rig
}

async fn what_a_ring_says_arrives_and_how_it_ended_comes_back(rig: Rig) -> Rig {
    let taken = [true, false].map(|first_text_taken| Ok(RingAnswer { first_text_taken }));
    let refused = outcomes()
        .into_iter()
        .filter_map(|outcome| outcome.err().map(Err));
    let texts = [None, Some(text(1)), Some(receipt())].into_iter().cycle();
    for (ended, first_text) in taken.into_iter().chain(refused).zip(texts) {
        let sent = ring(first_text);
        let answering = async {
            let OfFrontEnd::Ring(arrived, reply) = rig.of_front_end.next().await else {
                panic!("not a ring");
            };
            is_left_of(arrived.patience, sent.patience);
            let patience = sent.patience;
            same(&Ring { patience, ..arrived }, &sent);
            reply.ok(ended);
        };
        let (answer, ()) = join!(rig.front_end.ring(sent.clone()), answering);
        assert_eq!(answer.unwrap(), ended);
    }
    rig
}

async fn the_end_of_ringing_of_a_leg_and_a_signal_arrive(rig: Rig) -> Rig {
    for leg in [LegId(0), LegId(u128::MAX - 8)] {
        let stopping = async {
            let OfFrontEnd::StopRinging(stopped, reply) = rig.of_front_end.next().await else {
                panic!("not the end of ringing");
            };
            assert_eq!(stopped, leg);
            reply.ok(());
        };
        let (answer, ()) = join!(rig.front_end.stop_ringing(leg), stopping);
        answer.unwrap();
        let ending = async {
            let OfFrontEnd::EndLeg(ended, reply) = rig.of_front_end.next().await else {
                panic!("not the end of a leg");
            };
            assert_eq!(ended, leg);
            reply.ok(());
        };
        let (answer, ()) = join!(rig.front_end.end_leg(leg), ending);
        answer.unwrap();
    }
    let typing = [Typing::Active { refresh: 61 }, Typing::Idle];
    for (typing, targets) in typing.into_iter().zip([targets(), Vec::new()]) {
        let sent = signal(Some(LegId(9)), typing);
        let showing = async {
            let OfFrontEnd::Signal(arrived, at, reply) = rig.of_front_end.next().await else {
                panic!("not a signal");
            };
            same(&arrived, &sent);
            assert_eq!(at, targets);
            reply.ok(());
        };
        let (answer, ()) = join!(rig.front_end.signal(sent.clone(), targets.clone()), showing);
        answer.unwrap();
    }
    rig
}

async fn every_error_comes_back(rig: Rig) -> Rig {
    let front_end = &rig.front_end;
    for error in errors() {
        let asking = async {
            [
                front_end.deliver(deliver(text(1), targets())).await.err(),
                front_end.ring(ring(None)).await.err(),
                front_end.stop_ringing(LegId(1)).await.err(),
                front_end.end_leg(LegId(1)).await.err(),
                front_end
                    .signal(signal(None, Typing::Idle), targets())
                    .await
                    .err(),
            ]
        };
        let refusing = async {
            for _ in 0..5 {
                refuse(rig.of_front_end.next().await, error.clone());
            }
        };
        let (refused, ()) = join!(asking, refusing);
        for refusal in refused {
            same(&refusal, &Some(error.clone()));
        }
    }
    rig
}

fn refuse(call: OfFrontEnd, error: Error) {
    match call {
        OfFrontEnd::Deliver(_, reply) => reply.send(Err(error)),
        OfFrontEnd::Ring(_, reply) => reply.send(Err(error)),
        OfFrontEnd::StopRinging(_, reply)
        | OfFrontEnd::EndLeg(_, reply)
        | OfFrontEnd::Signal(_, _, reply) => reply.send(Err(error)),
    }
}

async fn answers_find_their_deliveries_in_any_order(rig: Rig) -> Rig {
    const MANY: usize = 200;
    let single = || targets().into_iter().take(1).collect();
    let asked = futures_util::future::join_all(
        (0..MANY).map(|number| rig.front_end.deliver(deliver(text(number as u128), single()))),
    );
    let outcome = |number: usize| outcomes().into_iter().cycle().nth(number).unwrap();
    let answering = async {
        let mut replies = Vec::new();
        for number in 0..MANY {
            let OfFrontEnd::Deliver(arrived, reply) = rig.of_front_end.next().await else {
                panic!("not a delivery");
            };
            same_delivery(&arrived, &deliver(text(number as u128), single()));
            replies.push((number, reply));
        }
        for (number, reply) in replies.into_iter().rev() {
            reply.ok(vec![outcome(number)]);
        }
    };
    let (answers, ()) = join!(asked, answering);
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), [outcome(number)], "{number}");
    }
    rig
}

async fn an_endpoint_that_does_not_answer_within_patience_has_failed_for_that(rig: Rig) -> Rig {
    let patience = Duration::from_millis(200);
    let short = Deliver {
        patience,
        ..deliver(text(1), targets())
    };
    let brief = Ring {
        patience,
        ..ring(None)
    };
    let since = Instant::now();
    let (delivered, rung) = join!(rig.front_end.deliver(short), rig.front_end.ring(brief));
    let took = since.elapsed();
    assert_eq!(delivered.unwrap(), [Err(FailureReason::Timeout); 3]);
    assert_eq!(rung.unwrap(), Err(FailureReason::Timeout));
    assert!(took >= patience && took < PATIENCE / 3, "{took:?}");
    for _ in 0..2 {
        let left = match rig.of_front_end.next().await {
            OfFrontEnd::Deliver(arrived, _) => arrived.patience,
            OfFrontEnd::Ring(arrived, _) => arrived.patience,
            other => panic!("{other:?}"),
        };
        assert!(left <= patience + Duration::from_millis(1), "{left:?}");
    }
    rig
}
