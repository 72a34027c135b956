//! The role as a whole: what it is made of, how it starts and stops, and its two faces.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::{
    Authenticate, Binding, EffectivePolicy, Error, ErrorCode, Freshness, Identity, Location, PeopleFound,
    PeopleSearch, Refusal, Register, RegisterError, Registered, Registrar, RegistrarChange, Unregister,
};
use sip_auth::seal::SealKey;
use sip_auth::throttle::{AddressThrottle, UserThrottle};
use sip_types::AddressOfRecord;
use store::{AccountStore, AuditStore, BindingStore, ChangeFeed, GroupStore, PlaceStore, PolicyStore};
use telemetry::names::{self, label};
use telemetry::{LogBudget, Page};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{AccountCache, Known};
use crate::audit::{self, Audit};
use crate::changes::Watchers;
use crate::clock::{Clock, Monotone};
use crate::counters::{Counters, CountersSnapshot, LookupResult};
use crate::credentials::Vault;
use crate::epoch::Epochs;
use crate::error::{not_found, store_failed};
use crate::expiry::{self, Alarm};
use crate::following;
use crate::location::Locations;
use crate::policy::{PolicyEngine, PolicyKinds, registration_kind};
use crate::search::SEARCHES_AT_ONCE;

/// Sources of failed attempts that are followed, at 150 bytes each.
const FOLLOWED_ADDRESSES: usize = 65_536;
/// Users whose failed attempts are followed, at 200 bytes each.
const FOLLOWED_USERS: usize = 65_536;

/// How a registrar is set up. See [`RegistrarConfig::new`] for what is usual.
#[derive(Clone, Debug)]
pub struct RegistrarConfig {
    /// The realm of Digest. It is part of every stored verifier: with another one nobody can sign in until all passwords
    /// were set anew.
    pub realm: String,
    /// SIP domains of the pool, lower case. Accounts are made only in these.
    pub domains: Vec<String>,
    /// Whether NTLM proofs are accepted at all.
    pub ntlm: bool,
    /// Whether Digest with MD5 is accepted at all.
    pub digest_md5: bool,
    /// Accounts kept in memory, at about 1 KiB each.
    pub cached_accounts: usize,
    /// Addresses kept in memory that are known not to be accounts, at about 100 bytes each.
    pub cached_unknown: usize,
}

impl RegistrarConfig {
    /// The usual: Digest with both algorithms, no NTLM, room for 100,000 accounts.
    pub fn new(realm: impl Into<String>, domains: Vec<String>) -> Self {
        RegistrarConfig {
            realm: realm.into(),
            domains,
            ntlm: false,
            digest_md5: true,
            cached_accounts: 100_000,
            cached_unknown: 16_384,
        }
    }
}

/// Where the registrar keeps things. One value may stand for several of them.
#[derive(Clone)]
pub struct Stores {
    /// Accounts and sealed credentials.
    pub accounts: Arc<dyn AccountStore>,
    /// Organisational groups.
    pub groups: Arc<dyn GroupStore>,
    /// Policies and grants.
    pub policies: Arc<dyn PolicyStore>,
    /// Sites and domains.
    pub places: Arc<dyn PlaceStore>,
    /// The audit log.
    pub audit: Arc<dyn AuditStore>,
    /// Changes of accounts, groups and policies that others make.
    pub changes: Arc<dyn ChangeFeed>,
    /// Bindings.
    pub bindings: Arc<dyn BindingStore>,
}

impl Stores {
    /// A directory that is all five durable stores and tells of changes, and a location service.
    pub fn new<D>(directory: Arc<D>, bindings: Arc<dyn BindingStore>) -> Self
    where
        D: AccountStore + GroupStore + PolicyStore + PlaceStore + AuditStore + ChangeFeed,
    {
        Stores {
            accounts: directory.clone(),
            groups: directory.clone(),
            policies: directory.clone(),
            places: directory.clone(),
            audit: directory.clone(),
            changes: directory,
            bindings,
        }
    }
}

/// What the two faces and the tasks share.
pub(crate) struct Inner {
    pub(crate) config: RegistrarConfig,
    pub(crate) stores: Stores,
    pub(crate) bindings: Arc<dyn BindingStore>,
    pub(crate) accounts: AccountCache,
    pub(crate) engine: PolicyEngine,
    pub(crate) vault: Vault,
    pub(crate) locations: Locations,
    pub(crate) watchers: Watchers,
    pub(crate) epochs: Epochs,
    pub(crate) alarm: Alarm,
    pub(crate) audit: Arc<Audit>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: Monotone,
    /// Both locks are held for a few map operations, never across a wait.
    pub(crate) user_throttle: Mutex<UserThrottle>,
    pub(crate) address_throttle: Mutex<AddressThrottle>,
    /// Damaged credentials are an operator's business, but each sign-in meets them.
    pub(crate) damage_log: LogBudget,
    /// Seeded per process: spreads what is granted.
    pub(crate) hasher: foldhash::quality::RandomState,
    pub(crate) no_name: Arc<str>,
    /// Places for searches in the store.
    pub(crate) searches: Semaphore,
}

/// The registrar role of one process.
///
/// Cloning shares it. It works until the token it was started with is cancelled; the stores live longer.
#[derive(Clone)]
pub struct RegistrarService {
    pub(crate) inner: Arc<Inner>,
}

impl RegistrarService {
    /// Reads what is stored, makes the configured domains known to the store, and starts the three tasks of the
    /// role (expiry, audit, changes made by others) on `tasks`; they end when `stop` is cancelled.
    ///
    /// `kinds` are the policy kinds of the other roles; the registrar adds its own, `registration`. `key` seals
    /// credentials ([`sip_auth::key_file::Purpose::Credentials`]).
    ///
    /// # Errors
    /// InvalidRequest: two kinds of one name, no realm or domain. Else as the stores fail.
    pub async fn start(
        config: RegistrarConfig,
        key: SealKey,
        mut kinds: PolicyKinds,
        stores: Stores,
        clock: Arc<dyn Clock>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let wrong = |text: String| Error::new(ErrorCode::InvalidRequest, text);
        if config.realm.is_empty() || config.domains.is_empty() {
            return Err(wrong("a registrar needs a realm and a sip domain".to_owned()));
        }
        kinds
            .register(registration_kind())
            .map_err(|error| wrong(error.to_string()))?;
        for domain in &config.domains {
            stores.places.add_domain(domain).await.map_err(store_failed)?;
        }
        // Before anything is read: what changes meanwhile is heard.
        let changes = stores.changes.watch().await.map_err(store_failed)?;
        let engine = PolicyEngine::load(kinds, stores.policies.clone()).await?;
        let counters = Arc::new(Counters::default());
        let (audit, queue) = Audit::new(stores.audit.clone(), clock.clone(), counters.clone());
        let audit = Arc::new(audit);
        let inner = Arc::new(Inner {
            accounts: AccountCache::new(
                stores.accounts.clone(),
                stores.policies.clone(),
                config.cached_accounts,
                config.cached_unknown,
            ),
            engine,
            vault: Vault::new(key, config.realm.clone()),
            locations: Locations::new(),
            watchers: Watchers::default(),
            epochs: Epochs::default(),
            alarm: Alarm::new(),
            audit: audit.clone(),
            counters,
            clock,
            time: Monotone::start(),
            user_throttle: Mutex::new(UserThrottle::new(FOLLOWED_USERS, config.cached_accounts)),
            address_throttle: Mutex::new(AddressThrottle::new(FOLLOWED_ADDRESSES)),
            damage_log: LogBudget::new(tokio::time::Instant::now().into_std()),
            hasher: foldhash::quality::RandomState::default(),
            no_name: Arc::from(""),
            searches: Semaphore::new(SEARCHES_AT_ONCE),
            bindings: stores.bindings.clone(),
            stores,
            config,
        });
        tasks.spawn(expiry::run(inner.clone(), stop.clone()));
        tasks.spawn(audit::run(audit, queue, stop.clone()));
        tasks.spawn(following::run(inner.clone(), changes, stop));
        Ok(RegistrarService { inner })
    }

    /// The policy kinds of this server, for help texts and panels.
    pub fn policy_kinds(&self) -> &PolicyKinds {
        self.inner.engine.kinds()
    }

    /// What was counted so far.
    pub fn counters(&self) -> CountersSnapshot {
        self.inner.counters.snapshot()
    }

    /// Writes this role's numbers on a page of metrics. Reads memory only, as [`telemetry::Registry`] asks for.
    pub fn collect(&self, page: &mut Page) {
        self.inner.counters.collect(page);
        let online = self.inner.locations.online();
        page.gauge(&names::USERS_ACTIVE, &[], online.users as f64);
        page.gauge(
            &names::REGISTRATIONS_ACTIVE,
            &[(label::CLIENT, "simple")],
            online.simple as f64,
        );
        page.gauge(
            &names::REGISTRATIONS_ACTIVE,
            &[(label::CLIENT, "lync")],
            online.lync as f64,
        );
    }

    /// Ends every stream of changes, so that those who wait on one can stop.
    pub fn close_watchers(&self) {
        self.inner.watchers.close();
    }
}

impl Inner {
    /// An account, or NotFound.
    pub(crate) async fn known(&self, aor: &AddressOfRecord) -> Result<Arc<Known>, Error> {
        self.accounts
            .get(aor)
            .await?
            .ok_or_else(|| not_found(format!("there is no user {aor}")))
    }

    async fn lookup(&self, aor: &AddressOfRecord) -> Result<Option<Location>, Error> {
        if let Some((display_name, bindings)) = self.locations.get(aor) {
            self.counters.lookup(LookupResult::Online);
            let display_name = String::from(&*display_name);
            return Ok(Some(Location {
                display_name,
                bindings,
            }));
        }
        let known = self.accounts.get(aor).await?;
        // Whoever took a user over has bindings of which no change was seen here yet.
        let state = self.bindings.load(aor).await.map_err(store_failed)?;
        let Some(known) = known else {
            self.counters.lookup(LookupResult::Unknown);
            return Ok(None);
        };
        if !state.bindings.is_empty() {
            self.locations
                .apply(aor, &state, &known.display_name, self.time.now());
            if let Some((display_name, bindings)) = self.locations.get(aor) {
                self.counters.lookup(LookupResult::Online);
                return Ok(Some(Location {
                    display_name: String::from(&*display_name),
                    bindings,
                }));
            }
        }
        self.counters.lookup(LookupResult::Offline);
        Ok(Some(Location {
            display_name: String::from(&*known.display_name),
            bindings: Arc::new([]),
        }))
    }
}

#[async_trait]
impl Registrar for RegistrarService {
    async fn authenticate(&self, request: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        self.inner.authenticate(request).await
    }

    async fn register(&self, request: Register) -> Result<Registered, RegisterError> {
        self.inner.register(request).await
    }

    async fn unregister(&self, request: Unregister) -> Result<Vec<Binding>, RegisterError> {
        self.inner.unregister(request).await
    }

    async fn lookup(&self, aor: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        self.inner.lookup(aor).await
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        Ok(self.inner.watchers.watch())
    }

    async fn policy(&self, kind: &str, aor: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        let known = self.inner.known(aor).await?;
        self.inner
            .engine
            .effective(kind, &known.assignment, &known.policies)
    }

    async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error> {
        self.inner.search(search).await
    }
}
