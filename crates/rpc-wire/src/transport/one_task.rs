//! One task for all that drives a connection.

use std::future::poll_fn;
use std::task::Poll;

use hyper::rt::Executor;
use rpc::{InFlight, InFlightRequest};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::task::TaskTracker;

/// What may be begun at once; more runs in tasks of its own.
const BEGUN: usize = 64;

/// Runs what a client connection spawns (the connection itself, and what copies the body of a call into it) in one task.
///
/// In tasks of their own they wake each other, and themselves, for each batch that is sent; where other threads of the runtime
/// sleep, each of that wakes one of them for nothing.
#[derive(Clone, Debug)]
pub(super) struct OneTask {
    begun: mpsc::Sender<InFlightRequest>,
    tasks: TaskTracker,
}

impl OneTask {
    /// Starts the task on `tasks`; it ends with the last of the connections. Call it inside a runtime.
    pub(super) fn start(tasks: TaskTracker) -> Self {
        let (begun, mut waiting) = mpsc::channel::<InFlightRequest>(BEGUN);
        tasks.spawn(async move {
            let mut in_flight = InFlight::new();
            poll_fn(|cx| {
                in_flight.awake();
                let is_last = loop {
                    match waiting.poll_recv(cx) {
                        Poll::Ready(Some(future)) => in_flight.push(future),
                        Poll::Ready(None) => break true,
                        Poll::Pending => break false,
                    }
                };
                in_flight.poll(cx);
                match is_last && in_flight.is_empty() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        });
        OneTask { begun, tasks }
    }
}

impl Executor<InFlightRequest> for OneTask {
    fn execute(&self, future: InFlightRequest) {
        if let Err(TrySendError::Full(future)) = self.begun.try_send(future) {
            self.tasks.spawn(future);
        }
        // Otherwise the runtime ends.
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_spawned_runs_and_can_spawn() {
        let executor = OneTask::start(TaskTracker::new());
        let (done, is_done) = oneshot::channel();
        let inner = executor.clone();
        executor.execute(Box::pin(async move {
            inner.execute(Box::pin(async move { done.send(()).unwrap() }));
        }));
        drop(executor);
        is_done.await.unwrap();
    }
}
