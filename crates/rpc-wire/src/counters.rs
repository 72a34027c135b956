//! What the wire counts. Plain atomics, read by a scrape.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Default, Debug)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($(#[$doc:meta])* $counters:ident, $(#[$snapshot_doc:meta])* $snapshot:ident { $($(#[$field_doc:meta])* $field:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Default, Debug)]
        pub(crate) struct $counters {
            $(pub(crate) $field: Count,)+
        }

        impl $counters {
            pub(crate) fn snapshot(&self) -> $snapshot {
                $snapshot { $($field: self.$field.get(),)+ }
            }
        }

        $(#[$snapshot_doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        pub struct $snapshot {
            $($(#[$field_doc])* pub $field: u64,)+
        }
    };
}

counters! {
    /// Of one listener and its services.
    ServerCounters,
    /// What a listener accepted and refused since it began.
    ServerSnapshot {
        /// Connections that were accepted and, off loopback, proved to be a member's.
        connections,
        /// Connections closed because there were too many.
        too_many_connections,
        /// Connections closed because too many were shaking hands.
        too_many_handshakes,
        /// Handshakes that took too long.
        slow_handshakes,
        /// Handshakes that failed: no member's certificate, another protocol, broken off.
        failed_handshakes,
        /// Failures to accept, of the system: no descriptors, no memory.
        failed_accepts,
        /// Calls refused because a service worked on too many.
        too_many_calls,
        /// Calls that were not done when their deadline passed.
        deadlines_passed,
    }
}

counters! {
    /// Of one cache.
    CacheCounters,
    /// What a cache answered since it began.
    CacheSnapshot {
        /// Answers from memory.
        hits,
        /// Answers that had to be asked for; those who asked for the same together count once each.
        misses,
        /// Changes for which something was dropped.
        invalidations,
        /// How often everything was dropped because the stream of changes broke.
        breaks,
    }
}
