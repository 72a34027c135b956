//! What follows from the table of owners: what to take, lose, give up and claim.

use std::sync::Arc;
use std::time::Instant;

use store::{OwnerTable, PoolView, UNKNOWN_TABLES};
use topology::{MemberId, Partition, Partitioned};

use super::{Effect, Machine, Phase, RoleCall, Stage, View};
use crate::ownership::Validity;

/// What to do with one partition.
enum Step {
    Nothing,
    /// Another is the owner.
    Lose,
    /// The store names an older owner than this member: it lost what was written.
    Reassert,
    Take(u64),
    /// Ours, but it belongs elsewhere, and the role has nothing of it.
    HandOverUnloaded(u64),
    /// Ours and active, but it belongs elsewhere.
    HandOver(u64),
    Claim,
}

impl Machine {
    /// A renewal that started at `started` succeeded.
    pub(super) fn renewed(&mut self, mut view: PoolView, started: Instant, now: Instant) {
        let (settle, ttl) = (self.timing.settle, self.timing.lease_ttl);
        let before = self.view.take();
        let lost_history = before
            .as_ref()
            .is_some_and(|before| before.history != view.history);
        let told = view.owners.iter().any(Option::is_some);
        let Some(tables) = tables(before.as_ref(), &mut view) else {
            // Versions of another history say nothing. Nothing is confirmed before the tables are here.
            self.view = before.map(|before| View {
                known: UNKNOWN_TABLES,
                ..before
            });
            self.renew_soon(now);
            return;
        };
        let alone = |members: &[store::Lease]| members.iter().all(|lease| lease.member == self.lease.member);
        let was_alone = before.as_ref().is_some_and(|before| alone(&before.members)) && alone(&view.members);
        let known = before.as_ref().map_or(&[][..], |before| &before.members);
        self.note_vanished(known, &view.members, now);
        let was_alone = was_alone && self.vanished.is_empty();
        let mut changed = before
            .as_ref()
            .is_none_or(|before| before.members != view.members || told);
        self.routes_dirty |= changed;
        match self.confirmed {
            None => {
                self.steady_since = Some(now);
                self.unowned_from = now + settle;
            }
            Some(confirmed) if now.saturating_duration_since(confirmed) > self.timing.gap => {
                // What was to be claimed must wait.
                self.steady_since = Some(now);
                self.unowned_from = now + ttl;
                changed = true;
            }
            Some(_) => {}
        }
        if lost_history {
            self.steady_since = Some(now);
            self.unowned_from = now + if was_alone { settle } else { ttl };
            self.reassert = self.serves;
            self.tell_roles = self.serves;
            self.counters.history_lost();
        }
        let known = tables.each_ref().map(|table| table.version);
        self.view = Some(View {
            history: view.history,
            members: view.members,
            tables,
            known,
        });
        if changed || lost_history || std::mem::take(&mut self.look_again) {
            self.evaluate(now);
        }
        self.confirmed = Some(self.confirmed.map_or(started, |confirmed| confirmed.max(started)));
        self.ownership.renewed(started);
        self.shaken = false;
        if self.reassert.contains(&true) && self.ownership.validity(now) == Validity::Fenced {
            self.lose_unconfirmed();
        }
        // Last: what it lost meanwhile must be gone before anything counts again.
        self.confirm(now);
    }

    /// What the store forgot counts no longer than it did before, until it is asserted: see [`Machine::lose_unconfirmed`].
    pub(super) fn confirm(&mut self, now: Instant) {
        if let Some(confirmed) = self.confirmed
            && !self.reassert.contains(&true)
        {
            self.ownership.confirm(confirmed + self.timing.stop_after);
            self.count_fenced(now);
        }
    }

    /// The store forgot what this member owns, and this member was fenced before it could say it again: by now another may
    /// own it, and say so only later. So it is given up, and claimed like everything that nobody owns.
    fn lose_unconfirmed(&mut self) {
        for keys in Partitioned::ALL
            .into_iter()
            .filter(|keys| self.reassert[keys.index()])
            .collect::<Vec<_>>()
        {
            for (partition, _) in self.slots[keys.index()].held() {
                self.lose(keys, partition);
            }
            self.reassert[keys.index()] = false;
            self.tell_roles[keys.index()] = false;
        }
    }

    /// Goes through all partitions.
    pub(super) fn evaluate(&mut self, now: Instant) {
        self.dirty = false;
        if !matches!(
            self.stage,
            Stage::Serving | Stage::Emptying | Stage::HandingOver { .. } | Stage::Finishing { .. }
        ) {
            return;
        }
        for keys in Partitioned::ALL {
            if self.serves[keys.index()] {
                self.place_all(keys);
                self.evaluate_keys(keys, now);
            }
        }
    }

    fn evaluate_keys(&mut self, keys: Partitioned, now: Instant) {
        let index = keys.index();
        let Some(view) = &self.view else { return };
        let table = view.tables[index].clone();
        let on_the_way = self.slots[index].on_the_way();
        let mut room = self.timing.hand_over_at_once.saturating_sub(on_the_way);
        self.claims[index].clear();
        for partition in Partition::all() {
            match self.step(keys, partition, &table, now) {
                Step::Nothing => {}
                Step::Lose => self.lose(keys, partition),
                Step::Reassert => self.reassert[index] = true,
                Step::Take(epoch) => self.take(keys, partition, epoch),
                Step::HandOverUnloaded(epoch) => self.set(keys, partition, Phase::Given(epoch)),
                Step::HandOver(epoch) if room > 0 => {
                    room -= 1;
                    self.give(keys, partition, epoch);
                }
                Step::HandOver(_) => {}
                Step::Claim => self.claims[index].push(partition),
            }
        }
    }

    fn step(&mut self, keys: Partitioned, partition: Partition, table: &OwnerTable, now: Instant) -> Step {
        let index = keys.index();
        let phase = self.slots[index].get(partition);
        let owner = table.owner(partition);
        let ours = owner.filter(|owner| owner.member == self.lease.member);
        let ours = ours.filter(|owner| owner.incarnation == self.lease.incarnation);
        let here = self.placed[index].is_here(partition);
        let finishing = matches!(self.stage, Stage::Finishing { .. });
        if let Some(epoch) = phase.held() {
            match owner {
                _ if ours.is_some_and(|owner| owner.epoch == epoch) => {}
                // Also if it is ours again: another may have been in between.
                Some(owner) if owner.epoch >= epoch => return Step::Lose,
                // The store may have known already who is next.
                _ if matches!(phase, Phase::Given(_)) => return Step::Lose,
                _ => return Step::Reassert,
            }
            return match phase {
                _ if finishing || self.reassert[index] => Step::Nothing,
                Phase::Active(_) if !here => Step::HandOver(epoch),
                Phase::Waiting(_) if !here => Step::HandOverUnloaded(epoch),
                Phase::Waiting(_) => Step::Take(epoch),
                Phase::Given(_) if here && !self.is_in_transfer(keys, partition) => Step::Take(epoch),
                _ => Step::Nothing,
            };
        }
        match (phase, ours) {
            (Phase::Idle, _) if finishing => Step::Nothing,
            (Phase::Idle, Some(owner)) if here => Step::Take(owner.epoch),
            (Phase::Idle, Some(owner)) => Step::HandOverUnloaded(owner.epoch),
            (Phase::Idle, None) if here && self.is_claimable(table, partition, now) => Step::Claim,
            _ => Step::Nothing,
        }
    }

    /// Whether a partition may be claimed at `now`. The store refuses to give what somebody live owns; here are the cases
    /// in which somebody may live whom the store does not know (see the crate root).
    fn is_claimable(&mut self, table: &OwnerTable, partition: Partition, now: Instant) -> bool {
        let Some(view) = &self.view else { return false };
        let may = match table.owner(partition) {
            None => now >= self.unowned_from,
            // An earlier life of its own is over.
            Some(owner) if owner.member == self.lease.member => true,
            Some(owner) => {
                let lives = |lease: &store::Lease| {
                    lease.member == owner.member && lease.incarnation == owner.incarnation
                };
                if view.members.iter().any(lives) {
                    return false;
                }
                self.steady_since
                    .is_some_and(|since| now >= since + self.timing.lease_ttl)
            }
        };
        self.look_again |= !may;
        may
    }

    pub(super) fn set(&mut self, keys: Partitioned, partition: Partition, phase: Phase) {
        self.slots[keys.index()].set(&self.ownership, partition, phase);
    }

    fn take(&mut self, keys: Partitioned, partition: Partition, epoch: u64) {
        self.set(keys, partition, Phase::Taking(epoch));
        let take = RoleCall::Take(partition, epoch);
        self.effects.push_back(Effect::Role(keys, take));
    }

    pub(super) fn give(&mut self, keys: Partitioned, partition: Partition, epoch: u64) {
        self.set(keys, partition, Phase::Giving(epoch));
        let give = RoleCall::Give(partition);
        self.effects.push_back(Effect::Role(keys, give));
    }

    /// Places all partitions over those that may own them, if these have changed: who stays, or if all leave, everybody.
    fn place_all(&mut self, keys: Partitioned) {
        let Some(view) = &self.view else { return };
        let able = |lease: &&store::Lease| lease.roles.iter().any(|role| role.owns() == Some(keys));
        let names = |draining: bool| -> Vec<MemberId> {
            let able = view.members.iter().filter(able);
            able.filter(|lease| draining || !lease.draining)
                .map(|lease| lease.member.clone())
                .collect()
        };
        let mut candidates = names(false);
        if candidates.is_empty() {
            candidates = names(true);
        }
        let placed = &mut self.placed[keys.index()];
        if placed.candidates != candidates {
            *placed = Placed::over(candidates, &self.lease.member);
        }
    }
}

/// Where each partition belongs.
#[derive(Default)]
pub(super) struct Placed {
    /// Those it is computed for.
    candidates: Vec<MemberId>,
    /// By partition, the index of the candidate.
    places: Vec<Option<usize>>,
    /// The index of this member, if it is one.
    own: Option<usize>,
}

impl Placed {
    fn over(candidates: Vec<MemberId>, own: &MemberId) -> Self {
        let index_of = |member: &MemberId| candidates.iter().position(|one| one == member);
        let place = |partition: Partition| index_of(partition.place(&candidates)?);
        Placed {
            places: Partition::all().map(place).collect(),
            own: index_of(own),
            candidates,
        }
    }

    fn place(&self, partition: Partition) -> Option<usize> {
        *self.places.get(partition.index())?
    }

    /// Where it belongs; `None`: nowhere yet.
    pub(super) fn place_of(&self, partition: Partition) -> Option<&MemberId> {
        self.candidates.get(self.place(partition)?)
    }

    /// Whether it belongs to this member, or nowhere else.
    pub(super) fn is_here(&self, partition: Partition) -> bool {
        self.place(partition).is_none_or(|place| Some(place) == self.own)
    }
}

/// The tables of a view, where it left them out those known before. `None`: one of them is not known in this history.
fn tables(before: Option<&View>, view: &mut PoolView) -> Option<[Arc<OwnerTable>; Partitioned::COUNT]> {
    let before = before.filter(|before| before.history == view.history);
    let tables = Partitioned::ALL.into_iter().zip(&mut view.owners);
    let tables: Option<Vec<_>> = tables
        .map(|(keys, table)| match table.take() {
            Some(table) => Some(Arc::new(table)),
            None => before.map(|before| before.tables[keys.index()].clone()),
        })
        .collect();
    tables?.try_into().ok()
}
