//! Real sockets on loopback, with and without TLS.

use super::*;
use crate::counters::Limit;
use crate::limits::Limits;
use crate::test_rig::{Recorder, request};
use crate::tls::tests::{Authority, localhost};
use crate::transport::{ConnectError, Target};
use bytes::Bytes;
use parking_lot::Mutex;
use sip_types::Message;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The client's end: hands on everything it receives.
struct Inbox {
    messages: mpsc::Sender<Message>,
    closed: Mutex<Option<CloseReason>>,
}

impl Inbox {
    fn new() -> (Arc<Self>, mpsc::Receiver<Message>) {
        let (messages, inbox) = mpsc::channel(1024);
        (
            Arc::new(Self {
                messages,
                closed: Mutex::new(None),
            }),
            inbox,
        )
    }
}

impl Handler for Inbox {
    type Session = ();

    fn accepted(&self, _: &Arc<Connection>) {}

    fn message(&self, _: &Arc<Connection>, _: &mut (), message: Message, _: Instant) {
        self.messages.try_send(message).unwrap();
    }

    fn closed(&self, _: &Arc<Connection>, _: &mut (), reason: CloseReason) {
        *self.closed.lock() = Some(reason);
    }
}

struct Server {
    transport: Transport,
    listener: Listener,
    handler: Arc<Recorder>,
    authority: Authority,
    store: Arc<CertificateStore>,
}

impl Server {
    fn tls(limits: Limits) -> Self {
        Self::start(limits, true, ProxyPolicy::Off)
    }

    fn start(limits: Limits, tls: bool, proxy: ProxyPolicy) -> Self {
        let authority = Authority::new();
        let store = Arc::new(CertificateStore::load(authority.issue(2040)).unwrap());
        let transport = Transport::new(limits).unwrap();
        let config = ListenerConfig {
            name: "sip_test".to_owned(),
            address: "127.0.0.1:0".parse().unwrap(),
            tls: tls.then(|| Arc::clone(&store)),
            proxy,
        };
        let handler = Arc::<Recorder>::default();
        let listener = BoundListener::bind(config)
            .unwrap()
            .serve(&transport, Arc::clone(&handler));
        assert_ne!(listener.address().port(), 0);
        Self {
            transport,
            listener,
            handler,
            authority,
            store,
        }
    }

    fn target(&self) -> Target {
        let tls = Some((Arc::new(self.authority.client()), localhost()));
        Target {
            address: self.listener.address(),
            local: None,
            tls,
        }
    }

    async fn connect(&self) -> (Arc<Connection>, mpsc::Receiver<Message>) {
        let (inbox, messages) = Inbox::new();
        let transport = Transport::new(Limits::default()).unwrap();
        let connection = transport.connect(self.target(), inbox).await.unwrap();
        (connection, messages)
    }

    /// A client without TLS.
    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.listener.address()).await.unwrap()
    }
}

async fn next(messages: &mut mpsc::Receiver<Message>) -> Option<Message> {
    tokio::time::timeout(PATIENCE, messages.recv())
        .await
        .expect("something within the test's patience")
}

/// Waits for what another task is about to do.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn send(connection: &Connection, text: String) {
    connection.send(Bytes::from(text), Bytes::new()).unwrap();
}

#[tokio::test]
async fn messages_go_both_ways_over_tls() {
    let server = Server::tls(Limits::default());
    let (connection, mut messages) = server.connect().await;
    assert!(connection.is_tls() && connection.is_outbound() && connection.listener() == "outbound");
    let body = "x".repeat(100_000);
    send(&connection, request("MESSAGE", "a", "", &body));
    let Some(Message::Response(answer)) = next(&mut messages).await else {
        panic!("no answer")
    };
    assert_eq!(answer.status().code(), 200);
    assert_eq!(answer.call_id().unwrap(), "a");

    let accepted = server.handler.connection();
    assert_eq!(accepted.listener(), "sip_test");
    assert_eq!(
        (accepted.peer(), accepted.local()),
        (connection.local(), server.listener.address())
    );
    let (ours, theirs) = (accepted.tls().unwrap(), connection.tls().unwrap());
    assert_eq!(ours.version, rustls::ProtocolVersion::TLSv1_3);
    assert_eq!(ours.server_end_point, theirs.server_end_point);

    // From the server, by another task than the connection's.
    let head = request("OPTIONS", "b", "", "");
    accepted.send(Bytes::from(head.clone()), Bytes::new()).unwrap();
    assert_eq!(next(&mut messages).await.unwrap().to_string(), head);
}

#[tokio::test]
async fn what_is_queued_together_is_written_together() {
    for tls in [true, false] {
        let server = Server::start(Limits::default(), tls, ProxyPolicy::Off);
        let (inbox, mut messages) = Inbox::new();
        let target = if tls {
            server.target()
        } else {
            Target {
                tls: None,
                ..server.target()
            }
        };
        let connection = Transport::new(Limits::default())
            .unwrap()
            .connect(target, inbox)
            .await
            .unwrap();
        eventually("accepted", || server.handler.connections() == 1).await;
        let accepted = server.handler.connection();
        let counters = server.transport.counters();
        let before = counters.get(Count::Writes);
        let head = request("MESSAGE", "m", "", &"x".repeat(500)).replacen("x", "y", 1);
        let (head, body) = head.split_at(head.len() - 500);
        // The only thread runs this test until the next wait: the connection finds all of it at once.
        for _ in 0..20 {
            accepted
                .send(Bytes::from(head.to_owned()), Bytes::from(body.to_owned()))
                .unwrap();
        }
        for _ in 0..20 {
            assert_eq!(next(&mut messages).await.unwrap().body(), body);
        }
        assert_eq!(counters.get(Count::Writes) - before, 1, "tls {tls}");
        drop(connection);
    }
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_old_ones_stay() {
    let server = Server::tls(Limits::default());
    let (old, mut messages) = server.connect().await;
    server.authority.issue(2041);
    assert!(server.store.reload_if_changed().unwrap());
    let (new, _) = server.connect().await;
    assert_ne!(
        old.tls().unwrap().server_end_point,
        new.tls().unwrap().server_end_point
    );
    send(&old, request("OPTIONS", "a", "", ""));
    assert!(next(&mut messages).await.is_some());
}

#[tokio::test]
async fn a_hidden_request_over_tls_is_never_run() {
    let server = Server::tls(Limits::default());
    let (connection, mut messages) = server.connect().await;
    let hidden = request("MESSAGE", "hidden", "", "");
    send(
        &connection,
        request("OPTIONS", "first", "Content-Length: 0\r\n", "") + &hidden,
    );
    let Some(Message::Response(answer)) = next(&mut messages).await else {
        panic!("no answer")
    };
    assert_eq!(answer.status().code(), 400);
    assert!(next(&mut messages).await.is_none(), "closed");
    assert_eq!(server.handler.messages(), Vec::<String>::new());
    assert_eq!(connection.closing(), Some(CloseReason::PeerClosed));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let server = Server::tls(Limits::default());
    let (connection, mut messages) = server.connect().await;
    send(
        &connection,
        request("MESSAGE", "big", "", "").replace("Length: 0", "Length: 200000"),
    );
    let Some(Message::Response(answer)) = next(&mut messages).await else {
        panic!("no answer")
    };
    assert_eq!(answer.status().code(), 413);
    assert!(next(&mut messages).await.is_none(), "closed");
}

#[tokio::test]
async fn the_answer_is_read_even_if_the_peer_goes_on_sending() {
    let server = Server::start(Limits::default(), false, ProxyPolicy::Off);
    let mut peer = server.raw().await;
    let head = request("MESSAGE", "big", "", "").replace("Length: 0", "Length: 200000");
    peer.write_all(head.as_bytes()).await.unwrap();
    peer.write_all(&vec![b'x'; 200_000]).await.unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer)
        .await
        .expect("no reset before the answer");
    assert!(answer.starts_with("SIP/2.0 413 "), "{answer}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off() {
    let limits = Limits {
        slow_reader_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Server::start(limits, false, ProxyPolicy::Off);
    let chunk = Bytes::from(vec![b'\r'; 200_000]);
    let peer = server.raw().await;
    eventually("accepted", || server.handler.connections() == 1).await;
    let accepted = server.handler.connection();
    // The kernels take some megabytes first.
    while accepted.closing().is_none() {
        if accepted.pending() < 600_000 {
            let _ = accepted.send(chunk.clone(), Bytes::new());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(accepted.closing(), Some(CloseReason::SlowReader));
    eventually("told", || {
        server.handler.closed() == Some(CloseReason::SlowReader)
    })
    .await;
    drop(peer);
}

#[tokio::test]
async fn a_silent_handshake_is_given_up() {
    let server = Server::tls(Limits {
        handshake_time: Duration::from_millis(100),
        ..Limits::default()
    });
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut peer = server.raw().await;
        peer.write_all(bytes).await.unwrap();
        let since = Instant::now();
        assert_eq!(peer.read(&mut [0; 100]).await.unwrap_or(0), 0);
        assert!(since.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(server.handler.connections(), 0);
    assert_eq!(server.transport.counters().limit_hits(Limit::HandshakeTime), 2);
    assert_eq!(server.transport.counters().get(Count::HandshakeFailed), 2);
}

#[tokio::test]
async fn clear_text_on_a_tls_port_gets_an_alert() {
    let server = Server::tls(Limits::default());
    let mut peer = server.raw().await;
    peer.write_all(request("OPTIONS", "a", "", "").as_bytes())
        .await
        .unwrap();
    let mut alert = Vec::new();
    peer.read_to_end(&mut alert).await.unwrap();
    assert_eq!(alert.first(), Some(&0x15), "{alert:?}");
    assert_eq!(server.transport.counters().get(Count::HandshakeFailed), 1);
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let server = Server::tls(Limits::default());
    let stranger = Authority::new();
    let target = Target {
        tls: Some((Arc::new(stranger.client()), localhost())),
        ..server.target()
    };
    let client = Transport::new(Limits::default()).unwrap();
    let refused = client.connect(target, Inbox::new().0).await;
    assert!(matches!(refused, Err(ConnectError::Handshake)));
    assert!(client.opened().is_empty());
}

#[tokio::test]
async fn one_address_gets_its_share_of_connections_and_no_more() {
    let server = Server::start(
        Limits {
            connections_per_address: 2,
            ..Limits::default()
        },
        false,
        ProxyPolicy::Off,
    );
    let (_one, _two) = (server.raw().await, server.raw().await);
    eventually("two accepted", || server.handler.connections() == 2).await;
    assert_eq!(server.raw().await.read(&mut [0]).await.unwrap_or(0), 0, "closed");

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let _other = socket.connect(server.listener.address()).await.unwrap();
    eventually("another address", || server.handler.connections() == 3).await;
    assert_eq!(
        server
            .transport
            .counters()
            .limit_hits(Limit::ConnectionsPerAddress),
        1
    );
    assert_eq!(server.transport.counters().active(), 3);
}

#[tokio::test]
async fn a_flood_of_connections_from_one_address_is_cut_off() {
    let limits = Limits {
        accepts_per_second_per_address: 5,
        ..Limits::default()
    };
    let server = Server::start(limits, false, ProxyPolicy::Off);
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(server.raw().await);
    }
    let counters = server.transport.counters();
    eventually("all seen", || counters.get(Count::Accepted) == 20).await;
    assert!(counters.limit_hits(Limit::AcceptRatePerAddress) >= 10);
    assert!(server.handler.connections() <= 10);
}

#[tokio::test]
async fn addresses_outside_the_trusted_ones_need_not_knock_where_a_balancer_is_required() {
    let proxy = ProxyPolicy::Required(vec!["10.0.0.0/8".parse().unwrap()]);
    let server = Server::start(Limits::default(), false, proxy);
    assert_eq!(server.raw().await.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(server.transport.counters().get(Count::ProxyRefused), 1);
}

#[tokio::test]
async fn a_balancer_speaks_before_tls() {
    let proxy = ProxyPolicy::Trusted(vec!["127.0.0.0/8".parse().unwrap()]);
    let server = Server::start(Limits::default(), true, proxy);
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x01\x9c\x41\x13\xc5";

    // A balancer of one connection: it says the header, then passes bytes on.
    let balancer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (front, back) = (balancer.local_addr().unwrap(), server.listener.address());
    let relay = tokio::spawn(async move {
        let (mut client, _) = balancer.accept().await.unwrap();
        let mut server = TcpStream::connect(back).await.unwrap();
        server.write_all(header).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    });
    let (inbox, mut messages) = Inbox::new();
    let transport = Transport::new(Limits::default()).unwrap();
    let target = Target {
        address: front,
        ..server.target()
    };
    let connection = transport.connect(target, inbox).await.unwrap();
    send(&connection, request("OPTIONS", "a", "", ""));
    assert!(next(&mut messages).await.is_some());
    assert_eq!(
        server.handler.connection().peer(),
        "203.0.113.9:40001".parse().unwrap()
    );
    relay.abort();
}

#[tokio::test]
async fn a_drain_writes_what_is_queued_says_goodbye_and_ends() {
    let server = Server::tls(Limits::default());
    let (connection, mut messages) = server.connect().await;
    eventually("accepted", || server.listener.connections().len() == 1).await;
    let farewell = request("OPTIONS", "farewell", "", "");
    server.listener.connections()[0]
        .send(Bytes::from(farewell.clone()), Bytes::new())
        .unwrap();
    server.listener.shutdown();
    server.listener.close_all(CloseReason::Shutdown);
    assert_eq!(next(&mut messages).await.unwrap().to_string(), farewell);
    assert!(next(&mut messages).await.is_none());
    // The end of TLS was said: for the peer this is no broken connection.
    assert_eq!(connection.closing(), Some(CloseReason::PeerClosed));
    tokio::time::timeout(PATIENCE, server.transport.finished())
        .await
        .expect("all tasks end");
    assert_eq!(server.handler.closed(), Some(CloseReason::Shutdown));
    assert!(TcpStream::connect(server.listener.address()).await.is_err());
    assert_eq!(server.transport.counters().active(), 0);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes_nor_for_balancers_that_say_nothing() {
    let patient = || Limits {
        handshake_time: Duration::from_secs(60),
        proxy_time: Duration::from_secs(60),
        ..Limits::default()
    };
    let balancer = ProxyPolicy::Required(vec!["127.0.0.1".parse().unwrap()]);
    for proxy in [ProxyPolicy::Off, balancer] {
        let server = Server::start(patient(), true, proxy);
        let mut silent = server.raw().await;
        eventually("it is accepted", || {
            server.transport.counters().get(Count::Accepted) == 1
        })
        .await;
        server.listener.shutdown();
        tokio::time::timeout(PATIENCE, server.transport.finished())
            .await
            .expect("nobody is waited for");
        assert_eq!(silent.read(&mut [0; 64]).await.unwrap_or(0), 0);
    }
}
