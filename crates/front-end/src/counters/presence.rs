//! What a front end counts of presence.

use std::sync::atomic::{AtomicU64, Ordering};

use sip_types::StatusCode;
use telemetry::{Page, names};

use crate::presence::subscription::Package;

const PACKAGES: usize = Package::ALL.len();

/// What became of a PUBLISH.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Published {
    /// The first of its endpoint.
    Initial,
    /// Another document.
    Modified,
    /// Prolonged.
    Refreshed,
    /// Taken back.
    Removed,
    /// The client knew another version.
    Stale,
    /// Not understood.
    Invalid,
    /// Somebody else's, or more than is allowed.
    Forbidden,
    /// The owner was not reached.
    Failed,
}

const PUBLISHED: [(Published, &str); 8] = [
    (Published::Initial, "initial"),
    (Published::Modified, "modified"),
    (Published::Refreshed, "refreshed"),
    (Published::Removed, "removed"),
    (Published::Stale, "stale"),
    (Published::Invalid, "invalid"),
    (Published::Forbidden, "forbidden"),
    (Published::Failed, "failed"),
];

/// What a SERVICE asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    /// To publish.
    Publish,
    /// To change access levels.
    Members,
    /// To be told of some watchers no more.
    Acknowledge,
    /// To change the contact list.
    Contacts,
    /// To find people.
    Search,
    /// Something that is not served.
    Unknown,
}

const SERVED: [(Service, &str); 6] = [
    (Service::Publish, "publish"),
    (Service::Members, "access_levels"),
    (Service::Acknowledge, "acknowledge"),
    (Service::Contacts, "contacts"),
    (Service::Search, "search"),
    (Service::Unknown, "unknown"),
];

/// Why a SUBSCRIBE was refused, by its answer. Others are `other`.
const REFUSED: [(StatusCode, &str); 11] = [
    (StatusCode::BAD_REQUEST, "malformed"),
    (StatusCode::FORBIDDEN, "forbidden"),
    (StatusCode::NOT_FOUND, "no_such_user"),
    (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported"),
    (StatusCode::EXTENSION_REQUIRED, "no_event_lists"),
    (StatusCode::INTERVAL_TOO_BRIEF, "too_brief"),
    (StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST, "no_subscription"),
    (StatusCode::BAD_EVENT, "unknown_event"),
    (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    (StatusCode::SERVER_TIMEOUT, "timeout"),
];

/// Numbers of presence.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    subscribed: [AtomicU64; PACKAGES],
    refused: [AtomicU64; REFUSED.len() + 1],
    sent: [AtomicU64; PACKAGES],
    answered: [AtomicU64; PACKAGES],
    failed: [AtomicU64; PACKAGES],
    conflated: AtomicU64,
    published: [AtomicU64; PUBLISHED.len()],
    watchers_exceeded: AtomicU64,
    /// SERVICE requests: done, refused.
    served: [[AtomicU64; 2]; SERVED.len()],
}

fn of(package: Package, counters: &[AtomicU64; PACKAGES]) {
    let place = Package::ALL.iter().position(|known| *known == package);
    super::add(place.and_then(|place| counters.get(place)));
}

impl Presence {
    /// A subscription began, or was a single look.
    pub(crate) fn subscribed(&self, package: Package) {
        of(package, &self.subscribed);
    }

    /// A SUBSCRIBE was refused.
    pub(crate) fn refused(&self, status: StatusCode) {
        let place = REFUSED.iter().position(|(known, _)| *known == status);
        super::add(self.refused.get(place.unwrap_or(REFUSED.len())));
    }

    /// A NOTIFY went out.
    pub(crate) fn notify_sent(&self, package: Package) {
        of(package, &self.sent);
    }

    /// A NOTIFY was accepted.
    pub(crate) fn notify_answered(&self, package: Package) {
        of(package, &self.answered);
    }

    /// A NOTIFY was refused, or not answered.
    pub(crate) fn notify_failed(&self, package: Package) {
        of(package, &self.failed);
    }

    /// A state nobody was told of gave way to a newer one.
    pub(crate) fn conflated(&self) {
        self.conflated.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of a PUBLISH.
    pub(crate) fn published(&self, outcome: Published) {
        let place = PUBLISHED.iter().position(|(known, _)| *known == outcome);
        super::add(place.and_then(|place| self.published.get(place)));
    }

    /// A member of a list has more watchers than there may be.
    pub(crate) fn watchers_exceeded(&self) {
        self.watchers_exceeded.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of a SERVICE.
    pub(crate) fn served(&self, what: Service, done: bool) {
        let place = SERVED.iter().position(|(known, _)| *known == what);
        let counters = place.and_then(|place| self.served.get(place));
        super::add(counters.and_then(|counters| counters.get(usize::from(!done))));
    }

    pub(super) fn collect(&self, page: &mut Page) {
        use names::label::{EVENT, OPERATION, REASON, RESULT};
        for (place, package) in Package::ALL.into_iter().enumerate() {
            let read = |counters: &[AtomicU64; PACKAGES]| counters.get(place).map_or(0, super::read);
            let event = (EVENT, package.as_str());
            page.counter(&names::PRESENCE_SUBSCRIPTIONS, &[event], read(&self.subscribed));
            for (result, counters) in [
                ("sent", &self.sent),
                ("answered", &self.answered),
                ("failed", &self.failed),
            ] {
                page.counter(
                    &names::PRESENCE_NOTIFICATIONS,
                    &[event, (RESULT, result)],
                    read(counters),
                );
            }
        }
        let reasons = REFUSED.iter().map(|(_, reason)| *reason).chain(["other"]);
        for (reason, count) in reasons.zip(&self.refused) {
            page.counter(
                &names::PRESENCE_SUBSCRIPTIONS_REFUSED,
                &[(REASON, reason)],
                super::read(count),
            );
        }
        for ((_, result), count) in PUBLISHED.iter().zip(&self.published) {
            page.counter(
                &names::PRESENCE_PUBLISHES,
                &[(RESULT, result)],
                super::read(count),
            );
        }
        for ((_, operation), counters) in SERVED.iter().zip(&self.served) {
            for (result, count) in ["done", "refused"].into_iter().zip(counters) {
                page.counter(
                    &names::PRESENCE_SERVICES,
                    &[(OPERATION, operation), (RESULT, result)],
                    super::read(count),
                );
            }
        }
        page.counter(&names::PRESENCE_CONFLATED, &[], super::read(&self.conflated));
        page.counter(
            &names::PRESENCE_WATCHERS_EXCEEDED,
            &[],
            super::read(&self.watchers_exceeded),
        );
    }
}
