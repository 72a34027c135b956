//! The rules of membership as a state machine: no clock, no task, no I/O.
//!
//! Inputs carry `now`; after each, the caller executes what [`Machine::poll`] tells until it is empty, and calls
//! [`Machine::handle_timeout`] at [`Machine::next_timeout`]. At most one call to the store and one question to peers is under
//! way at a time, so that nothing that is read can be older than what was written.

mod calls;
mod evaluate;
mod freeze;
mod leaving;
#[cfg(test)]
mod simulation;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Incarnation, Lease, OwnerTable, PoolView, StoreError, TableVersions};
use topology::{MemberId, Partition, Partitioned};

use crate::config::{Config, Timing};
use crate::counters::Counters;
use crate::ownership::{Ownership, Validity};
use crate::routes::Routes;
use evaluate::Placed;
use freeze::Freeze;
pub use leaving::Stage;
use slot::{Phase, Slots};

/// After a hint of the store, changes that follow closely are gathered for so long.
const GATHER: Duration = Duration::from_millis(25);

/// What the machine wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Call the store; its answer goes to [`Machine::answered`], a call given up counts as [`Failure::Failed`].
    Call(Call),
    /// Ask these peers; the answers go to [`Machine::heard`] in the same order.
    Ask(Vec<Lease>),
    /// Tell the roles; each of the first three ends with one [`Done`].
    Role(Partitioned, RoleCall),
    /// A later life holds the lease: this process must stop.
    Superseded,
    /// The lease was given back, or will run out: membership is over.
    Gone,
}

/// What a role is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoleCall {
    /// Load it: [`Done::Taken`] or [`Done::NotTaken`].
    Take(Partition, u64),
    /// Finish and forget it: [`Done::Given`].
    Give(Partition),
    /// Forget it: [`Done::Dropped`].
    Lose(Partition),
    /// Write again what the store ought to have of these.
    Reassert(Vec<Partition>),
}

/// How a call to a role ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// It is loaded.
    Taken,
    /// It could not be loaded; nothing of it is kept.
    NotTaken,
    /// It is finished and forgotten.
    Given,
    /// It is forgotten.
    Dropped,
}

/// A call to the [`LeaseStore`](store::LeaseStore).
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    /// Renew this lease, these tables being known.
    Renew(Lease, TableVersions),
    /// Claim for this member.
    Claim(Partitioned, Vec<Partition>),
    /// Transfer from this member.
    Transfer(Partitioned, (MemberId, Incarnation), Vec<Partition>),
    /// Assert for this member.
    Reassert(Partitioned, Vec<(Partition, u64)>),
    /// Give the lease back.
    Leave,
    /// End the lease of somebody dead.
    Evict(MemberId, Incarnation),
}

/// What the store answered.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// To [`Call::Renew`].
    View(PoolView),
    /// To calls about partitions.
    Partitions(Vec<(Partition, u64)>),
    /// To the others.
    Done,
}

/// Why there is no reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// A later life of this member holds the lease.
    Superseded,
    /// Anything else. Whether the call took effect is unknown.
    Failed,
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Failure::Superseded,
            _ => Failure::Failed,
        }
    }
}

/// The pool as the store last told it, with what this member changed since.
struct View {
    history: u64,
    /// In order of their names.
    members: Vec<Lease>,
    tables: [Arc<OwnerTable>; Partitioned::COUNT],
    /// Versions the store told; what this member changed since is newer there, and is fetched with the next renewal.
    known: TableVersions,
}

/// Membership of one life of one member.
pub struct Machine {
    timing: Timing,
    lease: Lease,
    /// By the index of keys: whether this member runs a role that owns them.
    serves: [bool; Partitioned::COUNT],
    ownership: Ownership,
    routes: Routes,
    counters: Arc<Counters>,
    stage: Stage,
    view: Option<View>,
    slots: [Slots; Partitioned::COUNT],
    placed: [Placed; Partitioned::COUNT],

    /// The call under way, with its start.
    call: Option<(Call, Instant)>,
    /// When to renew next.
    renew_at: Instant,
    /// Start of the last successful renewal.
    confirmed: Option<Instant>,
    /// A call failed: nothing but renewals until one succeeds.
    shaken: bool,
    /// Since when renewals succeed without a gap in one history of the store.
    steady_since: Option<Instant>,
    /// From when what nobody ever owned may be claimed.
    unowned_from: Instant,
    /// The store lost its history: what is held must be asserted before anything else.
    reassert: [bool; Partitioned::COUNT],
    /// The same for what roles wrote: told once the owners' table is right again.
    tell_roles: [bool; Partitioned::COUNT],
    /// What the last evaluation found to claim.
    claims: [Vec<Partition>; Partitioned::COUNT],
    /// Something waits for time to pass, or for another try: the next renewal looks again.
    look_again: bool,
    /// Something changed since the last evaluation.
    dirty: bool,
    routes_dirty: bool,

    freeze: Freeze,
    /// Those that vanished from the view without leaving, with the time of it.
    vanished: Vec<(Lease, Instant)>,
    /// Those a caller could not reach, and those of them to evict.
    suspects: Vec<(MemberId, Incarnation)>,
    evictions: Vec<(MemberId, Incarnation)>,
    /// Until when fenced time is counted.
    fenced_counted: Instant,
    effects: VecDeque<Effect>,
}

impl Machine {
    /// A member that begins to be one at `now`. It renews at once.
    pub fn new(config: &Config, counters: Arc<Counters>, now: Instant) -> Self {
        let mut machine = Machine {
            timing: config.timing.clone(),
            lease: config.lease(),
            serves: Partitioned::ALL.map(|keys| config.roles.iter().any(|role| role.owns() == Some(keys))),
            ownership: Ownership::new(now),
            routes: Routes::new(config.member.clone()),
            counters,
            stage: Stage::Serving,
            view: None,
            slots: Partitioned::ALL.map(Slots::new),
            placed: Default::default(),
            call: None,
            renew_at: now,
            confirmed: None,
            shaken: false,
            steady_since: None,
            unowned_from: now,
            reassert: [false; Partitioned::COUNT],
            tell_roles: [false; Partitioned::COUNT],
            claims: Partitioned::ALL.map(|_| Vec::new()),
            look_again: false,
            dirty: false,
            routes_dirty: false,
            freeze: Freeze::new(now),
            vanished: Vec::new(),
            suspects: Vec::new(),
            evictions: Vec::new(),
            fenced_counted: now,
            effects: VecDeque::new(),
        };
        machine.advance(now);
        machine
    }

    /// What this member owns; the same for as long as the machine lives.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Who owns what; the same for as long as the machine lives.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// How far it has left.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The lease as it is renewed now.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The next effect; `None` until there is another input.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Machine::handle_timeout`] is to be called, unless there is another input before.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.stage.is_over() {
            return None;
        }
        let renew = self.call.is_none().then_some(self.renew_at);
        let ask = self.next_ask();
        [renew, ask, self.stage.deadline()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The store says that something may have changed.
    pub fn hint(&mut self, now: Instant) {
        self.renew_at = self.renew_at.min(now + GATHER);
        self.advance(now);
    }

    /// Somebody could not reach this life of a member: nothing listens at its address. It is asked, and evicted if it refuses
    /// again.
    pub fn refused(&mut self, member: MemberId, incarnation: Incarnation, now: Instant) {
        let suspect = (member, incarnation);
        if !self.suspects.contains(&suspect) && self.live_peer(&suspect).is_some() {
            self.suspects.push(suspect);
        }
        self.advance(now);
    }

    /// Roles finished what they were told.
    pub fn done(&mut self, done: impl IntoIterator<Item = (Partitioned, Partition, Done)>, now: Instant) {
        for (keys, partition, done) in done {
            self.role_done(keys, partition, done);
        }
        self.advance(now);
    }

    /// Counts of what is held: active, being loaded, being given up.
    pub fn held(&self, keys: Partitioned) -> [usize; 3] {
        let slots = &self.slots[keys.index()];
        [slots.active(), slots.taking(), slots.on_the_way()]
    }

    /// Everything that follows from an input.
    fn advance(&mut self, now: Instant) {
        self.count_fenced(now);
        if self.stage.is_over() {
            return;
        }
        self.advance_leaving(now);
        if std::mem::take(&mut self.dirty) {
            self.evaluate(now);
        }
        self.next_call(now);
        self.ask_peers(now);
        if std::mem::take(&mut self.routes_dirty)
            && let Some(view) = &self.view
        {
            self.routes.publish(view.members.clone(), view.tables.clone());
        }
    }

    fn role_done(&mut self, keys: Partitioned, partition: Partition, done: Done) {
        let slots = &mut self.slots[keys.index()];
        let phase = match (slots.get(partition), done) {
            (Phase::Taking(epoch), Done::Taken) => Phase::Active(epoch),
            (Phase::Taking(epoch), Done::NotTaken) => {
                self.look_again = true;
                Phase::Waiting(epoch)
            }
            (Phase::Losing, Done::Taken) => {
                let lose = RoleCall::Lose(partition);
                self.effects.push_back(Effect::Role(keys, lose));
                Phase::Dropping
            }
            (Phase::Giving(epoch), Done::Given) => Phase::Given(epoch),
            (Phase::Losing, Done::NotTaken)
            | (Phase::Yielding, Done::Given)
            | (Phase::Dropping, Done::Dropped) => {
                self.dirty = true;
                Phase::Idle
            }
            (phase, done) => {
                debug_assert!(false, "{done:?} of {keys} {partition} in {phase:?}");
                phase
            }
        };
        self.slots[keys.index()].set(&self.ownership, partition, phase);
        // What is loaded only now may belong elsewhere by now, and what is finished only now here again; what is given may be
        // the last before leaving.
        let here = self.placed[keys.index()].is_here(partition);
        let misplaced = match phase {
            Phase::Active(_) => !here,
            Phase::Given(_) => here,
            _ => false,
        };
        self.dirty |= self.stage != Stage::Serving || misplaced;
    }

    /// It is another's: nothing of it counts from here on.
    fn lose(&mut self, keys: Partitioned, partition: Partition) {
        let slots = &mut self.slots[keys.index()];
        let phase = match slots.get(partition) {
            Phase::Taking(_) => Phase::Losing,
            Phase::Giving(_) => Phase::Yielding,
            Phase::Active(_) => {
                let lose = RoleCall::Lose(partition);
                self.effects.push_back(Effect::Role(keys, lose));
                Phase::Dropping
            }
            Phase::Waiting(_) | Phase::Given(_) => Phase::Idle,
            Phase::Idle | Phase::Losing | Phase::Yielding | Phase::Dropping => return,
        };
        slots.set(&self.ownership, partition, phase);
        self.counters.lost(keys, 1);
        self.dirty = true;
    }

    /// A later life holds the lease: nothing counts any more.
    fn superseded(&mut self) {
        self.stage = Stage::Superseded;
        self.ownership.revoke();
        for keys in Partitioned::ALL {
            for (partition, _) in self.slots[keys.index()].held() {
                self.lose(keys, partition);
            }
        }
        self.effects.push_back(Effect::Superseded);
    }

    /// The lease of somebody else who lives, in this life.
    fn live_peer(&self, peer: &(MemberId, Incarnation)) -> Option<&Lease> {
        let members = &self.view.as_ref()?.members;
        let lease = members.iter().find(|lease| lease.member == peer.0)?;
        (lease.incarnation == peer.1 && lease.member != self.lease.member).then_some(lease)
    }

    fn count_fenced(&mut self, now: Instant) {
        if self.confirmed.is_some()
            && self.ownership.validity(now) == Validity::Fenced
            && !self.stage.is_over()
        {
            let from = self.fenced_counted.max(self.ownership.valid_until());
            self.counters.fenced(now.saturating_duration_since(from));
        }
        self.fenced_counted = now;
    }
}
