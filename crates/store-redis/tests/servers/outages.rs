//! The server goes away, hangs, refuses, and comes back.

use std::time::Duration;

use store::StoreError;
use store_redis::Redis;

use crate::pool::{NOW, bind, endpoints, home, member, redis};
use crate::server::{Server, eventually};

#[tokio::test]
async fn the_pool_goes_on_while_the_server_is_down_and_brings_everything_over_afterwards() {
    let mut server = Server::fresh().await;
    let redis = redis(&server.url());
    let (one, other) = (member(&redis), member(&redis));
    one.take(home("alice"), 10, NOW).await.unwrap();
    bind(&one, "alice", "e1", 1).await.unwrap();

    server.kill();
    for epoch in 2..=30 {
        bind(&one, "alice", &format!("e{}", epoch % 4), epoch)
            .await
            .unwrap();
    }
    assert_eq!(one.dirty(), 1);
    let counters = redis.counters();
    assert!(counters.breaker_open);
    assert!(counters.refused > 0, "{counters:?}");
    let flushed = one.flush(NOW, 100).await;
    assert!(matches!(flushed.failed, Some(StoreError::Driver(_))));

    server.restart().await;
    eventually("what is dirty comes over", async || {
        one.flush(NOW, 100).await;
        one.dirty() == 0
    })
    .await;
    let expected = endpoints(&one, "alice").await;
    assert_eq!(expected.len(), 4);
    eventually("the breaker closes", async || {
        redis.ping().await.is_ok() && !redis.counters().breaker_open
    })
    .await;
    other.take(home("alice"), 20, NOW).await.unwrap();
    assert_eq!(endpoints(&other, "alice").await, expected);
}

#[tokio::test]
async fn a_server_that_restarted_while_nobody_asked_costs_no_failure() {
    let mut server = Server::fresh().await;
    let redis = redis(&server.url());
    redis.ping().await.unwrap();
    server.kill();
    server.restart().await;
    redis.ping().await.unwrap();
    assert_eq!(redis.counters().failed, 0);
    assert_eq!(redis.counters().connects, 2);
}

#[tokio::test]
async fn a_server_that_hangs_costs_each_caller_its_deadline_until_the_breaker_opens() {
    let server = Server::fresh().await;
    let redis = Redis::with_timeout(server.url().parse().unwrap(), Duration::from_millis(200));
    let store = member(&redis);
    store.take(home("alice"), 10, NOW).await.unwrap();
    server.pause();
    let mut epoch = 0;
    while !redis.counters().breaker_open {
        epoch += 1;
        bind(&store, "alice", "e1", epoch).await.unwrap();
        assert!(epoch < 100, "the breaker never opens");
    }
    assert_eq!(redis.counters().failed, epoch, "each of them timed out");
    bind(&store, "alice", "e1", epoch + 1).await.unwrap();
    assert!(redis.counters().refused > 0);
    server.resume();
    eventually("what is dirty comes over", async || {
        store.flush(NOW, 100).await;
        store.dirty() == 0
    })
    .await;
}

#[tokio::test]
async fn a_server_without_its_replicas_is_a_server_that_fails() {
    let server = Server::fresh().await;
    let store = member(&redis(&server.url()));
    store.take(home("alice"), 10, NOW).await.unwrap();
    server.ask::<()>("CONFIG SET min-replicas-to-write 1").await;
    bind(&store, "alice", "e1", 1).await.unwrap();
    assert_eq!(store.dirty(), 1);
    let failed = store.flush(NOW, 100).await.failed;
    assert!(matches!(failed, Some(StoreError::Driver(_))), "{failed:?}");
    assert!(store.take(home("bob"), 10, NOW).await.is_err());
    server.ask::<()>("CONFIG SET min-replicas-to-write 0").await;
    eventually("what is dirty comes over", async || {
        store.flush(NOW, 100).await;
        store.dirty() == 0
    })
    .await;
}
