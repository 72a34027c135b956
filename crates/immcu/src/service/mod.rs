//! The role as others see it: takes calls in, feeds the conversation they are for, and waits for the answer.

mod partitions;
mod prepare;
mod run;
mod shards;

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use rpc::{
    ConversationKey, Error, FailureReason, Fence, FrontEnds, HeldLegs, ImMcu, LegId, MessageId, Open, Opened,
    RegistrarClient, Signal, Submit,
};
use telemetry::trace::{self, Carried};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::partitions::{Admitted, Partitions};
use self::prepare::Preparer;
use self::run::{Work, unavailable};
use self::shards::Shards;
use crate::access::Access;
use crate::archive::{Archive, KeepNothing};
use crate::conversation::Conversation;
use crate::counters::{Counters, Snapshot};
use crate::effect::Turn;
use crate::filter::{MessageFilter, PassAll};
use crate::limits::Limits;

/// Where filters and archiving act. The default does neither.
#[derive(Clone)]
pub struct Hooks {
    /// Sees every text before it is archived and delivered.
    pub filter: Arc<dyn MessageFilter>,
    /// Keeps what was said.
    pub archive: Arc<dyn Archive>,
    /// Knows whom recipients have blocked; `None`: nobody is.
    pub access: Option<Access>,
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks {
            filter: Arc::new(PassAll),
            archive: Arc::new(KeepNothing),
            access: None,
        }
    }
}

/// The clock of the state machines: the runtime's, which tests may hold still.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

struct Inner {
    shards: Shards,
    partitions: Partitions,
    prepare: Preparer,
    front_ends: FrontEnds,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    /// Owns every call in flight.
    calls: TaskTracker,
    /// Owns the task of each shard that wakes its conversations.
    timers: TaskTracker,
    stop_timers: CancellationToken,
    stopping: AtomicBool,
    runtime: Handle,
    /// The spans of messages under way: the calls of one may be made in the task of another.
    traces: Carried<MessageId>,
}

/// The owner of conversations. Cloning shares it.
///
/// Messages of one conversation are delivered in the order in which [`ImMcu::submit`] is first polled: a caller that must
/// keep the order of what it received polls one before it makes the next.
#[derive(Clone)]
pub struct ImMcuService(Arc<Inner>);

impl ImMcuService {
    /// Starts the role with no conversations. Must be called within a tokio runtime, which then runs its tasks.
    ///
    /// `front_ends` is read at every delivery: front ends may be added before or after. Whoever composes the server
    /// registers [`crate::IM_POLICY`] with the policy engine behind `registrar`.
    ///
    /// It owns every conversation there is, for ever: see [`ImMcuService::start_in_pool`].
    pub fn start(registrar: RegistrarClient, front_ends: FrontEnds, hooks: Hooks, limits: Limits) -> Self {
        Self::with(registrar, front_ends, hooks, limits, Partitions::sole())
    }

    /// The same as one of several owners: it owns nothing until it is told to [`ImMcuService::take`], and decides nothing
    /// while `fence` says that it may be left behind.
    pub fn start_in_pool(
        registrar: RegistrarClient,
        front_ends: FrontEnds,
        hooks: Hooks,
        limits: Limits,
        fence: Arc<dyn Fence>,
    ) -> Self {
        Self::with(registrar, front_ends, hooks, limits, Partitions::pooled(fence))
    }

    fn with(
        registrar: RegistrarClient,
        front_ends: FrontEnds,
        hooks: Hooks,
        limits: Limits,
        partitions: Partitions,
    ) -> Self {
        let limits = Arc::new(limits);
        let counters = Arc::new(Counters::default());
        let inner = Arc::new(Inner {
            shards: Shards::new(limits.clone(), counters.clone()),
            partitions,
            prepare: Preparer {
                registrar,
                hooks,
                counters: counters.clone(),
            },
            front_ends,
            limits,
            counters,
            calls: TaskTracker::new(),
            timers: TaskTracker::new(),
            stop_timers: CancellationToken::new(),
            stopping: AtomicBool::new(false),
            runtime: Handle::current(),
            traces: Carried::default(),
        });
        for shard in 0..Shards::COUNT {
            inner.timers.spawn(inner.clone().keep_time(shard));
        }
        ImMcuService(inner)
    }

    /// One reading of all counters and gauges.
    pub fn snapshot(&self) -> Snapshot {
        self.0.counters.snapshot()
    }

    /// The counters, to be read whenever somebody wants to.
    pub fn counters(&self) -> Arc<Counters> {
        self.0.counters.clone()
    }

    /// Refuses what is new, waits until what was accepted is decided, and ends all tasks. What rings may ring for minutes:
    /// give it a deadline and drop it, then call [`ImMcuService::abort`]. Repeating it is harmless.
    pub async fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.calls.close();
        self.0.calls.wait().await;
        self.abort();
        self.0.timers.wait().await;
    }

    /// Stops keeping time without waiting for anything. Calls in flight end with the runtime.
    pub fn abort(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.calls.close();
        self.0.timers.close();
        self.0.stop_timers.cancel();
    }

    /// Feeds an input that may begin a conversation, and waits for its answer.
    async fn ask<T>(
        &self,
        key: ConversationKey,
        input: impl FnOnce(&mut Conversation, &mut Turn<'_>, oneshot::Sender<Result<T, FailureReason>>)
        + Send
        + 'static,
    ) -> Result<Result<T, FailureReason>, Error>
    where
        T: Send + 'static,
    {
        if self.0.stopping.load(Ordering::Relaxed) {
            return Err(unavailable("the server stops"));
        }
        let (reply, answer) = oneshot::channel();
        let admitted = self.0.admit(&key, |inner, key| {
            let fed = inner.shards.feed_or_begin(key, now(), |conversation, turn| {
                input(conversation, turn, reply);
            });
            match fed {
                Ok(effects) => Admitted::Fed(inner.carry_out(key, effects)),
                Err(_) => Admitted::Full,
            }
        });
        let work = match admitted? {
            Admitted::Fed(call) => call.map(|call| self.0.work(key.clone(), call)),
            Admitted::Queued => None,
            Admitted::Full => return Ok(Err(FailureReason::Overloaded)),
        };
        answered(answer, work)
            .await
            .map_err(|Vanished| self.0.lost_answer(&key))
    }

    /// Feeds an input to a conversation, if there is one.
    fn tell(
        &self,
        key: &ConversationKey,
        input: impl FnOnce(&mut Conversation, &mut Turn<'_>) + Send + 'static,
    ) -> Result<(), Error> {
        let admitted = self.0.admit(key, |inner, key| {
            let effects = inner.shards.feed(key, now(), input);
            Admitted::Fed(inner.carry_out(key, effects))
        });
        if let Admitted::Fed(Some(call)) = admitted? {
            self.0.spawn_run(key, call);
        }
        Ok(())
    }
}

/// The conversation is not here any more.
struct Vanished;

/// Works until the answer is there. The common page-mode message needs no task of its own this way: its sender's call
/// carries it to the end.
async fn answered<T>(
    mut answer: oneshot::Receiver<Result<T, FailureReason>>,
    work: Option<Work>,
) -> Result<Result<T, FailureReason>, Vanished> {
    if let Some(mut work) = work {
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(|_| Vanished),
            () = &mut work => {}
        }
    }
    answer.await.map_err(|_| Vanished)
}

#[async_trait]
impl ImMcu for ImMcuService {
    async fn open(&self, open: Open) -> Result<Result<Opened, FailureReason>, Error> {
        let key = ConversationKey::new(&open.from, &open.to);
        let asked = pin!(self.ask(key, move |conversation, turn, reply| {
            conversation.open(open, reply, turn)
        }));
        trace::span("immcu.open").instrument(asked).await
    }

    async fn cancel(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error> {
        self.tell(conversation, move |conversation, turn| {
            conversation.cancel(leg, turn)
        })
    }

    async fn submit(&self, submit: Submit) -> Result<Result<(), FailureReason>, Error> {
        let key = ConversationKey::new(&submit.message.from, &submit.message.to);
        let id = submit.message.id;
        let asked = pin!(self.ask(key, move |conversation, turn, reply| {
            conversation.submit(submit, reply, turn)
        }));
        let span = trace::span("immcu.submit");
        let _found_again = self.0.traces.keep(&id, &span);
        span.instrument(asked).await
    }

    async fn signal(&self, signal: Signal) -> Result<(), Error> {
        let key = ConversationKey::new(&signal.from, &signal.to);
        let admitted = self.0.admit(&key, |inner, key| {
            let fed = inner.shards.feed_or_begin(key, now(), |conversation, turn| {
                conversation.signal(signal, turn);
            });
            match fed {
                Ok(effects) => Admitted::Fed(inner.carry_out(key, effects)),
                Err(_) => Admitted::Full,
            }
        });
        if let Admitted::Fed(Some(call)) = admitted? {
            self.0.spawn_run(&key, call);
        }
        Ok(())
    }

    async fn leave(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error> {
        self.tell(conversation, move |conversation, turn| {
            conversation.leave(leg, turn)
        })
    }

    async fn hold(&self, held: HeldLegs) -> Result<(), Error> {
        self.0.hold(held)
    }
}
