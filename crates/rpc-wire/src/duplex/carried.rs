//! The requests of one stream, polled by the task that reads the stream.

use std::future::{Future, poll_fn};
use std::task::Poll;

use futures_util::StreamExt;
use rpc::InFlight;
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tokio_util::task::TaskTracker;
use tonic::{Status, Streaming};

/// Batches read before other tasks get their turn.
const BATCHES: usize = 16;

/// What came on one stream and is under way. When the stream ends it goes on in tasks of its own: a message that was taken is
/// delivered, and one that is asked for again finds the first.
pub(crate) struct Carried {
    in_flight: InFlight,
    tasks: TaskTracker,
    runtime: Handle,
}

impl Carried {
    /// Must be called within a runtime. What the stream leaves behind runs on `tasks`.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Carried {
            in_flight: InFlight::new(),
            tasks,
            runtime: Handle::current(),
        }
    }

    /// Adds a request; first steps are taken in the order of the stream. The runtime's budget of a task is not theirs: when it
    /// is used up it puts off whoever asks, and wakes them in the reverse order.
    pub(crate) fn begin(&mut self, request: impl Future<Output = ()> + Send + 'static) {
        self.in_flight.push(Box::pin(unconstrained(request)));
    }

    /// Reads a stream to its end and hands each batch to `take`; requests that it begins are polled meanwhile.
    ///
    /// # Errors
    /// The stream broke.
    pub(crate) async fn read<T>(
        &mut self,
        mut stream: Streaming<T>,
        mut take: impl FnMut(&mut Self, T),
    ) -> Result<(), Status> {
        poll_fn(|cx| {
            self.in_flight.awake();
            let mut end = None;
            for place in 0.. {
                if place == BATCHES {
                    cx.waker().wake_by_ref();
                    break;
                }
                match stream.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(batch))) => take(self, batch),
                    Poll::Ready(Some(Err(status))) => end = Some(Err(status)),
                    Poll::Ready(None) => end = Some(Ok(())),
                    Poll::Pending => break,
                }
                if end.is_some() {
                    break;
                }
            }
            // Also before the end: first steps keep their order.
            self.in_flight.poll(cx);
            end.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        for request in self.in_flight.take() {
            self.tasks.spawn_on(request, &self.runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_under_way_when_the_stream_ends_goes_on() {
        let tasks = TaskTracker::new();
        let mut carried = Carried::new(tasks.clone());
        let (go, told) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        carried.begin(async move {
            if told.await.is_ok() {
                done.send(()).unwrap();
            }
        });
        drop(carried);
        assert_eq!(tasks.len(), 1);
        go.send(()).unwrap();
        is_done.await.unwrap();
    }
}
