//! The copy of presence on one server.

use std::ops::Deref;

use bytes::Bytes;
use store::{PresenceCopy, PresenceState, Revision, StoreError, Written};
use store_redis::RedisPresence;

use crate::pool::{home, redis, user};
use crate::server::Server;

struct Bench {
    store: RedisPresence,
    _server: Server,
}

impl Deref for Bench {
    type Target = RedisPresence;

    fn deref(&self) -> &RedisPresence {
        &self.store
    }
}

async fn fresh() -> Bench {
    let server = Server::fresh().await;
    let store = RedisPresence::new(redis(&server.url()), "test");
    Bench {
        store,
        _server: server,
    }
}

store::presence_copy_suite!(super::fresh);

fn state(name: &str, revision: u64, text: &'static str, lives_ms: u64) -> PresenceState {
    PresenceState {
        user: user(name),
        revision: Revision(revision),
        text: Bytes::from_static(text.as_bytes()),
        lives_ms,
    }
}

#[tokio::test]
async fn every_key_of_presence_ends_by_itself_and_meets_no_bindings() {
    let server = Server::fresh().await;
    let redis = redis(&server.url());
    let copy = RedisPresence::new(redis.clone(), "test");
    let partition = home("alice");
    copy.take(partition, 10).await.unwrap();
    let states = [
        state("alice", 11, "here", 60_000),
        state("bob", 12, "there", 3_600_000),
    ];
    assert_eq!(copy.write(partition, 10, &states).await.unwrap(), Written::Kept);
    let gone = [state("bob", 13, "", 0)];
    assert_eq!(copy.write(partition, 10, &gone).await.unwrap(), Written::Kept);
    let (immortal, all) = server.immortal_keys().await;
    assert_eq!(immortal, [""; 0]);
    assert_eq!(all, 3, "the fence, the states, and that one was deleted");
    let lives: i64 = server
        .ask(&format!("TTL portico:test:presence:{{p{partition}}}"))
        .await;
    assert!((3_660..=3_720).contains(&lives), "{lives} s");
    // An epoch of bindings is none of presence.
    let bindings = store_redis::RedisBindings::new(redis, "test");
    store::BindingCopy::take(&bindings, partition, 99, crate::pool::NOW)
        .await
        .unwrap();
    assert_eq!(copy.take(partition, 20).await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_was_told_of_a_flush_by_a_write_copies_anew() {
    let server = Server::fresh().await;
    let copy = RedisPresence::new(redis(&server.url()), "test");
    let partition = home("alice");
    copy.take(partition, 10).await.unwrap();
    let here = [state("alice", 11, "here", 60_000)];
    assert_eq!(copy.write(partition, 10, &here).await.unwrap(), Written::Kept);
    server.ask::<()>("FLUSHALL").await;
    let away = [state("alice", 12, "away", 60_000)];
    assert_eq!(
        copy.write(partition, 10, &away).await.unwrap(),
        Written::HistoryLost
    );
    copy.replace(partition, 10, &away, Revision(12)).await.unwrap();
    let taken = copy.take(partition, 20).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].text, "away");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_as_such() {
    let server = Server::fresh().await;
    let url = server.url();
    drop(server);
    let copy = RedisPresence::new(redis(&url), "test");
    let taken = copy.take(home("alice"), 10).await;
    assert!(matches!(taken, Err(StoreError::Driver(_))), "{taken:?}");
}
