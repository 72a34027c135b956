//! An owner and a front end that do what the test says: every call comes out of [`Calls`] with a way to answer it.
//!
//! Both keep the one promise that is theirs alone: what is not decided within its patience has failed for that reason.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::{
    ConversationKey, Deliver, Error, ErrorCode, FailureReason, FrontEnd, HeldLeg, HeldLegs, ImMcu, LegHolder,
    LegId, Open, Opened, Ring, RingAnswer, Signal, Submit, Target,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use topology::Partition;

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What has no patience of its own is given up by whoever asks.
const FOREVER: Duration = Duration::MAX;

/// Calls that may wait for the test; whoever makes one more waits.
const CALLS: usize = 1_024;

/// Answers a call.
#[derive(Debug)]
pub(crate) struct Reply<T>(oneshot::Sender<Result<T, Error>>);

impl<T> Reply<T> {
    /// Whoever asked may have given up.
    pub(crate) fn send(self, answer: Result<T, Error>) {
        let _nobody_waits: Result<(), _> = self.0.send(answer);
    }

    pub(crate) fn ok(self, answer: T) {
        self.send(Ok(answer));
    }
}

#[derive(Debug)]
pub(crate) enum OfOwner {
    Open(Open, Reply<Result<Opened, FailureReason>>),
    Cancel(ConversationKey, LegId, Reply<()>),
    Submit(Submit, Reply<Result<(), FailureReason>>),
    Signal(Signal, Reply<()>),
    Leave(ConversationKey, LegId, Reply<()>),
}

#[derive(Debug)]
pub(crate) enum OfFrontEnd {
    Deliver(Deliver, Reply<Vec<Result<(), FailureReason>>>),
    Ring(Ring, Reply<Result<RingAnswer, FailureReason>>),
    StopRinging(LegId, Reply<()>),
    EndLeg(LegId, Reply<()>),
    Signal(Signal, Vec<Target>, Reply<()>),
}

/// The calls a probe gets, in their order.
pub(crate) struct Calls<C>(tokio::sync::Mutex<mpsc::Receiver<C>>);

impl<C: std::fmt::Debug> Calls<C> {
    fn new() -> (mpsc::Sender<C>, Self) {
        let (sender, receiver) = mpsc::channel(CALLS);
        (sender, Calls(tokio::sync::Mutex::new(receiver)))
    }

    pub(crate) async fn next(&self) -> C {
        let mut calls = self.0.lock().await;
        let call = timeout(SOON, calls.recv()).await;
        call.expect("a call comes").expect("the probe stands")
    }

    /// Fails if there is one.
    pub(crate) async fn none(&self) {
        let call = self.0.lock().await.try_recv();
        assert!(call.is_err(), "{call:?}");
    }
}

/// Passes a call on to the test and waits for its answer as long as it may take.
async fn pass<C, T>(
    calls: &mpsc::Sender<C>,
    patience: Duration,
    too_late: T,
    call: impl FnOnce(Reply<T>) -> C,
) -> Result<T, Error> {
    let (reply, answer) = oneshot::channel();
    let ended = || Error::new(ErrorCode::Internal, "the test is over");
    calls.send(call(Reply(reply))).await.map_err(|_| ended())?;
    match timeout(patience, answer).await {
        Ok(answer) => answer.unwrap_or_else(|_| Err(ended())),
        Err(_) => Ok(too_late),
    }
}

/// An owner of conversations. Legs that are held are not passed on but kept: a router tells of every partition.
pub(crate) struct OwnerProbe {
    calls: mpsc::Sender<OfOwner>,
    pub(crate) held: Mutex<Vec<HeldLegs>>,
    /// What the next ones who say that they hold legs are told.
    pub(crate) refusals: Mutex<Vec<Error>>,
}

impl OwnerProbe {
    pub(crate) fn new() -> (Self, Calls<OfOwner>) {
        let (sender, calls) = Calls::new();
        let probe = OwnerProbe {
            calls: sender,
            held: Mutex::default(),
            refusals: Mutex::default(),
        };
        (probe, calls)
    }
}

#[async_trait]
impl ImMcu for OwnerProbe {
    async fn open(&self, open: Open) -> Result<Result<Opened, FailureReason>, Error> {
        let late = Err(FailureReason::Timeout);
        pass(&self.calls, open.patience, late, |reply| {
            OfOwner::Open(open, reply)
        })
        .await
    }

    async fn cancel(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error> {
        let call = |reply| OfOwner::Cancel(conversation.clone(), leg, reply);
        pass(&self.calls, FOREVER, (), call).await
    }

    async fn submit(&self, submit: Submit) -> Result<Result<(), FailureReason>, Error> {
        let late = Err(FailureReason::Timeout);
        let patience = submit.patience;
        pass(&self.calls, patience, late, |reply| {
            OfOwner::Submit(submit, reply)
        })
        .await
    }

    async fn signal(&self, signal: Signal) -> Result<(), Error> {
        pass(&self.calls, FOREVER, (), |reply| OfOwner::Signal(signal, reply)).await
    }

    async fn leave(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error> {
        let call = |reply| OfOwner::Leave(conversation.clone(), leg, reply);
        pass(&self.calls, FOREVER, (), call).await
    }

    async fn hold(&self, held: HeldLegs) -> Result<(), Error> {
        if !held.legs.is_empty()
            && let Some(refusal) = self.refusals.lock().pop()
        {
            return Err(refusal);
        }
        self.held.lock().push(held);
        Ok(())
    }
}

/// A front end.
pub(crate) struct FrontEndProbe {
    calls: mpsc::Sender<OfFrontEnd>,
    /// What it says it holds.
    pub(crate) legs: Mutex<Vec<HeldLeg>>,
    /// Of which partitions it was told to stop ringing.
    pub(crate) stopped: Mutex<HashSet<Partition>>,
}

impl FrontEndProbe {
    pub(crate) fn new() -> (Self, Calls<OfFrontEnd>) {
        let (sender, calls) = Calls::new();
        let probe = FrontEndProbe {
            calls: sender,
            legs: Mutex::default(),
            stopped: Mutex::default(),
        };
        (probe, calls)
    }
}

#[async_trait]
impl FrontEnd for FrontEndProbe {
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error> {
        let late = vec![Err(FailureReason::Timeout); deliver.targets.len()];
        let patience = deliver.patience;
        pass(&self.calls, patience, late, |reply| {
            OfFrontEnd::Deliver(deliver, reply)
        })
        .await
    }

    async fn ring(&self, ring: Ring) -> Result<Result<RingAnswer, FailureReason>, Error> {
        let late = Err(FailureReason::Timeout);
        pass(&self.calls, ring.patience, late, |reply| {
            OfFrontEnd::Ring(ring, reply)
        })
        .await
    }

    async fn stop_ringing(&self, leg: LegId) -> Result<(), Error> {
        pass(&self.calls, FOREVER, (), |reply| {
            OfFrontEnd::StopRinging(leg, reply)
        })
        .await
    }

    async fn end_leg(&self, leg: LegId) -> Result<(), Error> {
        pass(&self.calls, FOREVER, (), |reply| OfFrontEnd::EndLeg(leg, reply)).await
    }

    async fn signal(&self, signal: Signal, targets: Vec<Target>) -> Result<(), Error> {
        let call = |reply| OfFrontEnd::Signal(signal, targets, reply);
        pass(&self.calls, FOREVER, (), call).await
    }
}

impl LegHolder for FrontEndProbe {
    fn held_legs(&self, partitions: &HashSet<Partition>) -> Vec<HeldLeg> {
        let legs = self.legs.lock();
        let asked = |held: &&HeldLeg| {
            let partition = ConversationKey::new(&held.address.aor, &held.peer).partition();
            partitions.contains(&partition)
        };
        legs.iter().filter(asked).cloned().collect()
    }

    fn stop_ringing_of(&self, partitions: &HashSet<Partition>) {
        self.stopped.lock().extend(partitions);
    }
}
