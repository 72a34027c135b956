//! The front end as others see it: the holder of client connections.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use sip_types::AddressOfRecord;
use tokio::sync::mpsc;
use topology::MemberId;

use crate::{EndpointAddress, Error, FailureReason, InstantMessage, LegId, Signal};

/// How a message reaches an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Path {
    /// Outside any session.
    Page,
    /// In the session this leg belongs to.
    Leg(LegId),
}

/// One endpoint to be served, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// Where.
    pub address: EndpointAddress,
    /// How.
    pub path: Path,
}

/// One message for some endpoints of one front end.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The message.
    pub message: Arc<InstantMessage>,
    /// Its endpoints there.
    pub targets: Vec<Target>,
    /// An endpoint that has not answered after this has failed with [`FailureReason::Timeout`].
    pub patience: Duration,
    /// Where the outcome of each target is reported as soon as it is known, when there are several: one that is slow does
    /// not keep the news of the others back. The answer to the call repeats them all.
    pub progress: Option<Progress>,
}

/// The outcome of one target of a [`Deliver`], by its place among the targets.
pub type TargetOutcome = (usize, Result<(), FailureReason>);

/// Where a front end reports outcomes one by one.
#[derive(Clone, Debug)]
pub struct Progress(mpsc::Sender<TargetOutcome>);

impl Progress {
    /// For a delivery to this many targets: the reports come out of the receiver.
    pub fn channel(targets: usize) -> (Self, mpsc::Receiver<TargetOutcome>) {
        let (sender, receiver) = mpsc::channel(targets.max(1));
        (Progress(sender), receiver)
    }

    /// Reports one outcome. There is room for one report of each target; whoever asked may have stopped listening.
    pub fn report(&self, target: usize, outcome: Result<(), FailureReason>) {
        let _nobody_listens: Result<(), _> = self.0.try_send((target, outcome));
    }
}

/// An invitation for one endpoint.
#[derive(Clone, Debug)]
pub struct Ring {
    /// The leg to make, named by the owner of the conversation.
    pub leg: LegId,
    /// Whom to ring.
    pub address: EndpointAddress,
    /// Who calls.
    pub from: AddressOfRecord,
    /// Name to show.
    pub from_display: String,
    /// First text to carry in the invitation.
    pub first_text: Option<Arc<InstantMessage>>,
    /// How long to ring.
    pub patience: Duration,
}

/// An endpoint took the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingAnswer {
    /// True: it took the first text from the invitation and must not get it again.
    pub first_text_taken: bool,
}

/// What the owner of a conversation asks of the front end that holds an endpoint.
#[async_trait]
pub trait FrontEnd: Send + Sync + 'static {
    /// Delivers one message; one outcome per target, in their order. A repeated delivery of the same id to the same
    /// endpoint is answered with the recorded outcome.
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error>;

    /// Rings one endpoint until it answers, refuses or `patience` ends.
    async fn ring(&self, ring: Ring) -> Result<Result<RingAnswer, FailureReason>, Error>;

    /// Stops ringing (CANCEL); `ring` resolves with [`FailureReason::Cancelled`]. Harmless if it already ended; if the
    /// endpoint answered meanwhile, the leg is ended.
    async fn stop_ringing(&self, leg: LegId) -> Result<(), Error>;

    /// Ends a leg (BYE). Harmless if there is none.
    async fn end_leg(&self, leg: LegId) -> Result<(), Error>;

    /// Shows a typing indication where the endpoint's dialect can. Best effort.
    async fn signal(&self, signal: Signal, targets: Vec<Target>) -> Result<(), Error>;
}

/// Reaches one front end wherever it runs.
#[derive(Clone)]
pub struct FrontEndClient(Arc<dyn FrontEnd>);

impl FrontEndClient {
    /// A front end in this process.
    pub fn local(front_end: Arc<dyn FrontEnd>) -> Self {
        FrontEndClient(front_end)
    }
}

impl Deref for FrontEndClient {
    type Target = dyn FrontEnd;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// The front ends of the pool by member name. Read on every delivery, written when a member comes or goes.
#[derive(Clone, Default)]
pub struct FrontEnds(Arc<ArcSwap<HashMap<MemberId, FrontEndClient>>>);

impl FrontEnds {
    /// The front end of this member, if it is known.
    pub fn get(&self, member: &MemberId) -> Option<FrontEndClient> {
        self.0.load().get(member).cloned()
    }

    /// Adds or replaces a member's front end.
    pub fn insert(&self, member: MemberId, client: FrontEndClient) {
        self.0.rcu(|map| {
            let mut next = HashMap::clone(map);
            next.insert(member.clone(), client.clone());
            next
        });
    }

    /// Forgets a member if it is still reached by this client: one that came back meanwhile stays.
    pub fn remove_if(&self, member: &MemberId, client: &FrontEndClient) {
        self.0.rcu(|map| {
            let mut next = HashMap::clone(map);
            if next
                .get(member)
                .is_some_and(|present| Arc::ptr_eq(&present.0, &client.0))
            {
                next.remove(member);
            }
            next
        });
    }

    /// Forgets a member.
    pub fn remove(&self, member: &MemberId) {
        self.0.rcu(|map| {
            let mut next = HashMap::clone(map);
            next.remove(member);
            next
        });
    }
}
