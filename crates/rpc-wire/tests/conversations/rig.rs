//! An owner and a front end, and each of the ways in which they reach each other.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc::{ConversationKey, FrontEndClient, FrontEnds, HeldLeg, HeldLegs, ImMcuClient};
use rpc_wire::StreamSnapshot;
use rpc_wire::exchange::{ConversationRouter, Dial, ExchangeOwner};
use rpc_wire::proto::immcu::v1::im_mcu_server::ImMcuServer;
use rpc_wire::transport::Connector;
use rpc_wire::{AnyCarrier, MAX_MESSAGE, OwnerMember, OwnerRoutes, PartitionOwner, RpcServer, any_carrier};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Partition};

use crate::members::{Served, serve, tls};
use crate::probes::{Calls, FrontEndProbe, OfFrontEnd, OfOwner, OwnerProbe, SOON};

/// How the two reach each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Road {
    /// The traits themselves.
    Trait,
    /// Through the router of a member that runs both.
    SameProcess,
    /// Items encoded and decoded, without a socket.
    Codec,
    /// Over loopback.
    Tcp,
    /// Over loopback, with a certificate on both sides.
    Tls,
}

/// Everything belongs to one owner.
struct OneOwner {
    owner: OwnerMember,
    epoch: Mutex<u64>,
    changes: watch::Sender<u64>,
}

impl OwnerRoutes for OneOwner {
    fn owner(&self, _: Partition) -> Option<PartitionOwner> {
        Some(PartitionOwner {
            owner: self.owner.clone(),
            epoch: *self.epoch.lock(),
        })
    }

    fn members(&self) -> Vec<OwnerMember> {
        vec![self.owner.clone()]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

pub(crate) struct Rig {
    pub(crate) road: Road,
    /// The owner, as the front end reaches it.
    pub(crate) owner: ImMcuClient,
    /// The front end, as the owner reaches it.
    pub(crate) front_end: FrontEndClient,
    pub(crate) of_owner: Calls<OfOwner>,
    pub(crate) of_front_end: Calls<OfFrontEnd>,
    pub(crate) owner_probe: Arc<OwnerProbe>,
    pub(crate) front_end_probe: Arc<FrontEndProbe>,
    router: Option<(ConversationRouter, Arc<OneOwner>)>,
    served: Option<Served>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let awaited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, awaited).await.expect(what);
}

fn front_end_member() -> MemberId {
    MemberId::new("fe1")
}

/// The owner as a server, without a socket yet.
async fn server(
    immcu: ImMcuClient,
    front_ends: FrontEnds,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> RpcServer {
    let exchange = ExchangeOwner::new(
        MemberId::new("im1"),
        4,
        immcu,
        front_ends,
        Arc::new(|_| Some(u64::MAX)),
        Arc::default(),
        tasks.clone(),
        stop.clone(),
    );
    let service = ImMcuServer::new(exchange).max_decoding_message_size(MAX_MESSAGE);
    RpcServer::builder().service(service).build().await
}

impl Rig {
    pub(crate) async fn new(road: Road) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (owner_probe, of_owner) = OwnerProbe::new();
        let (front_end_probe, of_front_end) = FrontEndProbe::new();
        let (owner_probe, front_end_probe) = (Arc::new(owner_probe), Arc::new(front_end_probe));
        let local_owner = ImMcuClient::local(owner_probe.clone());
        let local_front_end = FrontEndClient::local(front_end_probe.clone());
        let front_ends = FrontEnds::default();
        let new_server = || server(local_owner.clone(), front_ends.clone(), &tasks, &stop);
        let (carrier, address, served) = match road {
            Road::Trait | Road::SameProcess => (None, None, None),
            Road::Codec => {
                let carrier = any_carrier(new_server().await.in_process());
                (Some(carrier), Some("here:1".to_owned()), None)
            }
            Road::Tcp | Road::Tls => {
                let tls = |member| (road == Road::Tls).then(|| tls(&[[9; 32]], member));
                let served = serve(new_server().await, tls("im1")).await;
                let address = served.address.to_string();
                let connector = Connector::new(tls("fe1"));
                let channel = connector.channel_to(&MemberId::new("im1"), &address).unwrap();
                (Some(any_carrier(channel)), Some(address), Some(served))
            }
        };
        let (owner, front_end, router) = if road == Road::Trait {
            (local_owner, local_front_end, None)
        } else {
            let owner = OwnerMember {
                member: MemberId::new("im1"),
                incarnation: 4,
                address: address.map(Arc::from),
                is_self: road == Road::SameProcess,
            };
            let routes = Arc::new(OneOwner {
                owner,
                epoch: Mutex::new(1),
                changes: watch::channel(0).0,
            });
            let local = (road == Road::SameProcess).then_some(local_owner);
            let router = router(routes.clone(), local, carrier, &tasks, &stop);
            router.serve(local_front_end.clone(), front_end_probe.clone());
            if road == Road::SameProcess {
                front_ends.insert(front_end_member(), local_front_end);
            }
            let reached = || front_ends.get(&front_end_member()).is_some() && told_all(&owner_probe);
            until("owner and front end find each other", reached).await;
            let front_end = front_ends.get(&front_end_member()).unwrap();
            let owner = ImMcuClient::local(Arc::new(router.clone()));
            (owner, front_end, Some((router, routes)))
        };
        Rig {
            road,
            owner,
            front_end,
            of_owner,
            of_front_end,
            owner_probe,
            front_end_probe,
            router,
            served,
            tasks,
            stop,
        }
    }

    /// The front end tells the owner which legs it holds: itself, or through its router, which does so when owners change.
    pub(crate) async fn hold(&self, legs: Vec<HeldLeg>) -> HeldLegs {
        let first = legs.first().expect("some legs");
        let held = HeldLegs {
            member: front_end_member(),
            partition: ConversationKey::new(&first.address.aor, &first.peer).partition(),
            legs: legs.clone(),
        };
        *self.front_end_probe.legs.lock() = legs;
        match &self.router {
            None => {
                // Whoever tells an owner himself tells it again when it refuses.
                while let Err(refusal) = self.owner.hold(held.clone()).await {
                    assert_eq!(refusal.code, rpc::ErrorCode::Unavailable);
                }
            }
            Some((_, routes)) => {
                *routes.epoch.lock() += 1;
                routes.changes.send_modify(|version| *version += 1);
            }
        }
        held
    }

    /// What the router counted; nothing where there is none.
    pub(crate) fn counted(&self) -> StreamSnapshot {
        self.router
            .as_ref()
            .map(|(router, _)| router.snapshot())
            .unwrap_or_default()
    }

    /// Stops everything, and fails if something does not, or if anything was malformed or refused on its way.
    pub(crate) async fn end(self) {
        let counted = self.counted();
        assert_eq!((counted.malformed, counted.stale, counted.full), (0, 0, 0));
        assert_eq!(counted.broken, 0, "the stream stood all the time");
        let encodes = matches!(self.road, Road::Codec | Road::Tcp | Road::Tls);
        assert_eq!(counted.connected > 0, encodes, "{:?}", self.road);
        self.of_owner.none().await;
        self.of_front_end.none().await;
        self.stop.cancel();
        drop((self.owner, self.front_end, self.router));
        if let Some(served) = self.served {
            served.end().await;
        }
        self.tasks.close();
        let ended = tokio::time::timeout(SOON, self.tasks.wait());
        ended.await.expect("tasks end soon");
    }
}

/// A router tells of every partition when it starts: what comes later is the test's own.
fn told_all(owner: &OwnerProbe) -> bool {
    let mut held = owner.held.lock();
    let all = held.len() == Partition::all().count();
    if all {
        held.clear();
    }
    all
}

fn router(
    routes: Arc<OneOwner>,
    local: Option<ImMcuClient>,
    carrier: Option<AnyCarrier>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> ConversationRouter {
    let dial: Dial = Arc::new(move |_| Ok(carrier.clone().expect("there is an owner elsewhere")));
    ConversationRouter::start(
        front_end_member(),
        7,
        routes,
        local,
        dial,
        Arc::default(),
        tasks.clone(),
        stop.clone(),
    )
}
