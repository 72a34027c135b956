//! The pool of a simulation: clock, network, store, members and their roles.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use store::memory::MemoryLeases;
use store::{Incarnation, LeaseStore, StoreError};
use topology::{MemberId, Partition, Partitioned, Role};

use super::Random;
use crate::config::{Config, Timing};
use crate::counters::Counters;
use crate::machine::{Call, Done, Effect, Failure, Machine, Reply, RoleCall};
use crate::ownership::{PartitionState, Validity};
use crate::role::PeerAnswer;

/// The keys that the members of a simulation share out; one set is enough, and twice as fast.
pub(super) const KEYS: Partitioned = Partitioned::Conversations;

const WALL_CLOCK_MS: u64 = 1_800_000_000_000;

/// How a member reaches the store, or another member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    Up,
    /// Answers at once that it cannot.
    Refusing,
    /// Answers nothing.
    Silent,
}

/// What happens at a time.
enum Event {
    Wake,
    /// The store executes a call, unless it is away by then.
    Execute(Call),
    Answer(Result<Reply, Failure>),
    Heard(Vec<PeerAnswer>),
    RoleDone(Vec<(Partitioned, Partition, Done)>),
    Hint,
}

struct Scheduled {
    at_ms: u64,
    order: u64,
    member: usize,
    /// An event of an earlier life is dropped.
    life: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.order) == (other.at_ms, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.order).cmp(&(other.at_ms, other.order))
    }
}

/// One name in the pool, with the machine of its present life.
pub(super) struct Member {
    pub(super) machine: Option<Machine>,
    pub(super) life: u64,
    pub(super) paused: bool,
    /// What came while it was paused.
    held_back: VecDeque<Event>,
    pub(super) store: Link,
    pub(super) network: Link,
    /// When its timer is set to.
    waking_at: Option<u64>,
    /// How long its role takes to load and to finish.
    pub(super) take_ms: u64,
    pub(super) give_ms: u64,
    pub(super) over: bool,
}

pub(super) struct World {
    pub(super) random: Random,
    base: Instant,
    clock_ms: Arc<AtomicU64>,
    pub(super) now_ms: u64,
    events: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    pub(super) leases: MemoryLeases,
    /// The store as everybody sees it.
    pub(super) store: Link,
    pub(super) members: Vec<Member>,
    pub(super) timing: Timing,
    /// Answers of the store that get lost: one in so many.
    pub(super) lossy: Option<u64>,
    /// The partitions that are looked at after every event; all are at the end.
    pub(super) watched: Vec<Partition>,
    /// Last owner and epoch of the watched ones.
    seen: BTreeMap<Partition, (usize, u64, u64)>,
    /// Since when a watched partition has no valid owner, and the longest such time.
    orphaned: BTreeMap<Partition, u64>,
    pub(super) longest_orphan_ms: u64,
    /// Roles told that the store forgot: how often, by member.
    pub(super) told_to_reassert: Vec<usize>,
    /// Whether the store tells of changes.
    pub(super) hints: bool,
    /// Whether roles sometimes fail to load.
    pub(super) failing_roles: bool,
}

/// Runs a future that never waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory does not wait"),
    }
}

impl World {
    pub(super) fn new(seed: u64, timing: Timing) -> Self {
        let mut random = Random(seed);
        let clock_ms = Arc::new(AtomicU64::new(WALL_CLOCK_MS));
        let clock = clock_ms.clone();
        let watched = (0..16).filter_map(|_| Partition::new(random.between(0, 1_024) as u16));
        let mut watched: Vec<_> = watched.collect();
        watched.sort_unstable();
        watched.dedup();
        World {
            random,
            base: Instant::now(),
            clock_ms,
            now_ms: 0,
            events: BinaryHeap::new(),
            order: 0,
            leases: MemoryLeases::new(move || clock.load(Ordering::Relaxed)),
            store: Link::Up,
            members: Vec::new(),
            timing,
            lossy: None,
            watched,
            seen: BTreeMap::new(),
            orphaned: BTreeMap::new(),
            longest_orphan_ms: 0,
            told_to_reassert: Vec::new(),
            hints: true,
            failing_roles: true,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.base + Duration::from_millis(self.now_ms)
    }

    /// A new name, or a new life of one that is dead.
    pub(super) fn start(&mut self, index: usize) {
        while self.members.len() <= index {
            self.members.push(Member {
                machine: None,
                life: 0,
                paused: false,
                held_back: VecDeque::new(),
                store: Link::Up,
                network: Link::Up,
                waking_at: None,
                take_ms: 5,
                give_ms: 5,
                over: true,
            });
            self.told_to_reassert.push(0);
        }
        let now = self.now();
        let timing = self.timing.clone();
        let (take_ms, give_ms) = (self.random.between(1, 200), self.random.between(1, 200));
        let member = &mut self.members[index];
        assert!(member.over, "one life at a time");
        member.life += 1;
        let config = Config {
            member: MemberId::new(&format!("fe{index}")),
            incarnation: Incarnation(member.life),
            roles: vec![Role::ImMcu],
            address: Some(format!("fe{index}:5070")),
            version: "1".to_owned(),
            timing,
        };
        member.machine = Some(Machine::new(&config, Arc::new(Counters::default()), now));
        member.over = false;
        member.waking_at = None;
        (member.take_ms, member.give_ms) = (take_ms, give_ms);
        self.carry_out(index);
    }

    pub(super) fn crash(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.machine = None;
        member.over = true;
        member.paused = false;
        member.held_back.clear();
    }

    pub(super) fn is_alive(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|member| !member.over)
    }

    pub(super) fn pause(&mut self, index: usize) {
        self.members[index].paused = true;
    }

    pub(super) fn resume(&mut self, index: usize) {
        if !std::mem::take(&mut self.members[index].paused) {
            return;
        }
        // Whatever task runs first: the answers that waited, or the timer.
        let mut waiting = std::mem::take(&mut self.members[index].held_back);
        if self.random.once_in(2) {
            waiting.push_front(Event::Wake);
        }
        waiting.push_back(Event::Wake);
        for event in waiting {
            if self.is_alive(index) {
                self.give(index, event);
            }
        }
    }

    pub(super) fn with<T>(&mut self, index: usize, input: impl FnOnce(&mut Machine, Instant) -> T) -> T {
        let now = self.now();
        let machine = self.members[index].machine.as_mut().expect("it is alive");
        let result = input(machine, now);
        self.carry_out(index);
        result
    }

    /// Lets time pass, up to `until_ms`.
    pub(super) fn run_until(&mut self, until_ms: u64) {
        while let Some(Reverse(next)) = self.events.peek()
            && next.at_ms <= until_ms
        {
            let Some(Reverse(next)) = self.events.pop() else {
                break;
            };
            self.set_time(next.at_ms);
            let member = &mut self.members[next.member];
            if member.over || member.life != next.life {
                // What was sent before a crash is executed all the same.
                if let Event::Execute(call) = next.event {
                    self.execute(next.member, next.life, call);
                }
                continue;
            }
            match next.event {
                Event::Execute(call) => self.execute(next.member, next.life, call),
                event if member.paused => member.held_back.push_back(event),
                event => self.give(next.member, event),
            }
            self.check();
        }
        self.set_time(until_ms);
        self.check();
    }

    fn set_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.clock_ms.store(WALL_CLOCK_MS + now_ms, Ordering::Relaxed);
    }

    fn schedule(&mut self, index: usize, after_ms: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse(Scheduled {
            at_ms: self.now_ms + after_ms,
            order: self.order,
            member: index,
            life: self.members[index].life,
            event,
        }));
    }

    fn give(&mut self, index: usize, event: Event) {
        let now = self.now();
        let member = &mut self.members[index];
        let Some(machine) = &mut member.machine else {
            return;
        };
        match event {
            Event::Wake => {
                if member.waking_at.is_some_and(|at| at <= self.now_ms) {
                    member.waking_at = None;
                }
                machine.handle_timeout(now);
            }
            Event::Answer(answer) => machine.answered(answer, now),
            Event::Heard(answers) => machine.heard(&answers, now),
            Event::RoleDone(done) => machine.done(done, now),
            Event::Hint => machine.hint(now),
            Event::Execute(_) => {}
        }
        self.carry_out(index);
    }

    /// Carries out what a machine wants done.
    fn carry_out(&mut self, index: usize) {
        let mut done: BTreeMap<u64, Vec<(Partitioned, Partition, Done)>> = BTreeMap::new();
        let (take_ms, give_ms) = (self.members[index].take_ms, self.members[index].give_ms);
        loop {
            let Some(machine) = &mut self.members[index].machine else {
                return;
            };
            let Some(effect) = machine.poll() else { break };
            match effect {
                Effect::Call(call) => self.send(index, call),
                Effect::Ask(peers) => {
                    let names: Vec<_> = peers.into_iter().map(|lease| lease.member).collect();
                    self.ask(index, &names);
                }
                Effect::Role(keys, RoleCall::Take(partition, _)) => {
                    let taken = if self.failing_roles && self.random.once_in(50) {
                        Done::NotTaken
                    } else {
                        Done::Taken
                    };
                    done.entry(take_ms).or_default().push((keys, partition, taken));
                }
                Effect::Role(keys, RoleCall::Give(partition)) => {
                    done.entry(give_ms)
                        .or_default()
                        .push((keys, partition, Done::Given));
                }
                Effect::Role(keys, RoleCall::Lose(partition)) => {
                    done.entry(1).or_default().push((keys, partition, Done::Dropped));
                }
                Effect::Role(_, RoleCall::Reassert(_)) => self.told_to_reassert[index] += 1,
                Effect::Superseded | Effect::Gone => {
                    self.members[index].over = true;
                    self.members[index].machine = None;
                    return;
                }
            }
        }
        for (after_ms, done) in done {
            self.schedule(index, after_ms, Event::RoleDone(done));
        }
        let (base, now_ms) = (self.base, self.now_ms);
        let member = &mut self.members[index];
        let Some(at) = member.machine.as_ref().and_then(Machine::next_timeout) else {
            return;
        };
        // Rounded up: not before its time.
        let at_ms = at.duration_since(base).as_micros().div_ceil(1_000) as u64;
        let at_ms = at_ms.max(now_ms + 1);
        if member.waking_at.is_none_or(|waking| at_ms < waking) {
            member.waking_at = Some(at_ms);
            self.schedule(index, at_ms - now_ms, Event::Wake);
        }
    }

    fn link_to_store(&self, index: usize) -> Link {
        match self.store {
            Link::Up => self.members[index].store,
            away => away,
        }
    }

    fn send(&mut self, index: usize, call: Call) {
        let there_ms = self.random.between(1, 20);
        match self.link_to_store(index) {
            Link::Up => self.schedule(index, there_ms, Event::Execute(call)),
            Link::Refusing => self.schedule(index, 1, Event::Answer(Err(Failure::Failed))),
            Link::Silent => self.give_up(index),
        }
    }

    fn give_up(&mut self, index: usize) {
        let after_ms = self.timing.call_timeout.as_millis() as u64;
        self.schedule(index, after_ms, Event::Answer(Err(Failure::Failed)));
    }

    fn execute(&mut self, index: usize, life: u64, call: Call) {
        let back_ms = self.random.between(1, 20);
        let lost = self.lossy.is_some_and(|lossy| self.random.once_in(lossy));
        if self.store != Link::Up {
            // It went away with the call in its hands.
            return self.give_up_if_alive(index, life);
        }
        let name = MemberId::new(&format!("fe{index}"));
        let own = (&name, Incarnation(life));
        let leases = &self.leases;
        let result = match call {
            Call::Renew(ref lease, known) => at_once(leases.renew(lease, known)).map(Reply::View),
            Call::Claim(keys, ref some) => at_once(leases.claim(keys, own, some)).map(Reply::Partitions),
            Call::Transfer(keys, (ref to, life), ref some) => {
                at_once(leases.transfer(keys, own, (to, life), some)).map(Reply::Partitions)
            }
            Call::Reassert(keys, ref some) => {
                at_once(leases.reassert(keys, own, some)).map(Reply::Partitions)
            }
            Call::Leave => at_once(leases.leave(own)).map(|()| Reply::Done),
            Call::Evict(ref member, life) => at_once(leases.evict(member, life)).map(|()| Reply::Done),
        };
        let news = !matches!(call, Call::Renew(..))
            || self.members[index]
                .machine
                .as_ref()
                .is_some_and(|machine| machine.routes().generation() == 0);
        if self.hints && news {
            for other in (0..self.members.len()).filter(|other| *other != index) {
                let after_ms = self.random.between(1, 20);
                if self.is_alive(other) && self.link_to_store(other) == Link::Up {
                    self.schedule(other, after_ms, Event::Hint);
                }
            }
        }
        if lost || self.link_to_store(index) != Link::Up {
            return self.give_up_if_alive(index, life);
        }
        if self.members[index].life == life && !self.members[index].over {
            let answer = result.map_err(|error: StoreError| Failure::from(&error));
            self.schedule(index, back_ms, Event::Answer(answer));
        }
    }

    fn give_up_if_alive(&mut self, index: usize, life: u64) {
        if self.members[index].life == life && !self.members[index].over {
            self.give_up(index);
        }
    }

    /// Peers answer, each as it is when the question arrives.
    fn ask(&mut self, index: usize, names: &[MemberId]) {
        let now = self.now();
        let asks_over = self.members[index].network;
        let answer = |name: &MemberId| {
            let number: usize = name.as_str().trim_start_matches("fe").parse().unwrap();
            let peer = &self.members[number];
            match &peer.machine {
                _ if asks_over != Link::Up || peer.network != Link::Up || peer.paused => PeerAnswer::Silent,
                None => PeerAnswer::Refused,
                Some(machine) => PeerAnswer::Alive {
                    renewed_ago: machine.ownership().renewed_ago(now),
                },
            }
        };
        let answers: Vec<_> = names.iter().map(answer).collect();
        let silent = answers.contains(&PeerAnswer::Silent);
        let after_ms = if silent { 1_000 } else { self.random.between(2, 40) };
        self.schedule(index, after_ms, Event::Heard(answers));
    }

    /// The promises that hold at every instant.
    pub(super) fn check(&mut self) {
        let now = self.now();
        let machines = self.members.iter().map(|member| member.machine.as_ref());
        let owning = machines.enumerate().filter_map(|(index, machine)| {
            let ownership = machine?.ownership();
            (ownership.validity(now) != Validity::Fenced).then_some((index, ownership))
        });
        let owning: Vec<_> = owning.collect();
        for &partition in &self.watched {
            let mut owner: Option<(usize, u64)> = None;
            for (index, ownership) in &owning {
                let PartitionState::Active { epoch } = ownership.state(KEYS, partition) else {
                    continue;
                };
                assert!(
                    owner.is_none(),
                    "{partition} at {} ms: fe{index} with {epoch}, and {owner:?}",
                    self.now_ms
                );
                owner = Some((*index, epoch));
            }
            let Some((index, epoch)) = owner else {
                let since = *self.orphaned.entry(partition).or_insert(self.now_ms);
                self.longest_orphan_ms = self.longest_orphan_ms.max(self.now_ms - since);
                continue;
            };
            self.orphaned.remove(&partition);
            let life = self.members[index].life;
            if let Some((last, last_life, last_epoch)) = self.seen.insert(partition, (index, life, epoch)) {
                let same = (last, last_life) == (index, life);
                assert!(
                    epoch > last_epoch || (same && epoch == last_epoch),
                    "{partition} at {} ms: {epoch} of fe{index} after {last_epoch} of fe{last}",
                    self.now_ms
                );
            }
        }
    }
}
