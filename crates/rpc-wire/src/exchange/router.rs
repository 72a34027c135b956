//! The front end's end: to whom a request about a conversation goes, and again to whom when the first one is gone.
//!
//! Each partition has a lane: its present owner and the requests that are not answered yet, in their order. A lane is
//! *attached* while a stream to its owner stands and everything in it was sent there; it is *held up* while something in it
//! has to be sent (again). New requests queue behind what is held up, so that order survives a change of owner.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

use super::counters::{Counters, Snapshot};
use super::link::{Asking, Link, item};
use super::sending::NotSent;
use super::{poll_once_then_spawn, trace_now};
use crate::client::AnyCarrier;
use crate::codec::conversation as codec;
use crate::codec::milliseconds;
use crate::proto::immcu::v1 as wire;
use crate::proto::immcu::v1::front_end_item::Body as Up;
use crate::proto::immcu::v1::owner_item::Body as Down;
use crate::routes::{OwnerMember, OwnerRoutes, PartitionOwner};

/// How long requests without a patience of their own may wait for an owner: the end of a leg, a cancel.
const CONTROL: Duration = Duration::from_secs(20);

/// The same for a typing indication, which is old news soon.
const SIGNAL: Duration = Duration::from_secs(3);

/// How soon an owner that did not own what it was asked for is asked again: it may be about to learn that it does.
const AGAIN: Duration = Duration::from_millis(50);

/// Unanswered requests of one partition.
const LANE: usize = 8_192;

/// Makes the (lazy) connection to an owner in another process.
pub type Dial = Arc<dyn Fn(&OwnerMember) -> Result<AnyCarrier, Error> + Send + Sync>;

/// The owner of conversations in this process, if there is one.
pub type Local = Option<ImMcuClient>;

// === requests ===

#[derive(Clone, Debug)]
enum Request {
    Open(Box<Open>),
    Submit(Submit),
    Cancel(ConversationKey, LegId),
    Leave(ConversationKey, LegId),
    Signal(Box<Signal>),
}

impl Request {
    fn to_wire(&self) -> Up {
        match self {
            Request::Open(open) => Up::Open((&**open).into()),
            Request::Submit(submit) => Up::Submit(submit.into()),
            Request::Cancel(key, leg) => Up::Cancel(codec::cancel_to_wire(key, *leg)),
            Request::Leave(key, leg) => Up::Leave(codec::leave_to_wire(key, *leg)),
            Request::Signal(signal) => Up::Signal((&**signal).into()),
        }
    }

    async fn ask(self, owner: &ImMcuClient) -> Result<Reply, Error> {
        Ok(match self {
            Request::Open(open) => Reply::Open(owner.open(*open).await?),
            Request::Submit(submit) => Reply::Submit(owner.submit(submit).await?),
            Request::Cancel(key, leg) => Reply::Done(owner.cancel(&key, leg).await?),
            Request::Leave(key, leg) => Reply::Done(owner.leave(&key, leg).await?),
            Request::Signal(signal) => Reply::Done(owner.signal(*signal).await?),
        })
    }
}

enum Reply {
    Open(Result<Opened, FailureReason>),
    Submit(Result<(), FailureReason>),
    Done(()),
}

impl Reply {
    /// Whether what was asked for has happened.
    fn is_success(&self) -> bool {
        matches!(self, Reply::Open(Ok(_)) | Reply::Submit(Ok(())) | Reply::Done(()))
    }

    fn of_wire(body: Down) -> Result<Self, Error> {
        match body {
            Down::OpenResult(result) => Ok(Reply::Open(
                codec::open_result(result).map_err(crate::codec::Malformed::in_answer)?,
            )),
            Down::SubmitResult(result) => Ok(Reply::Submit(codec::submit_result(result))),
            Down::Done(_) => Ok(Reply::Done(())),
            Down::Error(error) => Err(error.into()),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> Error {
    Error::new(ErrorCode::Internal, "the owner answered something else")
}

/// What an answer on a stream is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waits {
    /// A request of this lane, by its number in the router, asked of the owner with this epoch.
    Request(Partition, u64, u64),
    /// The legs that were named for this lane, under this epoch.
    Hold(Partition, u64),
}

struct Pending {
    request: Request,
    until: Instant,
    reply: oneshot::Sender<Result<Reply, Error>>,
    /// The trace it belongs to.
    trace: Option<wire::TraceContext>,
    /// The epoch of the owner it was sent to; `None`: to be sent (again).
    sent: Option<u64>,
}

// === lanes ===

#[derive(Clone)]
enum To {
    Local,
    Link(Arc<Link>),
}

#[derive(Default)]
struct Lane {
    /// The owner that was last attached to, in good order: it knows our legs.
    told: Option<(OwnerMember, u64)>,
    /// The owner now. `None`: none is known, or there is no stream to it.
    to: Option<To>,
    /// Something has to be sent before anything new.
    held_up: bool,
    requests: BTreeMap<u64, Pending>,
}

impl Lane {
    /// The epoch of the owner that is asked.
    fn epoch(&self) -> u64 {
        self.told.as_ref().map_or(0, |(_, epoch)| *epoch)
    }
}

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

enum Placed {
    Local(ImMcuClient, Box<Request>, oneshot::Sender<Result<Reply, Error>>),
    Queued(u64),
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

    // === requests ===

    /// Gives a new request its place in its lane, and sends it if it may go.
    fn place(
        &self,
        partition: Partition,
        request: Request,
        until: Instant,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<Placed, Error> {
        let mut lane = self.lane(partition).lock();
        if let (Some(To::Local), false, Some(local)) = (&lane.to, lane.held_up, &self.local) {
            return Ok(Placed::Local(local.clone(), Box::new(request), reply));
        }
        let number = self.queue(&mut lane, request, until, reply)?;
        if !lane.held_up {
            self.send(&mut lane, partition, number);
            if lane.held_up {
                self.refused.notify_one();
            }
        }
        Ok(Placed::Queued(number))
    }

    /// The local owner turned a request away: it is sent to whoever owns the conversation next.
    fn put_back(
        &self,
        partition: Partition,
        request: Request,
        until: Instant,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<u64, Error> {
        let mut lane = self.lane(partition).lock();
        lane.held_up = true;
        self.refused.notify_one();
        self.queue(&mut lane, request, until, reply)
    }

    fn queue(
        &self,
        lane: &mut Lane,
        request: Request,
        until: Instant,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<u64, Error> {
        if lane.requests.len() >= LANE {
            self.counters.full();
            return Err(Error::new(
                ErrorCode::TooMany,
                "too many requests wait for an owner",
            ));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pending = Pending {
            request,
            until,
            reply,
            trace: trace_now(),
            sent: None,
        };
        lane.requests.insert(number, pending);
        if lane.to.is_none() {
            lane.held_up = true;
        }
        Ok(number)
    }

    /// Sends a request on the stream of its lane. If that cannot be, the lane is held up.
    fn send(&self, lane: &mut Lane, partition: Partition, number: u64) {
        let stream = match &lane.to {
            Some(To::Link(link)) => link.stream(),
            _ => None,
        };
        let epoch = lane.epoch();
        let Some(stream) = stream else {
            lane.held_up = true;
            return;
        };
        let Some(pending) = lane.requests.get_mut(&number) else {
            return;
        };
        let left = pending.until.saturating_duration_since(Instant::now());
        let (body, trace) = (pending.request.to_wire(), pending.trace.clone());
        let sent = stream.request(Waits::Request(partition, number, epoch), |sequence| {
            wire::FrontEndItem {
                deadline_ms: milliseconds(left),
                trace,
                ..item(sequence, body)
            }
        });
        match sent {
            Ok(_) => pending.sent = Some(epoch),
            Err((NotSent::Ended, _)) => lane.held_up = true,
            Err((NotSent::Full, _)) => {
                self.counters.full();
                if let Some(pending) = lane.requests.remove(&number) {
                    let full = Error::new(ErrorCode::TooMany, "too much waits for an owner");
                    let _gave_up = pending.reply.send(Err(full));
                }
            }
        }
    }

    /// An answer came.
    pub(super) fn answered(&self, waits: Waits, body: Down) {
        let reply = Reply::of_wire(body);
        match waits {
            Waits::Hold(partition, epoch) => {
                if reply.is_err() {
                    self.hold_refused(partition, epoch);
                }
            }
            Waits::Request(partition, number, epoch) => self.replied(partition, number, epoch, reply),
        }
    }

    /// A request was answered; if by somebody who does not own the conversation, it is sent again. An owner that was asked
    /// before the present one may still say that it succeeded; that it failed is for the present one to say.
    fn replied(&self, partition: Partition, number: u64, epoch: u64, reply: Result<Reply, Error>) {
        let mut lane = self.lane(partition).lock();
        let Some(pending) = lane.requests.get_mut(&number) else {
            return;
        };
        let is_present = pending.sent == Some(epoch);
        if !is_present && !reply.as_ref().is_ok_and(Reply::is_success) {
            return;
        }
        if matches!(&reply, Err(error) if error.code == ErrorCode::Unavailable) {
            pending.sent = None;
            lane.held_up = true;
            self.counters.rerouted();
            self.refused.notify_one();
        } else if let Some(pending) = lane.requests.remove(&number) {
            let _gave_up = pending.reply.send(reply);
        }
    }

    /// The owner does not know yet that it is: it is told our legs again.
    fn hold_refused(&self, partition: Partition, epoch: u64) {
        let mut lane = self.lane(partition).lock();
        if lane.told.as_ref().is_some_and(|(_, told)| *told == epoch) {
            lane.told = None;
            lane.held_up = true;
            self.refused.notify_one();
        }
    }

    // === links ===

    pub(super) fn link_up(&self) {
        self.work.notify_one();
    }

    /// A stream ended. What waited for answers on it is sent again.
    pub(super) fn link_down(&self, waiting: Vec<Waits>) {
        self.counters.resent(waiting.len());
        for waits in waiting {
            match waits {
                Waits::Hold(partition, epoch) => self.hold_refused(partition, epoch),
                Waits::Request(partition, number, epoch) => {
                    let mut lane = self.lane(partition).lock();
                    if let Some(pending) = lane.requests.get_mut(&number)
                        && pending.sent == Some(epoch)
                    {
                        pending.sent = None;
                        lane.held_up = true;
                    }
                }
            }
        }
        self.work.notify_one();
    }

    // === the task ===

    /// Follows the routes, keeps links to all owners, and gets held-up lanes going.
    async fn drive(self: Arc<Self>) {
        let mut changes = self.routes.changes();
        loop {
            changes.mark_unchanged();
            self.keep_links();
            let waiting = self.attach_all();
            let again = async {
                match waiting {
                    true => tokio::time::sleep(AGAIN).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = again => {}
                // Whoever refused is not asked again at once: it is about to learn what it owns.
                () = self.refused.notified() => tokio::time::sleep(AGAIN).await,
                () = self.work.notified() => {}
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        for (_, link) in self.links.lock().drain() {
            link.stop.cancel();
        }
    }

    /// One link for each live owner elsewhere; those of owners that are gone end.
    fn keep_links(self: &Arc<Self>) {
        let wanted: HashSet<OwnerMember> = self
            .routes
            .members()
            .into_iter()
            .filter(|one| !one.is_self)
            .collect();
        let mut links = self.links.lock();
        links.retain(|owner, link| {
            let stays = wanted.contains(owner);
            if !stays {
                link.stop.cancel();
            }
            stays
        });
        for owner in wanted {
            if links.contains_key(&owner) {
                continue;
            }
            if owner.address.is_none() {
                continue;
            }
            match (self.dial)(&owner) {
                Ok(carrier) => {
                    let link = Arc::new(Link::new(owner.clone(), self.stop.child_token()));
                    self.tasks.spawn(link.clone().run(self.clone(), carrier));
                    links.insert(owner, link);
                }
                Err(error) => {
                    tracing::warn!(%error, owner = %owner.member, "an owner's address is of no use")
                }
            }
        }
    }

    /// Brings every lane to its present owner. True: something is held up that only time may help.
    fn attach_all(self: &Arc<Self>) -> bool {
        let mut changed = Vec::new();
        for partition in Partition::all() {
            let owner = self.routes.owner(partition);
            let mut lane = self.lane(partition).lock();
            let to = owner.as_ref().and_then(|owner| self.way_to(&owner.owner));
            lane.to.clone_from(&to);
            if to.is_none() {
                lane.held_up |= !lane.requests.is_empty();
                continue;
            }
            if let Some(owner) = owner
                && lane
                    .told
                    .as_ref()
                    .is_none_or(|(told, epoch)| *told != owner.owner || *epoch != owner.epoch)
            {
                lane.held_up = true;
                // Whatever another owner was asked is asked of this one, before anything new: order survives the change.
                for pending in lane.requests.values_mut() {
                    pending.sent = pending.sent.filter(|epoch| *epoch == owner.epoch);
                }
                changed.push((partition, owner, lane.told.is_some()));
            }
        }
        self.tell_legs(changed);
        let mut waiting = false;
        for partition in Partition::all() {
            // What the local owner is asked is begun without the lane's lock: it may lead back here.
            loop {
                let locally = {
                    let mut lane = self.lane(partition).lock();
                    let locally = match lane.held_up {
                        true => self.resend(&mut lane, partition),
                        false => Vec::new(),
                    };
                    waiting |= lane.held_up && locally.is_empty();
                    locally
                };
                if locally.is_empty() {
                    break;
                }
                for (number, epoch, request) in locally {
                    self.ask_locally(partition, number, epoch, request);
                }
            }
        }
        waiting
    }

    fn way_to(&self, owner: &OwnerMember) -> Option<To> {
        if owner.is_self {
            return self.local.as_ref().map(|_| To::Local);
        }
        let links = self.links.lock();
        let link = links.get(owner).filter(|link| link.stream().is_some())?;
        Some(To::Link(link.clone()))
    }

    /// Tells new owners which legs we hold, before anything else is asked of them.
    fn tell_legs(&self, changed: Vec<(Partition, PartitionOwner, bool)>) {
        let Some(holder) = self.holder() else { return };
        if changed.is_empty() {
            return;
        }
        let moved = changed.iter().filter(|(_, _, had_another)| *had_another);
        let moved: HashSet<Partition> = moved.map(|(partition, _, _)| *partition).collect();
        if !moved.is_empty() {
            holder.stop_ringing_of(&moved);
        }
        let all: HashSet<Partition> = changed.iter().map(|(partition, _, _)| *partition).collect();
        let mut legs: HashMap<Partition, Vec<rpc::HeldLeg>> = HashMap::new();
        for leg in holder.held_legs(&all) {
            let partition = ConversationKey::new(&leg.address.aor, &leg.peer).partition();
            legs.entry(partition).or_default().push(leg);
        }
        for (partition, owner, _) in changed {
            let held = HeldLegs {
                member: self.member.clone(),
                partition,
                legs: legs.remove(&partition).unwrap_or_default(),
            };
            self.tell_lane(partition, owner, held);
        }
    }

    fn tell_lane(&self, partition: Partition, owner: PartitionOwner, held: HeldLegs) {
        let mut lane = self.lane(partition).lock();
        let told = match &lane.to {
            None => false,
            Some(To::Local) => {
                let local = self.local.clone();
                let mut hold = Box::pin(async move {
                    match local {
                        Some(local) => local.hold(held).await,
                        None => Ok(()),
                    }
                });
                // It only feeds state machines: it is over at its first step.
                let waker = std::task::Waker::noop();
                let polled = hold.as_mut().poll(&mut std::task::Context::from_waker(waker));
                matches!(polled, std::task::Poll::Ready(Ok(())))
            }
            Some(To::Link(link)) => link
                .stream()
                .is_some_and(|stream| self.send_hold(&stream, &owner, &held)),
        };
        // One that could not be told is told again before it is asked anything.
        lane.told = told.then_some((owner.owner, owner.epoch));
    }

    fn send_hold(&self, stream: &Asking, owner: &PartitionOwner, held: &HeldLegs) -> bool {
        let body = Up::HoldLegs(held.into());
        let waits = Waits::Hold(held.partition, owner.epoch);
        let sent = stream.request(waits, |sequence| wire::FrontEndItem {
            deadline_ms: milliseconds(CONTROL),
            ..item(sequence, body)
        });
        sent.is_ok()
    }

    /// Sends everything of a lane that has to be sent, in order, if its owner knows our legs. Returns what the local owner is
    /// to be asked; until that was begun the lane stays held up.
    fn resend(&self, lane: &mut Lane, partition: Partition) -> Vec<(u64, u64, Request)> {
        let now = Instant::now();
        lane.requests.retain(|_, pending| {
            pending.sent.is_some() || (pending.until > now && !pending.reply.is_closed())
        });
        let knows_legs = lane.told.is_some() || self.holder.load().is_none();
        let unsent = |lane: &Lane| -> Vec<u64> {
            let waiting = lane.requests.iter().filter(|(_, pending)| pending.sent.is_none());
            waiting.map(|(number, _)| *number).collect()
        };
        let numbers = unsent(lane);
        if numbers.is_empty() {
            lane.held_up = lane.to.is_some() && !knows_legs;
            return Vec::new();
        }
        match &lane.to {
            Some(To::Link(_)) if knows_legs => {
                lane.held_up = false;
                for number in numbers {
                    if lane.held_up {
                        break;
                    }
                    self.send(lane, partition, number);
                }
                Vec::new()
            }
            Some(To::Local) if knows_legs => {
                let mut requests = Vec::new();
                let epoch = lane.epoch();
                for number in numbers {
                    if let Some(pending) = lane.requests.get_mut(&number) {
                        pending.sent = Some(epoch);
                        requests.push((number, epoch, pending.request.clone()));
                    }
                }
                requests
            }
            _ => Vec::new(),
        }
    }

    /// The owner is here now: it is asked in a task, whose first step is taken at once.
    fn ask_locally(self: &Arc<Self>, partition: Partition, number: u64, epoch: u64, request: Request) {
        let Some(local) = self.local.clone() else { return };
        let inner = self.clone();
        poll_once_then_spawn(&self.tasks, async move {
            let reply = request.ask(&local).await;
            inner.replied(partition, number, epoch, reply);
        });
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
