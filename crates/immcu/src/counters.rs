//! What this role counts, for whoever shows it. Plain atomics: reading them costs the hot path nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use rpc::FailureReason;

use crate::effect::Event;

/// Accepted, then each reason.
const OUTCOMES: usize = FailureReason::ALL.len() + 1;

fn outcome_index(outcome: Result<(), FailureReason>) -> usize {
    match outcome {
        Ok(()) => 0,
        Err(reason) => FailureReason::ALL
            .iter()
            .position(|known| *known == reason)
            .map_or(0, |index| index + 1),
    }
}

fn outcome_name(index: usize) -> &'static str {
    match index
        .checked_sub(1)
        .and_then(|index| FailureReason::ALL.get(index))
    {
        Some(reason) => reason.as_str(),
        None => "accepted",
    }
}

/// Text or receipt, as counted.
const KINDS: [&str; 2] = ["text", "receipt"];

/// The counters and gauges of one immcu.
#[derive(Default, Debug)]
pub struct Counters {
    messages: [[AtomicU64; OUTCOMES]; 2],
    duplicates: AtomicU64,
    queue_overflows: AtomicU64,
    retries: AtomicU64,
    not_owner: AtomicU64,
    rerouted: AtomicU64,
    lost_calls: AtomicU64,
    archive_gaps: AtomicU64,
    blocked: AtomicU64,
    rules_unknown: AtomicU64,
    signals_sent: AtomicU64,
    signals_conflated: AtomicU64,
    opens: AtomicU64,
    pub(crate) conversations: AtomicU64,
    pub(crate) legs: AtomicU64,
    pub(crate) ringing: AtomicU64,
    pub(crate) remembered: AtomicU64,
}

/// One reading of the [`Counters`]. Totals since the start unless said otherwise.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Snapshot {
    /// Messages that are over: kind (`text`, `receipt`), result (`accepted` or a failure reason), number. Only results
    /// that occurred.
    pub messages: Vec<(&'static str, &'static str, u64)>,
    /// Submits of a message id that was known.
    pub duplicates: u64,
    /// Messages refused because the queue of their conversation was full.
    pub queue_overflows: u64,
    /// Calls to front ends that were repeated.
    pub retries: u64,
    /// Registrations looked up again because a front end did not hold them.
    pub not_owner: u64,
    /// Messages that took another way because their session had vanished.
    pub rerouted: u64,
    /// Calls to front ends that never came back.
    pub lost_calls: u64,
    /// Records the archive did not take although their messages were delivered, and outcomes it did not take.
    pub archive_gaps: u64,
    /// Messages, sessions and typing indications refused because the recipient has blocked the sender.
    pub blocked: u64,
    /// Those that went on although the access rules of the recipient could not be asked for.
    pub rules_unknown: u64,
    /// Typing indications passed on.
    pub signals_sent: u64,
    /// Typing indications replaced by a newer one before they were passed on.
    pub signals_conflated: u64,
    /// Sessions asked for.
    pub opens: u64,
    /// Conversations in memory now.
    pub conversations: u64,
    /// Legs that are established now.
    pub legs: u64,
    /// Sides of conversations that ring now.
    pub ringing: u64,
    /// Message ids remembered now.
    pub remembered: u64,
}

impl Counters {
    pub(crate) fn count(&self, event: Event) {
        let counter = match event {
            Event::Message { receipt, outcome } => {
                &self.messages[usize::from(receipt)][outcome_index(outcome)]
            }
            Event::Duplicate => &self.duplicates,
            Event::QueueFull => &self.queue_overflows,
            Event::Retried => &self.retries,
            Event::NotOwner => &self.not_owner,
            Event::Rerouted => &self.rerouted,
            Event::Lost => &self.lost_calls,
            Event::ArchiveGap => &self.archive_gaps,
            Event::Blocked => &self.blocked,
            Event::RulesUnknown => &self.rules_unknown,
            Event::SignalSent => &self.signals_sent,
            Event::SignalConflated => &self.signals_conflated,
            Event::Open => &self.opens,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads everything. The values are not from one instant.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut messages = Vec::new();
        for (kind, outcomes) in KINDS.iter().zip(&self.messages) {
            for (index, counter) in outcomes.iter().enumerate() {
                let number = read(counter);
                if number > 0 {
                    messages.push((*kind, outcome_name(index), number));
                }
            }
        }
        Snapshot {
            messages,
            duplicates: read(&self.duplicates),
            queue_overflows: read(&self.queue_overflows),
            retries: read(&self.retries),
            not_owner: read(&self.not_owner),
            rerouted: read(&self.rerouted),
            lost_calls: read(&self.lost_calls),
            archive_gaps: read(&self.archive_gaps),
            blocked: read(&self.blocked),
            rules_unknown: read(&self.rules_unknown),
            signals_sent: read(&self.signals_sent),
            signals_conflated: read(&self.signals_conflated),
            opens: read(&self.opens),
            conversations: read(&self.conversations),
            legs: read(&self.legs),
            ringing: read(&self.ringing),
            remembered: read(&self.remembered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_kind_and_result() {
        let counters = Counters::default();
        for (receipt, outcome) in [
            (false, Ok(())),
            (false, Ok(())),
            (false, Err(FailureReason::Internal)),
            (true, Err(FailureReason::Unavailable)),
        ] {
            counters.count(Event::Message { receipt, outcome });
        }
        assert_eq!(
            counters.snapshot().messages,
            [
                ("text", "accepted", 2),
                ("text", "internal", 1),
                ("receipt", "unavailable", 1)
            ]
        );
    }

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let mut indexes: Vec<usize> = FailureReason::ALL
            .iter()
            .map(|reason| outcome_index(Err(*reason)))
            .collect();
        indexes.push(outcome_index(Ok(())));
        indexes.sort_unstable();
        indexes.dedup();
        assert_eq!(indexes.len(), OUTCOMES);
    }
}
