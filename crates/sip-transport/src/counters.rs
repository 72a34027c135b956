//! What the transport counts. Plain atomics: whoever publishes metrics reads them when asked.

use crate::closed_set::closed_set;
use crate::connection::CloseReason;
use crate::framing::FramingErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};

closed_set! {
    /// A thing that happens often enough to be counted.
    pub enum Count {
        /// A socket was accepted, before any check.
        Accepted = "accepted",
        /// A connection became usable: PROXY header and TLS handshake, if any, are done.
        Established = "established",
        /// A connection was opened by us and became usable.
        Opened = "opened",
        /// A connection that was usable is gone.
        Closed = "closed",
        /// A health probe of a balancer (PROXY command LOCAL) connected.
        Probe = "probe",
        /// A TLS handshake was completed.
        Handshake = "handshake",
        /// A TLS handshake failed or was given up.
        HandshakeFailed = "handshake_failed",
        /// The stream did not begin with an acceptable PROXY header where one was due.
        ProxyRefused = "proxy_refused",
        /// Accepting a connection failed for a reason of this machine, such as too few file descriptors.
        AcceptFailed = "accept_failed",
        /// Bytes read from sockets.
        BytesIn = "bytes_in",
        /// Bytes written to sockets.
        BytesOut = "bytes_out",
        /// Calls that read from a socket and got something.
        Reads = "reads",
        /// Calls that wrote to a socket and were taken.
        Writes = "writes",
        /// Messages received that could be parsed.
        MessagesIn = "messages_in",
        /// Messages queued for sending.
        MessagesOut = "messages_out",
        /// Messages received that were framed and not SIP as it should be.
        ParseErrors = "parse_errors",
        /// Double CRLFs received.
        Pings = "pings",
        /// Single CRLFs sent in answer.
        Pongs = "pongs",
    }
}

closed_set! {
    /// A limit that can be hit. See [`crate::Limits`] for the figures.
    pub enum Limit {
        /// Connections per process.
        Connections = "connections",
        /// Connections per address.
        ConnectionsPerAddress = "connections_per_address",
        /// New connections per second per process; accepting pauses.
        AcceptRate = "accept_rate",
        /// New connections per second per address.
        AcceptRatePerAddress = "accept_rate_per_address",
        /// TLS handshakes in progress per process.
        Handshakes = "handshakes",
        /// TLS handshakes in progress per address.
        HandshakesPerAddress = "handshakes_per_address",
        /// Time for a PROXY header.
        ProxyTime = "proxy_time",
        /// Time for a TLS handshake.
        HandshakeTime = "handshake_time",
        /// Time for a head.
        HeadTime = "head_time",
        /// Time for a body.
        BodyTime = "body_time",
        /// Size of a start line, header field or head.
        HeadSize = "head_size",
        /// Size of a body.
        BodySize = "body_size",
        /// Time without an authenticated request.
        Unauthenticated = "unauthenticated",
        /// Time without anything from an authenticated peer.
        Idle = "idle",
        /// Bytes of CRLFs between messages.
        Crlf = "crlf",
        /// Pongs per second; the ping was swallowed.
        Pong = "pong",
        /// Pending data, soft: reading paused.
        PendingSoft = "pending_soft",
        /// Pending data, hard: closed.
        PendingHard = "pending_hard",
        /// Time with much pending data and a peer that does not take it.
        SlowReader = "slow_reader",
    }
}

/// Everything counted since the process started. One for all listeners of a process.
#[derive(Debug)]
pub struct Counters {
    counts: [AtomicU64; Count::ALL.len()],
    closed: [AtomicU64; CloseReason::ALL.len()],
    limits: [AtomicU64; Limit::ALL.len()],
    framing: [AtomicU64; FramingErrorKind::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            counts: zeros(),
            closed: zeros(),
            limits: zeros(),
            framing: zeros(),
        }
    }
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

/// One number: what, which of its kind, how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What is counted: a name of [`Count`], or `closed`, `limit_hits` or `framing_errors` with a label.
    pub name: &'static str,
    /// Which of its kind: the name of a [`CloseReason`], [`Limit`] or [`FramingErrorKind`].
    pub label: Option<&'static str>,
    /// How many since the start of the process.
    pub value: u64,
}

impl Counters {
    /// How often this happened, or how much of it there was.
    pub fn get(&self, count: Count) -> u64 {
        read(&self.counts, count.index())
    }

    /// Usable connections at this moment.
    pub fn active(&self) -> u64 {
        let began = self
            .get(Count::Established)
            .saturating_add(self.get(Count::Opened));
        began.saturating_sub(self.get(Count::Closed))
    }

    /// Usable connections that ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        read(&self.closed, reason.index())
    }

    /// How often a limit was hit.
    pub fn limit_hits(&self, limit: Limit) -> u64 {
        read(&self.limits, limit.index())
    }

    /// How often framing failed in this way.
    pub fn framing_errors(&self, kind: FramingErrorKind) -> u64 {
        read(&self.framing, kind.index())
    }

    /// All numbers, for publication.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        let plain = Count::ALL
            .into_iter()
            .filter(|count| *count != Count::Closed)
            .map(|count| Sample {
                name: count.name(),
                label: None,
                value: self.get(count),
            });
        let labelled = |name, label, value| Sample {
            name,
            label: Some(label),
            value,
        };
        let closed = CloseReason::ALL
            .into_iter()
            .map(move |r| labelled("closed", r.name(), self.closed(r)));
        let limits = Limit::ALL
            .into_iter()
            .map(move |l| labelled("limit_hits", l.name(), self.limit_hits(l)));
        let framing = FramingErrorKind::ALL
            .into_iter()
            .map(move |k| labelled("framing_errors", k.name(), self.framing_errors(k)));
        plain.chain(closed).chain(limits).chain(framing)
    }

    pub(crate) fn add(&self, count: Count, amount: u64) {
        add(&self.counts, count.index(), amount);
    }

    pub(crate) fn hit(&self, limit: Limit) {
        add(&self.limits, limit.index(), 1);
    }

    pub(crate) fn count_closed(&self, reason: CloseReason) {
        self.add(Count::Closed, 1);
        add(&self.closed, reason.index(), 1);
    }

    /// Counts the error, and the limit that was hit if it was one.
    pub(crate) fn count_framing(&self, kind: FramingErrorKind) {
        use FramingErrorKind::*;
        add(&self.framing, kind.index(), 1);
        match kind {
            StartLineTooLong | HeaderLineTooLong | HeadTooLong => self.hit(Limit::HeadSize),
            BodyTooLarge => self.hit(Limit::BodySize),
            HeadTimeout => self.hit(Limit::HeadTime),
            BodyTimeout => self.hit(Limit::BodyTime),
            BareLineEnd | ContentLengthMissing | ContentLengthRepeated | ContentLengthInvalid => {}
        }
    }
}

// Counters say how much, never in which order: relaxed is enough.

fn add(cells: &[AtomicU64], index: usize, amount: u64) {
    if let Some(cell) = cells.get(index) {
        cell.fetch_add(amount, Ordering::Relaxed);
    }
}

fn read(cells: &[AtomicU64], index: usize) -> u64 {
    cells.get(index).map_or(0, |cell| cell.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name_of_its_own() {
        let counters = Counters::default();
        counters.hit(Limit::Idle);
        counters.count_framing(FramingErrorKind::BodyTooLarge);
        counters.add(Count::Established, 2);
        counters.count_closed(CloseReason::Idle);
        let samples: Vec<Sample> = counters.samples().collect();
        let names: std::collections::HashSet<_> = samples.iter().map(|s| (s.name, s.label)).collect();
        assert_eq!(names.len(), samples.len());
        let value = |name, label| {
            samples
                .iter()
                .find(|s| (s.name, s.label) == (name, label))
                .map(|s| s.value)
                .unwrap()
        };
        assert_eq!(value("limit_hits", Some("idle")), 1);
        assert_eq!(value("limit_hits", Some("body_size")), 1);
        assert_eq!(value("framing_errors", Some("body_too_large")), 1);
        assert_eq!(value("closed", Some("idle")), 1);
        assert_eq!(value("closed", Some("fault")), 0);
        assert_eq!(counters.active(), 1);
    }
}
