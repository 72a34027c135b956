//! The figures of every bound the transport keeps. docs/limits.md has them together with all others.

use crate::framing::FramingLimits;
use std::time::Duration;

const KIB: usize = 1024;

/// Bounds of listeners and connections. [`Default`] gives the figures of a shared machine; an operator may
/// raise one, and none can be switched off: [`Limits::validate`] refuses zero and what amounts to infinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sizes of one message: 414, 400, 513 or 413, then close.
    pub framing: FramingLimits,
    /// Longest PROXY header in bytes (232). Close.
    pub proxy_header: usize,
    /// Time for a PROXY header from the accept (3 s). Close.
    pub proxy_time: Duration,
    /// Time for a TLS handshake (5 s). Close.
    pub handshake_time: Duration,
    /// Time for a head from its first byte, not extended by progress (10 s). 408, close.
    pub head_time: Duration,
    /// Time for a body from the end of its head (10 s), to which comes one second per
    /// [`Limits::body_bytes_per_second`]. 408, close.
    pub body_time: Duration,
    /// The slowest that a body may arrive (64 KiB/s).
    pub body_bytes_per_second: usize,
    /// Time without an authenticated request, from the accept (30 s). Close.
    pub unauthenticated_time: Duration,
    /// Longest that an authenticated connection may be silent, whatever keep-alive was agreed (20 min). Close.
    pub idle_time: Duration,
    /// Bytes of CRLFs between messages per minute (64 KiB). Close.
    pub crlf_per_minute: usize,
    /// Least time between two pongs (1 s). The ping is swallowed.
    pub pong_interval: Duration,
    /// Data waiting to be written above which the peer's requests are not read (256 KiB).
    pub pending_soft: usize,
    /// Data waiting to be written above which the connection is closed (1 MiB).
    pub pending_hard: usize,
    /// Time in which a peer with more than [`Limits::pending_soft`] waiting must take a part of it (10 s).
    /// Close.
    pub slow_reader_time: Duration,
    /// Time in which a peer with anything waiting must take some of it (30 s). Close.
    pub stalled_time: Duration,
    /// Time for writing what is queued when a connection is being closed (5 s).
    pub closing_time: Duration,
    /// Time in which what the peer still sends is thrown away after our last byte, so that it reads our answer
    /// before its connection is reset (2 s).
    pub linger_time: Duration,
    /// Connections per process (40,000). Refused.
    pub connections: usize,
    /// Connections per address; a /64 counts as one address in IPv6 (2,000). Refused.
    pub connections_per_address: usize,
    /// New connections per second per process (2,000). Left in the backlog.
    pub accepts_per_second: u32,
    /// New connections per second per address (50). Closed.
    pub accepts_per_second_per_address: u32,
    /// TLS handshakes in progress per process (1,024). Closed.
    pub handshakes: usize,
    /// TLS handshakes in progress per address (32). Closed.
    pub handshakes_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            framing: FramingLimits::default(),
            proxy_header: 232,
            proxy_time: Duration::from_secs(3),
            handshake_time: Duration::from_secs(5),
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            body_bytes_per_second: 64 * KIB,
            unauthenticated_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(20 * 60),
            crlf_per_minute: 64 * KIB,
            pong_interval: Duration::from_secs(1),
            pending_soft: 256 * KIB,
            pending_hard: KIB * KIB,
            slow_reader_time: Duration::from_secs(10),
            stalled_time: Duration::from_secs(30),
            closing_time: Duration::from_secs(5),
            linger_time: Duration::from_secs(2),
            connections: 40_000,
            connections_per_address: 2_000,
            accepts_per_second: 2_000,
            accepts_per_second_per_address: 50,
            handshakes: 1_024,
            handshakes_per_address: 32,
        }
    }
}

/// A limit whose figure cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit {name} is {value}, it must be from {least} to {most}")]
pub struct InvalidLimit {
    /// Which limit.
    pub name: &'static str,
    /// Its figure; times in milliseconds.
    pub value: u128,
    /// Smallest figure it may have.
    pub least: u128,
    /// Largest figure it may have.
    pub most: u128,
}

impl Limits {
    /// Checks that each limit is one.
    ///
    /// # Errors
    /// [`InvalidLimit`] names the first that is not.
    pub fn validate(&self) -> Result<(), InvalidLimit> {
        for (name, value, least, most) in self.ranges() {
            if !(least..=most).contains(&value) {
                return Err(InvalidLimit {
                    name,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }

    /// Name, figure, smallest and largest figure of each limit.
    fn ranges(&self) -> [(&'static str, u128, u128, u128); 26] {
        let size = |name, value: usize, least: usize, most: usize| {
            (name, value as u128, least as u128, most as u128)
        };
        let time = |name, value: Duration, most: u64| (name, value.as_millis(), 1, u128::from(most) * 1000);
        let mib = KIB * KIB;
        [
            // The parser keeps bounds of its own; framing cannot be more generous than it.
            size(
                "start_line",
                self.framing.start_line,
                64,
                sip_types::limits::START_LINE,
            ),
            size(
                "header_line",
                self.framing.header_line,
                64,
                sip_types::limits::HEADER_LINE,
            ),
            size("head", self.framing.head, 256, sip_types::limits::HEAD),
            size("body", self.framing.body, 1, 16 * mib),
            size("proxy_header", self.proxy_header, 28, 4 * KIB),
            time("proxy_time", self.proxy_time, 60),
            time("handshake_time", self.handshake_time, 60),
            time("head_time", self.head_time, 120),
            time("body_time", self.body_time, 120),
            size(
                "body_bytes_per_second",
                self.body_bytes_per_second,
                64,
                1024 * mib,
            ),
            time("unauthenticated_time", self.unauthenticated_time, 300),
            time("idle_time", self.idle_time, 24 * 3600),
            size("crlf_per_minute", self.crlf_per_minute, 4, mib),
            time("pong_interval", self.pong_interval, 60),
            size("pending_soft", self.pending_soft, 4 * KIB, self.pending_hard),
            size("pending_hard", self.pending_hard, 64 * KIB, 64 * mib),
            time("slow_reader_time", self.slow_reader_time, 300),
            time("stalled_time", self.stalled_time, 300),
            time("closing_time", self.closing_time, 60),
            time("linger_time", self.linger_time, 60),
            size("connections", self.connections, 1, 4_000_000),
            size(
                "connections_per_address",
                self.connections_per_address,
                1,
                4_000_000,
            ),
            size(
                "accepts_per_second",
                self.accepts_per_second as usize,
                1,
                1_000_000,
            ),
            size(
                "accepts_per_second_per_address",
                self.accepts_per_second_per_address as usize,
                1,
                1_000_000,
            ),
            size("handshakes", self.handshakes, 1, 1_000_000),
            size(
                "handshakes_per_address",
                self.handshakes_per_address,
                1,
                1_000_000,
            ),
        ]
    }

    /// How long a body of this many bytes may take.
    pub(crate) fn body_deadline(&self, body: usize) -> Duration {
        let extra = body / self.body_bytes_per_second.max(1);
        self.body_time.saturating_add(Duration::from_secs(extra as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_none_can_be_switched_off() {
        assert_eq!(Limits::default().validate(), Ok(()));
        let name = |limits: Limits| limits.validate().unwrap_err().name;
        assert_eq!(
            name(Limits {
                connections: 0,
                ..Limits::default()
            }),
            "connections"
        );
        assert_eq!(
            name(Limits {
                idle_time: Duration::MAX,
                ..Limits::default()
            }),
            "idle_time"
        );
        assert_eq!(
            name(Limits {
                head_time: Duration::ZERO,
                ..Limits::default()
            }),
            "head_time"
        );
        assert_eq!(
            name(Limits {
                pending_soft: usize::MAX,
                ..Limits::default()
            }),
            "pending_soft"
        );
        let framing = FramingLimits {
            head: usize::MAX,
            ..FramingLimits::default()
        };
        assert_eq!(
            name(Limits {
                framing,
                ..Limits::default()
            }),
            "head"
        );
    }

    #[test]
    fn a_body_gets_a_second_for_each_64_kib() {
        let limits = Limits::default();
        assert_eq!(limits.body_deadline(10), Duration::from_secs(10));
        assert_eq!(limits.body_deadline(128 * KIB), Duration::from_secs(12));
    }
}
