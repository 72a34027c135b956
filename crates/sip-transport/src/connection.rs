//! A connection as the rest of the program sees it: who is at the other end, and a way to send and to close.

use crate::closed_set::closed_set;
use crate::counters::{Count, Counters, Limit};
use crate::limits::Limits;
use crate::tls::TlsInfo;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

/// Room in the outgoing queue that is kept between wake-ups.
const QUEUE_KEPT: usize = 16;

/// Identifies a connection among all that this process ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number, for logs and keys.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

closed_set! {
    /// Why a connection ended.
    pub enum CloseReason {
        /// The peer closed it.
        PeerClosed = "peer_closed",
        /// Reading or writing failed: the peer or the network broke it.
        Broken = "broken",
        /// TLS failed after the handshake.
        Tls = "tls",
        /// The end of a message was in doubt, or a message passed a bound or a deadline.
        Framing = "framing",
        /// Something that cannot be answered and is no SIP.
        NotSip = "not_sip",
        /// Nothing was heard of an authenticated peer for too long.
        Idle = "idle",
        /// No authenticated request came in time.
        Unauthenticated = "unauthenticated",
        /// The peer does not take what is sent to it.
        SlowReader = "slow_reader",
        /// Too much was waiting to be written.
        Overflow = "overflow",
        /// Too many CRLFs between messages.
        KeepAliveFlood = "keep_alive_flood",
        /// Too many requests or failures: decided by the handler.
        Abuse = "abuse",
        /// Another registration took the place of this one: decided by the handler.
        Replaced = "replaced",
        /// Whoever used the connection is done with it: decided by the handler.
        Finished = "finished",
        /// The process stops, or moves its clients elsewhere.
        Shutdown = "shutdown",
        /// The handler panicked: a defect of ours.
        Fault = "fault",
    }
}

/// Why something could not be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection is closed or being closed.
    #[error("connection is closed")]
    Closed,
    /// Too much is waiting already; the connection is being closed.
    #[error("too much is waiting to be sent")]
    Full,
}

/// What connections of one listener (or those we open) share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) listener: String,
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<Counters>,
}

/// One TLS or TCP connection. Lives as long as somebody holds it; sending fails once it is closed.
///
/// All methods may be called from any thread, and none blocks.
pub struct Connection {
    id: ConnectionId,
    peer: SocketAddr,
    local: SocketAddr,
    outbound: bool,
    probe: bool,
    tls: Option<TlsInfo>,
    context: Arc<Context>,
    /// Zero: open. Otherwise one more than the index of the reason for which it is being closed.
    closing: AtomicU8,
    authenticated: AtomicBool,
    keepalive_seconds: AtomicU32,
    pong: AtomicBool,
    timer_asked: AtomicBool,
    // Held for a push or a swap, never while anything is encrypted or written.
    outgoing: Mutex<Outgoing>,
}

/// What waits for the connection's task.
#[derive(Default)]
struct Outgoing {
    queue: VecDeque<Bytes>,
    /// Bytes in `queue`.
    queued: usize,
    /// Bytes the task took from the queue and the socket did not take yet, as of the last pass.
    in_flight: usize,
    /// How to wake the task.
    waker: Option<Waker>,
    /// The task is at work, or was woken: it will look at the queue before it sleeps.
    awake: bool,
    /// The task is gone.
    closed: bool,
}

/// Who is at which end.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// We opened the connection.
    pub(crate) outbound: bool,
    /// A balancer asks whether we are alive.
    pub(crate) probe: bool,
}

impl Connection {
    pub(crate) fn new(ends: &Ends, tls: Option<TlsInfo>, context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            id: ConnectionId::next(),
            peer: ends.peer,
            local: ends.local,
            outbound: ends.outbound,
            probe: ends.probe,
            tls,
            context,
            closing: AtomicU8::new(0),
            authenticated: AtomicBool::new(false),
            keepalive_seconds: AtomicU32::new(0),
            pong: AtomicBool::new(false),
            timer_asked: AtomicBool::new(false),
            outgoing: Mutex::default(),
        })
    }

    /// Identifies this connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The peer's address: the one a trusted balancer named, else that of the socket.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our address: the one a trusted balancer named, else that of the socket.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The name of the listener that accepted this connection; `outbound` if we opened it.
    pub fn listener(&self) -> &str {
        &self.context.listener
    }

    /// Whether we opened it.
    pub fn is_outbound(&self) -> bool {
        self.outbound
    }

    /// Whether this is a health probe of a trusted balancer (PROXY command LOCAL) and no client.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Whether it is protected by TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What was agreed in the TLS handshake; `None` on clear TCP.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    /// Queues a message: its head, and its body if there is one. Everything queued when the connection's task
    /// gets to it is written in one call; the bytes are not copied before that (on TLS, before encryption).
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn send(&self, head: Bytes, body: Bytes) -> Result<(), SendError> {
        self.enqueue([head, body])?;
        self.context.counters.add(Count::MessagesOut, 1);
        Ok(())
    }

    /// Queues a keep-alive: a double CRLF (RFC 5626 section 3.5.1).
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn ping(&self) -> Result<(), SendError> {
        self.enqueue([Bytes::from_static(b"\r\n\r\n"), Bytes::new()])
    }

    pub(crate) fn pong(&self) -> Result<(), SendError> {
        self.enqueue([Bytes::from_static(b"\r\n"), Bytes::new()])
    }

    fn enqueue(&self, parts: [Bytes; 2]) -> Result<(), SendError> {
        let size = parts[0].len() + parts[1].len();
        let mut outgoing = self.outgoing.lock();
        if outgoing.closed || self.closing().is_some() {
            return Err(SendError::Closed);
        }
        if outgoing.queued + outgoing.in_flight + size > self.context.limits.pending_hard {
            drop(outgoing);
            self.context.counters.hit(Limit::PendingHard);
            self.close(CloseReason::Overflow);
            return Err(SendError::Full);
        }
        outgoing.queued += size;
        outgoing
            .queue
            .extend(parts.into_iter().filter(|part| !part.is_empty()));
        let waker = outgoing.rouse();
        drop(outgoing);
        wake(waker);
        Ok(())
    }

    /// Closes the connection once what is queued was written, or cannot be written in time. The first reason
    /// given counts. Nothing received after this reaches the handler.
    pub fn close(&self, reason: CloseReason) {
        let index = u8::try_from(reason.index()).unwrap_or(u8::MAX - 1);
        // Fails if it is being closed already: the first reason stays.
        if self
            .closing
            .compare_exchange(0, index + 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.rouse();
        }
    }

    /// Why the connection is being closed, if it is.
    pub fn closing(&self) -> Option<CloseReason> {
        let index = usize::from(self.closing.load(Ordering::Acquire)).checked_sub(1)?;
        CloseReason::ALL.get(index).copied()
    }

    /// An authenticated request came: from now on silence is judged by the keep-alive, not by the time since
    /// the accept.
    pub fn set_authenticated(&self) {
        self.authenticated.store(true, Ordering::Release);
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Acquire)
    }

    /// How often the peer agreed to be heard, and whether its double CRLF is answered with a single one, as RFC
    /// 5626 section 4.4.1 wants on a flow that registered with outbound (Lync-family clients want no answer).
    /// Twice the interval and 30 s of silence end an authenticated connection.
    pub fn set_keepalive(&self, interval: Duration, pong: bool) {
        let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).max(1);
        self.keepalive_seconds.store(seconds, Ordering::Release);
        self.pong.store(pong, Ordering::Release);
    }

    /// Longest silence of an authenticated peer.
    pub(crate) fn allowed_silence(&self) -> Duration {
        let longest = self.context.limits.idle_time;
        match self.keepalive_seconds.load(Ordering::Acquire) {
            0 => longest,
            seconds => (Duration::from_secs(u64::from(seconds) * 2 + 30)).min(longest),
        }
    }

    pub(crate) fn answers_pings(&self) -> bool {
        self.pong.load(Ordering::Acquire)
    }

    /// Makes the connection's task call [`crate::Handler::timer`] soon: to be used by other tasks after they
    /// gave the session an earlier deadline than it had, or other work to do.
    pub fn wake(&self) {
        self.timer_asked.store(true, Ordering::Release);
        self.rouse();
    }

    /// Bytes that wait to be written.
    pub fn pending(&self) -> usize {
        let outgoing = self.outgoing.lock();
        outgoing.queued + outgoing.in_flight
    }

    fn rouse(&self) {
        let waker = self.outgoing.lock().rouse();
        wake(waker);
    }

    // === for the connection's task ===

    /// Bytes in the queue, without what the task has.
    pub(crate) fn queued(&self) -> usize {
        self.outgoing.lock().queued
    }

    /// Whether more than `limit` waits, of which the task has `unsent`.
    pub(crate) fn pending_above(&self, limit: usize, unsent: usize) -> bool {
        unsent > limit || unsent + self.queued() > limit
    }

    /// The task begins to work: until [`Connection::rest`] nobody needs to wake it.
    pub(crate) fn begin(&self, waker: &Waker) {
        let mut outgoing = self.outgoing.lock();
        outgoing.awake = true;
        if !outgoing
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            outgoing.waker = Some(waker.clone());
        }
    }

    /// Moves what is queued into `batch`, which is empty. False: there was nothing.
    pub(crate) fn take_queued(&self, batch: &mut VecDeque<Bytes>) -> bool {
        let mut outgoing = self.outgoing.lock();
        if batch.capacity() > QUEUE_KEPT {
            *batch = VecDeque::new();
        }
        std::mem::swap(batch, &mut outgoing.queue);
        outgoing.in_flight += std::mem::take(&mut outgoing.queued);
        !batch.is_empty()
    }

    /// The task says how much is not written yet, and wants to sleep. False: there is more to do first.
    /// `blocked`: the socket takes nothing now, so that a queue is no reason to stay awake.
    pub(crate) fn rest(&self, in_flight: usize, blocked: bool) -> bool {
        let mut outgoing = self.outgoing.lock();
        outgoing.in_flight = in_flight;
        let idle = blocked || outgoing.queue.is_empty();
        outgoing.awake = !idle;
        // Checked with the lock held: whoever sets these flags takes the lock afterwards to wake the task.
        if self.timer_asked.load(Ordering::Acquire) || self.closing().is_some() {
            outgoing.awake = true;
        }
        !outgoing.awake
    }

    /// Whether [`Connection::wake`] was called since the last time.
    pub(crate) fn take_timer_asked(&self) -> bool {
        self.timer_asked.load(Ordering::Acquire) && self.timer_asked.swap(false, Ordering::AcqRel)
    }

    /// The task is gone: nothing can be sent any more.
    pub(crate) fn finish(&self) {
        let mut outgoing = self.outgoing.lock();
        *outgoing = Outgoing {
            closed: true,
            ..Outgoing::default()
        };
    }

    /// Bytes of memory held by the outgoing queue, for tests.
    #[cfg(test)]
    pub(crate) fn queue_memory(&self) -> usize {
        let outgoing = self.outgoing.lock();
        outgoing.queued + outgoing.queue.capacity() * size_of::<Bytes>()
    }
}

impl Outgoing {
    /// The waker, if the task must be woken.
    fn rouse(&mut self) -> Option<Waker> {
        if std::mem::replace(&mut self.awake, true) {
            return None;
        }
        self.waker.take()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("listener", &self.context.listener)
            .field("tls", &self.tls.is_some())
            .field("closing", &self.closing())
            .finish_non_exhaustive()
    }
}
