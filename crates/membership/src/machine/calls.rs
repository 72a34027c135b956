//! Calls to the store: which is next, and what their answers mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Incarnation, Owner, UNKNOWN_TABLES};
use topology::{MemberId, Partition, Partitioned};

use super::{Call, Effect, Failure, Machine, Phase, Reply, Stage};

/// The least time between a call that went wrong and the renewal that tells why.
const RETRY: Duration = Duration::from_millis(100);

impl Machine {
    /// Starts the next call if none is under way. A renewal that is due goes first, and after a failure nothing else.
    pub(super) fn next_call(&mut self, now: Instant) {
        if self.call.is_some() || self.stage.is_over() {
            return;
        }
        let call = match self.stage {
            Stage::Leaving { .. } => Some(Call::Leave),
            _ if now >= self.renew_at => {
                let known = self.view.as_ref().map_or(UNKNOWN_TABLES, |view| view.known);
                Some(Call::Renew(self.lease.clone(), known))
            }
            _ if self.shaken || self.view.is_none() => None,
            _ => self.assertion(now).or_else(|| self.change()),
        };
        let Some(call) = call else { return };
        if let Call::Renew(..) = call {
            self.renew_at = now + self.timing.renew_every;
        }
        self.call = Some((call.clone(), now));
        self.effects.push_back(Effect::Call(call));
    }

    /// What must be asserted, before anything is claimed or given away.
    fn assertion(&mut self, now: Instant) -> Option<Call> {
        for keys in Partitioned::ALL {
            if !self.reassert[keys.index()] {
                continue;
            }
            let held = self.slots[keys.index()].held();
            if !held.is_empty() {
                return Some(Call::Reassert(keys, held));
            }
            self.asserted(keys, &[]);
            self.confirm(now);
        }
        None
    }

    fn change(&mut self) -> Option<Call> {
        if let Some((member, incarnation)) = self.evictions.pop() {
            return Some(Call::Evict(member, incarnation));
        }
        let keys = Partitioned::ALL.into_iter();
        let transfer = keys.clone().find_map(|keys| self.next_transfer(keys));
        transfer.or_else(|| {
            let mut keys = keys;
            let keys = keys.find(|keys| !self.claims[keys.index()].is_empty())?;
            Some(Call::Claim(keys, std::mem::take(&mut self.claims[keys.index()])))
        })
    }

    /// Everything that is ready for the receiver of the first partition that is ready.
    fn next_transfer(&self, keys: Partitioned) -> Option<Call> {
        if self.slots[keys.index()].given() == 0 {
            return None;
        }
        let view = self.view.as_ref()?;
        let placed = &self.placed[keys.index()];
        let mut ready = self.slots[keys.index()]
            .iter()
            .filter(|(_, phase)| matches!(phase, Phase::Given(_)))
            .filter_map(|(partition, _)| Some((partition, placed.place_of(partition)?)))
            .filter(|(_, place)| **place != self.lease.member)
            .peekable();
        let receiver = ready.peek()?.1.clone();
        let lease = view.members.iter().find(|lease| lease.member == receiver)?;
        let partitions = ready
            .filter(|(_, place)| **place == receiver)
            .map(|(partition, _)| partition)
            .collect();
        Some(Call::Transfer(keys, (receiver, lease.incarnation), partitions))
    }

    /// Whether the store may be giving this partition away right now.
    pub(super) fn is_in_transfer(&self, keys: Partitioned, partition: Partition) -> bool {
        match &self.call {
            Some((Call::Transfer(of, _, partitions), _)) => *of == keys && partitions.contains(&partition),
            _ => false,
        }
    }

    /// The store answered the call under way, or the call was given up.
    pub fn answered(&mut self, answer: Result<Reply, Failure>, now: Instant) {
        let Some((call, started)) = self.call.take() else {
            debug_assert!(false, "an answer without a call");
            return;
        };
        if self.stage.is_over() {
            return;
        }
        match answer {
            Err(Failure::Superseded) => return self.superseded(),
            Err(Failure::Failed) => self.failed(&call, started, now),
            Ok(reply) => self.succeeded(call, reply, started, now),
        }
        self.advance(now);
    }

    fn failed(&mut self, call: &Call, started: Instant, now: Instant) {
        self.shaken = true;
        self.look_again = true;
        self.counters.call_failed(call);
        match call {
            Call::Renew(..) => self.renewal_failed(started, now),
            Call::Leave => self.leave_failed(now),
            // Whether it took effect is seen with the next renewal.
            _ => self.renew_soon(now),
        }
    }

    fn succeeded(&mut self, call: Call, reply: Reply, started: Instant, now: Instant) {
        self.counters.call_succeeded(&call);
        match (call, reply) {
            // Nothing may count again after the decision to leave.
            (Call::Renew(..), Reply::View(_)) if matches!(self.stage, Stage::Leaving { .. }) => {}
            (Call::Renew(..), Reply::View(view)) => self.renewed(view, started, now),
            (Call::Claim(keys, asked), Reply::Partitions(owned)) => {
                self.counters.claimed(keys, owned.len());
                let own = (self.lease.member.clone(), self.lease.incarnation);
                self.note_owners(keys, &own, &owned);
                self.answered_in_part(owned.len() < asked.len(), now);
            }
            (Call::Transfer(keys, receiver, asked), Reply::Partitions(gone)) => {
                self.counters.transferred(keys, gone.len());
                self.note_owners(keys, &receiver, &gone);
                for (partition, _) in &gone {
                    if let Phase::Given(_) = self.slots[keys.index()].get(*partition) {
                        self.set(keys, *partition, Phase::Idle);
                    }
                }
                self.answered_in_part(gone.len() < asked.len(), now);
            }
            (Call::Reassert(keys, asked), Reply::Partitions(standing)) => {
                let own = (self.lease.member.clone(), self.lease.incarnation);
                self.note_owners(keys, &own, &standing);
                let all = standing.len() == asked.len();
                if all {
                    self.asserted(keys, &standing);
                    self.confirm(now);
                }
                self.answered_in_part(!all, now);
            }
            (Call::Evict(member, _), Reply::Done) => self.evicted(&member, now),
            (Call::Leave, Reply::Done) => self.left(),
            _ => debug_assert!(false, "an answer of another call"),
        }
    }

    /// A call about partitions was answered. If not for all, others were faster, or a lease ran out meanwhile: the next renewal
    /// tells, and nothing else is asked before.
    fn answered_in_part(&mut self, in_part: bool, now: Instant) {
        self.dirty = true;
        if in_part {
            self.shaken = true;
            self.look_again = true;
            self.renew_soon(now);
        }
    }

    /// Not at once: a store that refuses what it says it would accept must not be asked in a circle.
    pub(super) fn renew_soon(&mut self, now: Instant) {
        self.renew_at = self.renew_at.min(now + RETRY);
    }

    /// The table is right again; now the roles see to what they keep in the store.
    fn asserted(&mut self, keys: Partitioned, standing: &[(Partition, u64)]) {
        self.reassert[keys.index()] = false;
        if std::mem::take(&mut self.tell_roles[keys.index()]) {
            let active = |one: &(Partition, u64)| self.slots[keys.index()].get(one.0) == Phase::Active(one.1);
            let partitions: Vec<_> = standing
                .iter()
                .filter(|one| active(one))
                .map(|one| one.0)
                .collect();
            if !partitions.is_empty() {
                let reassert = super::RoleCall::Reassert(partitions);
                self.effects.push_back(Effect::Role(keys, reassert));
            }
        }
    }

    /// Writes into the own copy of the table what the store has just written into its own.
    fn note_owners(
        &mut self,
        keys: Partitioned,
        owner: &(MemberId, Incarnation),
        owned: &[(Partition, u64)],
    ) {
        let Some(view) = &mut self.view else { return };
        if owned.is_empty() {
            return;
        }
        let table = Arc::make_mut(&mut view.tables[keys.index()]);
        for &(partition, epoch) in owned {
            let owner = Owner {
                member: owner.0.clone(),
                incarnation: owner.1,
                epoch,
            };
            table.set(partition, Some(owner));
        }
        self.routes_dirty = true;
    }
}
