//! The end of a connection: what is queued is written, TLS is closed, and the peer gets time to read it.

use super::{Phase, Turn};
use crate::connection::Connection;
use crate::limits::Limits;
use crate::wire::Wire;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

pub(super) struct Closing {
    /// None if it was never usable; then only an alert is left to be written.
    connection: Option<Arc<Connection>>,
    stage: Stage,
    deadline: Instant,
    linger: Duration,
}

enum Stage {
    /// What is queued is written.
    Flush,
    /// The close of TLS is written and the sending side of the socket is closed.
    Shutdown,
    /// What the peer still sends is thrown away until it closes too. A socket closed with unread data would be
    /// reset, and the reset can overtake the answer that says why (RFC 1122 section 4.2.2.13).
    Linger,
}

impl Closing {
    pub(super) fn new(connection: Option<Arc<Connection>>, now: Instant, limits: &Limits) -> Self {
        Self {
            connection,
            stage: Stage::Flush,
            deadline: now + limits.closing_time,
            linger: limits.linger_time,
        }
    }

    pub(super) fn poll<S, T>(&mut self, cx: &mut Context<'_>, now: Instant, wire: &mut Wire<S>) -> Turn<T>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if now >= self.deadline {
            return self.done();
        }
        match self.stage {
            Stage::Flush => match wire.poll_flush(cx, self.connection.as_deref()) {
                Err(_) => return self.done(),
                Ok(false) => return Turn::Wait(Some(self.deadline)),
                Ok(true) => {
                    wire.close_notify();
                    self.stage = Stage::Shutdown;
                }
            },
            Stage::Shutdown => match wire.poll_flush(cx, None) {
                Err(_) => return self.done(),
                Ok(false) => return Turn::Wait(Some(self.deadline)),
                Ok(true) => match wire.poll_shutdown(cx) {
                    Poll::Pending => return Turn::Wait(Some(self.deadline)),
                    Poll::Ready(Err(_)) => return self.done(),
                    Poll::Ready(Ok(())) => {
                        self.stage = Stage::Linger;
                        self.deadline = now + self.linger;
                    }
                },
            },
            Stage::Linger => {
                return match wire.poll_discard(cx) {
                    Poll::Ready(()) => self.done(),
                    Poll::Pending => Turn::Wait(Some(self.deadline)),
                };
            }
        }
        Turn::Again
    }

    fn done<T>(&mut self) -> Turn<T> {
        if let Some(connection) = self.connection.take() {
            connection.finish();
        }
        Turn::Next(Phase::Gone)
    }
}
