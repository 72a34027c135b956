//! Who is let in: members of this pool, by TLS 1.3 and nothing else.

#![cfg(test)]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use rig::{Served, aor, serve, server, tls};
use rpc::{DirectoryClient, ErrorCode, Freshness, Registrar, RegistrarClient};
use rpc_wire::proto::pool::v1 as wire;
use rpc_wire::transport::{Connector, HANDSHAKES, ListenError, MemberTls, Peer, listen};
use rpc_wire::{RemoteMember, RemoteRegistrar, RpcServer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use topology::MemberId;

const OURS: [u8; 32] = [9; 32];
const THEIRS: [u8; 32] = [8; 32];

async fn served(tls: Option<MemberTls>) -> Served {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let service = Arc::new(rig::registrar_service(&tasks, &stop).await);
    let server = server(
        RegistrarClient::local(service.clone()),
        DirectoryClient::local(service),
    );
    serve(server.await, tls).await
}

async fn lookup(served: &Served, tls: Option<MemberTls>, member: Option<&str>) -> Result<bool, ErrorCode> {
    let (connector, address) = (Connector::new(tls), served.address.to_string());
    let channel = match member {
        Some(member) => connector.channel_to(&MemberId::new(member), &address),
        None => connector.channel(&address),
    };
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let registrar = RemoteRegistrar::new(channel.unwrap(), MemberId::new("fe2"), tasks, stop);
    let found = registrar.lookup(&aor("alice"), Freshness::Cached).await;
    found.map(|found| found.is_some()).map_err(|error| error.code)
}

#[tokio::test]
async fn members_of_one_pool_reach_each_other_and_the_one_they_mean() {
    let served = served(Some(tls(&[OURS], "fe1"))).await;
    assert_eq!(lookup(&served, Some(tls(&[OURS], "fe2")), None).await, Ok(true));
    assert_eq!(
        lookup(&served, Some(tls(&[OURS], "fe2")), Some("fe1")).await,
        Ok(true)
    );
    let another = lookup(&served, Some(tls(&[OURS], "fe2")), Some("fe3")).await;
    assert_eq!(another, Err(ErrorCode::Unavailable), "fe1 is not fe3");
    served.end().await;
}

#[tokio::test]
async fn members_of_another_pool_and_strangers_are_not_let_in() {
    let served = served(Some(tls(&[OURS], "fe1"))).await;
    assert_eq!(
        lookup(&served, Some(tls(&[THEIRS], "fe1")), None).await,
        Err(ErrorCode::Unavailable)
    );
    assert_eq!(
        lookup(&served, None, None).await,
        Err(ErrorCode::Unavailable),
        "without TLS"
    );
    let counted = served.counters.snapshot();
    assert_eq!((counted.connections, counted.failed_handshakes), (0, 2));
    served.end().await;
    let plain = self::served(None).await;
    assert_eq!(
        lookup(&plain, Some(tls(&[OURS], "fe2")), None).await,
        Err(ErrorCode::Unavailable)
    );
    plain.end().await;
}

#[tokio::test]
async fn a_rotation_of_the_key_file_can_be_rolled_out_member_by_member() {
    let (old, new) = (OURS, THEIRS);
    let steps: [&[[u8; 32]]; 3] = [&[old], &[new, old], &[new]];
    for (one, other) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)] {
        let served = served(Some(tls(steps[one], "fe1"))).await;
        let reached = lookup(&served, Some(tls(steps[other], "fe2")), Some("fe1")).await;
        // Who has only the new key does not trust what the old one signs: the old line goes last.
        let apart = one.max(other) == 2 && one.min(other) < 2;
        assert_eq!(reached.is_ok(), !apart, "{one} {other}");
        served.end().await;
    }
}

#[tokio::test]
async fn nothing_is_listened_on_off_loopback_without_tls() {
    let error = listen("0.0.0.0:0".parse().unwrap(), None).await.unwrap_err();
    assert!(matches!(error, ListenError::Plain(_)));
    assert!(
        error.to_string().contains("needs the key file of the pool"),
        "{error}"
    );
    let bound = listen("0.0.0.0:0".parse().unwrap(), Some(tls(&[OURS], "fe1"))).await;
    assert_ne!(bound.unwrap().local_address().port(), 0);
    let taken = listen("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let error = listen(taken.local_address(), None).await.unwrap_err();
    assert!(
        error.to_string().contains(&taken.local_address().to_string()),
        "{error}"
    );
}

/// Describes who asks instead of itself.
struct WhoAsks;

#[tonic::async_trait]
impl wire::member_server::Member for WhoAsks {
    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeResponse>, Status> {
        let peer = request.extensions().get::<Peer>().unwrap();
        Ok(Response::new(wire::DescribeResponse {
            member: peer.member.as_ref().map_or("nobody", MemberId::as_str).to_owned(),
            ..wire::DescribeResponse::default()
        }))
    }
}

#[tokio::test]
async fn a_service_knows_which_member_asks() {
    let named = [
        (
            Some(tls(&[OURS], "fe1")),
            Some(tls(&[OURS], "Front End 2")),
            "Front End 2",
        ),
        (None, None, "nobody"),
    ];
    for (ours, theirs, name) in named {
        let server = RpcServer::builder().service(wire::member_server::MemberServer::new(WhoAsks));
        let served = serve(server.build().await, ours).await;
        let channel = Connector::new(theirs)
            .channel(&served.address.to_string())
            .unwrap();
        let seen = RemoteMember::new(channel).describe().await.unwrap();
        assert_eq!(seen.member.as_str(), name);
        served.end().await;
    }
}

#[tokio::test]
async fn half_handshakes_are_bounded_and_end() {
    let served = served(Some(tls(&[OURS], "fe1"))).await;
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    let mut more = TcpStream::connect(served.address).await.unwrap();
    let closed = timeout(Duration::from_secs(3), more.read(&mut [0; 1])).await;
    assert!(matches!(closed.expect("closed at once"), Ok(0) | Err(_)));
    assert!(served.counters.snapshot().too_many_handshakes >= 1);
    for stream in &mut silent {
        let closed = timeout(Duration::from_secs(8), stream.read(&mut [0; 1])).await;
        assert!(matches!(closed.expect("closed after its time"), Ok(0) | Err(_)));
    }
    assert_eq!(served.counters.snapshot().slow_handshakes, HANDSHAKES as u64);
    assert_eq!(lookup(&served, Some(tls(&[OURS], "fe2")), None).await, Ok(true));
    served.end().await;
}
