//! What only the wire adds: deadlines, dead peers, malformed requests, bounds, health, and the end of a server.

#![cfg(test)]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rig::{Rig, Served, Way, aor, description, register, serve, server};
use rpc::{
    Authenticate, Binding, DirectoryClient, EffectivePolicy, Error, ErrorCode, Freshness, Identity, Location,
    PeopleFound, PeopleSearch, Refusal, Register, RegisterError, Registered, Registrar, RegistrarChange,
    RegistrarClient, Unregister, Which,
};
use rpc_wire::proto::registrar::v1 as wire;
use rpc_wire::transport::{Connector, listen};
use rpc_wire::{MAX_MESSAGE, RemoteMember, RemoteRegistrar, STREAMS_PER_CONNECTION, codec};
use sip_types::AddressOfRecord;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;
use topology::MemberId;

/// Answers nothing until it is let.
#[derive(Default)]
struct Slow {
    asked: AtomicUsize,
    go: Notify,
    dropped: Arc<AtomicBool>,
    written: AtomicBool,
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Registrar for Slow {
    async fn authenticate(&self, _: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        unreachable!("not asked for here")
    }

    async fn register(&self, _: Register) -> Result<Registered, RegisterError> {
        unreachable!("not asked for here")
    }

    async fn unregister(&self, _: Unregister) -> Result<Vec<Binding>, RegisterError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.go.notified().await;
        self.written.store(true, Ordering::Relaxed);
        Ok(Vec::new())
    }

    async fn lookup(&self, _: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        let _dropped = SetOnDrop(self.dropped.clone());
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.go.notified().await;
        Ok(None)
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        let busy = Error::new(ErrorCode::TooMany, "too many watch the registrar");
        Err(busy.retry_after(Duration::from_millis(1_234)))
    }

    async fn policy(&self, _: &str, _: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        Err(Error::new(ErrorCode::Internal, "for the test"))
    }

    async fn search(&self, _: PeopleSearch) -> Result<PeopleFound, Error> {
        unreachable!("not asked for here")
    }
}

async fn slow() -> (Arc<Slow>, Served) {
    let slow = Arc::new(Slow::default());
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let directory = rig::registrar_service(&tasks, &stop).await;
    let server = server(
        RegistrarClient::local(slow.clone()),
        DirectoryClient::local(Arc::new(directory)),
    );
    let served = serve(server.await, None).await;
    (slow, served)
}

fn channel(served: &Served) -> Channel {
    Connector::new(None).channel(&served.address.to_string()).unwrap()
}

fn remote(channel: Channel) -> RemoteRegistrar<Channel> {
    RemoteRegistrar::new(
        channel,
        MemberId::new("fe2"),
        TaskTracker::new(),
        CancellationToken::new(),
    )
}

fn sign_out(user: &str) -> Unregister {
    Unregister {
        aor: aor(user),
        which: Which::All,
        order: None,
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(5), waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn an_error_arrives_with_its_code_its_text_and_its_hint() {
    let (_slow, served) = slow().await;
    let registrar = remote(channel(&served));
    let error = registrar.watch().await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::TooMany, "too many watch the registrar")
    );
    assert_eq!(error.retry_after, Some(Duration::from_millis(1_234)));
    let error = registrar.policy("im", &aor("alice")).await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::Internal, "for the test")
    );
    served.end().await;
}

#[tokio::test]
async fn a_deadline_ends_a_read_on_both_sides_and_a_write_on_one() {
    let (slow, served) = slow().await;
    let registrar = remote(channel(&served)).deadline(Duration::from_millis(100));
    let began = Instant::now();
    let late = registrar
        .lookup(&aor("alice"), Freshness::Cached)
        .await
        .unwrap_err();
    assert_eq!(late.code, ErrorCode::Timeout);
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(slow.asked.load(Ordering::Relaxed), 1);
    until("the read is dropped", || slow.dropped.load(Ordering::Relaxed)).await;

    let late = registrar.unregister(sign_out("alice")).await.unwrap_err();
    let RegisterError::Failed(late) = late else {
        panic!("{late:?}")
    };
    assert_eq!(late.code, ErrorCode::Timeout);
    assert_eq!(slow.asked.load(Ordering::Relaxed), 2);
    slow.go.notify_waiters();
    until("the write is done", || slow.written.load(Ordering::Relaxed)).await;
    served.end().await;
}

#[tokio::test]
async fn a_server_that_ends_waits_for_changes_that_began() {
    let (slow, served) = slow().await;
    let registrar = remote(channel(&served)).deadline(Duration::from_millis(50));
    registrar.unregister(sign_out("alice")).await.unwrap_err();
    served.shutdown.cancel();
    let (ended, waiting) = (Box::pin(served.ended), slow.clone());
    let ended = timeout(Duration::from_millis(300), ended).await;
    assert!(ended.is_err(), "it ended over a change that is being made");
    assert!(!waiting.written.load(Ordering::Relaxed));
    slow.go.notify_waiters();
    until("the write is done", || slow.written.load(Ordering::Relaxed)).await;
}

#[tokio::test]
async fn a_dead_peer_is_unavailable_and_its_next_life_is_found() {
    let rig = Rig::new(Way::Tcp).await;
    let Rig {
        registrar,
        service,
        served,
        ..
    } = rig;
    let served = served.unwrap();
    let address = served.address;
    let mut changes = registrar.watch().await.unwrap();
    served.end().await;
    let end = timeout(Duration::from_secs(3), changes.next()).await;
    assert!(end.expect("the stream ends with the server").is_none());
    let began = Instant::now();
    let gone = registrar
        .lookup(&aor("alice"), Freshness::Cached)
        .await
        .unwrap_err();
    assert_eq!(gone.code, ErrorCode::Unavailable, "{gone}");
    assert!(gone.message.to_lowercase().contains("refused"), "{gone}");
    assert!(began.elapsed() < Duration::from_secs(2));

    let local = RegistrarClient::local(Arc::new(service.clone()));
    let next = server(local, DirectoryClient::local(Arc::new(service))).await;
    let bound = listen(address, None).await.unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(next.serve(bound, shutdown.clone()));
    let found = registrar.lookup(&aor("alice"), Freshness::Cached).await.unwrap();
    assert!(found.is_some());
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_within_ten_seconds() {
    let rig = Rig::new(Way::Tcp).await;
    let target = rig.served.as_ref().unwrap().address;
    // Between the two: bytes pass until it is told to swallow them. Nothing is closed.
    let silent = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    let swallow = silent.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(target).await.unwrap();
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            for (mut from, mut to) in [(from_client, to_server), (from_server, to_client)] {
                let silent = swallow.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 4_096];
                    while let Ok(length @ 1..) = from.read(&mut buffer).await {
                        if !silent.load(Ordering::Relaxed) && to.write_all(&buffer[..length]).await.is_err() {
                            break;
                        }
                    }
                    // Held open: silence, not an end.
                    std::future::pending::<()>().await;
                    drop((from, to));
                });
            }
        }
    });
    let registrar = remote(Connector::new(None).channel(&between.to_string()).unwrap());
    let mut changes = registrar.watch().await.unwrap();
    silent.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let end = timeout(Duration::from_secs(12), changes.next()).await;
    assert!(end.expect("silence is noticed").is_none());
    assert!(
        began.elapsed() > Duration::from_secs(4),
        "not before it was asked"
    );
    rig.end().await;
}

#[tokio::test]
async fn a_malformed_request_names_its_field_and_does_no_harm() {
    let rig = Rig::new(Way::Tcp).await;
    let channel = channel(rig.served.as_ref().unwrap());
    let mut raw = wire::registrar_client::RegistrarClient::new(channel);
    let status = raw
        .lookup(wire::LookupRequest {
            aor: "\0".into(),
            newest: false,
        })
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let error = codec::error::error(&status);
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::InvalidRequest, "malformed field `lookup.aor`")
    );
    let status = raw
        .authenticate(wire::AuthenticateRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        codec::error::error(&status).message,
        "malformed field `authenticate.proof`"
    );
    let status = raw.register(wire::RegisterRequest::default()).await.unwrap_err();
    assert_eq!(codec::error::error(&status).code, ErrorCode::InvalidRequest);
    assert!(
        rig.registrar
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .is_some()
    );
    rig.end().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_on_either_side() {
    let rig = Rig::new(Way::Tcp).await;
    let long = "x".repeat(MAX_MESSAGE + 1);
    let error = rig.registrar.policy(&long, &aor("alice")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest, "{error}");
    let mut raw = wire::registrar_client::RegistrarClient::new(channel(rig.served.as_ref().unwrap()));
    let request = wire::PolicyRequest {
        kind: long,
        aor: "alice@example.test".into(),
    };
    let status = raw.policy(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status}");
    assert!(
        rig.registrar
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .is_some()
    );
    rig.end().await;
}

#[tokio::test]
async fn one_connection_has_only_so_many_streams_and_others_do_not_notice() {
    let rig = Rig::new(Way::Tcp).await;
    let greedy = remote(channel(rig.served.as_ref().unwrap())).deadline(Duration::from_millis(400));
    let mut streams = Vec::new();
    for _ in 0..STREAMS_PER_CONNECTION {
        streams.push(greedy.watch().await.unwrap());
    }
    let late = greedy.lookup(&aor("alice"), Freshness::Cached).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::Timeout);
    assert!(
        rig.registrar
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .is_some()
    );
    // Each of them is told of a change; and who leaves makes room.
    rig.registrar.register(register("alice", "one")).await.unwrap();
    for stream in &mut streams {
        let change = timeout(Duration::from_secs(3), stream.next()).await;
        assert!(change.expect("it is told").is_some());
    }
    streams.clear();
    let freed = async { while greedy.lookup(&aor("alice"), Freshness::Cached).await.is_err() {} };
    timeout(Duration::from_secs(3), freed)
        .await
        .expect("there is room again");
    rig.end().await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_makes_room_when_one_goes() {
    let bound = listen("127.0.0.1:0".parse().unwrap(), None)
        .await
        .unwrap()
        .max_connections(3);
    let (address, shutdown) = (bound.local_address(), CancellationToken::new());
    let server = rpc_wire::RpcServer::builder().build().await;
    let (counters, health) = (server.counters(), server.health());
    let running = tokio::spawn(server.serve(bound, shutdown.clone()));
    let mut open = Vec::new();
    for number in 1..=3 {
        open.push(TcpStream::connect(address).await.unwrap());
        until("it is accepted", || counters.snapshot().connections == number).await;
    }
    let mut more = TcpStream::connect(address).await.unwrap();
    let closed = timeout(Duration::from_secs(3), more.read(&mut [0; 1])).await;
    assert!(matches!(closed.expect("closed at once"), Ok(0) | Err(_)));
    assert_eq!(counters.snapshot().too_many_connections, 1);
    open.pop();
    let room = async {
        while counters.snapshot().connections < 4 {
            open.push(TcpStream::connect(address).await.unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), room)
        .await
        .expect("there is room again");
    health.set_all(false).await;
    shutdown.cancel();
    // Nobody is asked anything: silent connections are told to go, and broken when they do not.
    let ended = timeout(Duration::from_secs(8), running).await;
    ended.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_member_describes_itself() {
    let (_slow, served) = slow().await;
    let member = RemoteMember::new(channel(&served));
    assert_eq!(member.describe().await.unwrap(), description());
    served.end().await;
}

#[tokio::test]
async fn health_says_of_each_service_whether_it_may_be_used() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let (_slow, served) = slow().await;
    let mut client = HealthClient::new(channel(&served));
    let mut check = async |service: &str| {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        client
            .check(request)
            .await
            .map(|response| response.into_inner().status().as_str_name())
    };
    let names = [
        "",
        "portico.registrar.v1.Registrar",
        "portico.registrar.v1.Directory",
        "portico.pool.v1.Member",
    ];
    for name in names {
        assert_eq!(check(name).await.unwrap(), "SERVING", "{name}");
    }
    served.health.set("portico.registrar.v1.Registrar", false).await;
    assert_eq!(
        check("portico.registrar.v1.Registrar").await.unwrap(),
        "NOT_SERVING"
    );
    assert_eq!(check("portico.pool.v1.Member").await.unwrap(), "SERVING");
    served.health.set_all(false).await;
    for name in names {
        assert_eq!(check(name).await.unwrap(), "NOT_SERVING", "{name}");
    }
    let unknown = check("portico.immcu.v1.ImMcu").await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    served.end().await;
}

#[tokio::test]
async fn a_role_that_a_member_does_not_run_is_unavailable_there() {
    let empty = rpc_wire::RpcServer::builder().build().await;
    let served = serve(empty, None).await;
    let error = remote(channel(&served))
        .lookup(&aor("alice"), Freshness::Cached)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    served.end().await;
}
