//! TLS with servers that speak nothing else: who is trusted, who is not, and what is said of it.

use store::suite::leases::lease;
use store::{LeaseStore, UNKNOWN_TABLES};
use store_redis::{Certificates, OwnCertificate, Redis, RedisLeases};
use test_support::stores::{Authority, Issued, OwnRedis, RedisServer};

use crate::server::{PATIENCE, eventually, free_port};

/// Where servers of a test are.
const HERE: &[&str] = &["127.0.0.1"];

fn authority() -> Authority {
    Authority::new().unwrap()
}

async fn server(authority: &Authority, hosts: &[&str], further: &[&str]) -> OwnRedis {
    let server = RedisServer::own_with_tls(authority, hosts, further).await;
    server.unwrap()
}

/// What a member is configured with that trusts this authority.
fn trusting(authority: &Authority, own: Option<&Issued>) -> Certificates {
    let read = |path: &std::path::Path| std::fs::read(path).unwrap();
    Certificates {
        authorities: Some(read(&authority.ca())),
        own: own.map(|own| OwnCertificate {
            chain: read(&own.certificate),
            key: read(&own.key),
        }),
    }
}

fn redis(url: &str, certificates: Certificates) -> Redis {
    let url: store_redis::RedisUrl = url.parse().unwrap();
    // Handshakes take their time on a busy machine.
    Redis::with_timeout(url.with_certificates(certificates).unwrap(), PATIENCE / 4)
}

/// What is said when there is no way to the server.
async fn problem(redis: &Redis) -> String {
    redis.ping().await.unwrap_err().to_string()
}

/// A lease is renewed, and a listener on a connection of its own hears of it.
async fn works(redis: Redis) {
    let leases = RedisLeases::new(redis, "test", 1);
    let (fe1, fe2) = (lease("fe1", 1), lease("fe2", 1));
    leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    let mut heard = false;
    eventually("a change is heard", async || {
        let hint = async {
            leases.changed().await;
            true
        };
        let come_and_go = async {
            leases.renew(&fe2, UNKNOWN_TABLES).await.unwrap();
            leases.leave((&fe2.member, fe2.incarnation)).await.unwrap();
            false
        };
        let (told, _) = tokio::join!(
            tokio::time::timeout(std::time::Duration::from_secs(1), hint),
            come_and_go
        );
        heard |= told.is_ok();
        heard
    })
    .await;
    let view = leases.renew(&fe1, UNKNOWN_TABLES).await.unwrap();
    assert_eq!(view.members, [fe1]);
}

#[tokio::test]
async fn a_server_is_known_by_an_authority_of_its_own() {
    let authority = authority();
    let server = server(&authority, HERE, &[]).await;
    assert!(
        server.url().starts_with("rediss://127.0.0.1:"),
        "{}",
        server.url()
    );
    works(redis(&server.url(), trusting(&authority, None))).await;
}

#[tokio::test]
async fn a_server_of_another_authority_or_another_name_is_refused_and_the_reason_said() {
    let (ours, theirs) = (authority(), authority());
    let stranger = server(&theirs, HERE, &[]).await;
    let text = problem(&redis(&stranger.url(), trusting(&ours, None))).await;
    assert!(
        text.contains("over TLS") && text.contains("UnknownIssuer"),
        "{text}"
    );
    // Nothing is configured: the authorities of this machine, none of which is ours.
    let text = problem(&Redis::new(stranger.url().parse().unwrap())).await;
    assert!(
        text.contains("over TLS") && text.contains("UnknownIssuer"),
        "{text}"
    );
    let other = server(&ours, &["cache.example.test"], &[]).await;
    let text = problem(&redis(&other.url(), trusting(&ours, None))).await;
    assert!(
        text.contains("over TLS") && text.contains("not valid for name"),
        "{text}"
    );
}

#[tokio::test]
async fn nobody_talks_past_tls() {
    let authority = authority();
    let server = server(&authority, HERE, &[]).await;
    let plain = server.url().replacen("rediss", "redis", 1);
    let text = problem(&Redis::new(plain.parse().unwrap())).await;
    assert!(text.contains("wants TLS"), "{text}");
    // And the other way round: nothing is sent to a server that does not speak TLS.
    let plain = RedisServer::own().await.unwrap();
    let url = plain.url().replacen("redis", "rediss", 1);
    let text = problem(&redis(&url, trusting(&authority, None))).await;
    // What it was sent is the beginning of a line to it, the end of which it waits for.
    assert!(
        text.contains("over TLS") || text.contains("did not answer"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_ours() {
    let (ours, theirs) = (authority(), authority());
    let server = server(&ours, HERE, &["--tls-auth-clients", "yes"]).await;
    let member = ours.issue("fe1", &["fe1.example.test"]).unwrap();
    works(redis(&server.url(), trusting(&ours, Some(&member)))).await;
    let text = problem(&redis(&server.url(), trusting(&ours, None))).await;
    assert!(text.contains("over TLS"), "{text}");
    let stranger = theirs.issue("fe1", &["fe1.example.test"]).unwrap();
    let text = problem(&redis(&server.url(), trusting(&ours, Some(&stranger)))).await;
    assert!(text.contains("over TLS"), "{text}");
}

#[tokio::test]
async fn sentinels_and_the_master_they_name_speak_tls() {
    let (ours, theirs) = (authority(), authority());
    let master = server(&ours, HERE, &["--repl-diskless-sync-delay", "0"]).await;
    let _replica = master.replica().await.unwrap();
    let sentinel = master.sentinel().await.unwrap();
    let url = format!("rediss+sentinel://{}/pool", sentinel.address());
    works(redis(&url, trusting(&ours, None))).await;
    let text = problem(&redis(&url, trusting(&theirs, None))).await;
    assert!(text.contains("no sentinel that answers"), "{text}");
}

#[tokio::test]
async fn every_node_of_a_cluster_speaks_tls() {
    let (ours, theirs) = (authority(), authority());
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
        ];
        nodes.push((server(&ours, HERE, &arguments).await, bus));
    }
    let slots = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]];
    for (index, (node, bus)) in nodes.iter().enumerate() {
        let epoch = (index + 1).to_string();
        let port = node.address().port().to_string();
        let [first, last] = slots[index];
        for command in [
            &["CLUSTER", "SET-CONFIG-EPOCH", &epoch][..],
            &["CLUSTER", "ADDSLOTSRANGE", first, last],
        ] {
            node.command(command).await.unwrap();
        }
        let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, bus];
        nodes[0].0.command(&meet).await.unwrap();
    }
    for (node, _) in &nodes {
        eventually("the nodes know each other", async || {
            let info = node.command(&["CLUSTER", "INFO"]).await.unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    let url = format!("rediss+cluster://{}", nodes[1].0.address());
    let all = redis(&url, trusting(&ours, None));
    // Every master answers.
    all.ping().await.unwrap();
    works(all).await;
    let text = problem(&redis(&url, trusting(&theirs, None))).await;
    assert!(text.contains("UnknownIssuer"), "{text}");
}
