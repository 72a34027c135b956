//! Requests under way, polled by the task that took them in.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// One request of an [`InFlight`].
pub type InFlightRequest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How often [`InFlight::poll`] looks for requests that woke each other before other tasks get their turn.
const ROUNDS: usize = 8;

/// Requests that one task began and polls itself: that of the connection or the stream they came on.
///
/// A task of its own for each request costs more than the request: where one wake-up begins a request, the runtime wakes a
/// second thread for the new task, and its answer passes through three tasks instead of two. Here an answer wakes the task
/// that passes it on.
///
/// Requests take their first step in the order in which they were added. Whoever drops this gives up what is under way; what
/// must go on regardless is taken out with [`InFlight::take`].
pub struct InFlight {
    slots: Vec<Slot>,
    /// Slots without a request.
    free: Vec<usize>,
    shared: Arc<Shared>,
}

struct Slot {
    request: Option<InFlightRequest>,
    woken: Arc<Woken>,
    waker: Waker,
}

#[derive(Default)]
struct Shared(Mutex<Ready>);

#[derive(Default)]
struct Ready {
    /// Slots to be polled, in the order of their wake-ups.
    slots: Vec<usize>,
    /// The task, while it sleeps. While it is awake it looks by itself before it sleeps.
    task: Option<Waker>,
}

/// Wakes one slot.
struct Woken {
    slot: usize,
    /// It is among those to be polled.
    queued: AtomicBool,
    shared: Arc<Shared>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = {
            let mut ready = self.shared.0.lock();
            ready.slots.push(self.slot);
            ready.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl InFlight {
    /// None.
    pub fn new() -> Self {
        InFlight {
            slots: Vec::new(),
            free: Vec::new(),
            shared: Arc::default(),
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests under way.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds a request. Its first step is taken by the next [`InFlight::poll`].
    pub fn push(&mut self, request: InFlightRequest) {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = self.slots.len();
            let woken = Arc::new(Woken {
                slot,
                queued: AtomicBool::new(false),
                shared: self.shared.clone(),
            });
            let waker = Waker::from(woken.clone());
            self.slots.push(Slot {
                request: None,
                woken,
                waker,
            });
            slot
        });
        self.slots[slot].request = Some(request);
        // A late wake-up for whoever had the slot before may have queued it already.
        if !self.slots[slot].woken.queued.swap(true, Ordering::AcqRel) {
            self.shared.0.lock().slots.push(slot);
        }
    }

    /// The task is awake and will [`InFlight::poll`] before it sleeps: until then no request needs to wake it.
    pub fn awake(&mut self) {
        self.shared.0.lock().task = None;
    }

    /// Polls the requests that were added or woken, until none is left that can go on; later wake-ups wake the task of `cx`.
    pub fn poll(&mut self, cx: &mut Context<'_>) {
        let mut turn = Vec::new();
        for round in 0.. {
            {
                let mut ready = self.shared.0.lock();
                if ready.slots.is_empty() || round == ROUNDS {
                    // Keeps its memory for the next time, unless a flood made it large.
                    if ready.slots.is_empty() && turn.capacity() <= 1_024 {
                        std::mem::swap(&mut ready.slots, &mut turn);
                    }
                    if !ready.slots.is_empty() {
                        ready.task = None;
                        cx.waker().wake_by_ref();
                    } else if !ready.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                        ready.task = Some(cx.waker().clone());
                    }
                    return;
                }
                ready.task = None;
                std::mem::swap(&mut ready.slots, &mut turn);
            }
            for slot in turn.drain(..) {
                self.step(slot);
            }
        }
    }

    fn step(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        // From here on another wake-up is another turn.
        slot.woken.queued.store(false, Ordering::Release);
        let Some(mut request) = slot.request.take() else {
            return;
        };
        let cx = &mut Context::from_waker(&slot.waker);
        // As in a task of its own: a request that panics is over, and no other. The panic hook has said so.
        let polled = catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => slot.request = Some(request),
            Ok(Poll::Ready(())) | Err(_) => self.free.push(index),
        }
    }

    /// What is under way, to be polled elsewhere: a request is polled again there, whatever has woken it here.
    pub fn take(&mut self) -> Vec<InFlightRequest> {
        let slots = std::mem::take(&mut self.slots);
        self.free.clear();
        self.shared = Arc::default();
        slots.into_iter().filter_map(|slot| slot.request).collect()
    }
}

impl Default for InFlight {
    fn default() -> Self {
        InFlight::new()
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;

    /// Counts the wake-ups of a task.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Task {
        fn wake_ups(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    type Said = Arc<Mutex<Vec<&'static str>>>;

    /// Says `first` at its first step and `last` when it is told to.
    fn request(
        said: &Said,
        first: &'static str,
        last: &'static str,
    ) -> (oneshot::Sender<()>, InFlightRequest) {
        let (go, told) = oneshot::channel();
        let said = said.clone();
        let request = Box::pin(async move {
            said.lock().push(first);
            if told.await.is_ok() {
                said.lock().push(last);
            }
        });
        (go, request)
    }

    #[test]
    fn first_steps_are_taken_in_order_and_an_answer_wakes_the_task_once() {
        let (said, task) = (Said::default(), Arc::new(Task::default()));
        let waker = Waker::from(task.clone());
        let mut cx = Context::from_waker(&waker);
        let mut in_flight = InFlight::new();
        let (go_a, a) = request(&said, "a", "A");
        let (go_b, b) = request(&said, "b", "B");
        in_flight.push(a);
        in_flight.push(b);
        assert_eq!(said.lock().len(), 0);
        in_flight.poll(&mut cx);
        assert_eq!((said.lock().as_slice(), task.wake_ups()), (&["a", "b"][..], 0));
        go_b.send(()).unwrap();
        go_a.send(()).unwrap();
        assert_eq!(task.wake_ups(), 1);
        in_flight.poll(&mut cx);
        assert_eq!(said.lock().as_slice(), ["a", "b", "B", "A"]);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn a_task_that_is_awake_is_not_woken() {
        let (said, task) = (Said::default(), Arc::new(Task::default()));
        let waker = Waker::from(task.clone());
        let mut cx = Context::from_waker(&waker);
        let mut in_flight = InFlight::new();
        let (go_a, a) = request(&said, "a", "A");
        in_flight.push(a);
        in_flight.poll(&mut cx);
        in_flight.awake();
        go_a.send(()).unwrap();
        // One that wakes another is worked off in the same turn.
        let (go_b, b) = request(&said, "b", "B");
        in_flight.push(b);
        in_flight.push(Box::pin(async move { go_b.send(()).unwrap() }));
        in_flight.poll(&mut cx);
        assert_eq!(said.lock().as_slice(), ["a", "A", "b", "B"]);
        assert_eq!((task.wake_ups(), in_flight.len()), (0, 0));
    }

    #[test]
    fn what_never_rests_lets_others_have_their_turn() {
        let task = Arc::new(Task::default());
        let waker = Waker::from(task.clone());
        let mut in_flight = InFlight::new();
        in_flight.push(Box::pin(std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        })));
        in_flight.poll(&mut Context::from_waker(&waker));
        assert_eq!((task.wake_ups(), in_flight.len()), (1, 1));
    }

    #[test]
    fn a_request_that_panics_is_gone_and_the_others_stay() {
        let said = Said::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut in_flight = InFlight::new();
        let (go, a) = request(&said, "a", "A");
        in_flight.push(a);
        in_flight.push(Box::pin(async { panic!("a defect") }));
        let (go_b, b) = request(&said, "b", "B");
        in_flight.push(b);
        in_flight.poll(&mut cx);
        assert_eq!((said.lock().as_slice(), in_flight.len()), (&["a", "b"][..], 2));
        go_b.send(()).unwrap();
        go.send(()).unwrap();
        in_flight.poll(&mut cx);
        assert_eq!((said.lock().len(), in_flight.len()), (4, 0));
    }

    #[tokio::test]
    async fn what_is_taken_out_goes_on_elsewhere() {
        let said = Said::default();
        let mut in_flight = InFlight::new();
        let (go, a) = request(&said, "a", "A");
        in_flight.push(a);
        in_flight.poll(&mut Context::from_waker(Waker::noop()));
        let mut rest = in_flight.take();
        assert!(in_flight.is_empty());
        go.send(()).unwrap();
        rest.remove(0).await;
        assert_eq!(said.lock().as_slice(), ["a", "A"]);
        // The old slots are gone; new requests find theirs.
        in_flight.push(Box::pin(async {}));
        in_flight.poll(&mut Context::from_waker(Waker::noop()));
        assert!(in_flight.is_empty());
    }
}
