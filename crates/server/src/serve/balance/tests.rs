//! Front ends with clients, by a clock that only moves when everybody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;

#[test]
fn only_what_is_notable_goes_and_no_more_than_a_hundredth() {
    for (own, others, goes) in [
        (10_000, &[0][..], 100),
        (10_000, &[10_000, 0], 100),
        (10_000, &[10_000, 10_000], 0),
        // A tenth over the mean is notable, less is not.
        (10_000, &[8_300], 0),
        (10_000, &[8_100], 100),
        // Nobody is moved for a handful.
        (150, &[0], 0),
        (220, &[0], 3),
        (0, &[10_000], 0),
        (500, &[], 0),
    ] {
        assert_eq!(surplus(own, others), goes, "{own} {others:?}");
    }
}

/// Some front ends, of which the first looks.
#[derive(Clone)]
struct World {
    clients: Arc<Mutex<Vec<(Lease, usize)>>>,
    /// Where those go who are moved.
    goes_to: usize,
    silent: bool,
    /// How often clients were moved.
    waves: Arc<AtomicUsize>,
}

fn lease(name: &str, life: u64) -> Lease {
    Lease {
        member: MemberId::new(name),
        incarnation: Incarnation(life),
        roles: vec![Role::FrontEnd],
        address: None,
        draining: false,
        version: String::new(),
    }
}

impl Scene for World {
    fn others(&self) -> Vec<Lease> {
        let all = self.clients.lock();
        all.iter().skip(1).map(|(lease, _)| lease.clone()).collect()
    }

    async fn clients_of(&self, others: &[Lease]) -> Option<Vec<usize>> {
        let all = self.clients.lock();
        assert_eq!(others.len() + 1, all.len());
        (!self.silent).then(|| all.iter().skip(1).map(|(_, clients)| *clients).collect())
    }

    fn clients(&self) -> usize {
        self.clients.lock()[0].1
    }

    fn part_with(&self, clients: usize) {
        self.waves.fetch_add(1, Ordering::Relaxed);
        let mut all = self.clients.lock();
        all[0].1 -= clients;
        all[self.goes_to].1 += clients;
    }
}

impl World {
    fn new() -> Self {
        let clients = vec![(lease("fe1", 1), 3_000), (lease("fe2", 1), 1_000)];
        World {
            clients: Arc::new(Mutex::new(clients)),
            goes_to: 1,
            silent: false,
            waves: Arc::default(),
        }
    }

    fn here(&self) -> usize {
        self.clients.lock()[0].1
    }

    fn look(&self) -> impl Future<Output = ()> + use<> {
        let world = self.clone();
        async move {
            let task = tokio::spawn(balance(world));
            // Until it looks for the first time.
            sleep(Duration::from_secs(1)).await;
            drop(task);
        }
    }
}

async fn pass(minutes: u64) {
    sleep(Duration::from_secs(60 * minutes)).await;
}

#[tokio::test(start_paused = true)]
async fn when_a_front_end_came_the_surplus_goes_a_hundredth_a_minute() {
    let mut world = World::new();
    world.goes_to = 2;
    world.look().await;
    pass(10).await;
    assert_eq!(world.here(), 3_000, "nobody came: it is as it is");
    world.clients.lock().push((lease("fe3", 1), 0));
    pass(1).await;
    assert_eq!(world.here(), 2_970);
    pass(58).await;
    let here = world.here();
    // The mean is 1,333, and a tenth more is good enough.
    assert!((1_333..1_700).contains(&here), "{here}");
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_it_is_as_it_is() {
    let mut world = World::new();
    // The balancer sends everybody back to where he was.
    world.goes_to = 0;
    world.look().await;
    // It was started again, or its drain was taken back.
    world.clients.lock()[1].0 = lease("fe2", 2);
    pass(30).await;
    assert_eq!(world.waves.load(Ordering::Relaxed), 30);
    pass(120).await;
    assert_eq!(world.waves.load(Ordering::Relaxed), 60);
}

#[tokio::test(start_paused = true)]
async fn as_long_as_somebody_does_not_say_what_he_has_nobody_is_moved() {
    let mut world = World::new();
    world.silent = true;
    world.look().await;
    world.clients.lock().push((lease("fe3", 1), 0));
    pass(30).await;
    assert_eq!(world.here(), 3_000);
}
