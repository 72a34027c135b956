//! The service around the state machine, with time held still: lookups, policies, hooks, calls, and what becomes of them
//! when somebody goes away.

mod endings;
mod fakes;
mod partitions;

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use rpc::{ErrorCode, FailureReason, ImMcu, LegId, Opened, PolicyValue, RingAnswer, Signal, Typing};
use tokio::time::Instant;

use self::fakes::{ArchiveDoes, FakeArchive, FakeFilter, Seen, World, open, page, pair, settle};
use crate::archive::ArchiveMode;
use crate::conversation::testing::{aor, receipt, text};
use crate::filter::PassAll;
use crate::{Hooks, Limits};

const TAKEN: Result<RingAnswer, FailureReason> = Ok(RingAnswer {
    first_text_taken: true,
});
const NOT_TAKEN: Result<RingAnswer, FailureReason> = Ok(RingAnswer {
    first_text_taken: false,
});

fn archived_by(archive: &Arc<FakeArchive>) -> Hooks {
    Hooks {
        filter: Arc::new(PassAll),
        archive: archive.clone(),
        access: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_delivered_and_its_sender_gets_the_outcome() {
    let world = World::with(&["p1@fe1", "p2@fe2", "p3@fe1"]);
    world
        .fe1
        .answers
        .lock()
        .insert("p3".to_owned(), Err(FailureReason::Busy));
    let outcome = world
        .service
        .submit(page(&text("alice/p9", "bob", "m1")))
        .await
        .unwrap();
    assert_eq!(outcome, Ok(()));
    settle().await;
    let endpoints = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        world.fe1.seen(),
        [Seen::Deliver("m1".to_owned(), endpoints(&["p1", "p3"]))]
    );
    assert_eq!(
        world.fe2.seen(),
        [Seen::Deliver("m1".to_owned(), endpoints(&["p2"]))]
    );
    assert_eq!(world.service.snapshot().messages, [("text", "accepted", 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_says_why() {
    let world = World::with_hooks(
        &["p1@fe1"],
        Hooks {
            filter: Arc::new(FakeFilter),
            ..Hooks::default()
        },
        Limits::default(),
    );
    let submit = |from: &'static str, to: &'static str, body: &'static str| {
        let service = world.service.clone();
        async move { service.submit(page(&text(from, to, body))).await.unwrap() }
    };
    assert_eq!(
        submit("alice/p9", "nobody", "m1").await,
        Err(FailureReason::NoSuchUser)
    );
    assert_eq!(
        submit("alice/p9", "bob", "bad").await,
        Err(FailureReason::Filtered)
    );
    world
        .registrar
        .set_policy("bob", "max_text_bytes", PolicyValue::Number(3));
    assert_eq!(
        submit("alice/p9", "bob", "long").await,
        Err(FailureReason::TooLarge)
    );
    world
        .registrar
        .set_policy("bob", "enabled", PolicyValue::Bool(false));
    assert_eq!(
        submit("alice/p9", "bob", "m2").await,
        Err(FailureReason::Forbidden)
    );
    assert_eq!(
        submit("bob/p1", "alice", "m3").await,
        Err(FailureReason::Forbidden)
    );
    world.registrar.down.store(true, Ordering::Relaxed);
    assert_eq!(
        submit("alice/p9", "bob", "m4").await,
        Err(FailureReason::Overloaded)
    );
    assert!(world.fe1.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn records_are_kept_before_delivery_and_outcomes_after() {
    let archive = FakeArchive::new(ArchiveMode::Required);
    let hooks = Hooks {
        filter: Arc::new(FakeFilter),
        archive: archive.clone(),
        access: None,
    };
    let world = World::with_hooks(&["p1@fe1"], hooks, Limits::default());
    world
        .service
        .submit(page(&text("alice/p9", "bob", "m1")))
        .await
        .unwrap()
        .unwrap();
    settle().await;
    world
        .service
        .submit(page(&text("alice/p9", "bob", "rude")))
        .await
        .unwrap()
        .unwrap();
    let receipt = receipt("bob/p1", "alice", "m1");
    world.service.submit(page(&receipt)).await.unwrap().unwrap();
    settle().await;
    let log = archive.log.lock().clone();
    assert_eq!(
        log,
        [
            "+m1 m1",
            "=m1 accepted",
            "+rude polite for rude",
            "=rude accepted"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_fails_or_hangs_stops_delivery_where_it_is_required() {
    let archive = FakeArchive::new(ArchiveMode::Required);
    let world = World::with_hooks(&["p1@fe1"], archived_by(&archive), Limits::default());
    for does in [ArchiveDoes::Refuse, ArchiveDoes::Hang] {
        *archive.does.lock() = does;
        let begin = Instant::now();
        let outcome = world
            .service
            .submit(page(&text("alice/p9", "bob", "m1")))
            .await
            .unwrap();
        assert_eq!(outcome, Err(FailureReason::ArchiveUnavailable));
        assert!(begin.elapsed() <= Duration::from_millis(3_001));
    }
    assert!(world.fe1.seen().is_empty());
    *archive.does.lock() = ArchiveDoes::Keep;
    let outcome = world
        .service
        .submit(page(&text("alice/p9", "bob", "m1")))
        .await
        .unwrap();
    assert_eq!(outcome, Ok(()), "the same message, when the archive is back");
}

#[tokio::test(start_paused = true)]
async fn with_best_effort_a_failing_archive_is_counted_and_nothing_else() {
    let archive = FakeArchive::new(ArchiveMode::BestEffort);
    *archive.does.lock() = ArchiveDoes::Refuse;
    let world = World::with_hooks(&["p1@fe1"], archived_by(&archive), Limits::default());
    world
        .service
        .submit(page(&text("alice/p9", "bob", "m1")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(world.service.snapshot().archive_gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn a_front_end_that_comes_back_gets_the_message_after_a_pause() {
    let world = World::with(&["p1@fe1"]);
    world.fe1.away.store(2, Ordering::Relaxed);
    let begin = Instant::now();
    let outcome = world
        .service
        .submit(page(&text("alice/p9", "bob", "m1")))
        .await
        .unwrap();
    assert_eq!(outcome, Ok(()));
    assert_eq!(begin.elapsed().as_secs(), 6);
    assert_eq!(world.fe1.delivered(), ["m1"]);
    assert_eq!(world.service.snapshot().retries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_front_end_nobody_knows_is_unavailable_in_the_end() {
    let world = World::with(&["p1@fe7"]);
    let outcome = world
        .service
        .submit(page(&text("alice/p9", "bob", "m1")))
        .await
        .unwrap();
    assert_eq!(outcome, Err(FailureReason::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_sender_is_answered_in_time_by_a_front_end_that_hangs() {
    let world = World::with(&["p1@fe1"]);
    *world.fe1.takes.lock() = Duration::from_secs(3_600);
    let begin = Instant::now();
    let outcome = world
        .service
        .submit(page(&text("alice/p9", "bob", "m1")))
        .await
        .unwrap();
    assert_eq!(outcome, Err(FailureReason::Timeout));
    assert_eq!(begin.elapsed().as_secs(), 32);
    *world.fe1.takes.lock() = Duration::ZERO;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let outcome = world
        .service
        .submit(page(&text("alice/p9", "bob", "m2")))
        .await
        .unwrap();
    assert_eq!(outcome, Ok(()), "the endpoint is not blocked for ever");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_goes_away_leaves_nothing_half_done() {
    let world = World::with(&["p1@fe1"]);
    *world.fe1.takes.lock() = Duration::from_secs(1);
    let submit = page(&text("alice/p9", "bob", "m1"));
    let gone = tokio::time::timeout(Duration::from_millis(500), world.service.submit(submit.clone())).await;
    assert!(gone.is_err());
    let again = world.service.submit(submit).await.unwrap();
    assert_eq!(again, Ok(()));
    assert_eq!(world.fe1.delivered(), ["m1"], "the attempt in flight went on");
    assert_eq!(world.service.snapshot().duplicates, 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_to_answer_gets_the_session_and_the_others_stop() {
    let world = World::with(&["s1@fe1", "s2@fe2"]);
    let service = world.service.clone();
    let said = tokio::spawn(async move { service.submit(page(&text("alice/p9", "bob", "m1"))).await });
    settle().await;
    assert_eq!(
        (world.fe1.ringing(), world.fe2.ringing()),
        (vec!["s1".to_owned()], vec!["s2".to_owned()])
    );
    assert_eq!(world.service.snapshot().ringing, 1);
    let leg = world.fe2.answer_ring("s2", NOT_TAKEN);
    assert_eq!(said.await.unwrap().unwrap(), Ok(()));
    settle().await;
    assert_eq!(world.fe1.seen(), [Seen::Ring("s1".to_owned()), Seen::StopRinging]);
    assert_eq!(world.fe2.delivered(), ["m1"]);
    assert_eq!(world.service.snapshot().legs, 1);
    world.service.leave(&pair(), leg).await.unwrap();
    assert_eq!(world.service.snapshot().legs, 0);
    assert_eq!(world.service.0.shards.legs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_to_stop_never_overtakes_its_invitation() {
    let world = World::with(&["s1@fe1"]);
    let service = world.service.clone();
    let opened = tokio::spawn(async move { service.open(open(7, None)).await });
    // The open is looked up and its invitation queued, but no task that rings has run yet.
    for _ in 0..20 {
        tokio::task::yield_now().await;
        if world.service.snapshot().ringing == 1 {
            break;
        }
    }
    world.service.cancel(&pair(), LegId(7)).await.unwrap();
    assert_eq!(opened.await.unwrap().unwrap(), Err(FailureReason::Cancelled));
    settle().await;
    assert!(world.fe1.ringing().is_empty(), "{:?}", world.fe1.seen());
    assert_eq!(world.service.0.shards.legs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_opens_carries_messages_both_ways_and_ends_on_both_sides() {
    let world = World::with(&["s1@fe2", "p1@fe2"]);
    let service = world.service.clone();
    let first = text("alice/s9", "bob", "first");
    let call = open(7, Some(&first));
    let opened = tokio::spawn(async move { service.open(call).await });
    settle().await;
    let leg = world.fe2.answer_ring("s1", TAKEN);
    assert_eq!(
        opened.await.unwrap().unwrap(),
        Ok(Opened {
            first_text_taken: true
        })
    );
    settle().await;
    assert_eq!(world.fe2.delivered(), ["first"], "the copy for the page endpoint");

    let mut said = page(&text("alice/s9", "bob", "m1"));
    said.leg = Some(LegId(7));
    assert_eq!(world.service.submit(said).await.unwrap(), Ok(()));
    let mut answer = page(&text("bob/s1", "alice", "m2"));
    answer.leg = Some(leg);
    assert_eq!(world.service.submit(answer).await.unwrap(), Ok(()));
    assert!(world.fe1.delivered().contains(&"m2".to_owned()));
    assert_eq!(world.service.snapshot().legs, 2);

    world.service.leave(&pair(), LegId(7)).await.unwrap();
    settle().await;
    assert_eq!(world.fe2.seen().last(), Some(&Seen::EndLeg));
    assert_eq!(world.service.0.shards.legs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_sent_from_within_the_delivery_comes_through() {
    let world = World::with(&["p1@fe2"]);
    *world.fe2.takes.lock() = Duration::from_secs(5);
    let service = world.service.clone();
    let said = tokio::spawn(async move { service.submit(page(&text("alice/p9", "bob", "m1"))).await });
    settle().await;
    let begin = Instant::now();
    let told = world
        .service
        .submit(page(&receipt("bob/p1", "alice", "m1")))
        .await
        .unwrap();
    assert_eq!(told, Ok(()));
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(said.await.unwrap().unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn typing_is_shown_to_page_endpoints_unless_the_policy_forbids() {
    let world = World::with(&["p1@fe1", "s1@fe1"]);
    let signal = Signal {
        from: aor("alice"),
        from_endpoint: rpc::EndpointId::new("p9"),
        to: aor("bob"),
        leg: None,
        typing: Typing::Active { refresh: 60 },
    };
    world.service.signal(signal.clone()).await.unwrap();
    settle().await;
    assert_eq!(world.fe1.seen(), [Seen::Signal(1)]);
    world
        .registrar
        .set_policy("alice", "enabled", PolicyValue::Bool(false));
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.service.signal(signal).await.unwrap();
    settle().await;
    assert_eq!(world.fe1.seen().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.service.snapshot().conversations, 0);
}

#[tokio::test(start_paused = true)]
async fn idle_conversations_are_dropped_with_all_they_remember() {
    let world = World::with(&["p1@fe1"]);
    for number in 0..100 {
        let message = text(&format!("user{number}/p"), "bob", &format!("m{number}"));
        world.service.submit(page(&message)).await.unwrap().unwrap();
    }
    let snapshot = world.service.snapshot();
    assert_eq!((snapshot.conversations, snapshot.remembered), (100, 100));
    tokio::time::sleep(Duration::from_secs(601)).await;
    let snapshot = world.service.snapshot();
    assert_eq!((snapshot.conversations, snapshot.remembered), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn conversations_and_memories_are_bounded() {
    let limits = Limits {
        conversations: 2,
        remembered_total: 20,
        remembered_crowded: 4,
        ..Limits::default()
    };
    let world = World::with_hooks(&["p1@fe1"], Hooks::default(), limits);
    for number in 0..100 {
        let message = text("alice/p9", "bob", &format!("m{number}"));
        world.service.submit(page(&message)).await.unwrap().unwrap();
    }
    assert!(world.service.snapshot().remembered <= 21);
    world
        .service
        .submit(page(&text("carol/p", "bob", "m")))
        .await
        .unwrap()
        .unwrap();
    let third = world
        .service
        .submit(page(&text("dave/p", "bob", "m")))
        .await
        .unwrap();
    assert_eq!(third, Err(FailureReason::Overloaded));
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_was_accepted_and_refuses_the_rest() {
    let world = World::with(&["p1@fe1"]);
    *world.fe1.takes.lock() = Duration::from_secs(2);
    let service = world.service.clone();
    let said = tokio::spawn(async move { service.submit(page(&text("alice/p9", "bob", "m1"))).await });
    settle().await;
    let service = world.service.clone();
    let stopped = tokio::spawn(async move { service.stop().await });
    settle().await;
    let late = world
        .service
        .submit(page(&text("alice/p9", "bob", "m2")))
        .await
        .unwrap_err();
    assert_eq!(late.code, ErrorCode::Unavailable);
    assert!(!stopped.is_finished());
    assert_eq!(said.await.unwrap().unwrap(), Ok(()));
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_arrive_in_the_order_of_their_submits_on_many_threads() {
    let world = World::with(&["p1@fe1", "p2@fe2"]);
    let mut submits = Vec::new();
    for number in 0..500 {
        let service = world.service.clone();
        let mut submit = Box::pin(async move {
            service
                .submit(page(&text("alice/p9", "bob", &format!("m{number}"))))
                .await
        });
        // The first poll takes the place in the order; the rest may run anywhere.
        let polled = poll_fn(|context| Poll::Ready(submit.as_mut().poll(context))).await;
        match polled {
            // Other threads were faster with all of it.
            Poll::Ready(outcome) => assert_eq!(outcome.unwrap(), Ok(())),
            Poll::Pending => submits.push(tokio::spawn(submit)),
        }
    }
    for submit in submits {
        assert_eq!(submit.await.unwrap().unwrap(), Ok(()));
    }
    world.service.stop().await;
    let expected: Vec<String> = (0..500).map(|number| format!("m{number}")).collect();
    assert_eq!(world.fe1.delivered(), expected);
    assert_eq!(world.fe2.delivered(), expected);
}
