//! One direction of a stream: numbers its items, sends them in batches, and remembers which wait for an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

use super::counters::Counters;
use crate::MAX_MESSAGE;

/// Items that may wait to be sent. What does not fit is refused at once: its sender may be asked again later.
const QUEUE: usize = 8_192;

/// Items of one batch: enough that one write carries what one wake-up produced, few enough that the first does not wait.
const BATCH: usize = 64;

/// Bytes after which a batch ends, unless its first item alone is larger: far from what a message may have.
const BATCH_BYTES: usize = 1024 * 1024;

/// Bytes of one item, at most: what is around it has room besides in the longest message.
pub(crate) const MAX_ITEM: usize = MAX_MESSAGE - 1_024;

/// A stream on which nothing left for so long is idle. A turn of the others is not free: it is a look for events, and with
/// several threads the wake-up of another one.
const IDLE: Duration = Duration::from_micros(200);

struct State<W> {
    /// Number of the last item.
    last: u64,
    /// Who waits for the answer to which item; `None` once the stream has ended.
    waiting: Option<std::collections::HashMap<u64, W>>,
}

/// The sending half of a stream.
pub(crate) struct Sending<I, W> {
    queue: mpsc::Sender<I>,
    /// Held while an item is numbered and queued, so that numbers leave in order.
    state: Mutex<State<W>>,
}

/// Why an item was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotSent {
    /// Too much waits already.
    Full,
    /// The stream has ended.
    Ended,
}

impl<I, W> Sending<I, W> {
    /// A direction and the batches that come out of it.
    pub(crate) fn new(counters: Arc<Counters>) -> (Arc<Self>, Batches<I>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let state = State {
            last: 0,
            waiting: Some(std::collections::HashMap::new()),
        };
        let sending = Sending {
            queue,
            state: Mutex::new(state),
        };
        (Arc::new(sending), Batches::new(receiver, counters))
    }

    /// Sends a request; `waiter` is kept until [`Sending::answered`] or [`Sending::end`]. It is given back if it was not sent.
    pub(crate) fn request(&self, waiter: W, make: impl FnOnce(u64) -> I) -> Result<u64, (NotSent, W)> {
        let mut state = self.state.lock();
        let number = state.last + 1;
        let Some(waiting) = &mut state.waiting else {
            return Err((NotSent::Ended, waiter));
        };
        match self.queue.try_reserve() {
            Ok(place) => {
                place.send(make(number));
                waiting.insert(number, waiter);
                state.last = number;
                Ok(number)
            }
            Err(mpsc::error::TrySendError::Full(())) => Err((NotSent::Full, waiter)),
            Err(mpsc::error::TrySendError::Closed(())) => Err((NotSent::Ended, waiter)),
        }
    }

    /// Sends something nobody answers: waits for room, because an answer must not be lost.
    pub(crate) async fn tell(&self, make: impl FnOnce(u64) -> I) -> Result<(), NotSent> {
        let place = self.queue.reserve().await.map_err(|_| NotSent::Ended)?;
        let mut state = self.state.lock();
        state.last += 1;
        place.send(make(state.last));
        Ok(())
    }

    /// Sends something nobody answers and nobody misses, if there is room.
    pub(crate) fn try_tell(&self, make: impl FnOnce(u64) -> I) -> Result<(), NotSent> {
        let mut state = self.state.lock();
        match self.queue.try_reserve() {
            Ok(place) => {
                state.last += 1;
                place.send(make(state.last));
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Err(NotSent::Full),
            Err(mpsc::error::TrySendError::Closed(())) => Err(NotSent::Ended),
        }
    }

    /// Who waits for the answer to this item; it waits no more.
    pub(crate) fn answered(&self, number: u64) -> Option<W> {
        self.state.lock().waiting.as_mut()?.remove(&number)
    }

    /// Looks at who waits for the answer to this item.
    pub(crate) fn with_waiter<T>(&self, number: u64, look: impl FnOnce(&W) -> T) -> Option<T> {
        self.state.lock().waiting.as_ref()?.get(&number).map(look)
    }

    /// The stream has ended: nothing is sent any more. Whoever waits is returned, in the order of their items.
    pub(crate) fn end(&self) -> Vec<W> {
        let waiting = self.state.lock().waiting.take();
        let mut waiting: Vec<_> = waiting.into_iter().flatten().collect();
        waiting.sort_by_key(|(number, _)| *number);
        waiting.into_iter().map(|(_, waiter)| waiter).collect()
    }
}

/// What is to be sent, in batches of 64 items or about 1 MiB at most.
///
/// On an idle stream a batch leaves at once. Where one left only just now there is more to come: whatever else can run in this
/// process has its turn first, and what that queues leaves in the same write and is the same wake-up at the other end.
pub(crate) struct Batches<I> {
    receiver: mpsc::Receiver<I>,
    counters: Arc<Counters>,
    /// Taken from the queue.
    taken: Vec<I>,
    /// When the last batch left.
    left: Option<Instant>,
    /// The turn of the others.
    turn: ReusableBoxFuture<'static, ()>,
    is_their_turn: bool,
}

impl<I> Batches<I> {
    fn new(receiver: mpsc::Receiver<I>, counters: Arc<Counters>) -> Self {
        Batches {
            receiver,
            counters,
            taken: Vec::new(),
            left: None,
            turn: ReusableBoxFuture::new(tokio::task::yield_now()),
            is_their_turn: false,
        }
    }
}

impl<I: Message> Batches<I> {
    /// The next batch of what was taken, at least one item.
    fn batch(&mut self) -> Vec<I> {
        let mut bytes = 0_usize;
        let mut fits = |item: &&I| {
            bytes = bytes.saturating_add(item.encoded_len());
            bytes <= BATCH_BYTES
        };
        let count = self.taken.iter().take_while(|item| fits(item)).count().max(1);
        if count >= self.taken.len() {
            return std::mem::take(&mut self.taken);
        }
        let later = self.taken.split_off(count);
        std::mem::replace(&mut self.taken, later)
    }
}

impl<I: Message + Unpin> Stream for Batches<I> {
    type Item = Vec<I>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Vec<I>>> {
        let this = &mut *self;
        // What did not fit into the last batch goes at once.
        if !this.is_their_turn && this.taken.is_empty() {
            let taken = ready!(this.receiver.poll_recv_many(context, &mut this.taken, BATCH));
            if taken == 0 {
                return Poll::Ready(None);
            }
            let is_idle = this.left.is_none_or(|left| left.elapsed() > IDLE);
            this.is_their_turn = taken < BATCH && !is_idle;
            if this.is_their_turn {
                this.turn.set(tokio::task::yield_now());
            }
        }
        if this.is_their_turn {
            ready!(this.turn.poll(context));
            this.is_their_turn = false;
            while this.taken.len() < BATCH
                && let Ok(item) = this.receiver.try_recv()
            {
                this.taken.push(item);
            }
        }
        this.left = Some(Instant::now());
        let batch = this.batch();
        this.counters.batch(batch.len());
        Poll::Ready(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn pair() -> (Arc<Sending<u64, &'static str>>, Batches<u64>) {
        Sending::new(Arc::new(Counters::default()))
    }

    #[tokio::test]
    async fn what_was_queued_together_leaves_together_in_order() {
        let (sending, mut batches) = pair();
        for _ in 0..70 {
            sending.request("r", |number| number).unwrap();
        }
        sending.tell(|number| number).await.unwrap();
        assert_eq!(batches.next().await.unwrap(), (1..=64).collect::<Vec<_>>());
        assert_eq!(batches.next().await.unwrap(), (65..=71).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_batch_is_never_larger_than_a_message_may_be() {
        let (sending, batches) = Sending::<bytes::Bytes, ()>::new(Arc::new(Counters::default()));
        let sizes = [1, BATCH_BYTES, BATCH_BYTES / 2, BATCH_BYTES / 4, MAX_ITEM, 1];
        for size in sizes {
            sending.tell(|_| vec![7; size].into()).await.unwrap();
        }
        drop(sending);
        let batches: Vec<Vec<usize>> = batches
            .map(|batch| batch.iter().map(bytes::Bytes::len).collect())
            .collect()
            .await;
        assert_eq!(
            batches,
            [
                vec![sizes[0]],
                vec![sizes[1]],
                vec![sizes[2], sizes[3]],
                vec![sizes[4]],
                vec![sizes[5]]
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_stream_waits_for_what_others_have_and_an_idle_one_does_not() {
        let (sending, mut batches) = pair();
        let other = {
            let sending = sending.clone();
            move || {
                let sending = sending.clone();
                tokio::spawn(async move { sending.tell(|number| number).await.unwrap() });
            }
        };
        sending.try_tell(|number| number).unwrap();
        other();
        assert_eq!(batches.next().await.unwrap(), [1], "nothing left before");
        assert_eq!(batches.next().await.unwrap(), [2]);
        sending.try_tell(|number| number).unwrap();
        other();
        assert_eq!(batches.next().await.unwrap(), [3, 4]);
        tokio::time::advance(2 * IDLE).await;
        sending.try_tell(|number| number).unwrap();
        other();
        assert_eq!(batches.next().await.unwrap(), [5]);
    }

    #[tokio::test]
    async fn an_answer_finds_its_request_once() {
        let (sending, _batches) = pair();
        let number = sending.request("mine", |number| number).unwrap();
        assert_eq!(sending.with_waiter(number, |waiter| *waiter), Some("mine"));
        assert_eq!(sending.answered(number), Some("mine"));
        assert_eq!(sending.answered(number), None);
    }

    #[tokio::test]
    async fn when_the_stream_ends_those_who_wait_come_back_in_order() {
        let (sending, batches) = pair();
        sending.request("first", |number| number).unwrap();
        sending.request("second", |number| number).unwrap();
        assert_eq!(sending.end(), ["first", "second"]);
        assert_eq!(
            sending.request("late", |number| number),
            Err((NotSent::Ended, "late"))
        );
        drop(batches);
        assert_eq!(sending.tell(|number| number).await, Err(NotSent::Ended));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let (sending, _batches) = pair();
        for _ in 0..QUEUE {
            sending.request("r", |number| number).unwrap();
        }
        assert_eq!(
            sending.request("one too many", |number| number),
            Err((NotSent::Full, "one too many"))
        );
        assert_eq!(sending.try_tell(|number| number), Err(NotSent::Full));
    }
}
