//! A whole registrar on memory stores, with a clock the test turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::{
    Authenticate, Binding, BindingEnd, ClientFamily, ConnectionId, Directory, EndpointId, Freshness, ImMode,
    NewAccount, Proof, Register, Registrar, RegistrarChange, Unregister, Which,
};
use sip_auth::key_file::{KeyFile, Purpose};
use sip_auth::seal::SealKey;
use sip_types::{AddressOfRecord, Method, SipStr};
use store::memory::{MemoryBindings, MemoryDirectory};
use store::{ChangeFeed, StoreChange, StoreChanges, StoreError};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::MemberId;

use crate::{
    Clock, PolicyKind, PolicyKinds, RegistrarConfig, RegistrarService, Setting, SettingRule, Stores,
};

/// The realm of the tests.
pub(crate) const REALM: &str = "example.test";

/// Wall time as the test sets it.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn set(&self, unix_seconds: u64) {
        self.0.store(unix_seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn unix_seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) fn seal_key() -> SealKey {
    let file = KeyFile::parse(&KeyFile::generate(&[7; 32])).unwrap();
    file.seal_key(Purpose::Credentials).unwrap()
}

pub(crate) fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

/// A kind as another role would bring it.
pub(crate) fn im_kind() -> PolicyKind {
    let setting = |key, rule| Setting {
        key,
        rule,
        description: "for the test",
    };
    PolicyKind {
        name: "im",
        description: "for the test",
        settings: vec![
            setting("html", SettingRule::Switch { default: true }),
            setting(
                "size",
                SettingRule::Number {
                    default: 100,
                    min: 1,
                    max: 1_000,
                },
            ),
        ],
        check: None,
    }
}

/// Tells what the test says others changed.
#[derive(Default)]
pub(crate) struct FakeFeed(Mutex<Option<mpsc::Sender<StoreChange>>>);

impl FakeFeed {
    pub(crate) fn tell(&self, change: StoreChange) {
        let sender = self.0.lock();
        sender.as_ref().unwrap().try_send(change).unwrap();
    }

    /// Ends the stream.
    pub(crate) fn end(&self) {
        self.0.lock().take();
    }
}

#[async_trait]
impl ChangeFeed for FakeFeed {
    async fn watch(&self) -> Result<StoreChanges, StoreError> {
        let (sender, receiver) = mpsc::channel(16);
        *self.0.lock() = Some(sender);
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }
}

pub(crate) struct Fixture {
    pub(crate) service: RegistrarService,
    pub(crate) directory: Arc<MemoryDirectory>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) changes: ReceiverStream<RegistrarChange>,
    pub(crate) feed: Arc<FakeFeed>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Fixture {
    /// With the accounts `alice` and `bob`, whose passwords are `alice-secret` and `bob-secret`; alice may use NTLM.
    pub(crate) async fn new() -> Self {
        Fixture::with(|config| config.ntlm = true).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut RegistrarConfig)) -> Self {
        let directory = Arc::new(MemoryDirectory::new());
        let clock = Arc::new(TestClock(AtomicU64::new(1_800_000_000)));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut config = RegistrarConfig::new(REALM, vec!["example.test".into(), "other.test".into()]);
        change(&mut config);
        let mut kinds = PolicyKinds::new();
        kinds.register(im_kind()).unwrap();
        let mut stores = Stores::new(directory.clone(), Arc::new(MemoryBindings::new()));
        let feed = Arc::new(FakeFeed::default());
        stores.changes = feed.clone();
        let service = RegistrarService::start(
            config,
            seal_key(),
            kinds,
            stores,
            clock.clone(),
            &tasks,
            stop.clone(),
        )
        .await
        .unwrap();
        let changes = service.watch().await.unwrap();
        let fixture = Fixture {
            service,
            directory,
            clock,
            changes,
            feed,
            tasks,
            stop,
        };
        fixture.create("alice", true).await;
        fixture.create("bob", false).await;
        fixture
    }

    pub(crate) async fn create(&self, user: &str, ntlm: bool) {
        let account = NewAccount {
            aor: aor(user),
            display_name: format!("{user} of the test"),
            site: String::new(),
            password: format!("{user}-secret"),
            ntlm,
        };
        self.service.create_account(account).await.unwrap();
    }

    pub(crate) async fn register(&self, request: Register) -> rpc::Registered {
        self.service.register(request).await.unwrap()
    }

    /// Names of the endpoints a lookup finds, oldest first.
    pub(crate) async fn endpoints(&self, user: &str) -> Vec<String> {
        let location = self
            .service
            .lookup(&aor(user), Freshness::Cached)
            .await
            .unwrap()
            .unwrap();
        names(&location.bindings)
    }

    /// The next change of bindings, as (user, endpoint, connection, why).
    pub(crate) async fn next_change(&mut self) -> (String, Vec<(String, u64, BindingEnd)>) {
        let change = loop {
            let change = tokio::time::timeout(Duration::from_secs(1), self.changes.next()).await;
            if let RegistrarChange::Bindings(change) = change.expect("no change was announced").unwrap() {
                break change;
            }
        };
        let ended = change.ended.iter().map(|(address, end)| {
            assert_eq!(address.aor, change.aor);
            (address.endpoint.to_string(), address.connection.0, *end)
        });
        (change.aor.user().to_owned(), ended.collect())
    }

    /// Fails if a change is waiting.
    pub(crate) async fn expect_no_change(&mut self) {
        while let Ok(change) = tokio::time::timeout(Duration::from_millis(1), self.changes.next()).await {
            assert!(
                !matches!(change, None | Some(RegistrarChange::Bindings(_))),
                "{change:?}"
            );
        }
    }

    /// Stops the tasks and waits for them.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

pub(crate) fn names(bindings: &[Binding]) -> Vec<String> {
    bindings
        .iter()
        .map(|binding| binding.address.endpoint.to_string())
        .collect()
}

/// A REGISTER without an expiry, from connection 1, the first of its Call-ID.
pub(crate) fn request(user: &str, endpoint: &str) -> Register {
    Register {
        aor: aor(user),
        endpoint: EndpointId::new(endpoint),
        contact: format!("sip:{user}@192.0.2.1:5061;transport=tls"),
        instance: None,
        epid: None,
        reg_id: None,
        call_id: format!("call-of-{endpoint}"),
        cseq: 1,
        expires: None,
        member: MemberId::new("fe1"),
        connection: ConnectionId(1),
        family: ClientFamily::Simple,
        mode: ImMode::Page,
        user_agent: None,
    }
}

pub(crate) fn removal(user: &str, which: Which, order: Option<(&str, u32)>) -> Unregister {
    Unregister {
        aor: aor(user),
        which,
        order: order.map(|(call_id, cseq)| (call_id.to_owned(), cseq)),
    }
}

pub(crate) fn endpoint(name: &str) -> Which {
    Which::Endpoint(EndpointId::new(name))
}

/// A Digest proof for a REGISTER.
pub(crate) fn digest(claimed: &str, authorization: String) -> Authenticate {
    Authenticate {
        claimed: aor(claimed),
        proof: Proof::Digest {
            credentials: SipStr::from(authorization),
            method: Method::Register,
            realm: SipStr::from(REALM),
        },
        peer: [192, 0, 2, 1].into(),
    }
}
