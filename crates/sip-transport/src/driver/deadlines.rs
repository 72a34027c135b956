//! The times by which something must have happened on an open connection.

use crate::connection::{CloseReason, Connection};
use crate::counters::Limit;
use crate::framing::Progress;
use crate::limits::Limits;
use std::time::Instant;

/// What a passed deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// A message was not complete in time.
    Message,
    /// The connection is closed for this reason.
    Close(CloseReason, Limit),
}

/// When a peer must have done what, by what it did until now.
#[derive(Debug)]
pub(super) struct Deadlines {
    since: Instant,
    heard: Instant,
    message: Option<Part>,
    stall: Option<Stall>,
}

/// The part of a message that is being received, and when it must be complete.
#[derive(Clone, Copy, Debug)]
struct Part {
    body: bool,
    deadline: Instant,
}

/// A socket that does not take what we have.
#[derive(Clone, Copy, Debug)]
struct Stall {
    /// Since when nothing was taken, and how much was taken until then.
    still: (Instant, u64),
    /// Since when more than the soft limit waits, and how much was taken until then.
    above: Option<(Instant, u64)>,
}

impl Deadlines {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            since,
            heard: since,
            message: None,
            stall: None,
        }
    }

    /// Something was read.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A message was complete: the next one gets its own time.
    pub(super) fn message_complete(&mut self) {
        self.message = None;
    }

    /// Reading stands still because of us: the peer is not to blame for an unfinished message.
    pub(super) fn paused(&mut self) {
        self.message = None;
    }

    /// All that was read was worked off, and the framer stands here.
    pub(super) fn reading(&mut self, progress: Progress, now: Instant, limits: &Limits) {
        let body = matches!(progress, Progress::Body(_));
        match progress {
            Progress::Between | Progress::Failed => self.message = None,
            // From the first byte of the part; progress does not extend it.
            _ if self.message.is_some_and(|part| part.body == body) => {}
            Progress::Head => {
                self.message = Some(Part {
                    body,
                    deadline: now + limits.head_time,
                })
            }
            Progress::Body(length) => {
                self.message = Some(Part {
                    body,
                    deadline: now + limits.body_deadline(length),
                });
            }
        }
    }

    /// All that can be written was written. `taken`: what the socket took since the beginning; `pending`: what
    /// waits.
    pub(super) fn wrote(&mut self, taken: u64, pending: usize, now: Instant, limits: &Limits) {
        if pending == 0 {
            self.stall = None;
            return;
        }
        let stall = self.stall.get_or_insert(Stall {
            still: (now, taken),
            above: None,
        });
        if stall.still.1 != taken {
            stall.still = (now, taken);
        }
        // A peer that takes a quarter of the soft limit in the time for it is slow, but reads.
        let enough = limits.pending_soft as u64 / 4;
        stall.above = match stall.above {
            _ if pending <= limits.pending_soft => None,
            Some((_, then)) if taken.saturating_sub(then) >= enough => Some((now, taken)),
            Some(above) => Some(above),
            None => Some((now, taken)),
        };
    }

    /// The first deadline that passed, if any did.
    pub(super) fn missed(&self, connection: &Connection, now: Instant, limits: &Limits) -> Option<Missed> {
        self.all(connection, limits)
            .into_iter()
            .flatten()
            .find(|(at, _)| *at <= now)
            .map(|(_, missed)| missed)
    }

    /// The earliest deadline.
    pub(super) fn next(&self, connection: &Connection, limits: &Limits) -> Option<Instant> {
        self.all(connection, limits)
            .into_iter()
            .flatten()
            .map(|(at, _)| at)
            .min()
    }

    fn all(&self, connection: &Connection, limits: &Limits) -> [Option<(Instant, Missed)>; 4] {
        let close = |at, reason, limit| Some((at, Missed::Close(reason, limit)));
        let silence = if connection.is_outbound() || connection.is_authenticated() {
            close(
                self.heard + connection.allowed_silence(),
                CloseReason::Idle,
                Limit::Idle,
            )
        } else {
            close(
                self.since + limits.unauthenticated_time,
                CloseReason::Unauthenticated,
                Limit::Unauthenticated,
            )
        };
        let slow = |at| close(at, CloseReason::SlowReader, Limit::SlowReader);
        [
            self.message.map(|part| (part.deadline, Missed::Message)),
            silence,
            self.stall
                .and_then(|stall| slow(stall.still.0 + limits.stalled_time)),
            self.stall
                .and_then(|stall| stall.above)
                .and_then(|above| slow(above.0 + limits.slow_reader_time)),
        ]
    }
}
