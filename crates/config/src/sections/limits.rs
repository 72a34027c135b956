//! `[limits]`: what one member takes on. Every limit can be raised, none can be switched off.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::reader::Reader;

/// What one member takes on. Refusals are counted in `portico_limit_hits_total` and `portico_sip_refusals_total`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `limits.connections` (40000): open client connections.
    pub connections: u64,
    /// `limits.connections_per_address` (2000): open connections from one client address.
    pub connections_per_address: u64,
    /// `limits.new_connections_per_second` (2000): above it connections wait in the backlog.
    pub new_connections_per_second: u64,
    /// `limits.new_connections_per_second_per_address` (50).
    pub new_connections_per_second_per_address: u64,
    /// `limits.handshakes` (1024): TLS handshakes in progress.
    pub handshakes: u64,
    /// `limits.handshakes_per_address` (32).
    pub handshakes_per_address: u64,
    /// `limits.handshake_timeout` (`5s`).
    pub handshake_timeout: Duration,
    /// `limits.sign_in_timeout` (`30s`): a connection that has not signed in by then is closed.
    pub sign_in_timeout: Duration,
    /// `limits.requests_per_second` (20): requests of one signed-in connection, with a burst of three times as many.
    pub requests_per_second: u64,
    /// `limits.unauthenticated_requests_per_second` (20): requests from one address before sign-in.
    pub unauthenticated_requests_per_second: u64,
    /// `limits.sign_ins_per_second` (300): sign-ins of the whole member; above it clients are told to come back.
    pub sign_ins_per_second: u64,
    /// `limits.pending_transactions` (50000): requests of the whole member that wait for their answer.
    pub pending_transactions: u64,
}

/// No limit is so high that it is none, or so low that nobody gets in.
const COUNT: RangeInclusive<u64> = 1..=1_000_000;

/// A peer gets at least a second and at most a minute for a handshake.
const HANDSHAKE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
/// And five minutes for signing in.
const SIGN_IN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

impl Limits {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let mut count = |key, default| reader.number(key, default, COUNT);
        Limits {
            connections: count("limits.connections", 40_000),
            connections_per_address: count("limits.connections_per_address", 2_000),
            new_connections_per_second: count("limits.new_connections_per_second", 2_000),
            new_connections_per_second_per_address: count(
                "limits.new_connections_per_second_per_address",
                50,
            ),
            handshakes: count("limits.handshakes", 1_024),
            handshakes_per_address: count("limits.handshakes_per_address", 32),
            requests_per_second: count("limits.requests_per_second", 20),
            unauthenticated_requests_per_second: count("limits.unauthenticated_requests_per_second", 20),
            sign_ins_per_second: count("limits.sign_ins_per_second", 300),
            pending_transactions: count("limits.pending_transactions", 50_000),
            handshake_timeout: reader.duration("limits.handshake_timeout", Duration::from_secs(5), HANDSHAKE),
            sign_in_timeout: reader.duration("limits.sign_in_timeout", Duration::from_secs(30), SIGN_IN),
        }
    }
}
