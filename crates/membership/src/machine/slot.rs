//! One partition as this member sees it.

use topology::{PARTITIONS, Partition, Partitioned};

use crate::ownership::{Ownership, PartitionState};

/// What this member and its role have to do with one partition.
///
/// ```text
///            table names us              taken              placed elsewhere
///   Idle ---------------------> Taking --------> Active ---------------------> Giving
///    ^  ^                       |    ^             |                            | |
///    |  |       lost    not taken    | next        | lost            lost       | | given
///    |  |         .-------------'    | renewal     v              .-------------' v
///    |  |         |   Waiting -------'          Dropping          |             Given
///    |  |         v                                ^              v               |
///    |  |      Losing ---- taken ------------------'          Yielding            |
///    |  |         | not taken                      | dropped      | given         | transferred,
///    |  '---------+--------------------------------'--------------'               | or lost
///    '----------------------------------------------------------------------------'
/// ```
///
/// Invariant: whatever the role is busy with (`Taking`, `Giving`, `Losing`, `Yielding`, `Dropping`) ends with one
/// [`Done`](super::Done) before it is told anything else about this partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing here.
    Idle,
    /// Ours; the role loads it.
    Taking(u64),
    /// Ours; the role failed to load it, and is asked again.
    Waiting(u64),
    /// Ours, and the role works on it.
    Active(u64),
    /// Ours; the role finishes what it began.
    Giving(u64),
    /// Ours; the role is done with it, and the store is to be told who is next.
    Given(u64),
    /// Not ours any more; the role still loads it.
    Losing,
    /// Not ours any more; the role still finishes, and forgets it by itself.
    Yielding,
    /// Not ours any more; the role forgets it.
    Dropping,
}

impl Phase {
    /// The epoch under which it is ours.
    pub(super) fn held(self) -> Option<u64> {
        match self {
            Phase::Taking(epoch)
            | Phase::Waiting(epoch)
            | Phase::Active(epoch)
            | Phase::Giving(epoch)
            | Phase::Given(epoch) => Some(epoch),
            Phase::Idle | Phase::Losing | Phase::Yielding | Phase::Dropping => None,
        }
    }

    /// Its place in counts by kind.
    const fn kind(self) -> usize {
        match self {
            Phase::Idle => 0,
            Phase::Taking(_) => 1,
            Phase::Waiting(_) => 2,
            Phase::Active(_) => 3,
            Phase::Giving(_) => 4,
            Phase::Given(_) => 5,
            Phase::Losing => 6,
            Phase::Yielding => 7,
            Phase::Dropping => 8,
        }
    }

    fn state(self) -> PartitionState {
        match self {
            Phase::Taking(epoch) | Phase::Waiting(epoch) => PartitionState::Taking { epoch },
            Phase::Active(epoch) => PartitionState::Active { epoch },
            Phase::Giving(epoch) | Phase::Given(epoch) => PartitionState::Giving { epoch },
            _ => PartitionState::Elsewhere,
        }
    }
}

/// The partitions of one set of keys.
pub(super) struct Slots {
    keys: Partitioned,
    phases: Vec<Phase>,
    /// How many there are of each kind: asked after every input.
    counts: [usize; 9],
}

impl Slots {
    pub(super) fn new(keys: Partitioned) -> Self {
        let mut counts = [0; 9];
        counts[Phase::Idle.kind()] = usize::from(PARTITIONS);
        Slots {
            keys,
            phases: vec![Phase::Idle; usize::from(PARTITIONS)],
            counts,
        }
    }

    pub(super) fn get(&self, partition: Partition) -> Phase {
        self.phases[partition.index()]
    }

    /// Changes a phase, and what hot paths see of it, at once.
    pub(super) fn set(&mut self, ownership: &Ownership, partition: Partition, phase: Phase) {
        let before = std::mem::replace(&mut self.phases[partition.index()], phase);
        self.counts[before.kind()] -= 1;
        self.counts[phase.kind()] += 1;
        ownership.set(self.keys, partition, phase.state());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Partition, Phase)> {
        Partition::all().zip(self.phases.iter().copied())
    }

    /// What is held, with its epochs.
    pub(super) fn held(&self) -> Vec<(Partition, u64)> {
        self.iter()
            .filter_map(|(partition, phase)| Some((partition, phase.held()?)))
            .collect()
    }

    /// How many the role works on.
    pub(super) fn active(&self) -> usize {
        self.counts[Phase::Active(0).kind()]
    }

    /// How many it is to load.
    pub(super) fn taking(&self) -> usize {
        self.counts[Phase::Taking(0).kind()] + self.counts[Phase::Waiting(0).kind()]
    }

    /// How many wait for the store to name their next owner.
    pub(super) fn given(&self) -> usize {
        self.counts[Phase::Given(0).kind()]
    }

    /// How many are on their way to another member.
    pub(super) fn on_the_way(&self) -> usize {
        self.counts[Phase::Giving(0).kind()] + self.given()
    }

    /// Whether the role has to do with any.
    pub(super) fn is_working(&self) -> bool {
        let idle = [Phase::Idle, Phase::Waiting(0), Phase::Given(0)];
        let idle: usize = idle.iter().map(|phase| self.counts[phase.kind()]).sum();
        idle < self.phases.len()
    }
}
