//! What streams with items both ways count.

use std::sync::atomic::{AtomicU64, Ordering};

use telemetry::Page;
use telemetry::names::{self, label};

/// Upper bounds of the sizes of batches that are counted apart.
const SIZES: [u64; 6] = [1, 4, 16, 32, 63, u64::MAX];

/// The same in words.
const SIZE_NAMES: [&str; 6] = ["1", "2-4", "5-16", "17-32", "33-63", "64"];

/// Counters of all streams of one kind in this process.
#[derive(Debug, Default)]
pub struct Counters {
    items: AtomicU64,
    batches: [AtomicU64; SIZES.len()],
    resent: AtomicU64,
    rerouted: AtomicU64,
    stale: AtomicU64,
    malformed: AtomicU64,
    full: AtomicU64,
    connected: AtomicU64,
    broken: AtomicU64,
}

/// One reading of [`Counters`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Items sent.
    pub items: u64,
    /// Batches sent, by the largest number of items counted here and their number.
    pub batches: Vec<(u64, u64)>,
    /// Requests sent again because their stream broke.
    pub resent: u64,
    /// Requests sent again because the one asked did not own the conversation (any more).
    pub rerouted: u64,
    /// Requests of owners refused because a newer one is known.
    pub stale: u64,
    /// Items that made no sense.
    pub malformed: u64,
    /// Requests refused because too much waited to be sent.
    pub full: u64,
    /// Streams established.
    pub connected: u64,
    /// Streams that broke.
    pub broken: u64,
}

impl Counters {
    pub(crate) fn batch(&self, items: usize) {
        let items = items as u64;
        self.items.fetch_add(items, Ordering::Relaxed);
        let place = SIZES
            .iter()
            .position(|size| items <= *size)
            .unwrap_or(SIZES.len() - 1);
        self.batches[place].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn resent(&self, count: usize) {
        self.resent.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn rerouted(&self) {
        self.rerouted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stale(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn full(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the numbers on a page of metrics, as those of streams of this kind.
    pub fn collect(&self, page: &mut Page, stream: &'static str) {
        let now = self.snapshot();
        let stream = (label::STREAM, stream);
        page.counter(&names::RPC_ITEMS, &[stream], now.items);
        for (name, (_, count)) in SIZE_NAMES.into_iter().zip(&now.batches) {
            page.counter(&names::RPC_BATCHES, &[stream, (label::SIZE, name)], *count);
        }
        for (event, count) in [
            ("resent", now.resent),
            ("rerouted", now.rerouted),
            ("stale", now.stale),
            ("malformed", now.malformed),
            ("full", now.full),
            ("connected", now.connected),
            ("broken", now.broken),
        ] {
            page.counter(&names::RPC_EVENTS, &[stream, (label::REASON, event)], count);
        }
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            items: read(&self.items),
            batches: SIZES.into_iter().zip(self.batches.iter().map(read)).collect(),
            resent: read(&self.resent),
            rerouted: read(&self.rerouted),
            stale: read(&self.stale),
            malformed: read(&self.malformed),
            full: read(&self.full),
            connected: read(&self.connected),
            broken: read(&self.broken),
        }
    }
}
