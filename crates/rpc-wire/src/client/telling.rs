//! What is told to an owner of presence in another process all the time, on one stream.

use std::sync::{Arc, Weak};

use futures_util::StreamExt;
use parking_lot::Mutex;
use rpc::{Error, ErrorCode};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Streaming;

use super::{Caller, Carrier};
use crate::codec::error::error;
use crate::codec::{milliseconds, required};
use crate::duplex::{Counters, MAX_ITEM, NotSent, Sending, trace_now};
use crate::proto::presence::v1 as wire;
use crate::proto::presence::v1::presence_client::PresenceClient;
use crate::proto::presence::v1::tell_answer::Outcome;
use crate::proto::presence::v1::tell_item::Body;

/// What items wait for on a stream.
type Waiter = oneshot::Sender<Result<Outcome, Error>>;

/// The sending half of a stream.
type Asking = Sending<wire::TellItem, Waiter>;

/// The way to one owner. Its stream is opened for the first item, and anew for the first one after it broke;
/// it ends with this.
pub(super) struct Telling<T> {
    client: PresenceClient<T>,
    /// The last stream that stood.
    stream: Mutex<Option<Arc<Asking>>>,
    /// Held by who opens one, for everybody who waits for it.
    opening: tokio::sync::Mutex<()>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<T: Carrier> Telling<T> {
    /// To the owner at the other end of `client`. Answers are read by tasks of `tasks`, which end with `stop`.
    pub(super) fn new(
        client: PresenceClient<T>,
        counters: Arc<Counters>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Telling {
            client,
            stream: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            counters,
            tasks,
            stop,
        }
    }

    /// Tells the owner, and returns its answer, which is no error. All of it within the deadline of `caller`.
    ///
    /// # Errors
    /// Those of the owner; `Unavailable`: the stream ended before the answer, or could not be opened; `TooMany`: too much waits
    /// to be told; `InvalidRequest`: it is larger than [`MAX_ITEM`].
    pub(super) async fn tell(&self, caller: Caller, body: Body) -> Result<Outcome, Error> {
        if body.encoded_len() > MAX_ITEM {
            let text = "an owner cannot be told as much as this at once";
            return Err(Error::new(ErrorCode::InvalidRequest, text));
        }
        let told = timeout(caller.deadline, self.ask(caller, body)).await;
        match told.unwrap_or_else(|_| Err(caller.too_late()))? {
            Outcome::Error(error) => Err(error.into()),
            outcome => Ok(outcome),
        }
    }

    async fn ask(&self, caller: Caller, body: Body) -> Result<Outcome, Error> {
        let until = Instant::now() + caller.deadline;
        // Taken once, by the item that is sent.
        let (mut trace, mut body) = (trace_now(), Some(body));
        let (mut waiter, answer) = oneshot::channel();
        let mut ended = None;
        let (stream, number) = loop {
            let stream = self.stream(ended.as_ref()).await?;
            let left = until.saturating_duration_since(Instant::now());
            let sent = stream.request(waiter, |sequence| wire::TellItem {
                sequence,
                deadline_ms: milliseconds(left),
                trace: trace.take(),
                body: body.take(),
            });
            match sent {
                Ok(number) => break (stream, number),
                Err((NotSent::Full, _)) => {
                    self.counters.full();
                    return Err(Error::new(
                        ErrorCode::TooMany,
                        "too much waits for an owner of presence",
                    ));
                }
                Err((NotSent::Ended, back)) => (waiter, ended) = (back, Some(stream)),
            }
        };
        // However this ends, nobody waits for the answer afterwards.
        let _forget = Forget {
            stream: &stream,
            number,
        };
        answer.await.unwrap_or_else(|_| Err(broken()))
    }

    /// The stream, or a new one where there is none but this, which has ended.
    async fn stream(&self, ended: Option<&Arc<Asking>>) -> Result<Arc<Asking>, Error> {
        let standing = || {
            let stream = self.stream.lock().clone()?;
            let has_ended = ended.is_some_and(|ended| Arc::ptr_eq(ended, &stream));
            (!has_ended).then_some(stream)
        };
        if let Some(stream) = standing() {
            return Ok(stream);
        }
        let _turn = self.opening.lock().await;
        if let Some(stream) = standing() {
            return Ok(stream);
        }
        let (stream, batches) = Asking::new(self.counters.clone());
        let requests = batches.map(|items| wire::TellRequest { items });
        let opened = self.client.clone().tell(requests).await;
        let answers = opened.map_err(|status| error(&status))?.into_inner();
        self.counters.connected();
        // Weakly: the stream ends with who may use it.
        let reader = Reader {
            stream: Arc::downgrade(&stream),
            counters: self.counters.clone(),
        };
        let stop = self.stop.clone();
        self.tasks
            .spawn(async move { stop.run_until_cancelled_owned(reader.run(answers)).await });
        *self.stream.lock() = Some(stream.clone());
        Ok(stream)
    }
}

fn broken() -> Error {
    let text = "the stream ended before the answer";
    Error::new(ErrorCode::Unavailable, text)
}

/// Whose answer nobody waits for any more.
struct Forget<'a> {
    stream: &'a Asking,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.stream.answered(self.number);
    }
}

/// Brings answers to who waits for them.
struct Reader {
    stream: Weak<Asking>,
    counters: Arc<Counters>,
}

impl Reader {
    async fn run(self, mut answers: Streaming<wire::TellResponse>) {
        loop {
            match answers.message().await {
                Ok(Some(batch)) => batch.items.into_iter().for_each(|item| self.take(item)),
                Ok(None) => return,
                Err(status) => {
                    tracing::debug!(%status, "a stream to an owner of presence broke");
                    return;
                }
            }
        }
    }

    fn take(&self, item: wire::TellAnswer) {
        let Some(waiter) = self
            .stream
            .upgrade()
            .and_then(|stream| stream.answered(item.answers))
        else {
            return;
        };
        let outcome = required("answer.outcome", item.outcome).map_err(|malformed| {
            self.counters.malformed();
            malformed.in_answer()
        });
        let _gave_up = waiter.send(outcome);
    }
}

/// However reading ends: who still waits learns it.
impl Drop for Reader {
    fn drop(&mut self) {
        self.counters.broken();
        let waiting = self.stream.upgrade().map(|stream| stream.end());
        for waiter in waiting.into_iter().flatten() {
            let _gave_up = waiter.send(Err(broken()));
        }
    }
}

#[cfg(test)]
mod tests;
