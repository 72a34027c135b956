//! One timer per connection, armed to the earliest of its deadlines and moved as rarely as possible.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::Sleep;

/// A timer that may ring early but never late.
///
/// Most deadlines move away with each message. A timer already armed to an earlier time is left alone then: it
/// rings in vain, once, and is armed to what counts at that time. So a busy connection does not touch the
/// runtime's timer wheel.
///
/// Invariant: it is polled by one task only, whose waker the timer keeps.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Alarm {
    /// The task is going to sleep and must be woken at `deadline`. `Ready`: that is now.
    pub(crate) fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        if deadline <= now {
            return Poll::Ready(());
        }
        if self.sleep.as_ref().is_some_and(|sleep| sleep.is_elapsed()) {
            self.armed = None;
        }
        // Armed to a time that is not over and not after the deadline: it will ring in time.
        if self.armed.is_some_and(|armed| armed > now && armed <= deadline) {
            return Poll::Pending;
        }
        self.armed = Some(deadline);
        let at = tokio::time::Instant::from_std(deadline);
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().reset(at);
                sleep
            }
            None => self.sleep.insert(Box::pin(tokio::time::sleep_until(at))),
        };
        sleep.as_mut().poll(cx)
    }
}
