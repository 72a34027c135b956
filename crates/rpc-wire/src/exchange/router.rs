//! The front end's end: to whom a request about a conversation goes, and again to whom when the first one is gone.
//!
//! Each partition has a lane: its present owner and the requests that are not answered yet, in their order. A lane is
//! *attached* while a stream to its owner stands and everything in it was sent there; it is *held up* while something in it
//! has to be sent (again). New requests queue behind what is held up, so that order survives a change of owner.
//!
//! | File | What |
//! |---|---|
//! | `router/request` | what is asked and answered |
//! | `router/lane` | what waits, goes out and comes back |
//! | `router/owners` | who owns what, and what a new owner is told |

mod lane;
mod owners;
mod request;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::{
    ConversationKey, Error, ErrorCode, FailureReason, FrontEndClient, HeldLegs, ImMcu, ImMcuClient,
    LegHolder, LegId, Open, Opened, Signal, Submit,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Partition};

pub(super) use self::lane::Waits;
use self::lane::{Lane, Placed};
use self::request::{Reply, Request, unexpected};
use super::link::Link;
use crate::client::AnyCarrier;
use crate::duplex::{Counters, Snapshot};
use crate::routes::{OwnerMember, OwnerRoutes};

/// How long requests without a patience of their own may wait for an owner: the end of a leg, a cancel.
const CONTROL: Duration = Duration::from_secs(20);

/// The same for a typing indication, which is old news soon.
const SIGNAL: Duration = Duration::from_secs(3);

/// Makes the (lazy) connection to an owner in another process.
pub type Dial = Arc<dyn Fn(&OwnerMember) -> Result<AnyCarrier, Error> + Send + Sync>;

/// The owner of conversations in this process, if there is one.
pub type Local = Option<ImMcuClient>;

/// What all tasks of a router share.
pub(super) struct Inner {
    pub(super) member: MemberId,
    pub(super) incarnation: u64,
    pub(super) counters: Arc<Counters>,
    pub(super) tasks: TaskTracker,
    routes: Arc<dyn OwnerRoutes>,
    local: Local,
    dial: Dial,
    lanes: Box<[Mutex<Lane>]>,
    links: Mutex<HashMap<OwnerMember, Arc<Link>>>,
    next: AtomicU64,
    front_end: ArcSwapOption<FrontEndClient>,
    holder: ArcSwapOption<Arc<dyn LegHolder>>,
    /// Something has to be looked at: links, owners, lanes that are held up.
    work: Notify,
    /// The same, but not at once.
    refused: Notify,
    stop: CancellationToken,
}

/// Reaches the owner of each conversation, wherever it runs and whoever it is by then. Cheap to clone.
#[derive(Clone)]
pub struct ConversationRouter(Arc<Inner>);

impl ConversationRouter {
    /// A router of this member, in this life. `local` is the owner in this process. Its tasks run on `tasks` until `stop`.
    ///
    /// Owners reach the front end only after [`ConversationRouter::serve`].
    #[expect(
        clippy::too_many_arguments,
        reason = "one call, where the server is put together"
    )]
    pub fn start(
        member: MemberId,
        incarnation: u64,
        routes: Arc<dyn OwnerRoutes>,
        local: Local,
        dial: Dial,
        counters: Arc<Counters>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let inner = Arc::new(Inner {
            member,
            incarnation,
            counters,
            tasks: tasks.clone(),
            routes,
            local,
            dial,
            lanes: Partition::all().map(|_| Mutex::default()).collect(),
            links: Mutex::default(),
            next: AtomicU64::new(1),
            front_end: ArcSwapOption::empty(),
            holder: ArcSwapOption::empty(),
            work: Notify::new(),
            refused: Notify::new(),
            stop,
        });
        tasks.spawn(inner.clone().drive());
        ConversationRouter(inner)
    }

    /// From now on owners reach this front end, and are told which legs it holds.
    pub fn serve(&self, front_end: FrontEndClient, holder: Arc<dyn LegHolder>) {
        self.0.holder.store(Some(Arc::new(holder)));
        self.0.front_end.store(Some(Arc::new(front_end)));
        self.0.work.notify_one();
    }

    /// Whether there is a stream to every live owner in another process.
    pub fn is_connected(&self) -> bool {
        let links = self.0.links.lock();
        let mut others = self.0.routes.members().into_iter().filter(|one| !one.is_self);
        others.all(|owner| links.get(&owner).is_some_and(|link| link.stream().is_some()))
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> Snapshot {
        self.0.counters.snapshot()
    }

    async fn ask(&self, partition: Partition, request: Request, patience: Duration) -> Result<Reply, Error> {
        let inner = &self.0;
        let until = Instant::now() + patience;
        let (reply, answer) = oneshot::channel();
        let number = match inner.place(partition, request, until, reply)? {
            Placed::Local(owner, request, reply) => {
                // Nothing has to be remembered unless the local owner turns out to be none.
                let again = (*request).clone();
                match request.ask(&owner).await {
                    Err(error) if error.code == ErrorCode::Unavailable => {
                        inner.counters.rerouted();
                        inner.put_back(partition, again, until, reply)?
                    }
                    answer => return answer,
                }
            }
            Placed::Queued(number) => number,
        };
        // However this ends, the lane forgets the request.
        let _forget = Forget {
            inner,
            partition,
            number,
        };
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::new(ErrorCode::Unavailable, "the server stops")),
            Err(_) => Err(Error::new(
                ErrorCode::Timeout,
                "no owner of the conversation answered in time",
            )),
        }
    }
}

struct Forget<'a> {
    inner: &'a Inner,
    partition: Partition,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.inner
            .lane(self.partition)
            .lock()
            .requests
            .remove(&self.number);
    }
}

impl Inner {
    fn lane(&self, partition: Partition) -> &Mutex<Lane> {
        &self.lanes[partition.index()]
    }

    pub(super) fn front_end(&self) -> Option<FrontEndClient> {
        self.front_end.load().as_deref().cloned()
    }

    pub(super) fn holder(&self) -> Option<Arc<dyn LegHolder>> {
        self.holder.load().as_deref().cloned()
    }

    /// Whether an owner that speaks under this epoch was left behind.
    pub(super) fn is_stale(&self, partition: Partition, epoch: u64) -> bool {
        let known = self.routes.owner(partition);
        known.is_some_and(|known| epoch < known.epoch)
    }
}

// === the role, for the front end ===

#[async_trait]
impl ImMcu for ConversationRouter {
    async fn open(&self, open: Open) -> Result<Result<Opened, FailureReason>, Error> {
        let partition = ConversationKey::new(&open.from, &open.to).partition();
        let patience = open.patience;
        match self
            .ask(partition, Request::Open(Box::new(open)), patience)
            .await?
        {
            Reply::Open(result) => Ok(result),
            _ => Err(unexpected()),
        }
    }

    async fn cancel(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error> {
        let request = Request::Cancel(conversation.clone(), leg);
        self.ask(conversation.partition(), request, CONTROL)
            .await
            .map(|_| ())
    }

    async fn submit(&self, submit: Submit) -> Result<Result<(), FailureReason>, Error> {
        let partition = ConversationKey::new(&submit.message.from, &submit.message.to).partition();
        let patience = submit.patience;
        match self.ask(partition, Request::Submit(submit), patience).await? {
            Reply::Submit(result) => Ok(result),
            _ => Err(unexpected()),
        }
    }

    async fn signal(&self, signal: Signal) -> Result<(), Error> {
        let partition = ConversationKey::new(&signal.from, &signal.to).partition();
        let request = Request::Signal(Box::new(signal));
        self.ask(partition, request, SIGNAL).await.map(|_| ())
    }

    async fn leave(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error> {
        let request = Request::Leave(conversation.clone(), leg);
        self.ask(conversation.partition(), request, CONTROL)
            .await
            .map(|_| ())
    }

    async fn hold(&self, _: HeldLegs) -> Result<(), Error> {
        // The router itself says which legs there are.
        Err(Error::new(
            ErrorCode::InvalidRequest,
            "legs are told by the router of their front end",
        ))
    }
}
