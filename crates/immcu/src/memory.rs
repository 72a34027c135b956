//! What a conversation remembers of messages: their outcomes, and which endpoint a receipt belongs to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rpc::{EndpointId, FailureReason, MessageId};

use crate::conversation::{ItemId, Side};

/// What is known of a message id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Still on its way.
    InFlight(ItemId),
    /// Over, with this outcome.
    Done(Result<(), FailureReason>),
}

/// One taken-in message. The same id may have several when it ended early and was tried again: each entry speaks only
/// for the attempt with its own item.
#[derive(Debug)]
struct Entry {
    at: Instant,
    id: MessageId,
    item: ItemId,
    /// The side whose endpoint sent it and its `imdn.Message-ID`, if receipts about it may come.
    pair: Option<(Side, Box<str>)>,
}

#[derive(Debug)]
struct Known {
    item: ItemId,
    seen: Seen,
}

/// The last message ids of one conversation, bounded by number and by age.
///
/// An id is remembered as soon as the message is taken in, and forgotten at once when it ends without having been handed
/// to any endpoint: a repeated submit is then a new attempt and cannot double anything.
#[derive(Default, Debug)]
pub(crate) struct Memory {
    known: HashMap<MessageId, Known, RandomState>,
    /// By age, oldest first. Ids that were forgotten early stay here until their time comes.
    order: VecDeque<Entry>,
    /// The endpoint that sent a message, by the sending side and `imdn.Message-ID`, with the attempt that said so.
    pairs: [HashMap<Box<str>, (ItemId, EndpointId), RandomState>; 2],
}

impl Memory {
    /// What is known of this id.
    pub(crate) fn get(&self, id: &MessageId) -> Option<Seen> {
        self.known.get(id).map(|known| known.seen)
    }

    /// A message was taken in.
    pub(crate) fn begin(&mut self, id: &MessageId, item: ItemId, now: Instant) {
        let seen = Seen::InFlight(item);
        self.known.insert(*id, Known { item, seen });
        self.order.push_back(Entry {
            at: now,
            id: *id,
            item,
            pair: None,
        });
    }

    /// Receipts about the message taken in last, under this id of its sender's own, belong to `endpoint`.
    pub(crate) fn pair(&mut self, side: Side, imdn_id: &str, endpoint: &EndpointId) {
        if let Some(entry) = self.order.back_mut() {
            // A copy: the header value would keep the whole message alive for the length of the window.
            let name: Box<str> = Box::from(imdn_id);
            entry.pair = Some((side, name.clone()));
            self.pairs[side.index()].insert(name, (entry.item, endpoint.clone()));
        }
    }

    /// The endpoint of `side` that sent the message with this id of its sender's own.
    pub(crate) fn sender_of(&self, side: Side, imdn_id: &str) -> Option<&EndpointId> {
        self.pairs[side.index()]
            .get(imdn_id)
            .map(|(_, endpoint)| endpoint)
    }

    /// A message is over. If it fell out of the window meanwhile, nothing of it is kept.
    pub(crate) fn finish(&mut self, id: &MessageId, item: ItemId, outcome: Result<(), FailureReason>) {
        let oldest = self.order.front().map(|entry| entry.item);
        if oldest.is_none_or(|oldest| oldest > item) {
            self.known.remove(id);
        } else if let Some(known) = self.known.get_mut(id) {
            known.seen = Seen::Done(outcome);
        }
    }

    /// A message is over and never left: repeating it is a new attempt.
    pub(crate) fn forget(&mut self, id: &MessageId) {
        self.known.remove(id);
        if self.order.back().is_some_and(|entry| entry.id == *id)
            && let Some(entry) = self.order.pop_back()
        {
            self.drop_entry(entry);
        }
    }

    /// Forgets what is older than `age`, and the oldest beyond `window`. A message in flight is still known as such.
    pub(crate) fn trim(&mut self, now: Instant, age: Duration, window: usize) {
        while let Some(entry) = self.order.front() {
            let old = now.saturating_duration_since(entry.at) >= age;
            if !old && self.order.len() <= window {
                break;
            }
            if let Some(entry) = self.order.pop_front() {
                self.drop_entry(entry);
            }
        }
    }

    fn drop_entry(&mut self, entry: Entry) {
        if let Some(known) = self.known.get(&entry.id)
            && known.item == entry.item
            && matches!(known.seen, Seen::Done(_))
        {
            self.known.remove(&entry.id);
        }
        if let Some((side, name)) = entry.pair
            && let Some((item, _)) = self.pairs[side.index()].get(&name)
            && *item == entry.item
        {
            self.pairs[side.index()].remove(&name);
        }
    }

    /// When everything remembered now will be too old; `None` if nothing is remembered.
    pub(crate) fn empty_at(&self, age: Duration) -> Option<Instant> {
        self.order.back().map(|entry| entry.at + age)
    }

    /// How much is remembered.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(600);

    fn id(number: u64) -> MessageId {
        MessageId(number.into())
    }

    #[test]
    fn a_message_is_in_flight_until_it_is_finished() {
        let mut memory = Memory::default();
        let now = Instant::now();
        memory.begin(&id(1), ItemId(1), now);
        assert_eq!(memory.get(&id(1)), Some(Seen::InFlight(ItemId(1))));
        memory.finish(&id(1), ItemId(1), Err(FailureReason::Busy));
        assert_eq!(memory.get(&id(1)), Some(Seen::Done(Err(FailureReason::Busy))));
    }

    #[test]
    fn the_oldest_are_forgotten_beyond_the_window_with_their_pairs() {
        let mut memory = Memory::default();
        let now = Instant::now();
        for number in 0..10 {
            memory.begin(&id(number), ItemId(number), now);
            memory.pair(Side::Low, &format!("imdn{number}"), &EndpointId::new("e"));
            memory.finish(&id(number), ItemId(number), Ok(()));
        }
        memory.trim(now, AGE, 4);
        assert_eq!(memory.get(&id(5)), None);
        assert_eq!(memory.sender_of(Side::Low, "imdn5"), None);
        assert_eq!(memory.get(&id(6)), Some(Seen::Done(Ok(()))));
        assert!(memory.sender_of(Side::Low, "imdn6").is_some());
        assert!(memory.sender_of(Side::High, "imdn6").is_none());
    }

    #[test]
    fn what_is_old_is_forgotten_and_what_is_in_flight_is_not() {
        let mut memory = Memory::default();
        let now = Instant::now();
        memory.begin(&id(1), ItemId(1), now);
        memory.finish(&id(1), ItemId(1), Ok(()));
        memory.begin(&id(2), ItemId(2), now);
        memory.trim(now + AGE, AGE, 4_096);
        assert_eq!(memory.get(&id(1)), None);
        assert_eq!(memory.get(&id(2)), Some(Seen::InFlight(ItemId(2))));
        memory.finish(&id(2), ItemId(2), Ok(()));
        memory.trim(now + AGE, AGE, 4_096);
        assert!(memory.is_empty());
        assert_eq!(
            memory.get(&id(2)),
            None,
            "it fell out of the window before it ended"
        );
    }

    #[test]
    fn a_message_that_never_left_may_be_tried_again() {
        let mut memory = Memory::default();
        let now = Instant::now();
        memory.begin(&id(1), ItemId(1), now);
        memory.forget(&id(1));
        assert_eq!(memory.get(&id(1)), None);
        memory.begin(&id(1), ItemId(2), now);
        assert_eq!(memory.get(&id(1)), Some(Seen::InFlight(ItemId(2))));
    }

    #[test]
    fn an_earlier_attempt_does_not_take_a_later_one_with_it_when_its_time_comes() {
        let mut memory = Memory::default();
        let now = Instant::now();
        memory.begin(&id(1), ItemId(1), now);
        memory.pair(Side::Low, "imdn", &EndpointId::new("e"));
        memory.begin(&id(9), ItemId(9), now);
        memory.finish(&id(9), ItemId(9), Ok(()));
        memory.forget(&id(1));
        let later = now + AGE / 2;
        memory.begin(&id(1), ItemId(10), later);
        memory.pair(Side::Low, "imdn", &EndpointId::new("e"));
        memory.finish(&id(1), ItemId(10), Ok(()));
        memory.trim(now + AGE, AGE, 4_096);
        assert_eq!(memory.get(&id(1)), Some(Seen::Done(Ok(()))));
        assert!(memory.sender_of(Side::Low, "imdn").is_some());
    }
}
