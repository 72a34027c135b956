//! The role traits of crate `rpc` over gRPC, for roles that run in different processes.
//!
//! A caller holds a client type of `rpc` and cannot tell whether the role is in its own process. What makes that true
//! between processes is here, and nothing else: no rule of any role, no store, no SIP.
//!
//! | Question | Where |
//! |---|---|
//! | How does a domain type look on the wire? | [`codec`], both ways; the shapes are those of `proto/` |
//! | How is a role offered to other members? | [`RpcServer`]: adapters in `server`, bounds in `work`, limits of HTTP/2 in `serve` |
//! | How is a role of another member reached? | [`RemoteRegistrar`], [`RemoteDirectory`], [`RemotePresence`], [`RemoteMember`] over any [`Carrier`] |
//! | What is remembered of a registrar elsewhere? | [`CachedRegistrar`] |
//! | Where is what members share without Redis? | [`seed`] |
//! | Over what? | [`transport`]: plain on loopback, TLS 1.3 with a certificate on both sides anywhere else |
//!
//! Invariants: what arrives never panics and never is trusted to be complete; every call has a deadline and every queue a
//! bound; off loopback nothing is spoken but TLS 1.3 between members that hold the pool's key file.
//!
//! To add a call: add it to `proto/` and to the trait, run the test `generated_is_current` once with
//! `UPDATE_GENERATED=1`, add the conversion to [`codec`] with a row in its round-trip tests, the adapters to `server` and
//! `client` (what changes something goes through `Work::write`), and a behaviour to the contract tests, which run it in all
//! four ways: directly, through the codec, over TCP, over mutual TLS (`tests/contract.rs`). What travels on the streams of
//! [`exchange`] has its own: `tests/conversations`.

mod cached;
mod client;
pub mod codec;
mod counters;
mod duplex;
pub mod exchange;
mod member;
mod routed;
mod routed_presence;
mod routes;
pub mod seed;
mod serve;
mod server;
#[cfg(test)]
mod test_owner;
mod traced;
pub mod transport;
mod work;

pub use cached::{CacheSize, CachedRegistrar};
pub use client::{AnyCarrier, Carrier, RemoteDirectory, RemotePresence, RemoteRegistrar, any_carrier};
pub use counters::{CacheSnapshot, ServerSnapshot};
pub use duplex::{Counters as StreamCounters, Snapshot as StreamSnapshot};
pub use member::{Describe, Description, RemoteMember};
pub use routed::{DialRegistrar, LocalRegistrar, RoutedRegistrar};
pub use routed_presence::{DialPresence, RoutedPresence};
pub use routes::{OwnerMember, OwnerRoutes, PartitionOwner};
pub use serve::{
    DRAIN, Health, RpcServer, RpcServerBuilder, STREAMS_PER_CONNECTION, ServeError, ServerCountersHandle,
};
pub use server::FOLLOW_BATCH;
pub use work::{CALLS_PER_SERVICE, DEFAULT_DEADLINE, ITEMS_PER_SERVICE, MAX_DEADLINE, WATCHERS_PER_SERVICE};

/// Longest message either side sends or takes, in bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

#[expect(clippy::allow_attributes, reason = "the generator writes them")]
#[expect(clippy::large_enum_variant, reason = "the generator does not weigh them")]
/// The messages and services of `proto/`, as generated code.
pub mod proto {
    /// Package `portico.errors.v1`.
    pub mod errors {
        /// Version 1.
        pub mod v1 {
            include!("gen/portico.errors.v1.rs");
        }
    }
    /// Package `portico.immcu.v1`.
    pub mod immcu {
        /// Version 1.
        pub mod v1 {
            include!("gen/portico.immcu.v1.rs");
        }
    }
    /// Package `portico.pool.v1`.
    pub mod pool {
        /// Version 1.
        pub mod v1 {
            include!("gen/portico.pool.v1.rs");
        }
    }
    /// Package `portico.presence.v1`.
    pub mod presence {
        /// Version 1.
        pub mod v1 {
            include!("gen/portico.presence.v1.rs");
        }
    }
    /// Package `portico.registrar.v1`.
    pub mod registrar {
        /// Version 1.
        pub mod v1 {
            include!("gen/portico.registrar.v1.rs");
        }
    }
    /// Package `portico.trace.v1`.
    pub mod trace {
        /// Version 1.
        pub mod v1 {
            include!("gen/portico.trace.v1.rs");
        }
    }
}
