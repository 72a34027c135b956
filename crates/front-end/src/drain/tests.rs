//! Order and pace of the waves, by a clock that only moves when everybody waits.

use parking_lot::Mutex;

use super::*;

/// What became of one client.
#[derive(Clone, Default)]
struct Fate {
    told: Option<Duration>,
    gone: Option<Duration>,
}

/// Clients that were active one second after the other, in the order in which they are `listed`.
struct World {
    began: Instant,
    born: std::time::Instant,
    fates: Mutex<Vec<Fate>>,
    /// How long a client takes to go once it was told; `None`: it stays.
    takes: fn(usize) -> Option<Duration>,
    activity: fn(usize) -> u64,
}

struct Puppet<'a> {
    world: &'a World,
    number: usize,
}

impl Mover for Puppet<'_> {
    fn last_active(&self) -> std::time::Instant {
        self.world.born + Duration::from_secs((self.world.activity)(self.number))
    }

    fn tell(&self) {
        let fate = &mut self.world.fates.lock()[self.number];
        assert!(fate.told.is_none(), "told twice");
        fate.told = Some(self.world.began.elapsed());
    }

    fn let_go(&self, waited: Duration) -> bool {
        let now = self.world.began.elapsed();
        let fate = &mut self.world.fates.lock()[self.number];
        assert_eq!(Some(now - waited), fate.told, "let go before it was told");
        let goes = waited >= PATIENCE || (self.world.takes)(self.number).is_some_and(|takes| waited >= takes);
        if goes {
            fate.gone = Some(now);
        }
        goes
    }
}

impl World {
    fn new(clients: usize, takes: fn(usize) -> Option<Duration>) -> Self {
        World {
            began: Instant::now(),
            born: std::time::Instant::now(),
            fates: Mutex::new(vec![Fate::default(); clients]),
            takes,
            // The last listed has been quiet longest.
            activity: |number| 1_000_000 - number as u64,
        }
    }

    /// Moves so many, until it is enough; how long it took.
    async fn waves(&self, window: u64, most: usize, enough: &CancellationToken) -> Duration {
        in_waves(Duration::from_secs(window), most, enough, || {
            let fates = self.fates.lock();
            let staying = fates.iter().enumerate().filter(|(_, fate)| fate.told.is_none());
            staying
                .map(|(number, _)| Puppet { world: self, number })
                .collect()
        })
        .await;
        self.began.elapsed()
    }

    /// Moves everybody; how long it took.
    async fn drain(&self, window: u64) -> Duration {
        self.waves(window, usize::MAX, &CancellationToken::new()).await;
        let gone = self
            .fates
            .lock()
            .iter()
            .filter(|fate| fate.gone.is_some())
            .count();
        assert_eq!(gone, self.fates.lock().len(), "somebody was left behind");
        self.began.elapsed()
    }

    /// When each client was told, in whole seconds.
    fn told(&self) -> Vec<u64> {
        let fates = self.fates.lock();
        fates.iter().map(|fate| fate.told.unwrap().as_secs()).collect()
    }
}

const AT_ONCE: fn(usize) -> Option<Duration> = |_| Some(Duration::ZERO);

#[tokio::test(start_paused = true)]
async fn a_thirtieth_of_the_clients_is_told_every_second() {
    let world = World::new(3_000, AT_ONCE);
    let took = world.drain(30).await;
    let mut per_second = [0; 30];
    for second in world.told() {
        per_second[second as usize] += 1;
    }
    assert_eq!(per_second, [100; 30]);
    assert_eq!(took.as_secs(), 29);
}

#[tokio::test(start_paused = true)]
async fn those_go_first_who_have_been_quiet_longest() {
    let world = World::new(300, AT_ONCE);
    world.drain(30).await;
    let mut told = world.told();
    assert_eq!(told[299], 0, "the quietest");
    assert_eq!(told[0], 29, "the busiest");
    told.reverse();
    assert!(told.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn few_clients_need_one_wave_and_no_window() {
    let world = World::new(AT_LEAST, AT_ONCE);
    assert_eq!(world.drain(120).await, Duration::ZERO);
    assert_eq!(World::new(0, AT_ONCE).drain(120).await, Duration::ZERO);
    let world = World::new(AT_LEAST + 1, AT_ONCE);
    assert_eq!(world.drain(120).await, WAVE);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_cut_off_when_patience_ends_and_holds_nobody_up() {
    let world = World::new(60, |number| (number != 7).then_some(Duration::from_millis(300)));
    let took = world.drain(3).await;
    assert_eq!(took, Duration::from_secs(2) + PATIENCE);
    let fates = world.fates.lock();
    for (number, fate) in fates.iter().enumerate() {
        let stayed = fate.gone.unwrap() - fate.told.unwrap();
        let bound = if number == 7 {
            PATIENCE
        } else {
            Duration::from_millis(300)
        };
        assert!(stayed >= bound && stayed < bound + LOOK, "{number}: {stayed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_while_others_are_moved_is_moved_too() {
    let world = World::new(20, |_| Some(Duration::from_secs(1)));
    let comes = async {
        sleep(Duration::from_millis(1_500)).await;
        world.fates.lock().push(Fate::default());
    };
    let (took, ()) = tokio::join!(world.drain(2), comes);
    // It came after the last wave, while nobody of that had gone.
    assert_eq!(world.told().last(), Some(&2));
    assert_eq!(took, Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn of_some_clients_those_go_who_have_been_quiet_longest_and_no_more() {
    let world = World::new(900, AT_ONCE);
    let took = world.waves(30, 600, &CancellationToken::new()).await;
    assert_eq!(took.as_secs(), 29);
    let fates = world.fates.lock();
    let (stay, go) = fates.split_at(300);
    assert!(stay.iter().all(|fate| fate.told.is_none()), "the busiest stay");
    assert!(go.iter().all(|fate| fate.gone.is_some()));
    let in_first = go.iter().filter(|fate| fate.told == Some(Duration::ZERO));
    assert_eq!(in_first.count(), 20);
}

#[tokio::test(start_paused = true)]
async fn when_it_is_enough_those_are_seen_off_who_were_told_and_nobody_else() {
    let world = World::new(300, |_| Some(Duration::from_secs(3)));
    let enough = CancellationToken::new();
    let taken_back = async {
        sleep(Duration::from_millis(1_500)).await;
        enough.cancel();
    };
    let (took, ()) = tokio::join!(world.waves(30, usize::MAX, &enough), taken_back);
    let fates = world.fates.lock();
    let told = fates.iter().filter(|fate| fate.told.is_some()).count();
    let gone = fates.iter().filter(|fate| fate.gone.is_some()).count();
    assert_eq!((told, gone), (20, 20), "two waves");
    assert_eq!(took, Duration::from_secs(4));
}
