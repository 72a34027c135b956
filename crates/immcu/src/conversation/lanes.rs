//! The queues in front of a recipient's endpoints: one message in flight each, the rest in order behind it.

use std::collections::VecDeque;

use rpc::EndpointId;

use super::{ItemId, Side};

/// Puts a message where its number belongs. Numbers follow the order of the conversation, so that a message that had to
/// turn back from somewhere else does not fall behind later ones.
fn insert_in_order(queue: &mut VecDeque<ItemId>, id: ItemId) {
    let after = queue
        .iter()
        .rposition(|queued| *queued < id)
        .map_or(0, |position| position + 1);
    queue.insert(after, id);
}

/// One endpoint: the copies that wait for it, and what it is being given.
#[derive(Debug)]
pub(crate) struct EndpointLane {
    /// Whose endpoint it is. Endpoint names are unique only within a user.
    pub(crate) owner: Side,
    pub(crate) endpoint: EndpointId,
    /// Copies that go outside any session.
    queue: VecDeque<ItemId>,
    /// A message is in flight to it, as a copy or through a session.
    in_flight: bool,
    /// The last message it was given. It is given none that comes before.
    last: ItemId,
}

impl EndpointLane {
    fn is_for(&self, owner: Side, endpoint: &EndpointId) -> bool {
        self.owner == owner && self.endpoint == *endpoint
    }

    fn is_idle(&self) -> bool {
        !self.in_flight && self.queue.is_empty()
    }

    /// Takes the next copy out of the queue if nothing is in flight.
    pub(crate) fn next_copy(&mut self) -> Option<ItemId> {
        if self.in_flight {
            None
        } else {
            self.queue.pop_front()
        }
    }

    /// The message is in flight from now on; false if the endpoint was given a later one already.
    pub(crate) fn begin(&mut self, id: ItemId) -> bool {
        // The same one again is no later one: it took another way.
        let in_order = self.last <= id;
        if in_order {
            self.in_flight = true;
            self.last = id;
        }
        in_order
    }
}

/// The endpoints of both sides that messages went to. There are few, so they are found by looking.
#[derive(Default, Debug)]
pub(crate) struct EndpointLanes(Vec<EndpointLane>);

impl EndpointLanes {
    /// Idle lanes are kept, for the order and to spare allocations: two users have at most 16 endpoints at a time.
    const KEEP: usize = 32;

    /// The lane of an endpoint.
    pub(crate) fn lane(&mut self, owner: Side, endpoint: &EndpointId) -> &mut EndpointLane {
        let known = self.0.iter().position(|lane| lane.is_for(owner, endpoint));
        let index = known.unwrap_or_else(|| {
            if self.0.len() >= Self::KEEP {
                self.0.retain(|lane| !lane.is_idle());
            }
            self.0.push(EndpointLane {
                owner,
                endpoint: endpoint.clone(),
                queue: VecDeque::new(),
                in_flight: false,
                last: ItemId(0),
            });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut EndpointLane> {
        self.0.iter_mut()
    }

    /// A copy waits for this endpoint.
    pub(crate) fn push(&mut self, owner: Side, endpoint: &EndpointId, id: ItemId) {
        insert_in_order(&mut self.lane(owner, endpoint).queue, id);
    }

    /// What was in flight to this endpoint is decided.
    pub(crate) fn done(&mut self, owner: Side, endpoint: &EndpointId) {
        self.lane(owner, endpoint).in_flight = false;
    }

    /// Takes a message out of every queue it waits in; returns from how many.
    pub(crate) fn withdraw(&mut self, id: ItemId) -> usize {
        let mut withdrawn = 0;
        for lane in &mut self.0 {
            let before = lane.queue.len();
            lane.queue.retain(|queued| *queued != id);
            withdrawn += before - lane.queue.len();
        }
        withdrawn
    }

    /// Whether a message for the session of this endpoint has to wait: for what is in flight to it, or for copies that
    /// come before.
    pub(crate) fn must_wait(&mut self, owner: Side, endpoint: &EndpointId, id: ItemId) -> bool {
        let lane = self.lane(owner, endpoint);
        lane.in_flight || lane.queue.front().is_some_and(|copy| *copy < id)
    }

    /// Whether nothing is in flight to this endpoint, nothing earlier waits for it, and it was given nothing later.
    pub(crate) fn is_next(&mut self, owner: Side, endpoint: &EndpointId, id: ItemId) -> bool {
        !self.must_wait(owner, endpoint, id) && self.lane(owner, endpoint).last <= id
    }

    /// The endpoint was given this message in its invitation.
    pub(crate) fn given(&mut self, owner: Side, endpoint: &EndpointId, id: ItemId) {
        let lane = self.lane(owner, endpoint);
        lane.last = lane.last.max(id);
    }
}

/// The messages for the session of one side: for the leg it has, or for whoever answers the ringing.
///
/// One per side and not one per leg, so that what a vanished leg leaves behind keeps its place before later messages.
#[derive(Default, Debug)]
pub(crate) struct SessionLane {
    pub(crate) queue: VecDeque<ItemId>,
    /// Something is on its way through a leg, perhaps one that is gone: what is behind it waits for the outcome.
    pub(crate) in_flight: bool,
}

impl SessionLane {
    pub(crate) fn push(&mut self, id: ItemId) {
        insert_in_order(&mut self.queue, id);
    }

    /// Takes a message out of the queue; true if it was there.
    pub(crate) fn withdraw(&mut self, id: ItemId) -> bool {
        let before = self.queue.len();
        self.queue.retain(|queued| *queued != id);
        before != self.queue.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.in_flight && self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_turns_back_keeps_its_place() {
        let mut lane = SessionLane::default();
        for id in [2, 4, 3, 1, 5] {
            lane.push(ItemId(id));
        }
        let order: Vec<u64> = lane.queue.iter().map(|id| id.0).collect();
        assert_eq!(order, [1, 2, 3, 4, 5]);
    }

    fn start(lanes: &mut EndpointLanes) -> Option<ItemId> {
        lanes
            .iter_mut()
            .find_map(|lane| lane.next_copy().filter(|id| lane.begin(*id)))
    }

    #[test]
    fn one_message_is_in_flight_per_endpoint() {
        let mut lanes = EndpointLanes::default();
        let endpoint = EndpointId::new("e");
        lanes.push(Side::Low, &endpoint, ItemId(1));
        lanes.push(Side::Low, &endpoint, ItemId(2));
        assert_eq!(start(&mut lanes), Some(ItemId(1)));
        assert_eq!(start(&mut lanes), None);
        lanes.done(Side::Low, &endpoint);
        assert_eq!(start(&mut lanes), Some(ItemId(2)));
        assert!(lanes.must_wait(Side::Low, &endpoint, ItemId(3)));
        assert!(
            !lanes.must_wait(Side::High, &endpoint, ItemId(3)),
            "another user's endpoint of that name"
        );
        lanes.done(Side::Low, &endpoint);
        assert!(!lanes.must_wait(Side::Low, &endpoint, ItemId(3)));
    }

    #[test]
    fn a_session_message_waits_for_earlier_copies_and_goes_before_later_ones() {
        let mut lanes = EndpointLanes::default();
        let endpoint = EndpointId::new("e");
        lanes.push(Side::Low, &endpoint, ItemId(5));
        assert!(lanes.must_wait(Side::Low, &endpoint, ItemId(6)));
        assert!(!lanes.must_wait(Side::Low, &endpoint, ItemId(4)));
    }

    #[test]
    fn an_endpoint_is_given_nothing_from_before_its_last_message() {
        let mut lanes = EndpointLanes::default();
        let endpoint = EndpointId::new("e");
        lanes.given(Side::Low, &endpoint, ItemId(5));
        assert!(!lanes.lane(Side::Low, &endpoint).begin(ItemId(4)));
        assert!(lanes.lane(Side::Low, &endpoint).begin(ItemId(6)));
    }

    #[test]
    fn only_what_still_waits_is_withdrawn() {
        let mut lanes = EndpointLanes::default();
        let (one, other) = (EndpointId::new("one"), EndpointId::new("other"));
        lanes.push(Side::Low, &one, ItemId(1));
        assert_eq!(start(&mut lanes), Some(ItemId(1)));
        lanes.push(Side::Low, &one, ItemId(2));
        lanes.push(Side::Low, &other, ItemId(2));
        assert_eq!(lanes.withdraw(ItemId(2)), 2);
        assert_eq!(lanes.withdraw(ItemId(1)), 0);
    }
}
