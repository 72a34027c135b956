//! Leases and owners on one server.

use std::time::Duration;

use async_trait::async_trait;
use store::suite::leases::{LeaseBench, lease};
use store::{LeaseStore, StoreError, UNKNOWN_TABLES};
use store_redis::RedisLeases;
use topology::{Partition, Partitioned};

use crate::pool::redis;
use crate::server::Server;

struct Bench {
    store: RedisLeases,
    server: Server,
}

/// Long enough that half of it is less than all of it on a busy machine.
const TTL_MS: u64 = 2_000;

#[async_trait]
impl LeaseBench for Bench {
    fn store(&self) -> &dyn LeaseStore {
        &self.store
    }

    fn ttl_ms(&self) -> u64 {
        TTL_MS
    }

    async fn pass(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn lose_everything(&self) {
        self.server.ask::<()>("FLUSHALL").await;
    }
}

async fn fresh() -> Box<Bench> {
    let server = Server::fresh().await;
    let random = u64::from(server.port);
    let store = RedisLeases::with_ttl(redis(&server.url()), "test", random, TTL_MS);
    Box::new(Bench { store, server })
}

store::lease_suite!(super::fresh);

fn partition() -> Partition {
    Partition::new(1).unwrap()
}

#[tokio::test]
async fn every_key_ends_by_itself() {
    let bench = fresh().await;
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    for lease in [&fe1, &fe2] {
        bench.store.renew(lease, UNKNOWN_TABLES).await.unwrap();
    }
    let holder = (&fe1.member, fe1.incarnation);
    for keys in Partitioned::ALL {
        let owned = bench.store.claim(keys, holder, &[partition()]).await.unwrap();
        bench.store.reassert(keys, holder, &owned).await.unwrap();
    }
    let (immortal, all) = bench.server.immortal_keys().await;
    assert_eq!(immortal, [""; 0]);
    // Members, facts, and a table of owners for each kind of keys.
    assert_eq!(all, 2 + Partitioned::COUNT);
}

#[tokio::test]
async fn epochs_are_larger_after_everything_was_lost() {
    let bench = fresh().await;
    let fe1 = lease("fe1", 1);
    let holder = (&fe1.member, fe1.incarnation);
    let claim = async || {
        bench.store.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
        let owned = bench
            .store
            .claim(Partitioned::Users, holder, &[partition()])
            .await;
        owned.unwrap()[0].1
    };
    let before = claim().await;
    // Epochs are seconds of the server's clock.
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    bench.lose_everything().await;
    assert!(claim().await > before);
}

#[tokio::test]
async fn a_restart_is_another_history() {
    let mut bench = fresh().await;
    let fe1 = lease("fe1", 1);
    let before = bench.store.renew(&fe1, UNKNOWN_TABLES).await.unwrap().history;
    assert_eq!(
        bench.store.renew(&fe1, UNKNOWN_TABLES).await.unwrap().history,
        before
    );
    bench.server.kill();
    let away = bench.store.renew(&fe1, UNKNOWN_TABLES).await;
    assert!(matches!(away, Err(StoreError::Driver(_))), "{away:?}");
    bench.server.restart().await;
    let after = bench.store.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    assert_ne!(after.history, before);
}

/// The hint comes before the tick: in one of several attempts, for the machine may be busy in others.
#[tokio::test]
async fn a_change_wakes_who_waits_before_the_tick() {
    let bench = fresh().await;
    let other = RedisLeases::new(redis(&bench.server.url()), "test", 2);
    bench.store.renew(&lease("fe1", 1), UNKNOWN_TABLES).await.unwrap();
    // The first resolves when it listens.
    bench.store.changed().await;
    let mut fastest = Duration::MAX;
    for life in 1..=5 {
        let begun = tokio::time::Instant::now();
        let news = lease("fe2", life);
        let (_, renewed) = tokio::join!(bench.store.changed(), other.renew(&news, UNKNOWN_TABLES));
        renewed.unwrap();
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

#[tokio::test]
async fn who_waits_is_woken_by_the_tick_where_there_is_no_server() {
    let mut bench = fresh().await;
    bench.store.changed().await;
    bench.server.kill();
    for _ in 0..2 {
        tokio::time::timeout(crate::server::PATIENCE, bench.store.changed())
            .await
            .unwrap();
    }
    // And it listens again afterwards.
    bench.server.restart().await;
    bench.store.changed().await;
}
