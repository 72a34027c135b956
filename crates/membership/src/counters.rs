//! What membership counts. Plain atomics, read by a scrape.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry::Page;
use telemetry::names::{self, label};
use topology::Partitioned;

use crate::machine::Call;

/// The counters of one life. Only ever grow.
#[derive(Default, Debug)]
pub struct Counters {
    renewals: AtomicU64,
    renewal_failures: AtomicU64,
    call_failures: AtomicU64,
    history_losses: AtomicU64,
    evictions: AtomicU64,
    fenced_nanos: AtomicU64,
    claimed: [AtomicU64; Partitioned::COUNT],
    transferred: [AtomicU64; Partitioned::COUNT],
    lost: [AtomicU64; Partitioned::COUNT],
    take_failures: [AtomicU64; Partitioned::COUNT],
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(crate) fn call_succeeded(&self, call: &Call) {
        match call {
            Call::Renew(..) => add(&self.renewals, 1),
            Call::Evict(..) => add(&self.evictions, 1),
            _ => {}
        }
    }

    pub(crate) fn call_failed(&self, call: &Call) {
        match call {
            Call::Renew(..) => add(&self.renewal_failures, 1),
            _ => add(&self.call_failures, 1),
        }
    }

    pub(crate) fn claimed(&self, keys: Partitioned, count: usize) {
        add(&self.claimed[keys.index()], count as u64);
    }

    pub(crate) fn transferred(&self, keys: Partitioned, count: usize) {
        add(&self.transferred[keys.index()], count as u64);
    }

    pub(crate) fn lost(&self, keys: Partitioned, count: usize) {
        add(&self.lost[keys.index()], count as u64);
    }

    pub(crate) fn take_failed(&self, keys: Partitioned) {
        add(&self.take_failures[keys.index()], 1);
    }

    pub(crate) fn history_lost(&self) {
        add(&self.history_losses, 1);
    }

    pub(crate) fn fenced(&self, time: Duration) {
        add(
            &self.fenced_nanos,
            u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        );
    }

    /// Adds all of them to a page.
    pub(crate) fn collect(&self, page: &mut Page) {
        for (operation, result, count) in [
            ("renew", "ok", &self.renewals),
            ("renew", "failed", &self.renewal_failures),
            ("change", "failed", &self.call_failures),
            ("evict", "ok", &self.evictions),
        ] {
            let labels = [(label::OPERATION, operation), (label::RESULT, result)];
            page.counter(&names::LEASE_OPERATIONS, &labels, read(count));
        }
        for keys in Partitioned::ALL {
            let index = keys.index();
            for (operation, count) in [
                ("claimed", &self.claimed[index]),
                ("transferred", &self.transferred[index]),
                ("lost", &self.lost[index]),
                ("take_failed", &self.take_failures[index]),
            ] {
                let labels = [(label::KEYS, keys.as_str()), (label::OPERATION, operation)];
                page.counter(&names::PARTITION_OPERATIONS, &labels, read(count));
            }
        }
        page.counter(&names::STORE_HISTORY_LOSSES, &[], read(&self.history_losses));
        let fenced = Duration::from_nanos(read(&self.fenced_nanos)).as_secs_f64();
        page.counter_seconds(&names::FENCED_TIME, &[], fenced);
    }
}
