//! The lane of a partition: requests wait in it, are sent, and are answered or sent again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rpc::{Error, ErrorCode, ImMcuClient};
use tokio::sync::oneshot;
use tokio::time::Instant;
use topology::Partition;

use super::Inner;
use super::request::{Reply, Request};
use crate::codec::milliseconds;
use crate::duplex::{NotSent, trace_now};
use crate::exchange::link::{Link, item};
use crate::proto::immcu::v1 as wire;
use crate::proto::immcu::v1::owner_item::Body as Down;
use crate::proto::trace::v1::TraceContext;
use crate::routes::OwnerMember;

/// Unanswered requests of one partition.
const LANE: usize = 8_192;

/// What an answer on a stream is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::exchange) enum Waits {
    /// A request of this lane, by its number in the router, asked of the owner with this epoch.
    Request(Partition, u64, u64),
    /// The legs that were named for this lane, under this epoch.
    Hold(Partition, u64),
}

pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Result<Reply, Error>>,
    /// The trace it belongs to.
    trace: Option<TraceContext>,
    /// The epoch of the owner it was sent to; `None`: to be sent (again).
    pub(super) sent: Option<u64>,
}

#[derive(Clone)]
pub(super) enum To {
    Local,
    Link(Arc<Link>),
}

#[derive(Default)]
pub(super) struct Lane {
    /// The owner that was last attached to, in good order: it knows our legs.
    pub(super) told: Option<(OwnerMember, u64)>,
    /// The owner now. `None`: none is known, or there is no stream to it.
    pub(super) to: Option<To>,
    /// Something has to be sent before anything new.
    pub(super) held_up: bool,
    pub(super) requests: BTreeMap<u64, Pending>,
}

impl Lane {
    /// The epoch of the owner that is asked.
    pub(super) fn epoch(&self) -> u64 {
        self.told.as_ref().map_or(0, |(_, epoch)| *epoch)
    }
}

pub(super) enum Placed {
    Local(ImMcuClient, Box<Request>, oneshot::Sender<Result<Reply, Error>>),
    Queued(u64),
}

impl Inner {
    /// Gives a new request its place in its lane, and sends it if it may go.
    pub(super) fn place(
        &self,
        partition: Partition,
        request: Request,
        until: Instant,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<Placed, Error> {
        let mut lane = self.lane(partition).lock();
        if let (Some(To::Local), false, Some(local)) = (&lane.to, lane.held_up, &self.local) {
            return Ok(Placed::Local(local.clone(), Box::new(request), reply));
        }
        let number = self.queue(&mut lane, request, until, reply)?;
        if !lane.held_up {
            self.send(&mut lane, partition, number);
            if lane.held_up {
                self.refused.notify_one();
            }
        }
        Ok(Placed::Queued(number))
    }

    /// The local owner turned a request away: it is sent to whoever owns the conversation next.
    pub(super) fn put_back(
        &self,
        partition: Partition,
        request: Request,
        until: Instant,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<u64, Error> {
        let mut lane = self.lane(partition).lock();
        lane.held_up = true;
        self.refused.notify_one();
        self.queue(&mut lane, request, until, reply)
    }

    fn queue(
        &self,
        lane: &mut Lane,
        request: Request,
        until: Instant,
        reply: oneshot::Sender<Result<Reply, Error>>,
    ) -> Result<u64, Error> {
        if lane.requests.len() >= LANE {
            self.counters.full();
            return Err(Error::new(
                ErrorCode::TooMany,
                "too many requests wait for an owner",
            ));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pending = Pending {
            request,
            until,
            reply,
            trace: trace_now(),
            sent: None,
        };
        lane.requests.insert(number, pending);
        if lane.to.is_none() {
            lane.held_up = true;
        }
        Ok(number)
    }

    /// Sends a request on the stream of its lane. If that cannot be, the lane is held up.
    pub(super) fn send(&self, lane: &mut Lane, partition: Partition, number: u64) {
        let stream = match &lane.to {
            Some(To::Link(link)) => link.stream(),
            _ => None,
        };
        let epoch = lane.epoch();
        let Some(stream) = stream else {
            lane.held_up = true;
            return;
        };
        let Some(pending) = lane.requests.get_mut(&number) else {
            return;
        };
        let left = pending.until.saturating_duration_since(Instant::now());
        let (body, trace) = (pending.request.to_wire(), pending.trace.clone());
        let sent = stream.request(Waits::Request(partition, number, epoch), |sequence| {
            wire::FrontEndItem {
                deadline_ms: milliseconds(left),
                trace,
                ..item(sequence, body)
            }
        });
        match sent {
            Ok(_) => pending.sent = Some(epoch),
            Err((NotSent::Ended, _)) => lane.held_up = true,
            Err((NotSent::Full, _)) => {
                self.counters.full();
                if let Some(pending) = lane.requests.remove(&number) {
                    let full = Error::new(ErrorCode::TooMany, "too much waits for an owner");
                    let _gave_up = pending.reply.send(Err(full));
                }
            }
        }
    }

    /// An answer came.
    pub(in crate::exchange) fn answered(&self, waits: Waits, body: Down) {
        let reply = Reply::of_wire(body);
        match waits {
            Waits::Hold(partition, epoch) => {
                if reply.is_err() {
                    self.hold_refused(partition, epoch);
                }
            }
            Waits::Request(partition, number, epoch) => self.replied(partition, number, epoch, reply),
        }
    }

    /// A request was answered; if by somebody who does not own the conversation, it is sent again. An owner that was asked
    /// before the present one may still say that it succeeded; that it failed is for the present one to say.
    pub(super) fn replied(&self, partition: Partition, number: u64, epoch: u64, reply: Result<Reply, Error>) {
        let mut lane = self.lane(partition).lock();
        let Some(pending) = lane.requests.get_mut(&number) else {
            return;
        };
        let is_present = pending.sent == Some(epoch);
        if !is_present && !reply.as_ref().is_ok_and(Reply::is_success) {
            return;
        }
        if matches!(&reply, Err(error) if error.code == ErrorCode::Unavailable) {
            pending.sent = None;
            lane.held_up = true;
            self.counters.rerouted();
            self.refused.notify_one();
        } else if let Some(pending) = lane.requests.remove(&number) {
            let _gave_up = pending.reply.send(reply);
        }
    }

    /// The owner does not know yet that it is: it is told our legs again.
    fn hold_refused(&self, partition: Partition, epoch: u64) {
        let mut lane = self.lane(partition).lock();
        if lane.told.as_ref().is_some_and(|(_, told)| *told == epoch) {
            lane.told = None;
            lane.held_up = true;
            self.refused.notify_one();
        }
    }

    pub(in crate::exchange) fn link_up(&self) {
        self.work.notify_one();
    }

    /// A stream ended. What waited for answers on it is sent again.
    pub(in crate::exchange) fn link_down(&self, waiting: Vec<Waits>) {
        self.counters.resent(waiting.len());
        for waits in waiting {
            match waits {
                Waits::Hold(partition, epoch) => self.hold_refused(partition, epoch),
                Waits::Request(partition, number, epoch) => {
                    let mut lane = self.lane(partition).lock();
                    if let Some(pending) = lane.requests.get_mut(&number)
                        && pending.sent == Some(epoch)
                    {
                        pending.sent = None;
                        lane.held_up = true;
                    }
                }
            }
        }
        self.work.notify_one();
    }
}
