//! A failover by Sentinel.

use std::collections::HashMap;

use store::suite::leases::lease;
use store::{Incarnation, LeaseStore, UNKNOWN_TABLES};
use store_redis::RedisLeases;
use topology::{MemberId, Partitioned};

use crate::pool::{NOW, bind, endpoints, home, member, redis};
use crate::server::{Server, eventually};

struct Guarded {
    master: Server,
    replica: Server,
    sentinel: Server,
}

/// One master, one replica, one sentinel that is a majority by itself.
async fn guarded() -> Guarded {
    let master = Server::with(&["--repl-diskless-sync-delay", "0"]).await;
    let port = master.port.to_string();
    let replica = Server::with(&["--replicaof", "127.0.0.1", &port]).await;
    eventually("the replica follows", async || {
        let replication: String = replica.ask("INFO replication").await;
        replication.contains("master_link_status:up")
    })
    .await;
    let sentinel = Server::sentinel(master.port).await;
    eventually("the sentinel knows a replica to promote", async || {
        let replicas: Vec<HashMap<String, String>> = sentinel.ask("SENTINEL replicas pool").await;
        let link = |replica: &HashMap<String, String>| replica.get("master-link-status").cloned();
        replicas
            .iter()
            .any(|replica| link(replica).as_deref() == Some("ok"))
    })
    .await;
    Guarded {
        master,
        replica,
        sentinel,
    }
}

impl Guarded {
    fn url(&self) -> String {
        // The first of them is nobody.
        format!(
            "redis+sentinel://127.0.0.1:1,127.0.0.1:{}/pool",
            self.sentinel.port
        )
    }
}

#[tokio::test]
async fn bindings_and_leases_survive_a_failover() {
    let mut servers = guarded().await;
    let redis = redis(&servers.url());
    let (one, other) = (member(&redis), member(&redis));
    let leases = RedisLeases::new(redis.clone(), "test", 1);
    let fe1 = lease("fe1", 1);
    let holder: (&MemberId, Incarnation) = (&fe1.member, fe1.incarnation);
    let before = leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    let owned = leases
        .claim(Partitioned::Users, holder, &[home("alice")])
        .await
        .unwrap();
    let epoch = owned[0].1;
    one.take(home("alice"), epoch, NOW).await.unwrap();
    bind(&one, "alice", "e1", 1).await.unwrap();

    servers.master.kill();
    // Nobody who signs in meanwhile is told of it.
    bind(&one, "alice", "e2", 2).await.unwrap();
    assert_eq!(one.dirty(), 1);
    eventually("a lease is renewed at the new master", async || {
        leases.renew(&fe1, UNKNOWN_TABLES).await.is_ok()
    })
    .await;
    let role: Vec<redis::Value> = servers.replica.ask("ROLE").await;
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
    let after = leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    assert_ne!(after.history, before.history, "it may have lost something");
    let standing = leases.reassert(Partitioned::Users, holder, &owned).await.unwrap();
    assert_eq!(standing, owned);
    eventually("what is dirty comes over", async || {
        one.flush(NOW, 100).await;
        one.dirty() == 0
    })
    .await;
    eventually("somebody else takes over", async || {
        other.take(home("alice"), epoch + 1, NOW).await.is_ok()
    })
    .await;
    assert_eq!(endpoints(&other, "alice").await, ["e1", "e2"]);
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_left() {
    let servers = guarded().await;
    let redis = redis(&servers.url());
    let leases = RedisLeases::new(redis, "test", 1);
    let fe1 = lease("fe1", 1);
    let before = leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    // A planned one: both stay up.
    servers.sentinel.ask::<()>("SENTINEL failover pool").await;
    eventually("a lease is renewed at the new master", async || {
        let view = leases.renew(&fe1, UNKNOWN_TABLES).await;
        view.is_ok_and(|view| view.history != before.history)
    })
    .await;
    let role: Vec<redis::Value> = servers.replica.ask("ROLE").await;
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
}

#[tokio::test]
async fn a_master_that_hung_and_comes_back_is_not_asked_again() {
    let servers = guarded().await;
    let redis = redis(&servers.url());
    let store = member(&redis);
    let leases = RedisLeases::new(redis.clone(), "test", 1);
    let fe1 = lease("fe1", 1);
    let before = leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    store.take(home("alice"), 10, NOW).await.unwrap();
    bind(&store, "alice", "e1", 1).await.unwrap();
    servers.master.pause();
    let mut after = before.history;
    eventually("a lease is renewed at the new master", async || {
        let view = leases.renew(&fe1, UNKNOWN_TABLES).await;
        after = view.map_or(after, |view| view.history);
        after != before.history
    })
    .await;
    servers.master.resume();
    eventually("what was told meanwhile is shared", async || {
        let told = bind(&store, "alice", "e2", 2).await;
        store.flush(NOW, 100).await;
        told.is_ok() && store.dirty() == 0
    })
    .await;
    assert_eq!(leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap().history, after);
    let other = member(&crate::pool::redis(&servers.replica.url()));
    other.take(home("alice"), 20, NOW).await.unwrap();
    assert_eq!(endpoints(&other, "alice").await, ["e1", "e2"]);
}
