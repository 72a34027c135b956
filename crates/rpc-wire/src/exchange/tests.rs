//! Both ends together, over a real stream.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use rpc::{
    ConnectionId, Content, ConversationKey, Deliver, EndpointAddress, EndpointId, Epoch, Error, ErrorCode,
    FailureReason, FrontEnd, FrontEndClient, FrontEnds, HeldLeg, HeldLegs, ImMcu, ImMcuClient,
    InstantMessage, LegHolder, LegId, MessageId, MessageKind, Open, Opened, Path, Progress, Ring, RingAnswer,
    Signal, Submit, Target,
};
use sip_types::{AddressOfRecord, SipStr};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Partition};

use super::*;
use crate::client::any_carrier;
use crate::proto::immcu::v1::im_mcu_server::ImMcuServer;
use crate::routes::{OwnerMember, OwnerRoutes, PartitionOwner};
use crate::transport::Suspects;

const PATIENCE: Duration = Duration::from_secs(10);

fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

fn key() -> ConversationKey {
    ConversationKey::new(&aor("alice"), &aor("bob"))
}

fn text(number: u128) -> Arc<InstantMessage> {
    Arc::new(InstantMessage {
        id: MessageId(number),
        from: aor("alice"),
        from_display: "Alice".into(),
        from_endpoint: EndpointId::new("a1"),
        to: aor("bob"),
        to_endpoint: None,
        kind: MessageKind::Text,
        content: Content {
            content_type: SipStr::from_static("text/plain"),
            body: Bytes::from_static(b"hello"),
        },
        imdn_id: None,
        subject: None,
    })
}

fn submit(number: u128) -> Submit {
    Submit {
        message: text(number),
        leg: None,
        patience: PATIENCE,
    }
}

fn address(endpoint: &str) -> EndpointAddress {
    EndpointAddress {
        aor: aor("bob"),
        endpoint: EndpointId::new(endpoint),
        epoch: Epoch(7),
        member: MemberId::new("fe1"),
        connection: ConnectionId(3),
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

// === an owner ===

/// Remembers what it was asked; may own nothing, or keep everybody waiting.
#[derive(Default)]
struct FakeOwner {
    owns: AtomicBool,
    silent: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl FakeOwner {
    fn saw(&self, what: String) -> Result<(), Error> {
        if !self.owns.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorCode::Unavailable, "not mine"));
        }
        self.asked.lock().push(what);
        Ok(())
    }

    async fn hold_back(&self) {
        if self.silent.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    }
}

#[async_trait]
impl ImMcu for FakeOwner {
    async fn open(&self, open: Open) -> Result<Result<Opened, FailureReason>, Error> {
        self.saw(format!("open {}", open.leg.0))?;
        self.hold_back().await;
        Ok(Err(FailureReason::Busy))
    }

    async fn cancel(&self, conversation: &ConversationKey, leg: LegId) -> Result<(), Error> {
        assert_eq!(*conversation, key());
        self.saw(format!("cancel {}", leg.0))
    }

    async fn submit(&self, submit: Submit) -> Result<Result<(), FailureReason>, Error> {
        self.saw(format!("submit {}", submit.message.id.0))?;
        self.hold_back().await;
        Ok(Ok(()))
    }

    async fn signal(&self, _: Signal) -> Result<(), Error> {
        self.saw("signal".into())
    }

    async fn leave(&self, _: &ConversationKey, leg: LegId) -> Result<(), Error> {
        self.saw(format!("leave {}", leg.0))
    }

    async fn hold(&self, held: HeldLegs) -> Result<(), Error> {
        assert_eq!(held.member, MemberId::new("fe1"));
        if held.partition != key().partition() {
            return Ok(());
        }
        let legs: Vec<_> = held.legs.iter().map(|leg| leg.leg.0).collect();
        self.saw(format!("hold {legs:?}"))
    }
}

/// A member with an owner, served on a real socket.
struct Owner {
    name: &'static str,
    owner: Arc<FakeOwner>,
    front_ends: FrontEnds,
    /// The epoch it believes to own everything under.
    epoch: Arc<Mutex<Option<u64>>>,
    /// Front ends whose stream ended.
    suspects: Suspects,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Owner {
    async fn start(name: &'static str) -> Owner {
        let owner = Arc::new(FakeOwner::default());
        owner.owns.store(true, Ordering::Relaxed);
        let front_ends = FrontEnds::default();
        let epoch = Arc::new(Mutex::new(Some(1)));
        let (stop, said) = (CancellationToken::new(), epoch.clone());
        let suspects = Suspects::default();
        let exchange = ExchangeOwner::new(
            MemberId::new(name),
            1,
            ImMcuClient::local(owner.clone()),
            front_ends.clone(),
            Arc::new(move |_| *said.lock()),
            Arc::default(),
            TaskTracker::new(),
            stop.clone(),
        )
        .reporting(suspects.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = tonic::transport::Server::builder().add_service(ImMcuServer::new(exchange));
        let ended = stop.clone().cancelled_owned();
        tokio::spawn(serving.serve_with_incoming_shutdown(incoming, ended));
        Owner {
            name,
            owner,
            front_ends,
            epoch,
            suspects,
            address,
            stop,
        }
    }

    fn member(&self) -> OwnerMember {
        OwnerMember {
            member: MemberId::new(self.name),
            incarnation: 1,
            address: Some(self.address.to_string().into()),
            is_self: false,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.owner.asked.lock().clone()
    }

    /// The front end as this owner reaches it.
    async fn front_end(&self) -> FrontEndClient {
        let member = MemberId::new("fe1");
        until("the front end connects", || {
            self.front_ends.get(&member).is_some()
        })
        .await;
        self.front_ends.get(&member).unwrap()
    }
}

// === routes ===

struct FakeRoutes {
    owners: Mutex<(Vec<OwnerMember>, Option<PartitionOwner>)>,
    changes: watch::Sender<u64>,
}

impl FakeRoutes {
    fn new() -> Arc<Self> {
        Arc::new(FakeRoutes {
            owners: Mutex::default(),
            changes: watch::channel(0).0,
        })
    }

    fn set(&self, members: &[&OwnerMember], owner: Option<(&OwnerMember, u64)>) {
        let members = members.iter().map(|member| (*member).clone()).collect();
        let owner = owner.map(|(owner, epoch)| PartitionOwner {
            owner: owner.clone(),
            epoch,
        });
        *self.owners.lock() = (members, owner);
        self.changes.send_modify(|version| *version += 1);
    }
}

impl OwnerRoutes for FakeRoutes {
    fn owner(&self, _: Partition) -> Option<PartitionOwner> {
        self.owners.lock().1.clone()
    }

    fn members(&self) -> Vec<OwnerMember> {
        self.owners.lock().0.clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

// === a front end ===

#[derive(Default)]
struct FakeFrontEnd {
    did: Mutex<Vec<String>>,
    legs: Mutex<HashMap<u128, bool>>,
}

#[async_trait]
impl FrontEnd for FakeFrontEnd {
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Result<(), FailureReason>>, Error> {
        self.did.lock().push(format!("deliver {}", deliver.message.id.0));
        if let Some(progress) = &deliver.progress {
            progress.report(1, Err(FailureReason::Busy));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let outcome = |target: &Target| match target.path {
            Path::Page => Ok(()),
            Path::Leg(_) => Err(FailureReason::Busy),
        };
        Ok(deliver.targets.iter().map(outcome).collect())
    }

    async fn ring(&self, ring: Ring) -> Result<Result<RingAnswer, FailureReason>, Error> {
        self.did.lock().push(format!("ring {}", ring.leg.0));
        Ok(Ok(RingAnswer {
            first_text_taken: true,
        }))
    }

    async fn stop_ringing(&self, leg: LegId) -> Result<(), Error> {
        self.did.lock().push(format!("stop {}", leg.0));
        Ok(())
    }

    async fn end_leg(&self, leg: LegId) -> Result<(), Error> {
        self.did.lock().push(format!("end {}", leg.0));
        Ok(())
    }

    async fn signal(&self, _: Signal, _: Vec<Target>) -> Result<(), Error> {
        self.did.lock().push("signal".into());
        Ok(())
    }
}

impl LegHolder for FakeFrontEnd {
    fn held_legs(&self, partitions: &HashSet<Partition>) -> Vec<HeldLeg> {
        assert!(partitions.contains(&key().partition()));
        let legs = self.legs.lock();
        let held = legs.iter().map(|(leg, rung)| HeldLeg {
            leg: LegId(*leg),
            address: address("b1"),
            peer: aor("alice"),
            rung: *rung,
        });
        held.collect()
    }

    fn stop_ringing_of(&self, partitions: &HashSet<Partition>) {
        assert!(partitions.contains(&key().partition()));
        self.did.lock().push("stop all".into());
    }
}

struct World {
    routes: Arc<FakeRoutes>,
    router: ConversationRouter,
    front_end: Arc<FakeFrontEnd>,
}

impl World {
    fn start(local: Local) -> World {
        let routes = FakeRoutes::new();
        let dial: Dial = Arc::new(|owner| {
            let address = owner.address.as_deref().unwrap_or_default();
            let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
                .map_err(|error| Error::new(ErrorCode::InvalidRequest, error.to_string()))?;
            Ok(any_carrier(endpoint.tcp_nodelay(true).connect_lazy()))
        });
        let router = ConversationRouter::start(
            MemberId::new("fe1"),
            1,
            routes.clone(),
            local,
            dial,
            Arc::default(),
            TaskTracker::new(),
            CancellationToken::new(),
        );
        let front_end = Arc::new(FakeFrontEnd::default());
        router.serve(FrontEndClient::local(front_end.clone()), front_end.clone());
        World {
            routes,
            router,
            front_end,
        }
    }

    /// Starts requests in order, each in a task, and returns them.
    fn submit_all(&self, numbers: impl IntoIterator<Item = u128>) -> Vec<tokio::task::JoinHandle<bool>> {
        let start = |number| {
            let router = self.router.clone();
            let mut asking =
                Box::pin(async move { router.submit(submit(number)).await.is_ok_and(|it| it.is_ok()) });
            let waker = std::task::Waker::noop();
            let polled = asking.as_mut().poll(&mut Context::from_waker(waker));
            assert!(polled.is_pending());
            tokio::spawn(asking)
        };
        numbers.into_iter().map(start).collect()
    }
}

#[tokio::test]
async fn requests_reach_the_owner_in_order_and_answers_come_back() {
    let owner = Owner::start("im1").await;
    let world = World::start(None);
    let asked = world.submit_all(1..=200);
    world.routes.set(&[&owner.member()], Some((&owner.member(), 1)));
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    let expected: Vec<_> = ["hold []".to_owned()]
        .into_iter()
        .chain((1..=200).map(|number| format!("submit {number}")))
        .collect();
    assert_eq!(owner.asked(), expected);
    let snapshot = world.router.snapshot();
    let batches: u64 = snapshot.batches.iter().map(|(_, count)| count).sum();
    assert!(
        snapshot.items > 1_200 && batches < snapshot.items / 8,
        "{snapshot:?}"
    );
    assert!(world.router.is_connected());
}

#[tokio::test]
async fn when_its_owner_dies_what_was_not_answered_goes_to_the_next_in_order() {
    let (first, second) = (Owner::start("im1").await, Owner::start("im2").await);
    let world = World::start(None);
    let members = [&first.member(), &second.member()];
    world.routes.set(&members, Some((&first.member(), 1)));
    assert_eq!(world.router.submit(submit(1)).await.unwrap(), Ok(()));
    first.owner.silent.store(true, Ordering::Relaxed);
    let asked = world.submit_all(2..=20);
    until("the first owner is asked", || first.asked().len() == 21).await;
    world.front_end.legs.lock().insert(77, true);
    first.stop.cancel();
    until("the stream breaks", || world.router.snapshot().broken == 1).await;
    world.routes.set(&[&second.member()], Some((&second.member(), 2)));
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    let expected: Vec<_> = ["hold [77]".to_owned()]
        .into_iter()
        .chain((2..=20).map(|number| format!("submit {number}")))
        .collect();
    assert_eq!(second.asked(), expected);
    assert!(world.front_end.did.lock().contains(&"stop all".to_owned()));
}

#[tokio::test]
async fn an_owner_that_does_not_know_yet_is_asked_again_until_it_does() {
    let owner = Owner::start("im1").await;
    owner.owner.owns.store(false, Ordering::Relaxed);
    let world = World::start(None);
    world.routes.set(&[&owner.member()], Some((&owner.member(), 1)));
    let asked = world.submit_all(1..=3);
    until("it is asked in vain", || world.router.snapshot().rerouted > 3).await;
    owner.owner.owns.store(true, Ordering::Relaxed);
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    assert_eq!(owner.asked(), ["hold []", "submit 1", "submit 2", "submit 3"]);
}

#[tokio::test]
async fn a_broken_stream_to_the_same_owner_is_opened_again_and_what_was_open_is_asked_again() {
    let owner = Owner::start("im1").await;
    let world = World::start(None);
    world.routes.set(&[&owner.member()], Some((&owner.member(), 1)));
    assert_eq!(world.router.submit(submit(1)).await.unwrap(), Ok(()));
    owner.owner.silent.store(true, Ordering::Relaxed);
    let asked = world.submit_all([2]);
    until("it is asked", || owner.asked().len() == 3).await;
    // The owner stays; only the stream goes.
    let again = Owner::start("im1").await;
    owner.stop.cancel();
    until("the stream breaks", || world.router.snapshot().broken == 1).await;
    world.routes.set(&[&again.member()], Some((&again.member(), 1)));
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    assert_eq!(again.asked().last().map(String::as_str), Some("submit 2"));
}

#[tokio::test]
async fn an_owner_reaches_the_front_end_and_hears_of_each_target() {
    let owner = Owner::start("im1").await;
    let world = World::start(None);
    world.routes.set(&[&owner.member()], Some((&owner.member(), 1)));
    let front_end = owner.front_end().await;
    let (progress, mut reports) = Progress::channel(2);
    let deliver = Deliver {
        message: text(5),
        targets: vec![
            Target {
                address: address("b1"),
                path: Path::Page,
            },
            Target {
                address: address("b2"),
                path: Path::Leg(LegId(9)),
            },
        ],
        patience: PATIENCE,
        progress: Some(progress),
    };
    let outcomes = front_end.deliver(deliver).await.unwrap();
    assert_eq!(outcomes, [Ok(()), Err(FailureReason::Busy)]);
    assert_eq!(reports.recv().await, Some((1, Err(FailureReason::Busy))));
    let ring = Ring {
        leg: LegId(12),
        address: address("b1"),
        from: aor("alice"),
        from_display: String::new(),
        first_text: Some(text(6)),
        patience: PATIENCE,
    };
    let rung = front_end.ring(ring).await.unwrap();
    assert!(rung.unwrap().first_text_taken);
    front_end.end_leg(LegId(12)).await.unwrap();
    assert_eq!(*world.front_end.did.lock(), ["deliver 5", "ring 12", "end 12"]);
}

#[tokio::test]
async fn an_owner_that_was_left_behind_reaches_nobody() {
    let owner = Owner::start("im1").await;
    let world = World::start(None);
    world.routes.set(&[&owner.member()], Some((&owner.member(), 2)));
    let front_end = owner.front_end().await;
    let deliver = || Deliver {
        message: text(5),
        targets: vec![Target {
            address: address("b1"),
            path: Path::Page,
        }],
        patience: PATIENCE,
        progress: None,
    };
    // It speaks under epoch 1; the front end knows of 2.
    let outcomes = front_end.deliver(deliver()).await.unwrap();
    assert_eq!(outcomes, [Err(FailureReason::NotOwner)]);
    assert!(world.front_end.did.lock().is_empty());
    // And one that knows that it owns nothing does not even ask.
    *owner.epoch.lock() = None;
    let error = front_end.deliver(deliver()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    *owner.epoch.lock() = Some(2);
    assert_eq!(front_end.deliver(deliver()).await.unwrap(), [Ok(())]);
}

#[tokio::test]
async fn an_owner_in_the_same_process_is_asked_directly_and_hands_over_to_one_elsewhere() {
    let here = Arc::new(FakeOwner::default());
    here.owns.store(true, Ordering::Relaxed);
    let there = Owner::start("im2").await;
    let world = World::start(Some(ImMcuClient::local(here.clone())));
    let own = OwnerMember {
        member: MemberId::new("fe1"),
        incarnation: 1,
        address: None,
        is_self: true,
    };
    world.routes.set(&[&own, &there.member()], Some((&own, 1)));
    assert_eq!(world.router.submit(submit(1)).await.unwrap(), Ok(()));
    here.owns.store(false, Ordering::Relaxed);
    let asked = world.submit_all([2]);
    world
        .routes
        .set(&[&own, &there.member()], Some((&there.member(), 2)));
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    assert_eq!(*here.asked.lock(), ["hold []", "submit 1"]);
    assert_eq!(there.asked(), ["hold []", "submit 2"]);
}

#[tokio::test]
async fn a_front_end_whose_stream_ends_is_suspected() {
    let owner = Owner::start("im1").await;
    let world = World::start(None);
    world.routes.set(&[&owner.member()], Some((&owner.member(), 1)));
    owner.front_end().await;
    assert!(owner.suspects.next().now_or_never().is_none());
    // Its router ends the stream, as its death would.
    world.routes.set(&[], None);
    let suspected = tokio::time::timeout(PATIENCE, owner.suspects.next()).await;
    assert_eq!(suspected.unwrap(), [MemberId::new("fe1")].into());
}

#[tokio::test(start_paused = true)]
async fn without_any_owner_a_request_ends_with_its_patience() {
    let world = World::start(None);
    world.routes.set(&[], None);
    let error = world.router.submit(submit(1)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Timeout);
    assert_eq!(world.router.snapshot().items, 0);
}
