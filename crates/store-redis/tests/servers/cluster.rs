//! Three masters that share the slots.

use store::suite::leases::lease;
use store::{LeaseStore, UNKNOWN_TABLES};
use store_redis::{Redis, RedisLeases};
use topology::{Partition, Partitioned};

use crate::pool::{NOW, bind, endpoints, is_not_owner, member, redis, user};
use crate::server::{PATIENCE, Server, eventually, free_port};

/// Makes a cluster, and the address of one of its nodes.
async fn cluster() -> (Vec<Server>, String) {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let bus = free_port().to_string();
        let arguments = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            "1000",
            "--cluster-require-full-coverage",
            "no",
        ];
        nodes.push((Server::with(&arguments).await, bus));
    }
    let slots = ["0 5460", "5461 10922", "10923 16383"];
    for (index, (node, bus)) in nodes.iter().enumerate() {
        node.ask::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1))
            .await;
        node.ask::<()>(&format!("CLUSTER ADDSLOTSRANGE {}", slots[index]))
            .await;
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port);
        nodes[0].0.ask::<()>(&meet).await;
    }
    for (node, _) in &nodes {
        eventually("the nodes know each other", async || {
            let info: String = node.ask("CLUSTER INFO").await;
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    let url = format!("redis+cluster://127.0.0.1:{}", nodes[1].0.port);
    (nodes.into_iter().map(|(node, _)| node).collect(), url)
}

#[tokio::test]
async fn partitions_are_spread_over_the_nodes_and_fenced_on_each() {
    let (nodes, url) = cluster().await;
    // Three servers that have just started, on a machine that may be busy.
    let redis = Redis::with_timeout(url.parse().unwrap(), PATIENCE / 4);
    let (one, other) = (member(&redis), member(&redis));
    let names: Vec<String> = (0..12).map(|number| format!("user{number}")).collect();
    let home = |name: &str| Partition::of_user(user(name).as_str());
    for name in &names {
        one.take(home(name), 10, NOW).await.unwrap();
        bind(&one, name, "e1", 1).await.unwrap();
    }
    assert_eq!(one.dirty(), 0);
    for node in &nodes {
        let keys: Vec<String> = node.ask("KEYS portico:test:bindings:*").await;
        assert!(!keys.is_empty(), "a node without a partition");
        let (immortal, _) = node.immortal_keys().await;
        assert_eq!(immortal, [""; 0]);
    }
    // One node loses everything: its partitions notice and are written anew, those of others stay.
    nodes[2].ask::<()>("FLUSHALL").await;
    for name in &names {
        bind(&one, name, "e2", 2).await.unwrap();
    }
    assert!(one.dirty() > 0);
    let flushed = one.flush(NOW, 100).await;
    assert!(flushed.failed.is_none() && one.dirty() == 0, "{flushed:?}");
    for name in &names {
        other.take(home(name), 20, NOW).await.unwrap();
        assert_eq!(endpoints(&other, name).await, ["e1", "e2"]);
        assert!(is_not_owner(&bind(&one, name, "late", 3).await));
    }
}

#[tokio::test]
async fn leases_of_a_pool_are_on_one_node_and_hints_on_every() {
    let (nodes, url) = cluster().await;
    let redis = redis(&url);
    let leases = RedisLeases::new(redis, "test", 1);
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    leases.renew(&fe2, UNKNOWN_TABLES).await.unwrap();
    let (one, other) = ((&fe1.member, fe1.incarnation), (&fe2.member, fe2.incarnation));
    let all: Vec<_> = Partition::all().collect();
    let owned = leases.claim(Partitioned::Users, one, &all).await.unwrap();
    assert_eq!(owned.len(), all.len());
    let gone = leases
        .transfer(Partitioned::Users, one, other, &all[..100])
        .await
        .unwrap();
    assert_eq!(gone.len(), 100);
    let view = leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    assert_eq!(view.members, [fe1.clone(), fe2.clone()]);
    let mut with_keys = 0;
    for node in &nodes {
        let keys: Vec<String> = node.ask("KEYS {portico:test}:*").await;
        with_keys += usize::from(!keys.is_empty());
        assert!(keys.is_empty() || keys.len() == 3, "{keys:?}");
    }
    assert_eq!(with_keys, 1);

    // A hint reaches a listener at whatever node.
    leases.changed().await;
    let mut fastest = std::time::Duration::MAX;
    for _ in 0..5 {
        let begun = tokio::time::Instant::now();
        let (_, left) = tokio::join!(leases.changed(), leases.leave(other));
        left.unwrap();
        fastest = fastest.min(begun.elapsed());
        leases.renew(&fe2, UNKNOWN_TABLES).await.unwrap();
    }
    assert!(fastest < std::time::Duration::from_millis(500), "{fastest:?}");
}

#[tokio::test]
async fn a_node_that_dies_takes_only_its_own_partitions_out_of_the_copy() {
    let (mut nodes, url) = cluster().await;
    let redis = redis(&url);
    redis.ping().await.unwrap();
    let (one, other) = (member(&redis), member(&redis));
    let names: Vec<String> = (0..12).map(|number| format!("user{number}")).collect();
    let home = |name: &str| Partition::of_user(user(name).as_str());
    for name in &names {
        one.take(home(name), 10, NOW).await.unwrap();
    }
    let dead: Vec<String> = nodes[0].ask("KEYS portico:test:fence:*").await;
    let is_dead = |name: &str| dead.contains(&format!("portico:test:fence:{{u{}}}", home(name)));
    nodes[0].kill();
    for name in &names {
        bind(&one, name, "e1", 1).await.unwrap();
    }
    let away = names.iter().filter(|name| is_dead(name)).count();
    assert!(away > 0 && away < names.len());
    eventually("the others are shared", async || {
        one.flush(NOW, 100).await;
        one.dirty() == away
    })
    .await;
    for name in names.iter().filter(|name| !is_dead(name)) {
        eventually("somebody else takes over", async || {
            other.take(home(name), 20, NOW).await.is_ok()
        })
        .await;
        assert_eq!(endpoints(&other, name).await, ["e1"]);
    }
    for name in names.iter().filter(|name| is_dead(name)) {
        assert_eq!(endpoints(&one, name).await, ["e1"], "served on from memory");
    }
}
