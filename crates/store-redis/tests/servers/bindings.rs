//! The copy of bindings on one server.

use std::ops::Deref;

use store::{BindingCopy, PartitionedBindings, StoreError, Timestamp};
use store_redis::RedisBindings;
use topology::Partition;

use crate::pool::{NOW, bind, endpoints, home, is_not_owner, member, redis, user};
use crate::server::Server;

struct Bench<T> {
    store: T,
    _server: Server,
}

impl<T> Deref for Bench<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.store
    }
}

async fn fresh() -> Bench<PartitionedBindings> {
    let server = Server::fresh().await;
    let store = member(&redis(&server.url()));
    for partition in Partition::all() {
        store.take(partition, 1, NOW).await.unwrap();
    }
    Bench {
        store,
        _server: server,
    }
}

store::binding_suite!(super::fresh);

async fn fresh_copy() -> Bench<RedisBindings> {
    let server = Server::fresh().await;
    let store = RedisBindings::new(redis(&server.url()), "test");
    Bench {
        store,
        _server: server,
    }
}

store::copy_suite!(super::fresh_copy);

#[tokio::test]
async fn of_two_owners_the_one_before_is_fenced() {
    let server = Server::fresh().await;
    let redis = redis(&server.url());
    let (one, other) = (member(&redis), member(&redis));
    one.take(home("alice"), 10, NOW).await.unwrap();
    bind(&one, "alice", "e1", 1).await.unwrap();
    assert_eq!(other.take(home("alice"), 20, NOW).await.unwrap(), 1);
    assert_eq!(endpoints(&other, "alice").await, ["e1"]);
    assert!(is_not_owner(&bind(&one, "alice", "late", 2).await));
    assert_eq!(one.owned(), []);
    bind(&other, "alice", "e2", 2).await.unwrap();
    one.take(home("alice"), 30, NOW).await.unwrap();
    assert_eq!(endpoints(&one, "alice").await, ["e1", "e2"]);
}

#[tokio::test]
async fn deadlines_go_on_while_nobody_owns_a_partition() {
    let server = Server::fresh().await;
    let redis = redis(&server.url());
    let (one, other) = (member(&redis), member(&redis));
    one.take(home("alice"), 10, NOW).await.unwrap();
    let bound = bind(&one, "alice", "e1", 1).await.unwrap();
    assert_eq!(bound.bindings[0].deadline, NOW.plus_seconds(600));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let now = Timestamp(7);
    other.take(home("alice"), 20, now).await.unwrap();
    let state = store::BindingStore::load(&other, &user("alice")).await.unwrap();
    let remaining = state.bindings[0].deadline.0 - now.0;
    assert!((540_000..=599_950).contains(&remaining), "{remaining} ms");
}

#[tokio::test]
async fn after_a_flush_owners_write_anew_what_they_own() {
    let server = Server::fresh().await;
    let redis = redis(&server.url());
    let (one, other) = (member(&redis), member(&redis));
    for name in ["alice", "bob"] {
        one.take(home(name), 10, NOW).await.unwrap();
        bind(&one, name, "e1", 1).await.unwrap();
    }
    server.ask::<()>("FLUSHALL").await;
    // Alice's partition is told, Bob's notices.
    assert_eq!(one.reassert(home("alice"), NOW).await.unwrap(), 1);
    bind(&one, "bob", "e2", 2).await.unwrap();
    assert_eq!(one.dirty(), 1);
    assert_eq!(one.flush(NOW, 100).await.written, 1);
    assert_eq!(one.dirty(), 0);
    for name in ["alice", "bob"] {
        other.take(home(name), 20, NOW).await.unwrap();
    }
    assert_eq!(endpoints(&other, "alice").await, ["e1"]);
    assert_eq!(endpoints(&other, "bob").await, ["e1", "e2"]);
}

#[tokio::test]
async fn every_key_ends_by_itself() {
    let server = Server::fresh().await;
    let store = member(&redis(&server.url()));
    for name in ["alice", "bob"] {
        store.take(home(name), 10, NOW).await.unwrap();
        bind(&store, name, "e1", 1).await.unwrap();
    }
    let gone = store::BindingUpdate {
        remove: vec!["e1".into()],
        ..store::BindingUpdate::default()
    };
    let state = store::BindingStore::load(&store, &user("bob")).await.unwrap();
    store::BindingStore::commit(&store, &user("bob"), state.revision, gone, NOW)
        .await
        .unwrap();
    let (immortal, all) = server.immortal_keys().await;
    assert_eq!(immortal, [""; 0]);
    assert_eq!(
        all, 4,
        "two fences, Alice's bindings, and that Bob's were deleted"
    );
    let bindings: i64 = server.ask("TTL portico:test:bindings:{u73}").await;
    assert!((660..=720).contains(&bindings), "{bindings} s");
    store.reassert(home("alice"), NOW).await.unwrap();
    assert_eq!(server.immortal_keys().await.0, [""; 0]);
}

#[tokio::test]
async fn a_state_that_cannot_be_read_harms_nobody_else() {
    let server = Server::fresh().await;
    let redis = redis(&server.url());
    let copy = RedisBindings::new(redis.clone(), "test");
    let store = member(&redis);
    store.take(home("alice"), 10, NOW).await.unwrap();
    bind(&store, "alice", "e1", 1).await.unwrap();
    server
        .ask::<()>("HSET portico:test:bindings:{u73} mallory@example.test rubbish")
        .await;
    let taken = copy.take(home("alice"), 20, NOW).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].0, user("alice"));
}

#[tokio::test]
async fn pools_on_one_server_do_not_meet() {
    let server = Server::fresh().await;
    let redis = redis(&server.url());
    let one = RedisBindings::new(redis.clone(), "one");
    let other = RedisBindings::new(redis, "other");
    one.take(home("alice"), 20, NOW).await.unwrap();
    assert!(other.take(home("alice"), 10, NOW).await.is_ok());
    assert!(matches!(
        one.take(home("alice"), 10, NOW).await,
        Err(StoreError::Conflict(_))
    ));
}

#[tokio::test]
async fn a_password_is_used_and_shown_nowhere() {
    let server = Server::with(&["--requirepass", "se@cret"]).await;
    let right = redis(&format!("redis://:se%40cret@127.0.0.1:{}", server.port));
    right.ping().await.unwrap();
    let wrong = redis(&format!("redis://:other-secret@127.0.0.1:{}", server.port));
    let error = wrong.ping().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}
