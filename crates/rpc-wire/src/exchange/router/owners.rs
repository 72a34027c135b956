//! Follows who owns what: keeps a stream to every owner, tells a new one which legs are held here, and sends it what the one
//! before it did not answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rpc::{ConversationKey, HeldLegs};
use tokio::time::Instant;
use topology::Partition;

use super::lane::{Lane, To, Waits};
use super::request::Request;
use super::{CONTROL, Inner};
use crate::codec::milliseconds;
use crate::exchange::link::{Asking, Link, item};
use crate::exchange::poll_once_then_spawn;
use crate::proto::immcu::v1 as wire;
use crate::proto::immcu::v1::front_end_item::Body as Up;
use crate::routes::{OwnerMember, PartitionOwner};

/// How soon an owner that did not own what it was asked for is asked again: it may be about to learn that it does.
const AGAIN: Duration = Duration::from_millis(50);

impl Inner {
    /// Follows the routes, keeps links to all owners, and gets held-up lanes going.
    pub(super) async fn drive(self: Arc<Self>) {
        let mut changes = self.routes.changes();
        loop {
            changes.mark_unchanged();
            self.keep_links();
            let waiting = self.attach_all();
            let again = async {
                match waiting {
                    true => tokio::time::sleep(AGAIN).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = again => {}
                // Whoever refused is not asked again at once: it is about to learn what it owns.
                () = self.refused.notified() => tokio::time::sleep(AGAIN).await,
                () = self.work.notified() => {}
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        for (_, link) in self.links.lock().drain() {
            link.stop.cancel();
        }
    }

    /// One link for each live owner elsewhere; those of owners that are gone end.
    fn keep_links(self: &Arc<Self>) {
        let wanted: HashSet<OwnerMember> = self
            .routes
            .members()
            .into_iter()
            .filter(|one| !one.is_self)
            .collect();
        let mut links = self.links.lock();
        links.retain(|owner, link| {
            let stays = wanted.contains(owner);
            if !stays {
                link.stop.cancel();
            }
            stays
        });
        for owner in wanted {
            if links.contains_key(&owner) {
                continue;
            }
            if owner.address.is_none() {
                continue;
            }
            match (self.dial)(&owner) {
                Ok(carrier) => {
                    let link = Arc::new(Link::new(owner.clone(), self.stop.child_token()));
                    self.tasks.spawn(link.clone().run(self.clone(), carrier));
                    links.insert(owner, link);
                }
                Err(error) => {
                    tracing::warn!(%error, owner = %owner.member, "an owner's address is of no use")
                }
            }
        }
    }

    /// Brings every lane to its present owner. True: something is held up that only time may help.
    fn attach_all(self: &Arc<Self>) -> bool {
        let mut changed = Vec::new();
        for partition in Partition::all() {
            let owner = self.routes.owner(partition);
            let mut lane = self.lane(partition).lock();
            let to = owner.as_ref().and_then(|owner| self.way_to(&owner.owner));
            lane.to.clone_from(&to);
            if to.is_none() {
                lane.held_up |= !lane.requests.is_empty();
                continue;
            }
            if let Some(owner) = owner
                && lane
                    .told
                    .as_ref()
                    .is_none_or(|(told, epoch)| *told != owner.owner || *epoch != owner.epoch)
            {
                lane.held_up = true;
                // Whatever another owner was asked is asked of this one, before anything new: order survives the change.
                for pending in lane.requests.values_mut() {
                    pending.sent = pending.sent.filter(|epoch| *epoch == owner.epoch);
                }
                changed.push((partition, owner, lane.told.is_some()));
            }
        }
        self.tell_legs(changed);
        let mut waiting = false;
        for partition in Partition::all() {
            // What the local owner is asked is begun without the lane's lock: it may lead back here.
            loop {
                let locally = {
                    let mut lane = self.lane(partition).lock();
                    let locally = match lane.held_up {
                        true => self.resend(&mut lane, partition),
                        false => Vec::new(),
                    };
                    waiting |= lane.held_up && locally.is_empty();
                    locally
                };
                if locally.is_empty() {
                    break;
                }
                for (number, epoch, request) in locally {
                    self.ask_locally(partition, number, epoch, request);
                }
            }
        }
        waiting
    }

    fn way_to(&self, owner: &OwnerMember) -> Option<To> {
        if owner.is_self {
            return self.local.as_ref().map(|_| To::Local);
        }
        let links = self.links.lock();
        let link = links.get(owner).filter(|link| link.stream().is_some())?;
        Some(To::Link(link.clone()))
    }

    /// Tells new owners which legs we hold, before anything else is asked of them.
    fn tell_legs(&self, changed: Vec<(Partition, PartitionOwner, bool)>) {
        let Some(holder) = self.holder() else { return };
        if changed.is_empty() {
            return;
        }
        let moved = changed.iter().filter(|(_, _, had_another)| *had_another);
        let moved: HashSet<Partition> = moved.map(|(partition, _, _)| *partition).collect();
        if !moved.is_empty() {
            holder.stop_ringing_of(&moved);
        }
        let all: HashSet<Partition> = changed.iter().map(|(partition, _, _)| *partition).collect();
        let mut legs: HashMap<Partition, Vec<rpc::HeldLeg>> = HashMap::new();
        for leg in holder.held_legs(&all) {
            let partition = ConversationKey::new(&leg.address.aor, &leg.peer).partition();
            legs.entry(partition).or_default().push(leg);
        }
        for (partition, owner, _) in changed {
            let held = HeldLegs {
                member: self.member.clone(),
                partition,
                legs: legs.remove(&partition).unwrap_or_default(),
            };
            self.tell_lane(partition, owner, held);
        }
    }

    fn tell_lane(&self, partition: Partition, owner: PartitionOwner, held: HeldLegs) {
        let mut lane = self.lane(partition).lock();
        let told = match &lane.to {
            None => false,
            Some(To::Local) => {
                let local = self.local.clone();
                let mut hold = Box::pin(async move {
                    match local {
                        Some(local) => local.hold(held).await,
                        None => Ok(()),
                    }
                });
                // It only feeds state machines: it is over at its first step.
                let waker = std::task::Waker::noop();
                let polled = hold.as_mut().poll(&mut std::task::Context::from_waker(waker));
                matches!(polled, std::task::Poll::Ready(Ok(())))
            }
            Some(To::Link(link)) => link
                .stream()
                .is_some_and(|stream| self.send_hold(&stream, &owner, &held)),
        };
        // One that could not be told is told again before it is asked anything.
        lane.told = told.then_some((owner.owner, owner.epoch));
    }

    fn send_hold(&self, stream: &Asking, owner: &PartitionOwner, held: &HeldLegs) -> bool {
        let body = Up::HoldLegs(held.into());
        let waits = Waits::Hold(held.partition, owner.epoch);
        let sent = stream.request(waits, |sequence| wire::FrontEndItem {
            deadline_ms: milliseconds(CONTROL),
            ..item(sequence, body)
        });
        sent.is_ok()
    }

    /// Sends everything of a lane that has to be sent, in order, if its owner knows our legs. Returns what the local owner is
    /// to be asked; until that was begun the lane stays held up.
    fn resend(&self, lane: &mut Lane, partition: Partition) -> Vec<(u64, u64, Request)> {
        let now = Instant::now();
        lane.requests.retain(|_, pending| {
            pending.sent.is_some() || (pending.until > now && !pending.reply.is_closed())
        });
        let knows_legs = lane.told.is_some() || self.holder.load().is_none();
        let unsent = |lane: &Lane| -> Vec<u64> {
            let waiting = lane.requests.iter().filter(|(_, pending)| pending.sent.is_none());
            waiting.map(|(number, _)| *number).collect()
        };
        let numbers = unsent(lane);
        if numbers.is_empty() {
            lane.held_up = lane.to.is_some() && !knows_legs;
            return Vec::new();
        }
        match &lane.to {
            Some(To::Link(_)) if knows_legs => {
                lane.held_up = false;
                for number in numbers {
                    if lane.held_up {
                        break;
                    }
                    self.send(lane, partition, number);
                }
                Vec::new()
            }
            Some(To::Local) if knows_legs => {
                let mut requests = Vec::new();
                let epoch = lane.epoch();
                for number in numbers {
                    if let Some(pending) = lane.requests.get_mut(&number) {
                        pending.sent = Some(epoch);
                        requests.push((number, epoch, pending.request.clone()));
                    }
                }
                requests
            }
            _ => Vec::new(),
        }
    }

    /// The owner is here now: it is asked in a task, whose first step is taken at once.
    fn ask_locally(self: &Arc<Self>, partition: Partition, number: u64, epoch: u64, request: Request) {
        let Some(local) = self.local.clone() else { return };
        let inner = self.clone();
        poll_once_then_spawn(&self.tasks, async move {
            let reply = request.ask(&local).await;
            inner.replied(partition, number, epoch, reply);
        });
    }
}
