use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rpc::BindingChange;
use tokio::sync::Semaphore;

use super::*;

/// A registrar that counts its questions, answers when it is let, and announces what the test says.
#[derive(Default)]
struct Fake {
    lookups: AtomicUsize,
    policies: AtomicUsize,
    /// Answers wait for a permit when there is one of these.
    gate: Mutex<Option<Arc<Semaphore>>>,
    name: Mutex<String>,
    fails: AtomicBool,
    watcher: Mutex<Option<mpsc::Sender<RegistrarChange>>>,
    watches: AtomicUsize,
}

impl Fake {
    fn named(&self, name: &str) {
        name.clone_into(&mut self.name.lock());
    }

    async fn wait(&self) {
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
    }

    fn close_gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock() = Some(gate.clone());
        gate
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }

    fn announce(&self, change: RegistrarChange) {
        self.watcher.lock().as_ref().unwrap().try_send(change).unwrap();
    }
}

#[async_trait]
impl Registrar for Fake {
    async fn authenticate(&self, _: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        unreachable!("not asked for here")
    }

    async fn register(&self, _: Register) -> Result<Registered, RegisterError> {
        unreachable!("not asked for here")
    }

    async fn unregister(&self, _: Unregister) -> Result<Vec<Binding>, RegisterError> {
        Ok(Vec::new())
    }

    async fn lookup(&self, aor: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        // What is true now, however long the answer takes.
        let display_name = self.name.lock().clone();
        let fails = self.fails.load(Ordering::Relaxed);
        self.wait().await;
        if fails {
            return Err(Error::new(ErrorCode::Unavailable, "for the test"));
        }
        let bindings = Arc::default();
        Ok((aor.user() != "nobody").then_some(Location {
            display_name,
            bindings,
        }))
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        self.watches.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(8);
        *self.watcher.lock() = Some(sender);
        Ok(ReceiverStream::new(receiver))
    }

    async fn policy(&self, kind: &str, _: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        self.policies.fetch_add(1, Ordering::Relaxed);
        self.wait().await;
        Ok(Arc::new(EffectivePolicy {
            kind: kind.to_owned(),
            scope: None,
            reason: self.name.lock().clone(),
            values: BTreeMap::new(),
        }))
    }

    async fn search(&self, _: PeopleSearch) -> Result<PeopleFound, Error> {
        unreachable!("not asked for here")
    }
}

fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

fn bindings_of(user: &str) -> RegistrarChange {
    RegistrarChange::Bindings(BindingChange {
        aor: aor(user),
        ended: Vec::new(),
        account_ended: false,
    })
}

struct Rig {
    fake: Arc<Fake>,
    cached: CachedRegistrar,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Rig {
    async fn new() -> Self {
        let fake = Arc::new(Fake::default());
        fake.named("first");
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let registrar = RegistrarClient::local(fake.clone());
        let size = CacheSize {
            users: 64,
            unknown: 64,
        };
        let cached = CachedRegistrar::start(registrar, size, &tasks, stop.clone());
        let rig = Rig {
            fake,
            cached,
            stop,
            tasks,
        };
        rig.until_it_stands().await;
        rig
    }

    /// A watcher is let in as soon as the cache's own stream stands.
    async fn until_it_stands(&self) -> ReceiverStream<RegistrarChange> {
        loop {
            match self.cached.watch().await {
                Ok(changes) => return changes,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn name(&self, user: &str) -> String {
        let found = self.cached.lookup(&aor(user), Freshness::Cached).await;
        found.unwrap().unwrap().display_name
    }

    /// Announces a change and waits until watchers of the cache were told.
    async fn change(&self, change: RegistrarChange) {
        let mut changes = self.cached.watch().await.unwrap();
        self.fake.announce(change);
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_is_remembered_until_it_changes() {
    let rig = Rig::new().await;
    assert_eq!(rig.name("alice").await, "first");
    rig.fake.named("second");
    assert_eq!(rig.name("alice").await, "first", "nobody said that it changed");
    rig.change(bindings_of("bob")).await;
    assert_eq!(rig.name("alice").await, "first", "that was somebody else");
    for change in [bindings_of("alice"), RegistrarChange::Account(aor("alice"))] {
        rig.fake.named(&format!("{change:?}"));
        rig.change(change.clone()).await;
        assert_eq!(rig.name("alice").await, format!("{change:?}"));
    }
    let counted = rig.cached.counters();
    assert_eq!((counted.hits, counted.misses, counted.invalidations), (2, 3, 3));
}

#[tokio::test]
async fn nobody_is_remembered_too() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        let found = rig.cached.lookup(&aor("nobody"), Freshness::Cached).await;
        assert!(found.unwrap().is_none());
    }
    assert_eq!(rig.fake.lookups(), 1);
    rig.change(RegistrarChange::Account(aor("nobody"))).await;
    assert!(
        rig.cached
            .lookup(&aor("nobody"), Freshness::Cached)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(rig.fake.lookups(), 2);
}

#[tokio::test]
async fn policies_are_remembered_by_kind_until_the_account_or_any_policy_changes() {
    let rig = Rig::new().await;
    let asked = async |kind| {
        rig.cached.policy(kind, &aor("alice")).await.unwrap();
        rig.fake.policies.load(Ordering::Relaxed)
    };
    assert_eq!(
        (asked("im").await, asked("im").await, asked("other").await),
        (1, 1, 2)
    );
    rig.change(bindings_of("alice")).await;
    assert_eq!(asked("im").await, 2, "a sign-in is no matter of policies");
    rig.change(RegistrarChange::Account(aor("alice"))).await;
    assert_eq!((asked("im").await, asked("other").await), (3, 4));
    rig.change(RegistrarChange::Policies).await;
    assert_eq!((asked("im").await, asked("im").await), (5, 5));
    rig.name("alice").await;
    rig.change(RegistrarChange::Policies).await;
    rig.name("alice").await;
    assert_eq!(rig.fake.lookups(), 1, "policies are no matter of bindings");
}

#[tokio::test]
async fn an_answer_that_a_change_overtook_is_not_remembered() {
    let rig = Rig::new().await;
    let gate = rig.fake.close_gate();
    let (cached, alice) = (rig.cached.clone(), aor("alice"));
    let early = tokio::spawn(async move { cached.lookup(&alice, Freshness::Cached).await });
    while rig.fake.lookups() < 1 {
        tokio::task::yield_now().await;
    }
    rig.fake.named("second");
    rig.change(bindings_of("alice")).await;
    // Who asks after the change does not join who asked before it.
    let (cached, alice) = (rig.cached.clone(), aor("alice"));
    let late = tokio::spawn(async move { cached.lookup(&alice, Freshness::Cached).await });
    while rig.fake.lookups() < 2 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    assert_eq!(early.await.unwrap().unwrap().unwrap().display_name, "first");
    assert_eq!(late.await.unwrap().unwrap().unwrap().display_name, "second");
    assert_eq!(rig.name("alice").await, "second");
    assert_eq!(rig.fake.lookups(), 2);
}

#[tokio::test]
async fn many_who_ask_together_ask_once_and_go_on_when_the_first_gives_up() {
    let rig = Rig::new().await;
    let gate = rig.fake.close_gate();
    let ask = || {
        let (cached, alice) = (rig.cached.clone(), aor("alice"));
        tokio::spawn(async move { cached.lookup(&alice, Freshness::Cached).await })
    };
    let first = ask();
    while rig.fake.lookups() < 1 {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (0..50).map(|_| ask()).collect();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    for other in others {
        assert!(other.await.unwrap().unwrap().is_some());
    }
    assert_eq!(rig.name("alice").await, "first");
    assert_eq!(rig.fake.lookups(), 1);
    // When everybody gives up, the next one asks anew.
    let gate = rig.fake.close_gate();
    let (cached, bob) = (rig.cached.clone(), aor("bob"));
    let alone = tokio::spawn(async move { cached.lookup(&bob, Freshness::Cached).await });
    while rig.fake.lookups() < 2 {
        tokio::task::yield_now().await;
    }
    alone.abort();
    assert!(alone.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    assert_eq!(rig.name("bob").await, "first");
    assert_eq!(rig.fake.lookups(), 3);
}

#[tokio::test]
async fn an_error_is_told_to_who_asked_and_not_remembered() {
    let rig = Rig::new().await;
    rig.fake.fails.store(true, Ordering::Relaxed);
    let failed = rig.cached.lookup(&aor("alice"), Freshness::Cached).await;
    assert_eq!(failed.unwrap_err().code, ErrorCode::Unavailable);
    rig.fake.fails.store(false, Ordering::Relaxed);
    assert_eq!(rig.name("alice").await, "first");
}

#[tokio::test]
async fn the_newest_is_asked_for_and_then_remembered() {
    let rig = Rig::new().await;
    rig.name("alice").await;
    rig.fake.named("second");
    let newest = rig.cached.lookup(&aor("alice"), Freshness::Newest).await;
    assert_eq!(newest.unwrap().unwrap().display_name, "second");
    assert_eq!(rig.name("alice").await, "second");
    assert_eq!(rig.fake.lookups(), 2);
}

#[tokio::test]
async fn who_signs_out_is_forgotten_before_the_news_arrives() {
    let rig = Rig::new().await;
    rig.name("alice").await;
    let all = Unregister {
        aor: aor("alice"),
        which: rpc::Which::All,
        order: None,
    };
    rig.cached.unregister(all).await.unwrap();
    rig.fake.named("second");
    assert_eq!(rig.name("alice").await, "second");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_while_no_stream_stands_and_watchers_are_told() {
    let rig = Rig::new().await;
    rig.name("alice").await;
    let mut changes = rig.cached.watch().await.unwrap();
    drop(rig.fake.watcher.lock().take());
    assert!(changes.next().await.is_none(), "they may have missed something");
    let down = rig.cached.watch().await.unwrap_err();
    assert_eq!(down.code, ErrorCode::Unavailable);
    rig.name("alice").await;
    rig.name("alice").await;
    assert_eq!(rig.fake.lookups(), 3, "each question is passed on");
    assert_eq!(rig.cached.counters().breaks, 1);
    while rig.fake.watches.load(Ordering::Relaxed) < 2 {
        sleep(Duration::from_millis(50)).await;
    }
    rig.until_it_stands().await;
    rig.name("alice").await;
    rig.name("alice").await;
    assert_eq!(rig.fake.lookups(), 4);
    rig.stop.cancel();
    rig.tasks.close();
    rig.tasks.wait().await;
    assert!(rig.cached.watch().await.is_err());
}

#[tokio::test]
async fn what_is_remembered_is_bounded_and_strangers_push_no_users_out() {
    let rig = Rig::new().await;
    rig.name("alice").await;
    for stranger in 0..2_000 {
        let name = AddressOfRecord::parse(&format!("nobody@{stranger}.test")).unwrap();
        let found = rig.cached.lookup(&name, Freshness::Cached).await;
        assert!(found.unwrap().is_none());
    }
    let before = rig.fake.lookups();
    assert_eq!(rig.name("alice").await, "first");
    assert_eq!(rig.fake.lookups(), before, "alice is still remembered");
    for user in 0..2_000 {
        rig.name(&format!("user{user}")).await;
    }
    let before = rig.fake.lookups();
    for user in 0..2_000 {
        rig.name(&format!("user{user}")).await;
    }
    assert!(rig.fake.lookups() - before >= 2_000 - 64, "one per shard at most");
}
