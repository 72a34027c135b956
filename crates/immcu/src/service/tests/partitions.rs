//! One owner of several: what it decides, and what it hands to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rpc::{
    ConnectionId, EndpointAddress, EndpointId, Epoch, ErrorCode, FailureReason, Fence, HeldLeg, HeldLegs,
    ImMcu, LegId,
};
use topology::{MemberId, Partition};

use super::fakes::{Seen, World, open, page, pair, settle};
use crate::conversation::testing::{aor, text};

/// A fence a test may let down.
#[derive(Default)]
struct Left(AtomicBool);

impl Fence for Left {
    fn is_valid(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

fn partition() -> Partition {
    pair().partition()
}

fn pooled(endpoints: &[&str]) -> (World, Arc<Left>) {
    let fence = Arc::new(Left::default());
    (World::in_pool(endpoints, fence.clone()), fence)
}

/// A page from alice to bob.
fn say(id: &str) -> rpc::Submit {
    page(&text("alice/p9", "bob", id))
}

fn held(legs: Vec<HeldLeg>) -> HeldLegs {
    HeldLegs {
        member: MemberId::new("fe1"),
        partition: partition(),
        legs,
    }
}

fn leg_of_bob(leg: u128) -> HeldLeg {
    HeldLeg {
        leg: LegId(leg),
        address: EndpointAddress {
            aor: aor("bob"),
            endpoint: EndpointId::new("s1"),
            epoch: Epoch(1),
            member: MemberId::new("fe1"),
            connection: ConnectionId(1),
        },
        peer: aor("alice"),
        rung: true,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_owned_is_refused_and_nothing_is_done() {
    let (world, _) = pooled(&["p1@fe1"]);
    let error = world.service.submit(say("m1")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    let error = world.service.leave(&pair(), LegId(7)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    let error = world.service.hold(held(Vec::new())).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(world.fe1.seen().is_empty());
    assert_eq!(world.service.epoch(partition()), None);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_in_their_order_until_every_front_end_has_said_what_it_holds() {
    let (world, _) = pooled(&["p1@fe1"]);
    let service = world.service.clone();
    let front_ends = vec![MemberId::new("fe1"), MemberId::new("fe2")];
    let taking = tokio::spawn(async move { service.take(partition(), 5, front_ends).await });
    settle().await;
    let asked: Vec<_> = (1..=3)
        .map(|number| {
            let service = world.service.clone();
            tokio::spawn(async move { service.submit(say(&format!("m{number}"))).await })
        })
        .collect();
    settle().await;
    world.service.hold(held(Vec::new())).await.unwrap();
    settle().await;
    assert!(world.fe1.seen().is_empty(), "fe2 has not said anything yet");
    let other = HeldLegs {
        member: MemberId::new("fe2"),
        ..held(Vec::new())
    };
    world.service.hold(other).await.unwrap();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap(), Ok(()));
    }
    taking.await.unwrap();
    assert_eq!(world.fe1.delivered(), ["m1", "m2", "m3"]);
    assert_eq!(world.service.epoch(partition()), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_front_end_that_says_nothing_is_not_waited_for_for_ever() {
    let (world, _) = pooled(&["p1@fe1"]);
    let began = tokio::time::Instant::now();
    world
        .service
        .take(partition(), 5, vec![MemberId::new("dead")])
        .await;
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(world.service.submit(say("m1")).await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_stood_before_goes_on_and_rings_nobody() {
    let (world, _) = pooled(&["s1@fe1"]);
    let service = world.service.clone();
    let taking = tokio::spawn(async move { service.take(partition(), 5, vec![MemberId::new("fe1")]).await });
    settle().await;
    world.service.hold(held(vec![leg_of_bob(42)])).await.unwrap();
    taking.await.unwrap();
    assert_eq!(world.service.submit(say("m1")).await.unwrap(), Ok(()));
    assert_eq!(world.fe1.seen(), [Seen::Deliver("m1".into(), vec!["s1".into()])]);
    // Told again, as after a broken stream, it changes nothing; another leg of the same side is one too many.
    world.service.hold(held(vec![leg_of_bob(42)])).await.unwrap();
    world.service.hold(held(vec![leg_of_bob(43)])).await.unwrap();
    settle().await;
    assert_eq!(world.fe1.seen()[1..], [Seen::EndLeg]);
}

#[tokio::test(start_paused = true)]
async fn giving_waits_for_what_is_under_way_and_then_forgets() {
    let (world, _) = pooled(&["p1@fe1"]);
    world.service.take(partition(), 5, Vec::new()).await;
    *world.fe1.takes.lock() = Duration::from_secs(2);
    let service = world.service.clone();
    let asked = tokio::spawn(async move { service.submit(say("m1")).await });
    settle().await;
    let service = world.service.clone();
    let giving = tokio::spawn(async move { service.give(partition()).await });
    settle().await;
    let error = world.service.submit(say("m2")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(!giving.is_finished(), "a delivery is under way");
    assert_eq!(asked.await.unwrap().unwrap(), Ok(()));
    giving.await.unwrap();
    assert_eq!(world.service.snapshot().conversations, 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_asked_of_the_next_owner() {
    let (world, _) = pooled(&["s1@fe1"]);
    world.service.take(partition(), 5, Vec::new()).await;
    let service = world.service.clone();
    let asked = tokio::spawn(async move { service.open(open(7, None)).await });
    settle().await;
    assert_eq!(world.service.snapshot().ringing, 1);
    world.service.give(partition()).await;
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    settle().await;
    let now = world.service.snapshot();
    assert_eq!((now.conversations, now.ringing, now.legs), (0, 0, 0));
    // And back again: nothing of before is in the way.
    world.service.take(partition(), 9, Vec::new()).await;
    world.registrar.sign_in("bob", &["p1@fe1"], 2);
    assert_eq!(world.service.submit(say("m8")).await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_left_behind_neither_accepts_nor_speaks() {
    let (world, fence) = pooled(&["p1@fe1"]);
    world.service.take(partition(), 5, Vec::new()).await;
    assert_eq!(world.service.submit(say("m1")).await.unwrap(), Ok(()));
    fence.0.store(true, Ordering::Relaxed);
    assert_eq!(world.service.epoch(partition()), None);
    let error = world.service.submit(say("m2")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    world.service.lost(partition());
    fence.0.store(false, Ordering::Relaxed);
    let error = world.service.submit(say("m3")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert_eq!(world.fe1.delivered(), ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_owner_is_lost_under_way_is_asked_again() {
    let (world, _) = pooled(&["p1@fe1"]);
    world.service.take(partition(), 5, Vec::new()).await;
    *world.fe1.takes.lock() = Duration::from_secs(2);
    let service = world.service.clone();
    let asked = tokio::spawn(async move { service.submit(say("m1")).await });
    settle().await;
    world.service.lost(partition());
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert_ne!(error.code.sip_status(), FailureReason::Internal.sip_status());
}
