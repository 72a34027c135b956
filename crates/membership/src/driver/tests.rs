//! The task over the store in memory, in virtual time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use store::memory::MemoryLeases;
use store::{Lease, PoolView, StoreError, TableVersions, UNKNOWN_TABLES};
use topology::Role;

use super::*;
use crate::{Drained, Membership, Ownership, TakeError};

const KEYS: Partitioned = Partitioned::Conversations;

/// The shared store, behind a line that can be cut.
struct Line {
    store: Arc<MemoryLeases>,
    cut: AtomicBool,
}

impl Line {
    fn up(&self) -> Result<(), StoreError> {
        if self.cut.load(Ordering::Relaxed) {
            return Err(StoreError::driver("the line is cut"));
        }
        Ok(())
    }
}

type Owned = Vec<(Partition, u64)>;
type Holder<'a> = (&'a MemberId, Incarnation);

#[async_trait]
impl LeaseStore for Line {
    async fn renew(&self, lease: &Lease, known: TableVersions) -> Result<PoolView, StoreError> {
        self.up()?;
        self.store.renew(lease, known).await
    }

    async fn claim(
        &self,
        keys: Partitioned,
        own: Holder<'_>,
        some: &[Partition],
    ) -> Result<Owned, StoreError> {
        self.up()?;
        self.store.claim(keys, own, some).await
    }

    async fn transfer(
        &self,
        keys: Partitioned,
        own: Holder<'_>,
        to: Holder<'_>,
        some: &[Partition],
    ) -> Result<Owned, StoreError> {
        self.up()?;
        self.store.transfer(keys, own, to, some).await
    }

    async fn reassert(
        &self,
        keys: Partitioned,
        own: Holder<'_>,
        some: &[(Partition, u64)],
    ) -> Result<Owned, StoreError> {
        self.up()?;
        self.store.reassert(keys, own, some).await
    }

    async fn leave(&self, own: Holder<'_>) -> Result<(), StoreError> {
        self.up()?;
        self.store.leave(own).await
    }

    async fn evict(&self, member: &MemberId, life: Incarnation) -> Result<(), StoreError> {
        self.up()?;
        self.store.evict(member, life).await
    }

    async fn changed(&self) {
        self.store.changed().await;
    }
}

/// Peers that say nothing, or that their port is closed.
struct Others(PeerAnswer);

#[async_trait]
impl Peers for Others {
    async fn ask(&self, peers: &[Lease]) -> Vec<PeerAnswer> {
        vec![self.0; peers.len()]
    }
}

/// A role that counts, and looks whether calls come in the order they promise.
#[derive(Default)]
struct Probe {
    loaded: Mutex<std::collections::BTreeSet<Partition>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    failures: AtomicUsize,
    reasserted: AtomicUsize,
    lost: AtomicUsize,
}

#[async_trait]
impl PartitionedRole for Probe {
    fn keys(&self) -> Partitioned {
        KEYS
    }

    async fn take(&self, partition: Partition, epoch: u64) -> Result<(), TakeError> {
        assert!(epoch > 0);
        let busy = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(busy, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        let fails = |left: usize| left.checked_sub(1);
        if self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails)
            .is_ok()
        {
            return Err(TakeError("the disk is on fire".to_owned()));
        }
        assert!(self.loaded.lock().insert(partition), "taken twice");
        Ok(())
    }

    async fn give(&self, partition: Partition) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(self.loaded.lock().remove(&partition), "given without having it");
    }

    async fn lost(&self, partition: Partition) {
        self.loaded.lock().remove(&partition);
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    async fn reassert(&self, partitions: Vec<Partition>) {
        self.reasserted.fetch_add(partitions.len(), Ordering::Relaxed);
    }
}

struct Site {
    store: Arc<MemoryLeases>,
    tasks: TaskTracker,
}

struct Running {
    membership: Membership,
    line: Arc<Line>,
    probe: Arc<Probe>,
    stop: CancellationToken,
}

impl Site {
    fn new() -> Self {
        let base = now();
        let clock = move || 1_800_000_000_000 + now().duration_since(base).as_millis() as u64;
        Site {
            store: Arc::new(MemoryLeases::new(clock)),
            tasks: TaskTracker::new(),
        }
    }

    fn start(&self, name: &str, life: u64, probe: Probe, others: PeerAnswer) -> Running {
        let config = Config {
            member: MemberId::new(name),
            incarnation: Incarnation(life),
            roles: vec![Role::ImMcu],
            address: Some(format!("{name}:5070")),
            version: "1".to_owned(),
            timing: Timing::default(),
        };
        let line = Arc::new(Line {
            store: self.store.clone(),
            cut: AtomicBool::new(false),
        });
        let (probe, stop) = (Arc::new(probe), CancellationToken::new());
        let roles: Vec<Arc<dyn PartitionedRole>> = vec![probe.clone()];
        let peers = Arc::new(Others(others));
        let membership = Membership::start(&config, line.clone(), peers, roles, &self.tasks, stop.clone());
        Running {
            membership,
            line,
            probe,
            stop,
        }
    }
}

impl Running {
    fn ownership(&self) -> &Ownership {
        self.membership.ownership()
    }

    fn active(&self) -> usize {
        let now = now();
        Partition::all()
            .filter(|one| self.ownership().epoch(KEYS, *one, now).is_some())
            .count()
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_member_takes_everything_within_a_second_a_bounded_number_at_a_time() {
    let site = Site::new();
    let fe1 = site.start("fe1", 1, Probe::default(), PeerAnswer::Silent);
    pass(3).await;
    assert_eq!(fe1.active(), 0, "it waits to see who is there");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(fe1.active(), 1_024);
    assert_eq!(fe1.probe.most_at_once.load(Ordering::Relaxed), 64);
    let status = fe1.membership.status();
    assert_eq!(status.held[KEYS.index()], [1_024, 0, 0]);
    assert_eq!(status.members[0].owns, [0, 1_024, 0]);
    assert!(!status.is_degraded());
    let mut page = telemetry::Page::new();
    fe1.membership.collect(&mut page);
    let text = page.render();
    for line in [
        "portico_partitions{keys=\"conversations\",state=\"active\"} 1024",
        "portico_partition_operations_total{keys=\"conversations\",operation=\"claimed\"} 1024",
        "portico_ownership_validity{state=\"confirmed\"} 1",
        "portico_pool_members 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_comes_gets_its_share_and_one_that_drains_leaves_nothing() {
    let site = Site::new();
    let fe1 = site.start("fe1", 1, Probe::default(), PeerAnswer::Silent);
    pass(10).await;
    let mut generations = fe1.membership.routes().watch();
    let fe2 = site.start("fe2", 1, Probe::default(), PeerAnswer::Silent);
    generations.changed().await.unwrap();
    pass(5).await;
    assert_eq!(fe1.active() + fe2.active(), 1_024);
    assert!(fe2.active() > 400, "only {}", fe2.active());
    assert_eq!(
        fe1.probe.loaded.lock().len(),
        fe1.active(),
        "what it gave is forgotten"
    );
    for partition in Partition::all() {
        let [one, two] = [&fe1, &fe2].map(|one| one.membership.routes().owner(KEYS, partition).unwrap());
        assert_eq!((&one.member, one.epoch), (&two.member, two.epoch));
        assert_ne!(one.is_self, two.is_self);
    }

    let drained = fe1.membership.drain(Duration::from_secs(30)).await;
    assert_eq!(drained, Drained { left: 0 });
    assert_eq!(fe1.active(), 0);
    pass(1).await;
    assert_eq!(fe2.active(), 1_024);
    assert_eq!(
        fe2.membership.routes().members().len(),
        1,
        "fe1 gave its lease back"
    );
    assert_eq!(
        fe1.membership.drain(Duration::ZERO).await.left,
        0,
        "again, harmless"
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_takes_a_hand_over_back_gets_its_share_again() {
    let site = Site::new();
    let fe1 = site.start("fe1", 1, Probe::default(), PeerAnswer::Silent);
    let fe2 = site.start("fe2", 1, Probe::default(), PeerAnswer::Silent);
    pass(10).await;
    let share = fe1.active();
    assert!(share > 400, "only {share}");
    fe1.membership.hand_over().await;
    fe1.membership.handed_over().await;
    assert_eq!(fe1.active(), 0);
    // The other one loads what it got.
    pass(2).await;
    assert_eq!(fe2.active(), 1_024);
    fe1.membership.take_back().await;
    pass(5).await;
    assert_eq!((fe1.active(), fe2.active()), (share, 1_024 - share));
    // In the middle of it: what was on its way is neither lost nor owned twice.
    fe1.membership.hand_over().await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    fe1.membership.take_back().await;
    pass(5).await;
    assert_eq!((fe1.active(), fe2.active()), (share, 1_024 - share));
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_held_and_gives_the_lease_back() {
    let site = Site::new();
    let fe1 = site.start("fe1", 1, Probe::default(), PeerAnswer::Silent);
    pass(10).await;
    fe1.stop.cancel();
    site.tasks.close();
    site.tasks.wait().await;
    assert!(fe1.probe.loaded.lock().is_empty());
    assert_eq!(fe1.active(), 0);
    let probe = Line {
        store: site.store.clone(),
        cut: AtomicBool::new(false),
    };
    let lease = Lease {
        member: MemberId::new("probe"),
        incarnation: Incarnation(1),
        roles: Vec::new(),
        address: None,
        draining: false,
        version: String::new(),
    };
    assert_eq!(
        probe.renew(&lease, UNKNOWN_TABLES).await.unwrap().members,
        [lease]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_role_could_not_load_is_tried_again() {
    let site = Site::new();
    let probe = Probe::default();
    probe.failures.store(100, Ordering::Relaxed);
    let fe1 = site.start("fe1", 1, probe, PeerAnswer::Silent);
    pass(8).await;
    assert_eq!(fe1.active(), 1_024);
    assert_eq!(
        fe1.probe.lost.load(Ordering::Relaxed),
        100,
        "what failed is forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_alone_serves_on_while_the_store_is_away_and_asserts_when_it_is_back_empty() {
    let site = Site::new();
    let fe1 = site.start("fe1", 1, Probe::default(), PeerAnswer::Silent);
    pass(10).await;
    fe1.line.cut.store(true, Ordering::Relaxed);
    pass(120).await;
    assert_eq!(fe1.active(), 1_024);
    assert!(fe1.membership.status().is_degraded());
    site.store.lose_everything();
    fe1.line.cut.store(false, Ordering::Relaxed);
    pass(2).await;
    assert_eq!(fe1.active(), 1_024);
    assert!(!fe1.membership.status().is_degraded());
    assert_eq!(fe1.probe.reasserted.load(Ordering::Relaxed), 1_024);
    assert_eq!(fe1.probe.lost.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_cut_off_alone_is_fenced_before_others_take_over() {
    let site = Site::new();
    let renews = PeerAnswer::Alive {
        renewed_ago: Some(Duration::from_millis(300)),
    };
    let fe1 = site.start("fe1", 1, Probe::default(), renews);
    let fe2 = site.start("fe2", 1, Probe::default(), renews);
    pass(10).await;
    let share = fe2.active();
    fe1.line.cut.store(true, Ordering::Relaxed);
    pass(11).await;
    assert_eq!((fe1.active(), fe2.active()), (0, share));
    pass(7).await;
    assert_eq!((fe1.active(), fe2.active()), (0, 1_024));
    fe1.line.cut.store(false, Ordering::Relaxed);
    pass(5).await;
    assert_eq!(fe1.active() + fe2.active(), 1_024);
    assert_eq!(fe2.active(), share, "each has its share again");
    assert_eq!(fe1.probe.lost.load(Ordering::Relaxed), 1_024 - share);
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_port_is_closed_is_evicted_at_once() {
    let site = Site::new();
    let fe1 = site.start("fe1", 1, Probe::default(), PeerAnswer::Refused);
    let fe2 = site.start("fe2", 1, Probe::default(), PeerAnswer::Refused);
    pass(20).await;
    fe2.line.cut.store(true, Ordering::Relaxed);
    fe1.membership.refused(MemberId::new("fe2"), Incarnation(1));
    pass(2).await;
    assert_eq!(fe1.active(), 1_024);
}

#[tokio::test(start_paused = true)]
async fn a_later_life_stops_the_earlier_one() {
    let site = Site::new();
    let early = site.start("fe1", 1, Probe::default(), PeerAnswer::Silent);
    pass(10).await;
    let late = site.start("fe1", 2, Probe::default(), PeerAnswer::Silent);
    early.membership.superseded().await;
    pass(2).await;
    assert_eq!((early.active(), late.active()), (0, 1_024));
    assert!(
        early.probe.loaded.lock().is_empty(),
        "it was told that it lost everything"
    );
}
