//! The fixture: a service, its store, its registrar, and front ends that collect news.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use rpc::{
    Authenticate, Binding, BindingChange, ClientFamily, ConnectionId, EffectivePolicy, EndpointAddress,
    Epoch, Freshness, Identity, ImMode, Location, PeopleFound, PeopleSearch, PolicyValue, Refusal, Register,
    RegisterError, Registered, Registrar, RegistrarChange, Unregister,
};
use store::memory::{MemoryDirectory, MemoryPresenceCopy};
use store::{
    Account, AccountStore, ContactsWrite, Groups, OrganisationalGroup, PlaceStore, PublicationWrite,
    StoredAccount, StoredContacts, StoredPresence, StoredRules,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

use super::*;

pub(super) fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

fn binding(user: &str, endpoint: &str, member: &str) -> Binding {
    Binding {
        address: EndpointAddress {
            aor: aor(user),
            endpoint: EndpointId::new(endpoint),
            epoch: Epoch(1),
            member: MemberId::new(member),
            connection: ConnectionId(1),
        },
        contact: String::new(),
        instance: None,
        epid: None,
        reg_id: None,
        gruu: None,
        expires_in: 600,
        family: ClientFamily::Simple,
        mode: ImMode::Page,
        user_agent: None,
    }
}

// === registrar ===

#[derive(Default)]
pub(super) struct FakeRegistrar {
    users: Mutex<HashMap<AddressOfRecord, (String, Vec<Binding>)>>,
    pub(super) policy: Mutex<Vec<(&'static str, PolicyValue)>>,
    watchers: Mutex<Vec<mpsc::Sender<RegistrarChange>>>,
    pub(super) watches: AtomicUsize,
    /// Cannot be looked up now.
    pub(super) fails: Mutex<Option<AddressOfRecord>>,
}

impl FakeRegistrar {
    pub(super) async fn announce(&self, change: RegistrarChange) {
        let watchers = self.watchers.lock().clone();
        for watcher in watchers {
            watcher.send(change.clone()).await.unwrap();
        }
    }

    /// Ends every stream of changes.
    pub(super) fn lose_watchers(&self) {
        self.watchers.lock().clear();
    }

    pub(super) fn sign_in(&self, user: &str, endpoint: &str, member: &str) {
        let mut users = self.users.lock();
        users
            .get_mut(&aor(user))
            .unwrap()
            .1
            .push(binding(user, endpoint, member));
    }

    /// Takes a binding away without telling anybody.
    pub(super) fn forget(&self, user: &str, endpoint: &str) -> EndpointAddress {
        let mut users = self.users.lock();
        let bindings = &mut users.get_mut(&aor(user)).unwrap().1;
        let at = bindings
            .iter()
            .position(|binding| binding.address.endpoint.as_str() == endpoint)
            .unwrap();
        bindings.remove(at).address
    }

    pub(super) async fn tell_ended(&self, address: EndpointAddress, end: BindingEnd) {
        let change = BindingChange {
            aor: address.aor.clone(),
            ended: vec![(address, end)],
            account_ended: false,
        };
        self.announce(RegistrarChange::Bindings(change)).await;
    }

    pub(super) async fn sign_out(&self, user: &str, endpoint: &str) {
        let address = self.forget(user, endpoint);
        self.tell_ended(address, BindingEnd::Unregistered).await;
    }

    pub(super) async fn rename(&self, user: &str, name: &str) {
        self.users.lock().get_mut(&aor(user)).unwrap().0 = name.to_owned();
        self.announce(RegistrarChange::Account(aor(user))).await;
    }

    pub(super) async fn delete(&self, user: &str) {
        self.users.lock().remove(&aor(user));
        let change = BindingChange {
            aor: aor(user),
            ended: Vec::new(),
            account_ended: true,
        };
        self.announce(RegistrarChange::Bindings(change)).await;
    }
}

#[async_trait]
impl Registrar for FakeRegistrar {
    async fn authenticate(&self, _: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        Err(Error::new(ErrorCode::Internal, "not in these tests"))
    }

    async fn register(&self, _: Register) -> Result<Registered, RegisterError> {
        Err(RegisterError::Forbidden)
    }

    async fn unregister(&self, _: Unregister) -> Result<Vec<Binding>, RegisterError> {
        Err(RegisterError::Forbidden)
    }

    async fn lookup(&self, aor: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        if self.fails.lock().as_ref() == Some(aor) {
            return Err(unavailable("the test says so"));
        }
        let users = self.users.lock();
        Ok(users.get(aor).map(|(name, bindings)| Location {
            display_name: name.clone(),
            bindings: bindings.clone().into(),
        }))
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        let (sender, receiver) = mpsc::channel(16);
        self.watchers.lock().push(sender);
        self.watches.fetch_add(1, Ordering::SeqCst);
        Ok(ReceiverStream::new(receiver))
    }

    async fn policy(&self, kind: &str, _: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        assert_eq!(kind, crate::PRESENCE_POLICY.name);
        let values = self.policy.lock().clone();
        Ok(Arc::new(EffectivePolicy {
            kind: kind.to_owned(),
            scope: None,
            reason: String::new(),
            values: values
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }))
    }

    async fn search(&self, _: PeopleSearch) -> Result<PeopleFound, Error> {
        Err(Error::new(ErrorCode::Internal, "not in these tests"))
    }
}

// === store ===

/// A store in memory that can be away, or slow.
#[derive(Default)]
pub(super) struct FakeStore {
    pub(super) memory: MemoryDirectory,
    pub(super) is_away: AtomicBool,
    /// How often somebody's presence was read.
    pub(super) reads: AtomicUsize,
    /// Held for every call: while a test holds it, nothing is answered.
    pub(super) busy: tokio::sync::Mutex<()>,
}

impl FakeStore {
    async fn check(&self) -> Result<(), StoreError> {
        drop(self.busy.lock().await);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::driver("the test says so"));
        }
        Ok(())
    }
}

#[async_trait]
impl Groups for FakeStore {
    async fn group(&self, address: &AddressOfRecord) -> Result<Option<OrganisationalGroup>, StoreError> {
        self.check().await?;
        self.memory.group(address).await
    }

    async fn group_members(&self, address: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        self.check().await?;
        self.memory.group_members(address).await
    }

    async fn groups(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        self.check().await?;
        self.memory.groups(after, limit).await
    }

    async fn groups_of(&self, member: &AddressOfRecord) -> Result<Vec<AddressOfRecord>, StoreError> {
        self.check().await?;
        self.memory.groups_of(member).await
    }

    async fn groups_among_contacts(
        &self,
        user: &AddressOfRecord,
    ) -> Result<Vec<OrganisationalGroup>, StoreError> {
        self.check().await?;
        self.memory.groups_among_contacts(user).await
    }

    async fn users_with_contact(
        &self,
        contact: &AddressOfRecord,
    ) -> Result<Vec<AddressOfRecord>, StoreError> {
        self.check().await?;
        self.memory.users_with_contact(contact).await
    }
}

#[async_trait]
impl PresenceStore for FakeStore {
    async fn presence(&self, user: &AddressOfRecord) -> Result<StoredPresence, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.check().await?;
        self.memory.presence(user).await
    }

    async fn write_publications(
        &self,
        user: &AddressOfRecord,
        writes: &[PublicationWrite],
    ) -> Result<(), StoreError> {
        self.check().await?;
        self.memory.write_publications(user, writes).await
    }

    async fn write_rules(
        &self,
        user: &AddressOfRecord,
        expected: u64,
        rules: &StoredRules,
    ) -> Result<(), StoreError> {
        self.check().await?;
        self.memory.write_rules(user, expected, rules).await
    }

    async fn acknowledge(
        &self,
        user: &AddressOfRecord,
        watchers: &[AddressOfRecord],
    ) -> Result<(), StoreError> {
        self.check().await?;
        self.memory.acknowledge(user, watchers).await
    }

    async fn contacts(&self, user: &AddressOfRecord) -> Result<Option<StoredContacts>, StoreError> {
        self.check().await?;
        self.memory.contacts(user).await
    }

    async fn write_contacts(&self, user: &AddressOfRecord, write: &ContactsWrite) -> Result<(), StoreError> {
        self.check().await?;
        self.memory.write_contacts(user, write).await
    }
}

// === all of it ===

/// Wall time that passes with the runtime's.
struct TestClock(Instant);

impl Clock for TestClock {
    fn unix_ms(&self) -> u64 {
        1_800_000_000_000 + millis_of(self.0.elapsed())
    }
}

/// A service with alice, who is signed in at `e1`, and bob.
pub(super) struct Fixture {
    pub(super) service: PresenceService,
    pub(super) registrar: Arc<FakeRegistrar>,
    pub(super) store: Arc<FakeStore>,
    /// What the owners of a pool share.
    pub(super) copy: Arc<MemoryPresenceCopy>,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(super) async fn with(limits: Limits) -> Self {
        let store = Arc::new(FakeStore::default());
        let registrar = Arc::new(FakeRegistrar::default());
        store.memory.add_domain("example.test").await.unwrap();
        for user in ["alice", "bob"] {
            let account = Account {
                aor: aor(user),
                display_name: user.to_owned(),
                site: topology::SiteId::new("main"),
                enabled: true,
                created_at: 0,
            };
            let stored = StoredAccount {
                account,
                credentials: Vec::new(),
            };
            store.memory.create_account(stored).await.unwrap();
            let known = (user.to_owned(), Vec::new());
            registrar.users.lock().insert(aor(user), known);
        }
        registrar.sign_in("alice", "e1", "fe1");
        Self::start(registrar, store, limits).await
    }

    async fn start(registrar: Arc<FakeRegistrar>, store: Arc<FakeStore>, limits: Limits) -> Self {
        let before = registrar.watches.load(Ordering::SeqCst);
        let service = PresenceService::start(
            RegistrarClient::local(registrar.clone()),
            store.clone(),
            Arc::new(TestClock(Instant::now())),
            limits,
        );
        while registrar.watches.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        Fixture {
            service,
            registrar,
            store,
            copy: Arc::default(),
        }
    }

    /// Another owner over the same registrar and store, which owns nobody yet.
    pub(super) fn in_pool(&self, fence: Arc<dyn rpc::Fence>) -> PresenceService {
        PresenceService::start_in_pool(
            RegistrarClient::local(self.registrar.clone()),
            self.store.clone(),
            Arc::new(TestClock(Instant::now())),
            Limits::default(),
            self.copy.clone(),
            fence,
        )
    }

    /// Stops the service and starts another over the same store.
    pub(super) async fn restart(self) -> Self {
        self.service.stop().await;
        self.registrar.lose_watchers();
        Self::start(self.registrar, self.store, Limits::default()).await
    }

    pub(super) async fn news(&self, member: &str) -> ReceiverStream<PresenceNews> {
        self.service.news(&MemberId::new(member)).await.unwrap()
    }

    pub(super) async fn follow(&self, member: &str, user: &str, own: bool) -> Arc<PresenceDocument> {
        let follow = Follow {
            presentity: aor(user),
            own,
        };
        let answers = self.service.follow(&MemberId::new(member), vec![follow]).await;
        answers.unwrap().remove(0).unwrap()
    }

    pub(super) async fn publish(&self, changes: Vec<PublishOne>) -> Result<Published, PublishRefusal> {
        self.publish_as("e1", changes).await.unwrap()
    }

    pub(super) async fn publish_as(
        &self,
        endpoint: &str,
        changes: Vec<PublishOne>,
    ) -> Result<Result<Published, PublishRefusal>, Error> {
        let publish = Publish {
            user: aor("alice"),
            endpoint: Some(EndpointId::new(endpoint)),
            changes,
        };
        self.service.publish(publish).await
    }

    /// The newest document of alice.
    pub(super) async fn document(&self) -> Arc<PresenceDocument> {
        let entry = self.service.0.load(&aor("alice")).await.unwrap().unwrap();
        let state = entry.state.lock();
        state.presentity.document().clone()
    }

    /// What colleagues see of alice.
    pub(super) async fn shown(&self) -> Availability {
        let document = self.document().await;
        document.view(AccessLevel::Colleagues).availability
    }

    /// Waits until colleagues see this of alice.
    pub(super) async fn until_shown(&self, availability: Availability) {
        for _ in 0..1_000 {
            if self.shown().await == availability {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{:?} is shown", self.shown().await);
    }
}

pub(super) fn set(name: &str, known: Option<u32>, bound: Bound, content: PublicationContent) -> PublishOne {
    PublishOne::Set {
        key: PublicationKey {
            category: name.into(),
            instance: 1,
            container: 2,
        },
        known,
        lifetime: Lifetime { bound, expires: None },
        content,
        kept: None,
    }
}

pub(super) fn state(source: Source, availability: Availability) -> PublicationContent {
    PublicationContent::States([StateInput::new(source, availability)].into())
}

/// The device of the endpoint.
pub(super) fn machine(availability: Availability) -> PublishOne {
    let content = state(Source::Machine, availability);
    set(category::STATE, None, Bound::Endpoint, content)
}

/// The next news, if there are any within ten milliseconds.
pub(super) async fn next(news: &mut ReceiverStream<PresenceNews>) -> Option<PresenceNews> {
    tokio::time::timeout(Duration::from_millis(10), news.next())
        .await
        .ok()
        .flatten()
}

/// The availability in the next document, if one comes within ten milliseconds.
pub(super) async fn next_shown(news: &mut ReceiverStream<PresenceNews>) -> Option<Availability> {
    match next(news).await? {
        PresenceNews::Document(document) => Some(document.view(AccessLevel::Colleagues).availability),
        other => panic!("{other:?}"),
    }
}
