//! What is kept of a partition that is owned here.

use hashbrown::{HashMap, HashSet};
use sip_types::AddressOfRecord;

use super::Hasher;
use crate::{Revision, UserBindings};

/// A partition that is owned here.
pub(super) struct Held {
    pub(super) epoch: u64,
    /// True while it is given away: it takes no more commits.
    pub(super) leaving: bool,
    /// How often the copy was found to have lost its history, and how many of those times are repaired.
    pub(super) losses: u64,
    pub(super) repaired: u64,
    /// Everybody with a state in memory, so that a hand-over does not walk over everybody else.
    pub(super) users: HashSet<AddressOfRecord, Hasher>,
    /// Those whose newest state the copy is not known to have, with its revision.
    pub(super) dirty: HashMap<AddressOfRecord, Revision, Hasher>,
}

impl Held {
    pub(super) fn new(epoch: u64) -> Self {
        Held {
            epoch,
            leaving: false,
            losses: 0,
            repaired: 0,
            users: HashSet::default(),
            dirty: HashMap::default(),
        }
    }

    pub(super) fn must_rewrite(&self) -> bool {
        self.losses > self.repaired
    }

    pub(super) fn changed(&mut self, aor: &AddressOfRecord, state: &UserBindings) {
        if state.is_empty() {
            self.users.remove(aor);
        } else if !self.users.contains(aor) {
            self.users.insert(aor.clone());
        }
        self.dirty.insert(aor.clone(), state.revision);
    }

    pub(super) fn dirty(&self) -> usize {
        if self.must_rewrite() {
            self.users.len().max(1)
        } else {
            self.dirty.len()
        }
    }
}
