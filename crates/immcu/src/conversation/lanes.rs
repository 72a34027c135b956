//! The queues in front of a recipient's endpoints: one message in flight each, the rest in order behind it.

use std::collections::VecDeque;

use rpc::{EndpointId, LegId};

use super::ItemId;

/// Puts a message where its number belongs. Numbers follow the order of the conversation, so that a message that had to
/// turn back from somewhere else does not fall behind later ones.
fn insert_in_order(queue: &mut VecDeque<ItemId>, id: ItemId) {
    let after = queue
        .iter()
        .rposition(|queued| *queued < id)
        .map_or(0, |position| position + 1);
    queue.insert(after, id);
}

/// The copies for one page-mode endpoint.
#[derive(Debug)]
pub(crate) struct PageLane {
    pub(crate) endpoint: EndpointId,
    queue: VecDeque<ItemId>,
    in_flight: bool,
}

impl PageLane {
    fn is_idle(&self) -> bool {
        !self.in_flight && self.queue.is_empty()
    }

    /// The next message, which is then in flight.
    pub(crate) fn start(&mut self) -> Option<ItemId> {
        if self.in_flight {
            return None;
        }
        let id = self.queue.pop_front()?;
        self.in_flight = true;
        Some(id)
    }

    /// What was in flight is decided.
    pub(crate) fn done(&mut self) {
        self.in_flight = false;
    }
}

/// The page-mode endpoints of one side. A user has few, so they are found by looking.
#[derive(Default, Debug)]
pub(crate) struct PageLanes(Vec<PageLane>);

impl PageLanes {
    /// Idle lanes are kept to spare allocations, up to this many.
    const KEEP: usize = 16;

    pub(crate) fn push(&mut self, endpoint: &EndpointId, id: ItemId) {
        let known = self.0.iter_mut().find(|lane| lane.endpoint == *endpoint);
        if let Some(lane) = known {
            insert_in_order(&mut lane.queue, id);
            return;
        }
        if self.0.len() >= Self::KEEP {
            self.0.retain(|lane| !lane.is_idle());
        }
        self.0.push(PageLane {
            endpoint: endpoint.clone(),
            queue: VecDeque::from([id]),
            in_flight: false,
        });
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PageLane> {
        self.0.iter_mut()
    }

    /// What was in flight to this endpoint is decided.
    pub(crate) fn done(&mut self, endpoint: &EndpointId) {
        if let Some(lane) = self.0.iter_mut().find(|lane| lane.endpoint == *endpoint) {
            lane.done();
        }
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

    /// Whether nothing waits for and nothing is in flight to this endpoint.
    pub(crate) fn is_idle(&self, endpoint: &EndpointId) -> bool {
        self.0
            .iter()
            .find(|lane| lane.endpoint == *endpoint)
            .is_none_or(PageLane::is_idle)
    }
}

/// What a session has in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InLeg {
    pub(crate) item: ItemId,
    pub(crate) leg: LegId,
    pub(crate) endpoint: EndpointId,
}

/// The messages for the session of one side: for the leg it has, or for whoever answers the ringing.
///
/// One per side and not one per leg, so that what a vanished leg leaves behind keeps its place before later messages.
#[derive(Default, Debug)]
pub(crate) struct SessionLane {
    pub(crate) queue: VecDeque<ItemId>,
    pub(crate) in_flight: Option<InLeg>,
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
        self.in_flight.is_none() && self.queue.is_empty()
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

    #[test]
    fn one_message_is_in_flight_per_endpoint() {
        let mut lanes = PageLanes::default();
        let endpoint = EndpointId::new("e");
        lanes.push(&endpoint, ItemId(1));
        lanes.push(&endpoint, ItemId(2));
        let start = |lanes: &mut PageLanes| lanes.iter_mut().find_map(PageLane::start);
        assert_eq!(start(&mut lanes), Some(ItemId(1)));
        assert_eq!(start(&mut lanes), None);
        lanes.done(&endpoint);
        assert_eq!(start(&mut lanes), Some(ItemId(2)));
        assert!(!lanes.is_idle(&endpoint));
        lanes.done(&endpoint);
        assert!(lanes.is_idle(&endpoint));
    }

    #[test]
    fn only_what_still_waits_is_withdrawn() {
        let mut lanes = PageLanes::default();
        let (one, other) = (EndpointId::new("one"), EndpointId::new("other"));
        lanes.push(&one, ItemId(1));
        assert_eq!(lanes.iter_mut().find_map(PageLane::start), Some(ItemId(1)));
        lanes.push(&one, ItemId(2));
        lanes.push(&other, ItemId(2));
        assert_eq!(lanes.withdraw(ItemId(2)), 2);
        assert_eq!(lanes.withdraw(ItemId(1)), 0);
    }
}
