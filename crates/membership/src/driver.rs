//! Runs a machine: the one task that calls the store, asks peers and tells the roles.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store::{Incarnation, LeaseStore};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Partition, Partitioned};

use crate::config::{Config, Timing};
use crate::counters::Counters;
use crate::machine::{Call, Done, Effect, Failure, Machine, Reply, RoleCall, Stage};
use crate::ownership::Validity;
use crate::role::{PartitionedRole, PeerAnswer, Peers};

/// Reports of roles that wait for the task; who finds the queue full waits, which holds up only its own partition.
const REPORTS: usize = 256;
/// Requests from outside that wait for the task.
const REQUESTS: usize = 64;
/// After the store told of a change it is not listened to for so long; the renewal that follows comes later than that and
/// sees what was missed.
const DEAF: Duration = Duration::from_millis(20);

/// What is asked of the task from outside.
pub(crate) enum Request {
    HandOver,
    TakeBack,
    Drain(Instant),
    Refused(MemberId, Incarnation),
}

type Report = (Partitioned, Partition, Done);
type Waiting<'a, T> = Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>;

/// What the task and those outside share.
pub(crate) struct Shared {
    pub(crate) machine: Mutex<Machine>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) requests: mpsc::Sender<Request>,
    /// Membership is over.
    pub(crate) over: CancellationToken,
    /// A later life took the lease.
    pub(crate) superseded: CancellationToken,
}

/// What the task works with.
pub(crate) struct Driver {
    timing: Timing,
    own: (MemberId, Incarnation),
    store: Arc<dyn LeaseStore>,
    peers: Arc<dyn Peers>,
    roles: [Vec<Arc<dyn PartitionedRole>>; Partitioned::COUNT],
    tasks: TaskTracker,
    stop: CancellationToken,
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    report: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    /// Bounds what roles load and finish at one time.
    work: Arc<Semaphore>,
}

/// The clock of the task, which tests can set.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Driver {
    pub(crate) fn new(
        config: &Config,
        store: Arc<dyn LeaseStore>,
        peers: Arc<dyn Peers>,
        roles: Vec<Arc<dyn PartitionedRole>>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (requests, requests_in) = mpsc::channel(REQUESTS);
        let (report, reports) = mpsc::channel(REPORTS);
        let counters = Arc::new(Counters::default());
        let machine = Machine::new(config, counters.clone(), now());
        let mut by_keys = Partitioned::ALL.map(|_| Vec::new());
        for role in roles {
            by_keys[role.keys().index()].push(role);
        }
        Driver {
            timing: config.timing.clone(),
            own: (config.member.clone(), config.incarnation),
            store,
            peers,
            roles: by_keys,
            tasks,
            stop,
            shared: Arc::new(Shared {
                machine: Mutex::new(machine),
                counters,
                requests,
                over: CancellationToken::new(),
                superseded: CancellationToken::new(),
            }),
            requests: requests_in,
            report,
            reports,
            work: Arc::new(Semaphore::new(config.timing.work_at_once)),
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Runs until membership is over.
    pub(crate) async fn run(mut self) {
        let (store, peers) = (self.store.clone(), self.peers.clone());
        let mut call: Waiting<'_, Result<Reply, Failure>> = None;
        let mut asked: Waiting<'_, Vec<PeerAnswer>> = None;
        let mut changed = listen(&*store, Duration::ZERO);
        let mut reports = Vec::with_capacity(REPORTS);
        let mut stopping = false;
        let mut validity = Validity::Fenced;
        loop {
            while let Some(effect) = self.poll() {
                match effect {
                    Effect::Call(wanted) => call = Some(self.call(&*store, wanted)),
                    Effect::Ask(leases) => {
                        let patience = self.timing.ask_timeout;
                        let peers = &*peers;
                        asked = Some(Box::pin(async move {
                            let silence = vec![PeerAnswer::Silent; leases.len()];
                            timeout(patience, peers.ask(&leases)).await.unwrap_or(silence)
                        }));
                    }
                    Effect::Role(keys, told) => self.tell(keys, told),
                    Effect::Superseded => {
                        tracing::error!(
                            member = %self.own.0,
                            "a later process of the same name took the lease: this one stops"
                        );
                        self.shared.superseded.cancel();
                    }
                    Effect::Gone => tracing::info!(member = %self.own.0, "left the pool"),
                }
            }
            if self.stage().is_over() {
                break;
            }
            self.tell_validity(&mut validity);
            let wake = self.shared.machine.lock().next_timeout();
            let wake = wake.unwrap_or_else(|| now() + self.timing.renew_every);
            tokio::select! {
                answer = pending(&mut call) => {
                    call = None;
                    self.shared.machine.lock().answered(answer, now());
                }
                answers = pending(&mut asked) => {
                    asked = None;
                    self.shared.machine.lock().heard(&answers, now());
                }
                count = self.reports.recv_many(&mut reports, REPORTS) => {
                    debug_assert!(count > 0, "the task itself holds a sender");
                    self.shared.machine.lock().done(reports.drain(..), now());
                }
                request = self.requests.recv() => match request {
                    Some(Request::HandOver) => self.shared.machine.lock().hand_over(now()),
                    Some(Request::TakeBack) => self.shared.machine.lock().take_back(now()),
                    Some(Request::Drain(deadline)) => self.shared.machine.lock().drain(deadline, now()),
                    Some(Request::Refused(member, life)) => {
                        self.shared.machine.lock().refused(member, life, now());
                    }
                    None => debug_assert!(false, "the task itself shares the sender"),
                },
                () = &mut changed => {
                    changed = listen(&*store, DEAF);
                    self.shared.machine.lock().hint(now());
                }
                () = self.stop.cancelled(), if !stopping => {
                    // Without a drain before, what is owned is finished and left to whoever claims it.
                    stopping = true;
                    self.shared.machine.lock().drain(now(), now());
                }
                () = sleep_until(wake.into()) => self.shared.machine.lock().handle_timeout(now()),
            }
        }
        self.shared.over.cancel();
    }

    fn poll(&self) -> Option<Effect> {
        self.shared.machine.lock().poll()
    }

    fn stage(&self) -> Stage {
        self.shared.machine.lock().stage()
    }

    /// A call to the store with its limit.
    fn call<'a>(
        &self,
        store: &'a dyn LeaseStore,
        call: Call,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>> {
        let (member, life) = self.own.clone();
        let patience = self.timing.call_timeout;
        Box::pin(async move {
            let own = (&member, life);
            let answer = async {
                match &call {
                    Call::Renew(lease, known) => store.renew(lease, *known).await.map(Reply::View),
                    Call::Claim(keys, some) => store.claim(*keys, own, some).await.map(Reply::Partitions),
                    Call::Transfer(keys, (to, life), some) => {
                        let to = (to, *life);
                        store.transfer(*keys, own, to, some).await.map(Reply::Partitions)
                    }
                    Call::Reassert(keys, some) => {
                        store.reassert(*keys, own, some).await.map(Reply::Partitions)
                    }
                    Call::Leave => store.leave(own).await.map(|()| Reply::Done),
                    Call::Evict(member, life) => store.evict(member, *life).await.map(|()| Reply::Done),
                }
            };
            match timeout(patience, answer).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(error)) => {
                    // Once a second at most; the health page says it too.
                    tracing::debug!(%error, "the store of leases failed");
                    Err(Failure::from(&error))
                }
                Err(_) => {
                    tracing::debug!("the store of leases did not answer in time");
                    Err(Failure::Failed)
                }
            }
        })
    }

    /// Tells the roles in a task of its own, so that one slow partition holds up no other.
    fn tell(&self, keys: Partitioned, told: RoleCall) {
        let roles = self.roles[keys.index()].clone();
        let (report, work, timing) = (self.report.clone(), self.work.clone(), self.timing.clone());
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            let (partition, done) = match told {
                // Waits for nobody and is told to the end: nothing of it may be written any more.
                RoleCall::Lose(partition) => {
                    lose(&roles, partition).await;
                    (partition, Done::Dropped)
                }
                told => {
                    let over = shared.over.cancelled();
                    let worked = tokio::select! {
                        worked = carry_out(&roles, told, &work, &timing) => worked,
                        () = over => None,
                    };
                    let Some(worked) = worked else { return };
                    worked
                }
            };
            if done == Done::NotTaken {
                shared.counters.take_failed(keys);
            }
            // Nobody listens any more only when membership is over.
            let _ = report.send((keys, partition, done)).await;
        });
    }

    /// Says a change of what counts, once.
    fn tell_validity(&self, before: &mut Validity) {
        let machine = self.shared.machine.lock();
        let validity = machine.ownership().validity(now());
        let member = &self.own.0;
        match (*before, validity) {
            (before, validity) if before == validity => return,
            (_, Validity::Confirmed) => {
                tracing::info!(%member, "the lease is renewed: what this member owns counts")
            }
            (_, Validity::Frozen) => {
                tracing::warn!(%member, "nobody can renew a lease: owners go on, nobody takes over")
            }
            (_, Validity::Fenced) => {
                tracing::warn!(%member, "the lease was not renewed in time: nothing is accepted")
            }
        }
        *before = validity;
    }
}

/// Has the roles load, finish or assert. `None`: there is nothing to report.
async fn carry_out(
    roles: &[Arc<dyn PartitionedRole>],
    told: RoleCall,
    work: &Semaphore,
    timing: &Timing,
) -> Option<(Partition, Done)> {
    // It is never closed; if it were, no bound would be better than no work.
    match told {
        RoleCall::Take(partition, epoch) => {
            let _permit = work.acquire().await.ok();
            Some((
                partition,
                take(roles, partition, epoch, timing.take_timeout).await,
            ))
        }
        RoleCall::Give(partition) => {
            let _permit = work.acquire().await.ok();
            give(roles, partition, timing.give_timeout).await;
            Some((partition, Done::Given))
        }
        RoleCall::Lose(partition) => {
            lose(roles, partition).await;
            Some((partition, Done::Dropped))
        }
        RoleCall::Reassert(partitions) => {
            for role in roles {
                role.reassert(partitions.clone()).await;
            }
            None
        }
    }
}

/// The future if there is one, else never.
async fn pending<T>(waiting: &mut Waiting<'_, T>) -> T {
    match waiting {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits for the store to tell of a change, after a while in which it is not listened to.
fn listen(store: &dyn LeaseStore, deaf: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async move {
        tokio::time::sleep(deaf).await;
        store.changed().await;
    })
}

/// All roles of these keys load a partition, or none keeps anything of it.
async fn take(
    roles: &[Arc<dyn PartitionedRole>],
    partition: Partition,
    epoch: u64,
    patience: Duration,
) -> Done {
    let all = async {
        for role in roles {
            role.take(partition, epoch).await?;
        }
        Ok::<_, crate::TakeError>(())
    };
    let reason = match timeout(patience, all).await {
        Ok(Ok(())) => return Done::Taken,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "not in time".to_owned(),
    };
    // It is counted and tried again; hundreds may fail at one time, and each a second later again.
    tracing::debug!(%partition, epoch, error = reason, "a partition could not be loaded");
    lose(roles, partition).await;
    Done::NotTaken
}

async fn give(roles: &[Arc<dyn PartitionedRole>], partition: Partition, patience: Duration) {
    let all = async {
        // The last to take is the first to give.
        for role in roles.iter().rev() {
            role.give(partition).await;
        }
    };
    if timeout(patience, all).await.is_err() {
        tracing::warn!(%partition, "a partition was not finished in time and is given up as it is");
        lose(roles, partition).await;
    }
}

async fn lose(roles: &[Arc<dyn PartitionedRole>], partition: Partition) {
    for role in roles.iter().rev() {
        role.lost(partition).await;
    }
}

#[cfg(test)]
mod tests;
