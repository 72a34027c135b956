//! The front end itself: what all its connections share, and its two faces, to the transport and to the other roles.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hashbrown::HashMap;
use parking_lot::Mutex;
use rpc::{
    Binding, Deliver, EndpointAddress, EndpointId, Epoch, Error, FailureReason, Freshness, HeldLeg,
    ImMcuClient, InFlight, LegHolder, LegId, PresenceClient, RegistrarClient, Ring, RingAnswer, Signal,
    Target, Unregister, Which,
};
use sip_auth::digest::DigestCredentials;
use sip_auth::nonce::{CheckedNonce, NonceKey, NonceScope, ReturnedOn};
use sip_auth::replay::ReplayWindow;
use sip_auth::signature::SecurityAssociation;
use sip_auth::throttle::AddressThrottle;
use sip_core::Received;
use sip_transport::{CloseReason, Connection, Handler, RateLimit};
use sip_types::{AddressOfRecord, Message, ParseError, Request, SipStr, Uri};
use telemetry::{Page, names, trace};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use topology::Partition;

use crate::config::FrontEndConfig;
use crate::counters::{Counters, Refused};
use crate::flow::{Flow, Registration, SignedIn};
use crate::ids::Ids;
use crate::leg::Leg;
use crate::presence::PresenceFace;
use crate::shards::Shards;
use crate::{deliver, dispatch, identity, method, ring, signal};

/// Nonces whose use is remembered: those of five minutes of sign-ins at the admitted rate.
const REMEMBERED_NONCES: usize = 100_000;

/// Addresses whose failures and requests are counted.
const COUNTED_ADDRESSES: usize = 65_536;

/// What all connections of a front end share.
pub(crate) struct FrontEndService {
    pub(crate) config: FrontEndConfig,
    pub(crate) registrar: RegistrarClient,
    pub(crate) immcu: ImMcuClient,
    pub(crate) presence: PresenceFace,
    pub(crate) counters: Counters,
    pub(crate) ids: Ids,
    pub(crate) nonces: NonceKey,
    /// `targetname` of signatures, shared by all associations.
    pub(crate) targetname: Arc<str>,
    /// Every leg here, by the name the owner of its conversation knows.
    pub(crate) legs: Shards<LegId, Arc<Leg>>,
    pub(crate) flows: Shards<rpc::ConnectionId, Arc<Flow>>,
    replay: Mutex<ReplayWindow>,
    failures: Mutex<AddressThrottle>,
    sign_ins: Mutex<RateLimit>,
    unauthenticated: Mutex<HashMap<IpAddr, RateLimit>>,
    tasks: TaskTracker,
    /// Cancelled when the front end stops: who only waits, stops waiting.
    stopping: CancellationToken,
    /// True: nobody signs in here any more.
    turning_away: AtomicBool,
}

/// A front end, to be given to the transport as its handler and to the pool as a member. Cheap to clone.
#[derive(Clone)]
pub struct FrontEnd(pub(crate) Arc<FrontEndService>);

impl FrontEnd {
    /// A front end over these roles. `nonces` is the pool's; `seed` is random and different in every process.
    pub fn new(
        config: FrontEndConfig,
        registrar: RegistrarClient,
        immcu: ImMcuClient,
        presence: PresenceClient,
        nonces: NonceKey,
        seed: [u8; 16],
    ) -> Self {
        let sign_ins = config.sign_ins_per_second;
        let stopping = CancellationToken::new();
        FrontEnd(Arc::new(FrontEndService {
            targetname: Arc::from(config.fqdn.as_str()),
            config,
            registrar,
            immcu,
            presence: PresenceFace::new(presence, stopping.clone()),
            counters: Counters::default(),
            ids: Ids::new(seed),
            nonces,
            legs: Shards::new(),
            flows: Shards::new(),
            replay: Mutex::new(ReplayWindow::new(REMEMBERED_NONCES)),
            failures: Mutex::new(AddressThrottle::new(COUNTED_ADDRESSES)),
            sign_ins: Mutex::new(RateLimit::new(sign_ins, sign_ins)),
            unauthenticated: Mutex::default(),
            tasks: TaskTracker::new(),
            stopping,
            turning_away: AtomicBool::new(false),
        }))
    }

    /// What it counts.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Writes what it counts and holds to a scrape page.
    pub fn collect(&self, page: &mut Page) {
        use names::label::EVENT;
        self.0.counters.collect(page);
        for (package, count) in self.0.subscriptions() {
            let labels = [(EVENT, package.as_str())];
            page.gauge(&names::PRESENCE_SUBSCRIPTIONS_ACTIVE, &labels, count as f64);
        }
        let followed = self.0.presence.following.len();
        page.gauge(&names::PRESENCE_FOLLOWED, &[], followed as f64);
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.0.flows.len()
    }

    /// Legs of sessions.
    pub fn legs(&self) -> usize {
        self.0.legs.len()
    }

    /// Follows the registrar's changes for as long as the front end serves: run it as a task.
    pub async fn follow_bindings(self) {
        self.0.follow_bindings().await;
    }

    /// Follows the presence that clients watch for as long as the front end serves: run it as a task.
    pub async fn follow_presence(self) {
        self.0.follow_presence().await;
    }

    /// From now on nobody signs in here: who tries on a connection of its own is told to go elsewhere at once (503,
    /// `Retry-After: 0`), and that connection is closed. Who is signed in is served as before, and health probes are answered.
    pub fn turn_away(&self) {
        self.0.turning_away.store(true, Ordering::Release);
    }

    /// Takes [`FrontEnd::turn_away`] back.
    pub fn take_in(&self) {
        self.0.turning_away.store(false, Ordering::Release);
    }

    /// Signed-in clients that were not told to go elsewhere.
    pub fn clients(&self) -> usize {
        self.0.staying().count()
    }

    /// Moves the signed-in clients elsewhere, `most` at most, in waves spread over `window`. Returns when none is left to be
    /// moved and those who were told have gone: when `window` and some seconds are over at the latest, if nobody signs in
    /// meanwhile (see [`FrontEnd::turn_away`]). After `enough` nobody more is told, and it returns when those have gone who
    /// were, some seconds later. Dropped before, it leaves them with a connection on which they cannot register again.
    pub async fn move_clients(&self, window: Duration, most: usize, enough: &CancellationToken) {
        self.0.move_clients(window, most, enough).await;
    }

    /// Tells the clients that this member stops. Their connections are still to be closed.
    pub fn farewell(&self) {
        self.0.farewell();
    }

    /// Waits until every request that was accepted has its answer. Call it once no connection is accepted any more.
    pub async fn finish(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.presence.finish().await;
    }
}

impl FrontEndService {
    /// Runs a task that this front end owns and waits for when it stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if trace::is_recorded() {
            self.tasks.spawn(trace::carry(Box::pin(task)));
        } else {
            self.tasks.spawn(task);
        }
    }

    /// Runs a task that ends early when the front end stops: a held-back answer to somebody who guesses passwords does not
    /// hold the stop up.
    pub(crate) fn spawn_until_stop(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stopping.cancelled() => {}
            }
        });
    }

    /// Runs a task whose first step is taken before this returns: owners of conversations keep messages in the order in
    /// which they were first asked, so what a connection received in order must be asked in order.
    pub(crate) fn spawn_in_order(&self, task: impl Future<Output = ()> + Send + 'static) {
        // A first step is taken here, where the span is current anyway.
        let mut task = Box::pin(task);
        if task
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
        {
            self.spawn(task);
        }
    }

    /// The connection of an endpoint, if this front end holds exactly that registration.
    pub(crate) fn find(&self, address: &EndpointAddress) -> Option<(Arc<Flow>, Registration)> {
        let flow = self.flows.get(&address.connection)?;
        let registration = flow.registration(&address.endpoint, address.epoch)?;
        if registration.aor != address.aor {
            return None;
        }
        Some((flow, registration))
    }

    /// From now on a connection is this user's, and nothing on it is anybody else's.
    pub(crate) fn sign_in(&self, flow: &Flow, who: &Arc<SignedIn>, association: Option<SecurityAssociation>) {
        for former in flow.sign_in(Arc::clone(who), association) {
            self.unregister(former.aor, former.endpoint, former.epoch);
        }
        self.end_watching_of_others(flow, &who.aor);
    }

    /// Removes the binding of a connection that is gone. Another one made since is left alone.
    pub(crate) fn unregister(&self, aor: AddressOfRecord, endpoint: EndpointId, epoch: Epoch) {
        let request = Unregister {
            aor,
            which: Which::Connection(endpoint, epoch),
            order: None,
        };
        let registrar = self.registrar.clone();
        self.spawn(async move {
            if let Err(error) = registrar.unregister(request).await {
                tracing::warn!(%error, "the binding of a closed connection stays until it expires");
            }
        });
    }

    /// Tells the owner that a leg is over.
    pub(crate) fn leave(&self, leg: &Leg) {
        let immcu = self.immcu.clone();
        let (conversation, leg) = (leg.conversation(), leg.id);
        self.spawn_in_order(async move {
            if let Err(error) = immcu.leave(&conversation, leg).await {
                tracing::warn!(%error, "the end of a leg was not passed on");
            }
        });
    }

    /// Tells the owner that the caller takes an invitation back.
    pub(crate) fn cancel(&self, leg: &Leg) {
        let immcu = self.immcu.clone();
        let (conversation, leg) = (leg.conversation(), leg.id);
        self.spawn_in_order(async move {
            if let Err(error) = immcu.cancel(&conversation, leg).await {
                tracing::warn!(%error, "a cancelled invitation was not passed on");
            }
        });
    }

    /// The endpoint a request outside a dialog is meant for, if its Request-URI is a GRUU.
    ///
    /// # Errors
    /// [`FailureReason::Unavailable`] if that endpoint is not signed in (RFC 5627 section 5.3: 480), and failures of the
    /// registrar.
    pub(crate) async fn endpoint_meant(
        &self,
        user: &AddressOfRecord,
        request: &Request,
    ) -> Result<Option<EndpointId>, FailureReason> {
        let Some(mark) = request
            .parsed_uri()
            .ok()
            .and_then(|uri| identity::endpoint_mark(&uri))
        else {
            return Ok(None);
        };
        let location = self
            .registrar
            .lookup(user, Freshness::Cached)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "an endpoint address could not be looked up");
                FailureReason::Overloaded
            })?;
        let location = location.ok_or(FailureReason::NoSuchUser)?;
        let is_meant = |binding: &&Binding| {
            let gruu = binding
                .gruu
                .as_ref()
                .and_then(|gruu| Uri::parse(&SipStr::copy_from(gruu)).ok());
            gruu.and_then(|gruu| identity::endpoint_mark(&gruu))
                .is_some_and(|own| own == mark)
        };
        let binding = location
            .bindings
            .iter()
            .find(is_meant)
            .ok_or(FailureReason::Unavailable)?;
        Ok(Some(binding.address.endpoint.clone()))
    }

    // === admission ===

    /// Whether nobody signs in here any more.
    pub(crate) fn turns_away(&self) -> bool {
        self.turning_away.load(Ordering::Acquire)
    }

    /// Whether one more request may wait for its answer.
    pub(crate) fn admit_pending(&self) -> bool {
        self.tasks.len() < self.config.pending_transactions
    }

    /// Takes a token for one proof of identity.
    pub(crate) fn admit_sign_in(&self) -> bool {
        self.sign_ins.lock().take(Instant::now())
    }

    /// Takes a token for one request of an address that has not signed in.
    pub(crate) fn admit_unauthenticated(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let address = network(address);
        let per_second = self.config.unauthenticated_per_second;
        let mut limits = self.unauthenticated.lock();
        if limits.len() >= COUNTED_ADDRESSES {
            limits.retain(|_, limit| !limit.is_full(now));
        }
        if limits.len() >= COUNTED_ADDRESSES && !limits.contains_key(&address) {
            return false;
        }
        limits
            .entry(address)
            .or_insert_with(|| RateLimit::new(per_second, per_second))
            .take(now)
    }

    /// A proof that came on a connection that needed none is used up all the same: it must not open another one.
    pub(crate) fn use_up(&self, credentials: &DigestCredentials, scope: NonceScope<'_>) {
        let Ok(nonce) = self
            .nonces
            .check(&credentials.nonce, unix_now(), scope, ReturnedOn::SameConnection)
        else {
            return;
        };
        if !self.first_use(&nonce, credentials.nonce_count()) {
            tracing::debug!("a proof was sent again");
        }
    }

    /// Whether a proof is used for the first time.
    pub(crate) fn first_use(&self, nonce: &CheckedNonce, nc: Option<u32>) -> bool {
        let mut replay = self.replay.lock();
        match nc {
            Some(nc) => replay.accept(nonce, nc, unix_now()),
            None => replay.accept_once(nonce, unix_now()),
        }
    }

    /// Counts a failed proof from this address; how long its answer waits.
    pub(crate) fn failed_from(&self, address: IpAddr) -> Duration {
        let now = Instant::now();
        let mut failures = self.failures.lock();
        failures.record_failure(address, now);
        failures.delay(address, now)
    }

    /// Seconds for Retry-After, spread so that those who come back do not come together.
    pub(crate) fn retry_after(&self) -> u64 {
        5 + self.ids.number() % 6
    }
}

/// What counts as one source: an IPv4 address, or the /64 an IPv6 address is in.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

/// The present time. The runtime's clock, as that of the transport, so that tests can move it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Unix seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The present time as RFC 3261 section 20.17 writes it.
pub(crate) fn sip_date() -> String {
    jiff::Timestamp::now()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

// === the transport's side ===

/// What a front end knows about one connection.
pub struct Session {
    pub(crate) flow: Arc<Flow>,
    /// Requests of the client that wait for another role.
    in_flight: InFlight,
    /// While there are any, a stop waits for them.
    accepted: Option<TaskTrackerToken>,
}

impl Handler for FrontEnd {
    type Session = Session;

    fn accepted(&self, connection: &Arc<Connection>) -> Session {
        let flow = Flow::new(connection, &self.0);
        self.0.flows.insert(flow.id(), Arc::clone(&flow));
        Session {
            flow,
            in_flight: InFlight::new(),
            accepted: None,
        }
    }

    fn message(&self, _: &Arc<Connection>, session: &mut Session, message: Message, now: Instant) {
        let (service, flow) = (&self.0, &session.flow);
        if let Message::Request(request) = &message
            && let Some(refused) = dispatch::too_many(service, flow)
        {
            return dispatch::refuse_excess(service, flow, request, refused);
        }
        let Some(received) = flow.receive(service, message, now) else {
            return;
        };
        match received {
            Received::Request(key, request) => dispatch::request(service, flow, key, request, now),
            Received::Cancel {
                cancel: (key, request),
                invite,
            } => {
                service.counters.request_in(request.method());
                method::cancel::handle(service, flow, &key, &request, &invite);
            }
            // The dialog stands since the 200; the ACK says that the client knows.
            Received::Ack(ack) => {
                service.counters.request_in(ack.method());
                flow.acknowledged(&ack);
            }
            _ => {}
        }
    }

    fn work(&self, _: &Arc<Connection>, session: &mut Session, cx: &mut Context<'_>) {
        for request in session.flow.take_begun() {
            session.in_flight.push(request);
        }
        session.in_flight.poll(cx);
        if session.in_flight.is_empty() {
            session.accepted = None;
        } else if session.accepted.is_none() {
            session.accepted = Some(self.0.tasks.token());
        }
    }

    fn rejected(&self, _: &Arc<Connection>, _: &mut Session, error: &ParseError) {
        tracing::debug!(%error, "message refused");
        self.0.counters.refused(Refused::Malformed);
    }

    fn timer(&self, _: &Arc<Connection>, session: &mut Session, now: Instant) {
        for leg in session.flow.handle_timeout(&self.0, now) {
            tracing::debug!(connection = %session.flow.id(), "no ACK came: the session ends");
            self.0.undo(&leg);
            self.0.leave(&leg);
        }
        self.0.end_expired(&session.flow);
    }

    fn next_timer(&self, session: &Session) -> Option<Instant> {
        session.flow.next_timeout()
    }

    fn closed(&self, _: &Arc<Connection>, session: &mut Session, reason: CloseReason) {
        // A message that was accepted is delivered, whether its sender is there or not.
        for request in session
            .in_flight
            .take()
            .into_iter()
            .chain(session.flow.take_begun())
        {
            self.0.tasks.spawn(request);
        }
        session.accepted = None;
        let (service, flow) = (&self.0, &session.flow);
        service.flows.remove(&flow.id());
        let remains = flow.end();
        service.end_watching(flow);
        tracing::debug!(connection = %flow.id(), ?reason, "connection closed");
        for leg in remains.legs {
            service.forget(&leg);
            service.leave(&leg);
        }
        for registration in remains.registrations {
            service.unregister(registration.aor, registration.endpoint, registration.epoch);
        }
    }
}

// === the other roles' side ===

impl LegHolder for FrontEnd {
    fn held_legs(&self, partitions: &HashSet<Partition>) -> Vec<HeldLeg> {
        let own = &self.0.config.member;
        let legs = self.0.legs.values().into_iter();
        legs.filter(|leg| partitions.contains(&leg.conversation().partition()))
            .filter_map(|leg| leg.held(own))
            .collect()
    }

    fn stop_ringing_of(&self, partitions: &HashSet<Partition>) {
        for leg in self.0.legs.values() {
            if leg.is_ringing() && partitions.contains(&leg.conversation().partition()) {
                self.0.undo(&leg);
            }
        }
    }
}

#[async_trait]
impl rpc::FrontEnd for FrontEnd {
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error> {
        Ok(deliver::deliver(&self.0, &deliver).await)
    }

    async fn ring(&self, ring: Ring) -> Result<Result<RingAnswer, FailureReason>, Error> {
        Ok(ring::ring(&self.0, ring).await)
    }

    async fn stop_ringing(&self, leg: LegId) -> Result<(), Error> {
        self.end_leg(leg).await
    }

    async fn end_leg(&self, leg: LegId) -> Result<(), Error> {
        if let Some(leg) = self.0.legs.get(&leg) {
            self.0.undo(&leg);
        }
        Ok(())
    }

    async fn signal(&self, signal: Signal, targets: Vec<Target>) -> Result<(), Error> {
        signal::signal(&self.0, &signal, &targets);
        Ok(())
    }
}
