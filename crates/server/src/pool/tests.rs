//! Who is asked whether he lives, and when, in virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};

use membership::{Config, Timing};
use parking_lot::Mutex;
use store::memory::MemoryLeases;
use store::{LeaseStore, TableVersions};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::*;

/// Answers as it is told, and counts.
struct Counted {
    answer: Mutex<PeerAnswer>,
    asked: AtomicUsize,
}

#[async_trait]
impl Peers for Counted {
    async fn ask(&self, peers: &[Lease]) -> Vec<PeerAnswer> {
        self.asked.fetch_add(peers.len(), Ordering::Relaxed);
        vec![*self.answer.lock(); peers.len()]
    }
}

impl Counted {
    fn new(answer: PeerAnswer) -> Arc<Self> {
        Arc::new(Counted {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
        })
    }

    /// How often somebody was asked since the last time.
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

const ALIVE: PeerAnswer = PeerAnswer::Alive { renewed_ago: None };

/// A member `fe1` that knows of `fe2` at this address, whose lease lasts longer than any test.
struct Site {
    membership: Membership,
    suspects: Suspects,
    _stop: tokio_util::sync::DropGuard,
}

impl Site {
    async fn new(address: String, peers: Arc<dyn Peers>) -> Self {
        let (stop, suspects) = (CancellationToken::new(), Suspects::default());
        let store = Arc::new(MemoryLeases::with_ttl(3_600_000, || 1_800_000_000_000));
        let fe2 = Lease {
            member: MemberId::new("fe2"),
            incarnation: Incarnation(1),
            roles: vec![Role::FrontEnd],
            address: Some(address),
            draining: false,
            version: "1".to_owned(),
        };
        store.renew(&fe2, TableVersions::default()).await.unwrap();
        let config = Config {
            member: MemberId::new("fe1"),
            incarnation: Incarnation(1),
            roles: vec![Role::FrontEnd],
            address: None,
            version: "1".to_owned(),
            timing: Timing::default(),
        };
        let tasks = TaskTracker::new();
        let membership = Membership::start(&config, store, peers.clone(), Vec::new(), &tasks, stop.clone());
        tokio::spawn(report_the_dead(
            membership.clone(),
            peers,
            suspects.clone(),
            stop.clone(),
        ));
        let site = Site {
            membership,
            suspects,
            _stop: stop.drop_guard(),
        };
        pass(2_500).await;
        assert!(site.knows_fe2());
        site
    }

    fn knows_fe2(&self) -> bool {
        let members = self.membership.routes().members();
        members.iter().any(|lease| lease.member.as_str() == "fe2")
    }

    fn breaks(&self) {
        self.suspects.add(&MemberId::new("fe2"));
    }
}

async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn no_member_is_connected_to_while_nothing_breaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let site = Site::new(address, Arc::new(RpcPeers(Connector::new(None)))).await;
    let minute = Duration::from_secs(60);
    assert!(
        tokio::time::timeout(minute, listener.accept()).await.is_err(),
        "somebody connects"
    );
    site.breaks();
    let asked = tokio::time::timeout(minute, listener.accept()).await;
    asked.expect("it is asked now").unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_suspected_is_asked_until_he_answers() {
    let peers = Counted::new(PeerAnswer::Silent);
    let site = Site::new("fe2:5070".to_owned(), peers.clone()).await;
    assert_eq!(peers.asked(), 0);
    site.breaks();
    pass(500).await;
    assert_eq!(peers.asked(), 1, "at once");
    // It breaks again and again: that changes nothing.
    for _ in 0..20 {
        site.breaks();
        pass(100).await;
    }
    assert_eq!(peers.asked(), 2, "and once a second");
    *peers.answer.lock() = ALIVE;
    pass(1_000).await;
    assert_eq!(peers.asked(), 1);
    pass(60_000).await;
    assert_eq!(peers.asked(), 0, "it lives");
    site.breaks();
    pass(10).await;
    assert_eq!(peers.asked(), 1, "until something breaks again");
    assert!(site.knows_fe2());
}

#[tokio::test(start_paused = true)]
async fn who_refuses_connections_is_out_at_once_and_not_asked_any_more() {
    let peers = Counted::new(PeerAnswer::Refused);
    let site = Site::new("fe2:5070".to_owned(), peers.clone()).await;
    site.breaks();
    pass(1_000).await;
    assert!(!site.knows_fe2());
    assert!(
        peers.asked() >= 2,
        "once before membership is told, and once by it"
    );
    site.breaks();
    pass(60_000).await;
    assert_eq!(peers.asked(), 0);
}
