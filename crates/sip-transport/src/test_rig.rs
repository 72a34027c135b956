//! A connection in memory with a handler that remembers what it was told, for tests.

use crate::admission::Admission;
use crate::connection::{CloseReason, Connection, Context, Ends};
use crate::counters::Counters;
use crate::driver::{Driver, Role};
use crate::handler::Handler;
use crate::limits::Limits;
use crate::proxy::Expectation;
use bytes::Bytes;
use parking_lot::Mutex;
use sip_types::{Message, Method, ParseError, StatusCode};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What a handler was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Accepted,
    Message(String),
    Rejected(u16),
    Timer,
    Closed(CloseReason),
}

/// Answers each request with 200, takes REGISTER for an authenticated request, and does what Subject asks for.
#[derive(Default)]
pub(crate) struct Recorder {
    told: Mutex<Vec<Told>>,
    connections: Mutex<Vec<Arc<Connection>>>,
    pub(crate) timer_at: Mutex<Option<Instant>>,
    /// Bytes of body put into each answer.
    pub(crate) answer_size: Mutex<usize>,
    /// What is under way: a `late` is sent when it is over.
    pub(crate) under_way: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Recorder {
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().clone()
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        let told = self.told.lock();
        told.iter()
            .filter_map(|told| {
                if let Told::Message(text) = told {
                    Some(text.clone())
                } else {
                    None
                }
            })
            .collect()
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        let told = self.told.lock();
        let mut reasons = told.iter().filter_map(|told| match told {
            Told::Closed(reason) => Some(*reason),
            _ => None,
        });
        let reason = reasons.next();
        assert_eq!(reasons.next(), None, "closed twice");
        reason
    }

    /// The newest connection.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(self.connections.lock().last().unwrap())
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().len()
    }
}

impl Handler for Recorder {
    type Session = ();

    fn accepted(&self, connection: &Arc<Connection>) {
        self.told.lock().push(Told::Accepted);
        self.connections.lock().push(Arc::clone(connection));
    }

    fn message(&self, connection: &Arc<Connection>, _: &mut (), message: Message, _: Instant) {
        let subject = message.headers().get(&sip_types::HeaderName::Subject);
        self.told.lock().push(Told::Message(
            message.to_string().lines().next().unwrap_or_default().to_owned(),
        ));
        match subject.as_deref() {
            Some("panic") => panic!("asked to"),
            Some("close") => connection.close(CloseReason::Finished),
            _ => {}
        }
        let Message::Request(request) = message else {
            return;
        };
        if *request.method() == Method::Register {
            connection.set_authenticated();
        }
        let body = Bytes::from(vec![b'x'; *self.answer_size.lock()]);
        let answer = request.reply(StatusCode::OK).body("text/plain", body).build();
        let _ = connection.send(answer.head().clone(), answer.body().clone());
    }

    fn work(&self, connection: &Arc<Connection>, _: &mut (), cx: &mut task::Context<'_>) {
        let mut under_way = self.under_way.lock();
        if under_way
            .as_mut()
            .is_some_and(|waits| Pin::new(waits).poll(cx).is_ready())
        {
            *under_way = None;
            let _ = connection.send(Bytes::from_static(b"late"), Bytes::new());
        }
    }

    fn rejected(&self, _: &Arc<Connection>, _: &mut (), error: &ParseError) {
        self.told.lock().push(Told::Rejected(error.status().code()));
    }

    fn timer(&self, _: &Arc<Connection>, _: &mut (), now: Instant) {
        self.told.lock().push(Told::Timer);
        self.timer_at.lock().take_if(|at| *at <= now);
    }

    fn next_timer(&self, (): &()) -> Option<Instant> {
        *self.timer_at.lock()
    }

    fn closed(&self, _: &Arc<Connection>, _: &mut (), reason: CloseReason) {
        self.told.lock().push(Told::Closed(reason));
    }
}

/// A request that names itself in its start line.
pub(crate) fn request(method: &str, name: &str, extra: &str, body: &str) -> String {
    format!(
        "{method} sip:{name}@example.test SIP/2.0\r\nVia: SIP/2.0/TLS a.example.test;branch=z9hG4bK{name}\r\n\
         From: <sip:alice@example.test>;tag=1\r\nTo: <sip:{name}@example.test>\r\nCall-ID: {name}\r\n\
         CSeq: 1 {method}\r\nMax-Forwards: 70\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The far end of a connection in memory.
pub(crate) struct Rig {
    pub(crate) peer: DuplexStream,
    pub(crate) handler: Arc<Recorder>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) task: JoinHandle<()>,
}

/// A driver on one end of a pipe that holds `pipe` bytes in each direction.
pub(crate) fn driver(
    limits: Limits,
    pipe: usize,
    role: Role,
    handler: &Arc<Recorder>,
    counters: &Arc<Counters>,
) -> (DuplexStream, Driver<DuplexStream, Recorder>) {
    let (near, far) = tokio::io::duplex(pipe);
    (far, driver_on(near, limits, role, handler, counters))
}

/// A driver on this end of a pipe.
pub(crate) fn driver_on(
    near: DuplexStream,
    limits: Limits,
    role: Role,
    handler: &Arc<Recorder>,
    counters: &Arc<Counters>,
) -> Driver<DuplexStream, Recorder> {
    let limits = Arc::new(limits);
    let ends = Ends {
        peer: "192.0.2.1:40000".parse().unwrap(),
        local: "192.0.2.2:5061".parse().unwrap(),
        outbound: matches!(role, Role::Client { .. }),
        probe: false,
    };
    let place = Admission::new(Arc::clone(&limits), Arc::clone(counters)).enter();
    let shared = Arc::new(Context {
        listener: "test".to_owned(),
        limits,
        counters: Arc::clone(counters),
    });
    Driver::new(
        near,
        role,
        ends,
        place,
        Arc::clone(handler),
        shared,
        Arc::default(),
    )
}

impl Rig {
    /// Clear TCP, defaults.
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), 1 << 20, Expectation::None)
    }

    pub(crate) fn with(limits: Limits, pipe: usize, proxy: Expectation) -> Self {
        let (handler, counters) = (Arc::<Recorder>::default(), Arc::<Counters>::default());
        let (peer, driver) = driver(
            limits,
            pipe,
            Role::Server { tls: None, proxy },
            &handler,
            &counters,
        );
        Self {
            peer,
            handler,
            counters,
            task: tokio::spawn(driver),
        }
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.peer.write_all(text.as_ref()).await.unwrap();
    }

    /// Sends and waits until it was worked off.
    pub(crate) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.send(text).await;
        settle().await;
    }

    /// What there is to read now.
    pub(crate) async fn read(&mut self) -> String {
        settle().await;
        let mut bytes = vec![0; 1 << 21];
        let read = tokio::time::timeout(Duration::from_micros(1), self.peer.read(&mut bytes)).await;
        bytes.truncate(read.map_or(0, Result::unwrap));
        String::from_utf8(bytes).unwrap()
    }

    /// All there is until the connection is closed, and the seconds that took.
    pub(crate) async fn read_to_end(&mut self) -> (String, u64) {
        let since = tokio::time::Instant::now();
        let mut bytes = Vec::new();
        let end = Duration::from_secs(24 * 3600);
        tokio::time::timeout(end, self.peer.read_to_end(&mut bytes))
            .await
            .expect("closed")
            .unwrap();
        (String::from_utf8(bytes).unwrap(), since.elapsed().as_secs())
    }

    /// Whether the connection is still open.
    pub(crate) async fn is_open(&mut self) -> bool {
        settle().await;
        !self.task.is_finished() && self.handler.closed().is_none()
    }
}

/// Lets every task that can do something do it. Time does not move as long as one can.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}
