//! A registrar and front ends that do what a test says, and an archive and a filter that write down what they see.

use crate::conversation::testing::name_of;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::{
    Authenticate, Binding, Content, Deliver, EffectivePolicy, Error, ErrorCode, FailureReason, Freshness,
    FrontEnd, FrontEndClient, FrontEnds, Identity, InstantMessage, LegId, Location, Open, PeopleFound,
    PeopleSearch, PolicyValue, Refusal, Register, RegisterError, Registered, Registrar, RegistrarChange,
    RegistrarClient, Ring, RingAnswer, Signal, Submit, Target, Unregister,
};
use sip_types::{AddressOfRecord, SipStr};
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;
use topology::MemberId;

use crate::archive::{Archive, ArchiveMode, Disposition, NotArchived, OutcomeRecord, Record};
use crate::conversation::testing::{aor, binding};
use crate::filter::{MessageFilter, Verdict};
use crate::{Hooks, ImMcuService, Limits};

fn refused(code: ErrorCode) -> Error {
    Error::new(code, "the test says so")
}

// === registrar ===

#[derive(Default)]
pub(super) struct FakeRegistrar {
    bindings: Mutex<HashMap<AddressOfRecord, Vec<Binding>>>,
    policies: Mutex<HashMap<AddressOfRecord, BTreeMap<String, PolicyValue>>>,
    deleted: Mutex<HashSet<AddressOfRecord>>,
    pub(super) down: AtomicBool,
    pub(super) lookups: AtomicUsize,
}

impl FakeRegistrar {
    pub(super) fn sign_in(&self, user: &str, specs: &[&str], epoch: u64) {
        let bindings = specs.iter().map(|spec| binding(user, spec, epoch)).collect();
        self.bindings.lock().insert(aor(user), bindings);
    }

    pub(super) fn set_policy(&self, user: &str, key: &str, value: PolicyValue) {
        self.policies
            .lock()
            .entry(aor(user))
            .or_default()
            .insert(key.to_owned(), value);
    }

    pub(super) fn delete(&self, user: &str) {
        self.bindings.lock().remove(&aor(user));
        self.deleted.lock().insert(aor(user));
    }

    fn up(&self) -> Result<(), Error> {
        if self.down.load(Ordering::Relaxed) {
            Err(refused(ErrorCode::Unavailable))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Registrar for FakeRegistrar {
    async fn authenticate(&self, _: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        Err(refused(ErrorCode::Internal))
    }

    async fn register(&self, _: Register) -> Result<Registered, RegisterError> {
        Err(RegisterError::Forbidden)
    }

    async fn unregister(&self, _: Unregister) -> Result<Vec<Binding>, RegisterError> {
        Err(RegisterError::Forbidden)
    }

    async fn lookup(&self, aor: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        self.up()?;
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let bindings = self.bindings.lock().get(aor).cloned();
        Ok(bindings.map(|bindings| Location {
            display_name: aor.user().to_owned(),
            bindings: bindings.into(),
        }))
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        Err(refused(ErrorCode::Internal))
    }

    async fn policy(&self, kind: &str, aor: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        self.up()?;
        assert_eq!(kind, crate::IM_POLICY.name);
        if self.deleted.lock().contains(aor) {
            return Err(refused(ErrorCode::NotFound));
        }
        Ok(Arc::new(EffectivePolicy {
            kind: kind.to_owned(),
            scope: None,
            reason: String::new(),
            values: self.policies.lock().get(aor).cloned().unwrap_or_default(),
        }))
    }

    async fn search(&self, _: PeopleSearch) -> Result<PeopleFound, Error> {
        Err(refused(ErrorCode::Internal))
    }
}

// === front end ===

/// What happened at a front end, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    Deliver(String, Vec<String>),
    Ring(String),
    StopRinging,
    EndLeg,
    Signal(usize),
}

type RingReply = oneshot::Sender<Result<RingAnswer, FailureReason>>;
type Answers = Mutex<HashMap<String, Result<(), FailureReason>>>;

#[derive(Default)]
pub(super) struct FakeFrontEnd {
    pub(super) seen: Mutex<Vec<Seen>>,
    /// Endpoints that answer something else than 200.
    pub(super) answers: Answers,
    /// How long an endpoint takes to answer.
    pub(super) takes: Mutex<Duration>,
    /// How often it still cannot be reached.
    pub(super) away: AtomicUsize,
    /// Endpoints that ring, and where their answers go.
    ringing: Mutex<HashMap<LegId, (String, RingReply)>>,
}

impl FakeFrontEnd {
    fn see(&self, seen: Seen) {
        self.seen.lock().push(seen);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// The ids that were delivered, in order.
    pub(super) fn delivered(&self) -> Vec<String> {
        let seen = self.seen();
        let ids = seen.into_iter().filter_map(|seen| match seen {
            Seen::Deliver(id, _) => Some(id),
            _ => None,
        });
        ids.collect()
    }

    pub(super) fn ringing(&self) -> Vec<String> {
        let mut ringing: Vec<String> = self
            .ringing
            .lock()
            .values()
            .map(|(endpoint, _)| endpoint.clone())
            .collect();
        ringing.sort();
        ringing
    }

    pub(super) fn answer_ring(&self, endpoint: &str, answer: Result<RingAnswer, FailureReason>) -> LegId {
        let mut ringing = self.ringing.lock();
        let leg = ringing
            .iter()
            .find(|(_, (name, _))| name == endpoint)
            .map(|(leg, _)| *leg)
            .unwrap();
        let (_, reply) = ringing.remove(&leg).unwrap();
        reply.send(answer).unwrap();
        leg
    }

    fn reach(&self) -> Result<(), Error> {
        let away = self
            .away
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |away| away.checked_sub(1));
        if away.is_ok() {
            Err(refused(ErrorCode::Unavailable))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl FrontEnd for FakeFrontEnd {
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error> {
        self.reach()?;
        let endpoints: Vec<String> = deliver
            .targets
            .iter()
            .map(|target| target.address.endpoint.to_string())
            .collect();
        self.see(Seen::Deliver(name_of(deliver.message.id), endpoints.clone()));
        let takes = *self.takes.lock();
        if takes.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(takes).await;
        }
        let answers = self.answers.lock();
        Ok(endpoints
            .iter()
            .map(|endpoint| answers.get(endpoint).copied().unwrap_or(Ok(())))
            .collect())
    }

    async fn ring(&self, ring: Ring) -> Result<Result<RingAnswer, FailureReason>, Error> {
        self.reach()?;
        let endpoint = ring.address.endpoint.to_string();
        self.see(Seen::Ring(endpoint.clone()));
        let (reply, answer) = oneshot::channel();
        self.ringing.lock().insert(ring.leg, (endpoint, reply));
        Ok(answer.await.unwrap_or(Err(FailureReason::Cancelled)))
    }

    async fn stop_ringing(&self, leg: LegId) -> Result<(), Error> {
        self.reach()?;
        self.see(Seen::StopRinging);
        self.ringing.lock().remove(&leg);
        Ok(())
    }

    async fn end_leg(&self, _: LegId) -> Result<(), Error> {
        self.reach()?;
        self.see(Seen::EndLeg);
        Ok(())
    }

    async fn signal(&self, _: Signal, targets: Vec<Target>) -> Result<(), Error> {
        self.see(Seen::Signal(targets.len()));
        Ok(())
    }
}

// === hooks ===

/// Blocks what says `bad`, replaces what says `rude`.
pub(super) struct FakeFilter;

impl MessageFilter for FakeFilter {
    fn check(&self, message: &InstantMessage) -> Verdict {
        match &*message.content.body {
            b"bad" => Verdict::Block(FailureReason::Filtered),
            b"rude" => Verdict::Replace(Content {
                content_type: SipStr::from_static("text/plain"),
                body: "polite".into(),
            }),
            _ => Verdict::Pass,
        }
    }
}

/// What an archive does with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ArchiveDoes {
    Keep,
    Refuse,
    Hang,
}

/// Writes down what it gets, in order, as `+id body` and `=id disposition`.
pub(super) struct FakeArchive {
    pub(super) mode: ArchiveMode,
    pub(super) does: Mutex<ArchiveDoes>,
    pub(super) log: Arc<Mutex<Vec<String>>>,
}

impl FakeArchive {
    pub(super) fn new(mode: ArchiveMode) -> Arc<Self> {
        Arc::new(FakeArchive {
            mode,
            does: Mutex::new(ArchiveDoes::Keep),
            log: Arc::default(),
        })
    }

    async fn keep(&self, line: String) -> Result<(), NotArchived> {
        let does = *self.does.lock();
        match does {
            ArchiveDoes::Keep => {
                self.log.lock().push(line);
                Ok(())
            }
            ArchiveDoes::Refuse => Err(NotArchived("disk full".to_owned())),
            ArchiveDoes::Hang => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Archive for FakeArchive {
    async fn mode(&self, _: &AddressOfRecord, _: &AddressOfRecord) -> ArchiveMode {
        self.mode
    }

    async fn append(&self, record: Record) -> Result<(), NotArchived> {
        let body = String::from_utf8_lossy(&record.message.content.body).into_owned();
        let original = record
            .original
            .map(|original| format!(" for {}", String::from_utf8_lossy(&original.body)));
        self.keep(format!(
            "+{} {body}{}",
            name_of(record.message.id),
            original.unwrap_or_default()
        ))
        .await
    }

    async fn outcome(&self, record: OutcomeRecord) -> Result<(), NotArchived> {
        let disposition = match record.disposition {
            Disposition::Accepted => "accepted",
            Disposition::Failed(reason) => reason.as_str(),
            Disposition::Withdrawn => "withdrawn",
        };
        self.keep(format!("={} {disposition}", name_of(record.id))).await
    }
}

// === all together ===

pub(super) struct World {
    pub(super) registrar: Arc<FakeRegistrar>,
    pub(super) fe1: Arc<FakeFrontEnd>,
    pub(super) fe2: Arc<FakeFrontEnd>,
    pub(super) service: ImMcuService,
}

impl World {
    /// Bob has these endpoints, alice has `p9@fe1` and `s9@fe1`.
    pub(super) fn with(endpoints: &[&str]) -> Self {
        World::with_hooks(endpoints, Hooks::default(), Limits::default())
    }

    pub(super) fn with_hooks(endpoints: &[&str], hooks: Hooks, limits: Limits) -> Self {
        World::start(endpoints, |registrar, front_ends| {
            ImMcuService::start(registrar, front_ends, hooks, limits)
        })
    }

    /// One owner of several, which owns nothing yet.
    pub(super) fn in_pool(endpoints: &[&str], fence: Arc<dyn rpc::Fence>) -> Self {
        World::start(endpoints, |registrar, front_ends| {
            ImMcuService::start_in_pool(registrar, front_ends, Hooks::default(), Limits::default(), fence)
        })
    }

    fn start(endpoints: &[&str], service: impl FnOnce(RegistrarClient, FrontEnds) -> ImMcuService) -> Self {
        let registrar = Arc::new(FakeRegistrar::default());
        registrar.sign_in("alice", &["p9@fe1", "s9@fe1"], 1);
        registrar.sign_in("bob", endpoints, 1);
        let (fe1, fe2) = (
            Arc::new(FakeFrontEnd::default()),
            Arc::new(FakeFrontEnd::default()),
        );
        let front_ends = FrontEnds::default();
        front_ends.insert(MemberId::new("fe1"), FrontEndClient::local(fe1.clone()));
        front_ends.insert(MemberId::new("fe2"), FrontEndClient::local(fe2.clone()));
        let client = RegistrarClient::local(registrar.clone());
        let service = service(client, front_ends);
        World {
            registrar,
            fe1,
            fe2,
            service,
        }
    }
}

pub(super) fn page(message: &Arc<InstantMessage>) -> Submit {
    Submit {
        message: message.clone(),
        leg: None,
        patience: Duration::from_secs(32),
    }
}

pub(super) fn open(leg: u128, first_text: Option<&Arc<InstantMessage>>) -> Open {
    Open {
        leg: LegId(leg),
        from: aor("alice"),
        from_display: "Alice".to_owned(),
        from_endpoint: rpc::EndpointId::new("s9"),
        to: aor("bob"),
        to_endpoint: None,
        first_text: first_text.cloned(),
        patience: Duration::from_secs(60),
    }
}

/// Lets everything run that can run without time passing.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// The conversation of the people of these tests.
pub(super) fn pair() -> rpc::ConversationKey {
    rpc::ConversationKey::new(&aor("alice"), &aor("bob"))
}
