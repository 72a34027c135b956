//! The role as others see it: takes calls in, feeds the conversation they are for, and waits for the answer.

mod prepare;
mod run;
mod shards;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use rpc::{
    ConversationKey, Error, ErrorCode, FailureReason, FrontEnds, ImMcu, LegId, Open, Opened, RegistrarClient,
    Signal, Submit,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::prepare::Preparer;
use self::run::{Work, unavailable};
use self::shards::Shards;
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
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks {
            filter: Arc::new(PassAll),
            archive: Arc::new(KeepNothing),
        }
    }
}

/// The clock of the state machines: the runtime's, which tests may hold still.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

struct Inner {
    shards: Shards,
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
    pub fn start(registrar: RegistrarClient, front_ends: FrontEnds, hooks: Hooks, limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let counters = Arc::new(Counters::default());
        let inner = Arc::new(Inner {
            shards: Shards::new(limits.clone(), counters.clone()),
            prepare: Preparer { registrar, hooks },
            front_ends,
            limits,
            counters,
            calls: TaskTracker::new(),
            timers: TaskTracker::new(),
            stop_timers: CancellationToken::new(),
            stopping: AtomicBool::new(false),
            runtime: Handle::current(),
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
        input: impl FnOnce(&mut Conversation, &mut Turn<'_>, oneshot::Sender<Result<T, FailureReason>>),
    ) -> Result<Result<T, FailureReason>, Error> {
        if self.0.stopping.load(Ordering::Relaxed) {
            return Err(unavailable("the server stops"));
        }
        let (reply, answer) = oneshot::channel();
        let fed = self.0.shards.feed_or_begin(&key, now(), |conversation, turn| {
            input(conversation, turn, reply);
        });
        let Ok(effects) = fed else {
            return Ok(Err(FailureReason::Overloaded));
        };
        let work = self.0.carry_out(&key, effects).map(|call| self.0.work(key, call));
        answered(answer, work).await
    }

    /// Feeds an input about a leg to its conversation, if it has one.
    fn tell(&self, leg: LegId, input: impl FnOnce(&mut Conversation, &mut Turn<'_>)) {
        let Some(key) = self.0.shards.legs().conversation(leg) else {
            return;
        };
        let effects = self.0.shards.feed(&key, now(), input);
        if let Some(call) = self.0.carry_out(&key, effects) {
            self.0.spawn_run(&key, call);
        }
    }
}

/// Works until the answer is there. The common page-mode message needs no task of its own this way: its sender's call
/// carries it to the end.
async fn answered<T>(
    mut answer: oneshot::Receiver<Result<T, FailureReason>>,
    work: Option<Work>,
) -> Result<Result<T, FailureReason>, Error> {
    let defect = |_| Error::new(ErrorCode::Internal, "a conversation ended without an answer");
    if let Some(mut work) = work {
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(defect),
            () = &mut work => {}
        }
    }
    answer.await.map_err(defect)
}

#[async_trait]
impl ImMcu for ImMcuService {
    async fn open(&self, open: Open) -> Result<Result<Opened, FailureReason>, Error> {
        let key = ConversationKey::new(&open.from, &open.to);
        self.ask(key, |conversation, turn, reply| {
            conversation.open(open, reply, turn)
        })
        .await
    }

    async fn cancel(&self, leg: LegId) -> Result<(), Error> {
        self.tell(leg, |conversation, turn| conversation.cancel(leg, turn));
        Ok(())
    }

    async fn submit(&self, submit: Submit) -> Result<Result<(), FailureReason>, Error> {
        let key = ConversationKey::new(&submit.message.from, &submit.message.to);
        self.ask(key, |conversation, turn, reply| {
            conversation.submit(submit, reply, turn)
        })
        .await
    }

    async fn signal(&self, signal: Signal) -> Result<(), Error> {
        let key = ConversationKey::new(&signal.from, &signal.to);
        let fed = self.0.shards.feed_or_begin(&key, now(), |conversation, turn| {
            conversation.signal(signal, turn);
        });
        if let Ok(effects) = fed
            && let Some(call) = self.0.carry_out(&key, effects)
        {
            self.0.spawn_run(&key, call);
        }
        Ok(())
    }

    async fn leave(&self, leg: LegId) -> Result<(), Error> {
        self.tell(leg, |conversation, turn| conversation.leave(leg, turn));
        Ok(())
    }
}
