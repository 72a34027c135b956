//! What this role counts, for whoever shows it. Plain atomics: reading them costs the hot path nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use rpc::presence::{ContactRefusal, PublishRefusal};

/// How a request that changes something ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Accepted,
    Conflict,
    NoSuchUser,
    Limit,
    Invalid,
    TooFast,
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 7] = [
        Outcome::Accepted,
        Outcome::Conflict,
        Outcome::NoSuchUser,
        Outcome::Limit,
        Outcome::Invalid,
        Outcome::TooFast,
        Outcome::Failed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Conflict => "conflict",
            Outcome::NoSuchUser => "no_such_user",
            Outcome::Limit => "limit",
            Outcome::Invalid => "invalid",
            Outcome::TooFast => "too_fast",
            Outcome::Failed => "failed",
        }
    }

    pub(crate) fn of_publish<T>(result: &Result<Result<T, PublishRefusal>, rpc::Error>) -> Self {
        match result {
            Ok(Ok(_)) => Outcome::Accepted,
            Ok(Err(PublishRefusal::NoSuchUser)) => Outcome::NoSuchUser,
            Ok(Err(PublishRefusal::Conflict(_))) => Outcome::Conflict,
            Ok(Err(PublishRefusal::Limit(_))) => Outcome::Limit,
            Ok(Err(PublishRefusal::Invalid(_))) => Outcome::Invalid,
            Err(error) if error.code == rpc::ErrorCode::TooMany => Outcome::TooFast,
            Err(_) => Outcome::Failed,
        }
    }

    pub(crate) fn of_contacts<T>(result: &Result<Result<T, ContactRefusal>, rpc::Error>) -> Self {
        match result {
            Ok(Ok(_)) => Outcome::Accepted,
            Ok(Err(ContactRefusal::Stale(_))) => Outcome::Conflict,
            Ok(Err(ContactRefusal::Limit(_))) => Outcome::Limit,
            Ok(Err(ContactRefusal::NotFound(_) | ContactRefusal::Invalid(_))) => Outcome::Invalid,
            Err(_) => Outcome::Failed,
        }
    }
}

/// What somebody asks to be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Publish,
    Members,
    Contacts,
}

impl Operation {
    const ALL: [Operation; 3] = [Operation::Publish, Operation::Members, Operation::Contacts];

    const fn as_str(self) -> &'static str {
        match self {
            Operation::Publish => "publish",
            Operation::Members => "members",
            Operation::Contacts => "contacts",
        }
    }
}

/// What happens besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A document was sent to a front end.
    Document,
    /// A document was replaced by a newer one before it was sent.
    Conflated,
    /// A front end began to follow somebody.
    Follow,
    /// The stream of a front end was ended because it lagged.
    Lagged,
    /// Publications ended by themselves or with their endpoint.
    Ended,
    /// What had to be stored was not.
    StoreFailed,
    /// Changes of the registrar were missed, and everybody was looked at.
    Missed,
    /// A watcher is not listed, because too many are.
    WatcherUnlisted,
    /// What a user publishes was copied for the next owner.
    Copied,
    /// It could not be, and will be tried again.
    CopyFailed,
    /// A user was taken over from another owner, with what the copy had.
    Inherited,
}

impl Event {
    const ALL: [Event; 11] = [
        Event::Document,
        Event::Conflated,
        Event::Follow,
        Event::Lagged,
        Event::Ended,
        Event::StoreFailed,
        Event::Missed,
        Event::WatcherUnlisted,
        Event::Copied,
        Event::CopyFailed,
        Event::Inherited,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Event::Document => "document_sent",
            Event::Conflated => "document_conflated",
            Event::Follow => "follow",
            Event::Lagged => "front_end_lagged",
            Event::Ended => "publication_ended",
            Event::StoreFailed => "store_failed",
            Event::Missed => "changes_missed",
            Event::WatcherUnlisted => "watcher_unlisted",
            Event::Copied => "copied",
            Event::CopyFailed => "copy_failed",
            Event::Inherited => "inherited",
        }
    }
}

/// The counters and gauges of one presence role.
#[derive(Default, Debug)]
pub struct Counters {
    operations: [[AtomicU64; Outcome::ALL.len()]; Operation::ALL.len()],
    events: [AtomicU64; Event::ALL.len()],
    pub(crate) presentities: AtomicU64,
    pub(crate) front_ends: AtomicU64,
}

/// One reading of the [`Counters`]. Totals since the start unless said otherwise.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Snapshot {
    /// Requests that change something: operation (`publish`, `members`, `contacts`), result (`accepted`, `conflict`,
    /// `no_such_user`, `limit`, `invalid`, `too_fast`, `failed`), number.
    pub operations: Vec<(&'static str, &'static str, u64)>,
    /// What happens besides: event, number.
    pub events: Vec<(&'static str, u64)>,
    /// Presentities in memory now.
    pub presentities: u64,
    /// Streams of news that are open now.
    pub front_ends: u64,
}

impl Counters {
    pub(crate) fn operation(&self, operation: Operation, outcome: Outcome) {
        self.operations[operation as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn event(&self, event: Event) {
        self.events(event, 1);
    }

    pub(crate) fn events(&self, event: Event, number: usize) {
        self.events[event as usize].fetch_add(u64::try_from(number).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Reads everything. The values are not from one instant.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut operations = Vec::new();
        for (operation, results) in Operation::ALL.iter().zip(&self.operations) {
            for (outcome, counter) in Outcome::ALL.iter().zip(results) {
                operations.push((operation.as_str(), outcome.as_str(), read(counter)));
            }
        }
        let events = Event::ALL.iter().zip(&self.events);
        Snapshot {
            operations,
            events: events
                .map(|(event, counter)| (event.as_str(), read(counter)))
                .collect(),
            presentities: read(&self.presentities),
            front_ends: read(&self.front_ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_under_its_own_name() {
        let counters = Counters::default();
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                counters.operation(operation, outcome);
            }
        }
        for event in Event::ALL {
            counters.events(event, 2);
        }
        let snapshot = counters.snapshot();
        assert!(snapshot.operations.iter().all(|(.., number)| *number == 1));
        assert!(snapshot.events.iter().all(|(_, number)| *number == 2));
        let mut names: Vec<_> = snapshot.events.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Event::ALL.len());
    }
}
