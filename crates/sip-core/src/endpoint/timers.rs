//! [`Timers`]: the deadlines of all transactions of a flow.

use std::collections::BTreeMap;
use std::time::Instant;

use super::transactions::{ClientKey, ServerKey};

/// Whose deadline it is.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    Client(ClientKey),
    Server(ServerKey),
}

/// One deadline for each transaction at most, the earliest first.
///
/// A tree rather than a heap: most transactions end long before their deadline, and their entry goes with them. A
/// flow therefore holds no more entries than transactions, and an idle one holds no memory.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The serial number tells equal instants apart.
    due: BTreeMap<(Instant, u64), Owner>,
}

impl Timers {
    /// Replaces the deadline `old` of the transaction `serial` with `new`.
    pub(super) fn update(
        &mut self,
        serial: u64,
        old: Option<Instant>,
        new: Option<Instant>,
        owner: impl Fn() -> Owner,
    ) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.due.remove(&(old, serial));
        }
        if let Some(new) = new {
            self.due.insert((new, serial), owner());
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the earliest deadline if it has passed.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Owner> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.due.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}
