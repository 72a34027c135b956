//! The task of one connection: everything that is read, written or timed happens in its `poll`.
//!
//! A connection goes through these phases; each answers one question and knows its own deadline.
//!
//! ```text
//!  Proxy ---> Handshake ---> Open ---> Closing ---> gone
//!    |            |                       ^
//!    +------------+-----------------------+
//! ```
//!
//! One wake-up reads all there is, hands every complete message to the handler and writes once everything that
//! was queued meanwhile, by the handler or by other tasks.

mod closing;
mod deadlines;
mod open;
mod opening;
#[cfg(test)]
mod tests;

use crate::admission::Place;
use crate::alarm::Alarm;
use crate::connection::{CloseReason, Context as Shared, Ends};
use crate::counters::Count;
use crate::handler::Handler;
use crate::registry::Registry;
use crate::wire::{Wire, WireError};
use bytes::BytesMut;
use closing::Closing;
use open::Open;
use opening::Opening;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use opening::Role;

/// The present time. The runtime's clock, so that tests can move it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// One connection's task.
pub(crate) struct Driver<S, H: Handler> {
    wire: Wire<S>,
    /// Plain text that is not a whole message yet.
    input: BytesMut,
    phase: Phase<H::Session>,
    alarm: Alarm,
    env: Env<H>,
}

/// What phases need and do not change.
struct Env<H> {
    handler: Arc<H>,
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    ends: Ends,
    /// None for connections we opened.
    place: Option<Place>,
}

enum Phase<T> {
    Opening(Opening),
    Open(Box<Open<T>>),
    Closing(Closing),
    Gone,
}

/// What a phase says when it can do nothing more at the moment.
enum Turn<T> {
    /// Look again at once.
    Again,
    /// Wait for the socket, for other tasks or for this time.
    Wait(Option<Instant>),
    /// Go on in this phase.
    Next(Phase<T>),
}

impl<S, H> Driver<S, H>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    pub(crate) fn new(
        io: S,
        role: Role,
        ends: Ends,
        place: Option<Place>,
        handler: Arc<H>,
        shared: Arc<Shared>,
        registry: Arc<Registry>,
    ) -> Self {
        let opening = Opening::new(role, now());
        Self {
            wire: Wire::new(io),
            input: BytesMut::new(),
            phase: Phase::Opening(opening),
            alarm: Alarm::default(),
            env: Env {
                handler,
                shared,
                registry,
                ends,
                place,
            },
        }
    }

    /// Works until there is nothing to do but wait.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = now();
            let turn = match &mut self.phase {
                Phase::Opening(opening) => {
                    opening.poll(cx, now, &mut self.wire, &mut self.input, &mut self.env)
                }
                Phase::Open(open) => open.poll(cx, now, &mut self.wire, &mut self.input, &self.env),
                Phase::Closing(closing) => closing.poll(cx, now, &mut self.wire),
                Phase::Gone => {
                    self.publish_traffic();
                    return Poll::Ready(());
                }
            };
            match turn {
                Turn::Again => {}
                Turn::Next(phase) => self.phase = phase,
                Turn::Wait(deadline) => {
                    if self.alarm.poll_until(cx, deadline, now).is_pending() {
                        self.publish_traffic();
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Bytes of buffers held for this connection, for tests.
    #[cfg(test)]
    pub(crate) fn buffer_memory(&self) -> usize {
        let queue = match &self.phase {
            Phase::Open(open) => open.queue_memory(),
            _ => 0,
        };
        self.wire.memory() + self.input.capacity() + queue
    }

    fn publish_traffic(&mut self) {
        let counters = &self.env.shared.counters;
        let traffic = self.wire.take_traffic();
        for (count, amount) in [
            (Count::Reads, traffic.reads),
            (Count::Writes, traffic.writes),
            (Count::BytesIn, traffic.bytes_in),
            (Count::BytesOut, traffic.bytes_out),
        ] {
            if amount > 0 {
                counters.add(count, amount);
            }
        }
    }

    /// A call into the handler panicked: this connection is over, and no other.
    fn fail(&mut self) -> Poll<()> {
        tracing::error!(peer = %self.env.ends.peer, "handler panicked, connection closed");
        if let Phase::Open(mut open) = std::mem::replace(&mut self.phase, Phase::Gone) {
            // The session may be half changed, but it must learn that the connection is gone.
            let end = AssertUnwindSafe(|| open.end(&self.env, CloseReason::Fault));
            if catch_unwind(end).is_err() {
                tracing::error!(peer = %self.env.ends.peer, "handler panicked again while closing");
            }
        }
        Poll::Ready(())
    }
}

impl<S, H> Future for Driver<S, H>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // Unwind safety: after a panic nothing of the connection is used but its ending.
        catch_unwind(AssertUnwindSafe(|| this.run(cx))).unwrap_or_else(|_| this.fail())
    }
}

impl<S, H: Handler> Drop for Driver<S, H> {
    /// The runtime is going away with the connection still open.
    fn drop(&mut self) {
        if let Phase::Open(open) = &mut self.phase {
            open.abandon(&self.env);
        }
    }
}

/// The reason to give for an error of the wire.
fn reason_of(error: &WireError) -> CloseReason {
    match error {
        WireError::Io(_) => CloseReason::Broken,
        WireError::Tls(_) => CloseReason::Tls,
    }
}
