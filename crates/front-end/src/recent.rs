//! The messages an endpoint got lately, so that a repeated delivery is answered, not shown twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use rpc::{FailureReason, MessageId};
use tokio::sync::watch;

/// Messages remembered per endpoint (reliability: 512 ids or 10 minutes).
const REMEMBERED: usize = 512;
const MEMORY: Duration = Duration::from_secs(600);

/// How a delivery ended, or `None` while it is under way.
pub(crate) type Outcome = Option<Result<(), FailureReason>>;

/// What a delivery of this id is to do.
pub(crate) enum Admission {
    /// The first one: deliver, then send the outcome here.
    Deliver(watch::Sender<Outcome>),
    /// Another delivery of the same id is under way or has ended: its outcome is (or will be) here.
    Join(watch::Receiver<Outcome>),
}

/// The memory of one flow. Empty, it owns no allocation.
#[derive(Default)]
pub(crate) struct Recent {
    outcomes: HashMap<MessageId, watch::Receiver<Outcome>>,
    order: VecDeque<(Instant, MessageId)>,
}

impl Recent {
    /// Admits a delivery at `now`.
    pub(crate) fn admit(&mut self, id: &MessageId, now: Instant) -> Admission {
        self.forget(now);
        if let Some(outcome) = self.outcomes.get(id) {
            // A delivery that ended badly, or whose task died, is tried again: the endpoint does not have it.
            let failed = matches!(*outcome.borrow(), Some(Err(_)));
            let abandoned = outcome.has_changed().is_err() && outcome.borrow().is_none();
            if !failed && !abandoned {
                return Admission::Join(outcome.clone());
            }
        } else {
            self.order.push_back((now, id.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        self.outcomes.insert(id.clone(), receiver);
        Admission::Deliver(sender)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, id)) = self.order.front() {
            if self.order.len() <= REMEMBERED && now.saturating_duration_since(*at) < MEMORY {
                break;
            }
            self.outcomes.remove(id);
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

    fn id(number: usize) -> MessageId {
        MessageId::new(&number.to_string())
    }

    #[test]
    fn a_second_delivery_joins_the_first_and_gets_its_outcome() {
        let mut recent = Recent::default();
        let now = Instant::now();
        let Admission::Deliver(sender) = recent.admit(&id(1), now) else {
            panic!("the first one delivers")
        };
        let Admission::Join(outcome) = recent.admit(&id(1), now) else {
            panic!("the second one joins")
        };
        assert!(outcome.borrow().is_none(), "no early success");
        sender.send(Some(Ok(()))).unwrap();
        assert_eq!(*outcome.borrow(), Some(Ok(())));
        drop(sender);
        assert!(
            matches!(recent.admit(&id(1), now), Admission::Join(_)),
            "the outcome is remembered"
        );
    }

    #[test]
    fn a_failed_or_abandoned_delivery_may_be_tried_again() {
        let mut recent = Recent::default();
        let now = Instant::now();
        let Admission::Deliver(sender) = recent.admit(&id(1), now) else {
            panic!()
        };
        sender.send(Some(Err(FailureReason::Timeout))).unwrap();
        assert!(matches!(recent.admit(&id(1), now), Admission::Deliver(_)));
        assert!(
            matches!(recent.admit(&id(1), now), Admission::Deliver(_)),
            "the sender above was dropped"
        );
    }

    #[test]
    fn memory_is_bounded_in_number_and_time() {
        let mut recent = Recent::default();
        let now = Instant::now();
        for number in 0..2 * REMEMBERED {
            let Admission::Deliver(sender) = recent.admit(&id(number), now) else {
                panic!()
            };
            sender.send(Some(Ok(()))).unwrap();
        }
        assert!(recent.outcomes.len() <= REMEMBERED + 1);
        assert!(matches!(
            recent.admit(&id(2 * REMEMBERED - 1), now),
            Admission::Join(_)
        ));
        assert!(matches!(
            recent.admit(&id(2 * REMEMBERED - 1), now + MEMORY),
            Admission::Deliver(_)
        ));
        assert_eq!(recent.outcomes.len(), 1);
    }
}
