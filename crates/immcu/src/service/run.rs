//! Executes what conversations want done, and feeds back what comes of it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use rpc::{
    ConversationKey, Deliver, Error, ErrorCode, FailureReason, Freshness, FrontEndClient, LegId, MessageId,
    Progress, Ring, RingAnswer,
};
use telemetry::trace;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use topology::MemberId;

use super::Inner;
use crate::archive::{OutcomeRecord, Record};
use crate::conversation::{Conversation, ItemId, Side, Ticket};
use crate::effect::{
    Appended, Call, CallError, Delivered, Effect, Event, Outcome, Prepared, PreparedOpen, Purpose, Rung,
    Subject, Tell, Turn,
};
use crate::endpoints::Endpoints;
use crate::limits::{LOST_AFTER, RETRY_PAUSES};

/// What came of a call.
enum Input {
    Prepared(ItemId, Result<Prepared, FailureReason>),
    OpenPrepared(LegId, Result<PreparedOpen, FailureReason>),
    Appended(Subject, MessageId, Appended),
    Delivered(Ticket, Delivered),
    Rung(Side, MemberId, LegId, Rung),
    Located(Purpose, Endpoints),
}

impl Input {
    /// The leg this made at a front end, which has to be ended if nobody wants it.
    fn answered_leg(&self) -> Option<(MemberId, LegId)> {
        match self {
            Input::Rung(_, member, leg, Ok(Ok(_))) => Some((member.clone(), *leg)),
            _ => None,
        }
    }

    fn feed(self, conversation: &mut Conversation, turn: &mut Turn<'_>) {
        match self {
            Input::Prepared(item, result) => conversation.prepared(item, result, turn),
            Input::OpenPrepared(leg, result) => conversation.open_prepared(leg, result, turn),
            Input::Appended(subject, id, appended) => conversation.appended(subject, &id, appended, turn),
            Input::Delivered(ticket, delivered) => conversation.delivered(ticket, delivered, turn),
            Input::Rung(side, _, leg, rung) => conversation.rung(side, leg, rung, turn),
            Input::Located(purpose, endpoints) => conversation.located(purpose, &endpoints, turn),
        }
    }
}

/// Whether the same call to a front end may succeed later.
fn call_error(error: &Error) -> CallError {
    tracing::debug!(%error, code = error.code.as_str(), "a front end did not do what it was asked");
    if error.code.may_retry() {
        CallError::Unreachable
    } else {
        CallError::Failed
    }
}

impl Inner {
    /// Does what an input brought about: everything that has no answer at once, calls in tasks of their own but for the
    /// last one, which is returned for the caller to carry on with.
    pub(super) fn carry_out(self: &Arc<Self>, key: &ConversationKey, effects: Vec<Effect>) -> Option<Call> {
        let mut last = None;
        for effect in effects {
            match effect {
                Effect::Call(call) => {
                    if let Some(call) = last.replace(call) {
                        self.spawn_run(key, call);
                    }
                }
                Effect::Tell(member, tell) => self.spawn_tell(key, member, tell),
                // A sender that went away does not need its answer.
                Effect::Answer(reply, answer) => drop(reply.send(answer)),
                Effect::AnswerOpen(reply, answer) => drop(reply.send(answer)),
                Effect::Outcome(outcome) => self.spawn_outcome(key, outcome),
                Effect::Count(event) => self.counters.count(event),
                // Done under the lock of the shard.
                Effect::Bind(_) | Effect::Forget(_) => {}
            }
        }
        last
    }

    /// Makes a call, feeds its answer, and goes on with what follows, until nothing does.
    async fn run(self: Arc<Self>, key: ConversationKey, call: Call) {
        let mut next = Some(call);
        while let Some(call) = next {
            let message = call.message();
            let executed = pin!(self.execute(&key, call));
            let Some(input) = self.traces.within(message.as_ref(), executed).await else {
                return;
            };
            let answered = input.answered_leg();
            let effects = self.shards.feed(&key, super::now(), |conversation, turn| {
                input.feed(conversation, turn);
            });
            next = self.carry_out(&key, effects);
            if let Some((member, leg)) = answered {
                self.end_if_unwanted(&key, member, leg);
            }
        }
    }

    /// An endpoint answered in the same moment in which another one took the session: nobody told it to stop in time, so
    /// it is told now.
    fn end_if_unwanted(self: &Arc<Self>, key: &ConversationKey, member: MemberId, leg: LegId) {
        if self.shards.legs().conversation(leg).is_none() {
            self.spawn_tell(key, member, Tell::EndLeg(leg));
        }
    }

    pub(super) fn spawn_run(self: &Arc<Self>, key: &ConversationKey, call: Call) {
        let run = self.clone().run(key.clone(), call);
        if trace::is_recorded() {
            self.calls.spawn_on(trace::carry(Box::pin(run)), &self.runtime);
        } else {
            self.calls.spawn_on(run, &self.runtime);
        }
    }

    /// The same as [`Inner::spawn_run`], but the caller polls it as long as it likes.
    pub(super) fn work(self: &Arc<Self>, key: ConversationKey, call: Call) -> Work {
        let run = Box::pin(self.clone().run(key, call));
        Work {
            _token: self.calls.token(),
            calls: self.calls.clone(),
            runtime: self.runtime.clone(),
            run: Some(if trace::is_recorded() {
                Box::pin(trace::carry(run))
            } else {
                run
            }),
        }
    }

    async fn execute(self: &Arc<Self>, key: &ConversationKey, call: Call) -> Option<Input> {
        Some(match call {
            Call::Prepare {
                item,
                message,
                within,
            } => Input::Prepared(item, self.prepare.message(message, within).await),
            Call::PrepareOpen { open, within } => {
                Input::OpenPrepared(open.leg, self.prepare.open(&open, within).await)
            }
            Call::Append {
                subject,
                message,
                original,
            } => {
                let id = message.id;
                let record = Record {
                    conversation: key.clone(),
                    message,
                    original,
                    at: SystemTime::now(),
                };
                Input::Appended(subject, id, self.append(record).await)
            }
            Call::Deliver {
                ticket,
                member,
                deliver,
            } if deliver.targets.len() > 1 => Input::Delivered(
                ticket,
                self.deliver_to_several(key, ticket, &member, deliver).await,
            ),
            Call::Deliver {
                ticket,
                member,
                deliver,
            } => Input::Delivered(ticket, self.deliver(&member, deliver).await),
            Call::Ring { side, member, ring } => {
                let leg = ring.leg;
                let rung = self.ring(&member, ring).await?;
                Input::Rung(side, member, leg, rung)
            }
            Call::Locate { purpose, aor } => {
                let endpoints = match &purpose {
                    Purpose::Signal(_, signal) => self.prepare.for_signal(&signal.from, &aor).await,
                    Purpose::Deliver(_) | Purpose::Ring(..) => {
                        self.prepare.located(&aor, Freshness::Newest).await
                    }
                };
                Input::Located(purpose, endpoints)
            }
        })
    }

    async fn append(&self, record: Record) -> Appended {
        let appended = self.prepare.hooks.archive.append(record);
        match tokio::time::timeout(self.limits.archive, appended).await {
            Ok(Ok(())) => Appended::Committed,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a message was not archived");
                Appended::Refused
            }
            Err(_) => Appended::Unknown,
        }
    }

    fn front_end(&self, member: &MemberId) -> Result<FrontEndClient, CallError> {
        self.front_ends.get(member).ok_or(CallError::Unreachable)
    }

    async fn deliver(&self, member: &MemberId, deliver: Deliver) -> Delivered {
        let front_end = self.front_end(member)?;
        // The conversation counts the call as lost by itself; this ends what is left of it.
        let patience = deliver.patience + 2 * LOST_AFTER;
        let span = trace::span("immcu.deliver");
        span.set_number("portico.im.targets", deliver.targets.len() as i64);
        let delivered = pin!(front_end.deliver(deliver));
        match tokio::time::timeout(patience, span.instrument(delivered)).await {
            Ok(result) => result.map_err(|error| call_error(&error)),
            Err(_) => Err(CallError::Failed),
        }
    }

    /// Delivers to several endpoints of one front end, and feeds each outcome as soon as it is known.
    async fn deliver_to_several(
        self: &Arc<Self>,
        key: &ConversationKey,
        ticket: Ticket,
        member: &MemberId,
        mut deliver: Deliver,
    ) -> Delivered {
        let (progress, mut reports) = Progress::channel(deliver.targets.len());
        deliver.progress = Some(progress);
        let mut delivered = pin!(self.deliver(member, deliver));
        loop {
            let report = tokio::select! {
                biased;
                delivered = &mut delivered => return delivered,
                Some(report) = reports.recv() => report,
            };
            let effects = self.shards.feed(key, super::now(), |conversation, turn| {
                conversation.target_delivered(ticket, report, turn);
            });
            if let Some(call) = self.carry_out(key, effects) {
                self.spawn_run(key, call);
            }
        }
    }

    /// Rings until the endpoint answers or nobody wants it to any more. One task begins and stops the ringing of a leg,
    /// so that the request to stop never overtakes the invitation. `None`: it was stopped, nobody waits for the answer.
    async fn ring(&self, member: &MemberId, ring: Ring) -> Option<Rung> {
        let leg = ring.leg;
        let stop = self.shards.legs().stop_handle(leg)?;
        let front_end = match self.front_end(member) {
            Ok(front_end) => front_end,
            Err(error) => return Some(Err(error)),
        };
        let patience = ring.patience + LOST_AFTER;
        let ringing = pin!(front_end.ring(ring));
        let mut ringing = trace::span("immcu.ring").instrument(ringing);
        let rung: Result<Result<RingAnswer, FailureReason>, Error> = tokio::select! {
            biased;
            rung = &mut ringing => rung,
            () = stop.notified() => {
                let stopped = self.tell(member, Tell::StopRinging(leg));
                // The invitation is polled until it is over: its front end may still have something to do for it.
                let both = async { tokio::join!(stopped, ringing) };
                drop(tokio::time::timeout(LOST_AFTER, both).await);
                return None;
            }
            () = tokio::time::sleep(patience) => Ok(Err(FailureReason::Timeout)),
        };
        Some(rung.map_err(|error| call_error(&error)))
    }

    fn spawn_tell(self: &Arc<Self>, key: &ConversationKey, member: MemberId, tell: Tell) {
        let inner = self.clone();
        let partition = key.partition();
        let told = async move {
            // Whoever owns the conversation by now may have taken over the very leg this is about.
            if inner.partitions.epoch(partition).is_some() {
                inner.tell(&member, tell).await;
            }
        };
        self.calls.spawn_on(told, &self.runtime);
    }

    /// Tells a front end something, again if it cannot be reached. If it stays away, its legs died with it.
    async fn tell(&self, member: &MemberId, tell: Tell) {
        if let Tell::Signal(signal, targets) = tell {
            if let Ok(front_end) = self.front_end(member) {
                // State, not text: the next one replaces it.
                drop(tokio::time::timeout(LOST_AFTER, front_end.signal(signal, targets)).await);
            }
            return;
        }
        for pause in RETRY_PAUSES.iter().map(Some).chain([None]) {
            if self.tell_once(member, &tell).await {
                return;
            }
            let Some(pause) = pause else { break };
            tokio::time::sleep(*pause).await;
            self.counters.count(Event::Retried);
        }
        self.counters.count(Event::Lost);
    }

    /// False: it may be tried again.
    async fn tell_once(&self, member: &MemberId, tell: &Tell) -> bool {
        let Ok(front_end) = self.front_end(member) else {
            return false;
        };
        let told = async {
            match tell {
                Tell::StopRinging(leg) => front_end.stop_ringing(*leg).await,
                Tell::EndLeg(leg) => front_end.end_leg(*leg).await,
                Tell::Signal(..) => Ok(()),
            }
        };
        match tokio::time::timeout(LOST_AFTER, told).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => call_error(&error) == CallError::Failed,
            Err(_) => false,
        }
    }

    fn spawn_outcome(self: &Arc<Self>, key: &ConversationKey, outcome: Outcome) {
        let record = OutcomeRecord {
            conversation: key.clone(),
            id: outcome.id,
            disposition: outcome.disposition,
            endpoints: outcome.endpoints,
            at: SystemTime::now(),
        };
        let inner = self.clone();
        let work = async move {
            let taken = inner.prepare.hooks.archive.outcome(record);
            if !matches!(
                tokio::time::timeout(inner.limits.archive, taken).await,
                Ok(Ok(()))
            ) {
                inner.counters.count(Event::ArchiveGap);
            }
        };
        self.calls.spawn_on(work, &self.runtime);
    }

    /// Wakes the conversations of one shard when they are due.
    pub(super) async fn keep_time(self: Arc<Self>, shard: usize) {
        loop {
            while let Some((key, effects)) = self.shards.wake_one(shard, super::now()) {
                if let Some(call) = self.carry_out(&key, effects) {
                    self.spawn_run(&key, call);
                }
            }
            let due = self.shards.next_due(shard);
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.shards.earlier(shard) => {}
                () = self.stop_timers.cancelled() => return,
            }
        }
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Work on a conversation that somebody polls who may go away. What is left of it then goes on in a task of its own, so
/// that a call in flight is always followed by its answer.
pub(super) struct Work {
    run: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    calls: TaskTracker,
    runtime: Handle,
    /// Counts as a task: a stop waits for it.
    _token: TaskTrackerToken,
}

impl Future for Work {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(run) = &mut self.run else {
            return Poll::Ready(());
        };
        let polled = run.as_mut().poll(context);
        if polled.is_ready() {
            self.run = None;
        }
        polled
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            self.calls.spawn_on(run, &self.runtime);
        }
    }
}

/// An error of the role itself.
pub(super) fn unavailable(message: &str) -> Error {
    Error::new(ErrorCode::Unavailable, message).retry_after(Duration::from_secs(5))
}
