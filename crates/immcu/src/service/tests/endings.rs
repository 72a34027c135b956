//! What stays while a session is quiet, and what is left when it or an account has ended.

use std::time::Duration;

use rpc::{FailureReason, ImMcu, LegId, Opened};

use super::fakes::{Seen, World, open, page, pair, settle};
use crate::conversation::testing::text;

/// Longer than an open may wait and a message is remembered.
const QUIET: Duration = Duration::from_secs(1_200);

/// Alice has a session with bob, who has nothing but a page-mode endpoint: nobody rings.
async fn session_with_page_contact() -> World {
    let world = World::with(&["p1@fe2"]);
    let opened = world.service.open(open(7, None)).await.unwrap();
    assert_eq!(
        opened,
        Ok(Opened {
            first_text_taken: false
        })
    );
    world
}

/// Bob's reply reaches the session endpoint without an invitation: into the leg it has.
async fn reply_goes_into_the_leg(world: &World, id: &str) {
    let reply = page(&text("bob/p1", "alice", id));
    assert_eq!(world.service.submit(reply).await.unwrap(), Ok(()));
    settle().await;
    let seen = world.fe1.seen();
    let reached = seen.iter().any(|seen| {
        matches!(seen, Seen::Deliver(of, endpoints) if of == id && endpoints.contains(&"s9".to_owned()))
    });
    assert!(reached, "{seen:?}");
    assert!(
        !seen.iter().any(|seen| matches!(seen, Seen::Ring(_))),
        "a second session was offered: {seen:?}"
    );
}

fn assert_nothing_is_left(world: &World) {
    let snapshot = world.service.snapshot();
    assert_eq!(
        (
            snapshot.conversations,
            snapshot.legs,
            snapshot.ringing,
            snapshot.remembered
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(world.service.0.shards.legs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_in_which_nothing_was_ever_said_stays() {
    let world = session_with_page_contact().await;
    tokio::time::sleep(QUIET).await;
    let snapshot = world.service.snapshot();
    assert_eq!((snapshot.conversations, snapshot.legs), (1, 1));
    reply_goes_into_the_leg(&world, "m1").await;
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_when_its_last_text_is_forgotten() {
    let world = session_with_page_contact().await;
    for id in ["m1", "m2", "m3"] {
        let mut said = page(&text("alice/s9", "bob", &format!("to-{id}")));
        said.leg = Some(LegId(7));
        assert_eq!(world.service.submit(said).await.unwrap(), Ok(()));
        tokio::time::sleep(QUIET).await;
        let snapshot = world.service.snapshot();
        assert_eq!(
            (snapshot.conversations, snapshot.legs, snapshot.remembered),
            (1, 1, 0)
        );
        reply_goes_into_the_leg(&world, id).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_session_that_ends_leaves_nothing() {
    let world = session_with_page_contact().await;
    tokio::time::sleep(QUIET).await;
    world.service.leave(&pair(), LegId(7)).await.unwrap();
    assert_nothing_is_left(&world);
}

/// What was said stays known for its time, so that a repeated message is still answered with its outcome.
#[tokio::test(start_paused = true)]
async fn a_session_that_ends_leaves_only_the_memory_of_what_was_said() {
    let world = session_with_page_contact().await;
    tokio::time::sleep(QUIET).await;
    reply_goes_into_the_leg(&world, "m1").await;
    world.service.leave(&pair(), LegId(7)).await.unwrap();
    let snapshot = world.service.snapshot();
    assert_eq!(
        (snapshot.conversations, snapshot.legs, snapshot.remembered),
        (1, 0, 1)
    );
    tokio::time::sleep(QUIET).await;
    assert_nothing_is_left(&world);
}

#[tokio::test(start_paused = true)]
async fn who_was_deleted_says_nothing_more() {
    let world = World::with(&["p1@fe2", "s1@fe2"]);
    world.registrar.delete("alice");
    let outcome = world.service.submit(page(&text("alice/p9", "bob", "m1"))).await;
    assert_eq!(outcome.unwrap(), Err(FailureReason::Forbidden));
    let opened = world.service.open(open(7, None)).await;
    assert_eq!(opened.unwrap(), Err(FailureReason::Forbidden));
    settle().await;
    assert_eq!(world.fe2.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn who_is_written_to_and_was_deleted_is_nobody() {
    let world = World::with(&["p1@fe2"]);
    world.registrar.delete("bob");
    let outcome = world.service.submit(page(&text("alice/p9", "bob", "m1"))).await;
    assert_eq!(outcome.unwrap(), Err(FailureReason::NoSuchUser));
}
