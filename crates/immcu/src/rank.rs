//! Which of several failures the sender is told: the most telling one.

use rpc::FailureReason;

/// The one table. A higher rank tells the sender more about what to do next: what a person decided comes before what
/// the content or a policy forbids, that before what a machine could not do, and that before nobody being there.
const fn rank(reason: FailureReason) -> u8 {
    match reason {
        // A person's answer.
        FailureReason::Declined => 17,
        FailureReason::Busy => 16,
        // Rules: the same message would be refused again.
        FailureReason::Forbidden => 15,
        FailureReason::Filtered => 14,
        FailureReason::UnsupportedContent => 13,
        FailureReason::TooLarge => 12,
        FailureReason::NotAcceptable => 11,
        FailureReason::NoSuchUser => 10,
        FailureReason::UnknownMessage => 9,
        // Machines: later it may work.
        FailureReason::ArchiveUnavailable => 8,
        FailureReason::Overloaded => 7,
        FailureReason::EndpointFailed => 6,
        FailureReason::Internal => 5,
        // Silence, and nobody there.
        FailureReason::Timeout => 4,
        FailureReason::NoSession => 3,
        FailureReason::Cancelled => 2,
        FailureReason::NotOwner => 1,
        FailureReason::Unavailable => 0,
    }
}

/// The more telling of what is known so far and what came now.
pub(crate) fn more_telling(known: Option<FailureReason>, now: FailureReason) -> FailureReason {
    match known {
        Some(known) if rank(known) >= rank(now) => known,
        _ => now,
    }
}

/// What the sender is told when nobody accepted. What only concerns the pool and the recipient's endpoints (a vanished
/// session, a moved registration, an invitation somebody else ended) means to the sender that nobody could be reached.
pub(crate) fn told(worst: Option<FailureReason>) -> FailureReason {
    match worst {
        None | Some(FailureReason::NoSession | FailureReason::NotOwner | FailureReason::Cancelled) => {
            FailureReason::Unavailable
        }
        Some(reason) => reason,
    }
}

/// Whether a person said no, so that nothing else may be tried in their place.
pub(crate) fn is_refusal(reason: FailureReason) -> bool {
    matches!(reason, FailureReason::Declined | FailureReason::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_reasons_share_a_rank() {
        let mut ranks: Vec<u8> = FailureReason::ALL.iter().map(|reason| rank(*reason)).collect();
        ranks.sort_unstable();
        ranks.dedup();
        assert_eq!(ranks.len(), FailureReason::ALL.len());
    }

    #[test]
    fn the_order_of_failures_does_not_matter() {
        for one in FailureReason::ALL {
            for other in FailureReason::ALL {
                assert_eq!(more_telling(Some(one), other), more_telling(Some(other), one));
            }
        }
    }

    #[test]
    fn a_refusal_by_a_person_beats_silence_and_silence_beats_absence() {
        let order = [
            FailureReason::Declined,
            FailureReason::Busy,
            FailureReason::UnsupportedContent,
            FailureReason::TooLarge,
            FailureReason::EndpointFailed,
            FailureReason::Timeout,
            FailureReason::Unavailable,
        ];
        for pair in order.windows(2) {
            assert_eq!(more_telling(Some(pair[1]), pair[0]), pair[0]);
        }
    }

    #[test]
    fn what_only_concerns_the_pool_is_told_as_unavailable() {
        assert_eq!(told(Some(FailureReason::NotOwner)), FailureReason::Unavailable);
        assert_eq!(told(Some(FailureReason::NoSession)), FailureReason::Unavailable);
        assert_eq!(told(None), FailureReason::Unavailable);
        assert_eq!(told(Some(FailureReason::Busy)), FailureReason::Busy);
    }
}
