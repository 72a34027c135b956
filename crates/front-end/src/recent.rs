//! The messages an endpoint got lately, so that a repeated delivery is answered, not shown twice.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rpc::{EndpointId, FailureReason, MessageId};
use tokio::sync::watch;

/// Messages remembered per endpoint (docs/limits.md).
const REMEMBERED: usize = 512;
/// For how long: no attempt at a delivery is repeated as late as that.
const MEMORY: Duration = Duration::from_secs(600);

/// A message at one endpoint. Two endpoints of a connection each get their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Delivered {
    endpoint: u64,
    message: MessageId,
}

impl Delivered {
    pub(crate) fn new(endpoint: &EndpointId, message: MessageId) -> Self {
        // A fixed seed: the value lives as long as one connection, and its few endpoints belong to one user.
        let endpoint = FixedState::with_seed(0).hash_one(endpoint);
        Delivered { endpoint, message }
    }
}

/// How a delivery ended, or `None` while it is under way.
pub(crate) type Outcome = Option<Result<(), FailureReason>>;

/// What a delivery of this id is to do.
pub(crate) enum Admission {
    /// The first one: deliver, then report with [`Recent::finish`].
    Deliver,
    /// Another delivery of the same id is under way: its outcome will be here.
    Join(watch::Receiver<Outcome>),
    /// It has ended like this.
    Done(Result<(), FailureReason>),
}

enum Entry {
    /// Under way; whoever joins waits for the outcome, if anybody does.
    UnderWay(Option<watch::Sender<Outcome>>),
    Done(Result<(), FailureReason>),
}

/// The memory of one flow. Empty, it owns no allocation.
#[derive(Default)]
pub(crate) struct Recent {
    entries: HashMap<Delivered, Entry>,
    order: VecDeque<(Instant, Delivered)>,
}

impl Recent {
    /// Admits a delivery at `now`.
    pub(crate) fn admit(&mut self, id: Delivered, now: Instant) -> Admission {
        self.forget(now);
        match self.entries.get_mut(&id) {
            None => {
                self.order.push_back((now, id));
                self.entries.insert(id, Entry::UnderWay(None));
                Admission::Deliver
            }
            Some(Entry::UnderWay(waiting)) => {
                let sender = waiting.get_or_insert_with(|| watch::channel(None).0);
                Admission::Join(sender.subscribe())
            }
            Some(Entry::Done(Ok(()))) => Admission::Done(Ok(())),
            // The endpoint does not have it: it is tried again.
            Some(entry @ Entry::Done(Err(_))) => {
                *entry = Entry::UnderWay(None);
                Admission::Deliver
            }
        }
    }

    /// Whether the endpoint was given this message, or is being given it.
    pub(crate) fn knows(&self, id: Delivered) -> bool {
        matches!(
            self.entries.get(&id),
            Some(Entry::UnderWay(_) | Entry::Done(Ok(())))
        )
    }

    /// A delivery ended. One that is never reported (its task died) is over once it is forgotten.
    pub(crate) fn finish(&mut self, id: Delivered, outcome: Result<(), FailureReason>) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Entry::UnderWay(Some(waiting)) = std::mem::replace(entry, Entry::Done(outcome)) {
            waiting.send_replace(Some(outcome));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, id)) = self.order.front() {
            if self.order.len() <= REMEMBERED && now.saturating_duration_since(*at) < MEMORY {
                break;
            }
            self.entries.remove(id);
            self.order.pop_front();
        }
        if self.order.is_empty() {
            *self = Recent::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Delivered = message(1);

    const fn message(number: u128) -> Delivered {
        Delivered {
            endpoint: 0,
            message: MessageId(number),
        }
    }

    #[test]
    fn a_second_delivery_joins_the_first_and_gets_its_outcome() {
        let mut recent = Recent::default();
        let now = Instant::now();
        assert!(matches!(recent.admit(ID, now), Admission::Deliver));
        let Admission::Join(outcome) = recent.admit(ID, now) else {
            panic!("the second one joins")
        };
        assert!(outcome.borrow().is_none(), "no early success");
        recent.finish(ID, Ok(()));
        assert_eq!(*outcome.borrow(), Some(Ok(())));
        assert!(
            matches!(recent.admit(ID, now), Admission::Done(Ok(()))),
            "the outcome is remembered"
        );
    }

    #[test]
    fn two_endpoints_of_a_connection_each_get_the_message() {
        let mut recent = Recent::default();
        for endpoint in ["desk", "phone"] {
            let message = Delivered::new(&EndpointId::new(endpoint), MessageId(1));
            assert!(
                matches!(recent.admit(message, Instant::now()), Admission::Deliver),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn a_failed_delivery_may_be_tried_again() {
        let mut recent = Recent::default();
        let now = Instant::now();
        assert!(matches!(recent.admit(ID, now), Admission::Deliver));
        assert!(recent.knows(ID));
        recent.finish(ID, Err(FailureReason::Timeout));
        assert!(!recent.knows(ID));
        assert!(matches!(recent.admit(ID, now), Admission::Deliver));
    }

    #[test]
    fn memory_is_bounded_in_number_and_time() {
        let mut recent = Recent::default();
        let now = Instant::now();
        let last = 2 * REMEMBERED as u128;
        for number in 0..=last {
            assert!(matches!(recent.admit(message(number), now), Admission::Deliver));
            recent.finish(message(number), Ok(()));
        }
        assert!(recent.entries.len() <= REMEMBERED + 1);
        assert!(matches!(
            recent.admit(message(last), now),
            Admission::Done(Ok(()))
        ));
        assert!(matches!(
            recent.admit(message(last), now + MEMORY),
            Admission::Deliver
        ));
        assert_eq!(recent.entries.len(), 1);
    }
}
