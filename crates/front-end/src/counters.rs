//! What a front end counts, and how the scrape page shows it.

pub(crate) mod presence;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sip_types::{Method, StatusCode};
use telemetry::{Histogram, Page, names};

/// Methods counted by name.
const KNOWN: usize = 12;

/// Everything else is `other`.
static METHODS: [Method; KNOWN] = [
    Method::Register,
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Message,
    Method::Options,
    Method::Info,
    Method::Subscribe,
    Method::Notify,
    Method::Publish,
    Method::Service,
];

/// Why a request was refused before any role saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// It breaks the grammar or lacks a header.
    Malformed,
    /// A foreign From, or a REGISTER for somebody else.
    ForeignIdentity,
    /// A Request-URI or Route that leads elsewhere.
    Relay,
    /// A signature that is not right.
    Signature,
    /// Too many requests on one connection.
    RequestRate,
    /// Too many requests from one address that has not signed in.
    UnauthenticatedRate,
    /// Too many searches for people on one connection.
    SearchRate,
    /// Too many sign-ins at once.
    SignInRate,
    /// Too many requests of all connections wait for their answer.
    Pending,
    /// A sign-in while this member moves its clients elsewhere.
    Draining,
    /// An extension that is not spoken here.
    Extension,
    /// A method, event or body that is not spoken here.
    Unsupported,
    /// A receipt about a message that asked for none.
    UnpairedReceipt,
}

const REFUSED: [(Refused, &str); 13] = [
    (Refused::Malformed, "malformed"),
    (Refused::ForeignIdentity, "foreign_identity"),
    (Refused::Relay, "relay"),
    (Refused::Signature, "signature"),
    (Refused::RequestRate, "request_rate"),
    (Refused::UnauthenticatedRate, "unauthenticated_rate"),
    (Refused::SearchRate, "search_rate"),
    (Refused::SignInRate, "sign_in_rate"),
    (Refused::Pending, "pending"),
    (Refused::Draining, "draining"),
    (Refused::Extension, "extension"),
    (Refused::Unsupported, "unsupported"),
    (Refused::UnpairedReceipt, "unpaired_receipt"),
];

/// Numbers of one front end. Shared by every connection; each is one relaxed addition.
#[derive(Debug, Default)]
pub struct Counters {
    requests_in: [AtomicU64; KNOWN + 1],
    requests_out: [AtomicU64; KNOWN + 1],
    responses_in: [AtomicU64; 6],
    responses_out: [AtomicU64; 6],
    refused: [AtomicU64; REFUSED.len()],
    timeouts: AtomicU64,
    probes: AtomicU64,
    duplicates: AtomicU64,
    /// From the request to its final response.
    durations: [Histogram; KNOWN + 1],
    delivery: Histogram,
    pub(crate) presence: presence::Presence,
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn slot(method: &Method) -> usize {
    METHODS.iter().position(|known| known == method).unwrap_or(KNOWN)
}

impl Counters {
    pub(crate) fn request_in(&self, method: &Method) {
        add(self.requests_in.get(slot(method)));
    }

    pub(crate) fn request_out(&self, method: &Method) {
        add(self.requests_out.get(slot(method)));
    }

    /// A request of a signed-in client got its final response after this time.
    pub(crate) fn answered(&self, method: &Method, after: Duration) {
        if let Some(durations) = self.durations.get(slot(method)) {
            durations.observe(after);
        }
    }

    pub(crate) fn response_in(&self, status: StatusCode) {
        add(self
            .responses_in
            .get(usize::from(status.code() / 100).saturating_sub(1)));
    }

    pub(crate) fn response_out(&self, status: StatusCode) {
        add(self
            .responses_out
            .get(usize::from(status.code() / 100).saturating_sub(1)));
    }

    pub(crate) fn refused(&self, why: Refused) {
        add(REFUSED
            .iter()
            .position(|(known, _)| *known == why)
            .and_then(|at| self.refused.get(at)));
    }

    pub(crate) fn timeout(&self) {
        add(Some(&self.timeouts));
    }

    pub(crate) fn probe(&self) {
        add(Some(&self.probes));
    }

    pub(crate) fn duplicate(&self) {
        add(Some(&self.duplicates));
    }

    /// Time a client took to answer a delivered message.
    pub(crate) fn delivery(&self) -> &Histogram {
        &self.delivery
    }

    /// Writes everything to a scrape page.
    pub fn collect(&self, page: &mut Page) {
        use names::label::{DIRECTION, METHOD, REASON, STATUS_CLASS};
        for (direction, requests, responses) in [
            ("in", &self.requests_in, &self.responses_in),
            ("out", &self.requests_out, &self.responses_out),
        ] {
            let methods = METHODS.iter().map(Method::as_str).chain(["other"]);
            for (method, count) in methods.zip(requests) {
                page.counter(
                    &names::SIP_REQUESTS,
                    &[(METHOD, method), (DIRECTION, direction)],
                    read(count),
                );
            }
            for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"]
                .into_iter()
                .zip(responses)
            {
                page.counter(
                    &names::SIP_RESPONSES,
                    &[(STATUS_CLASS, class), (DIRECTION, direction)],
                    read(count),
                );
            }
        }
        let methods = METHODS.iter().map(Method::as_str).chain(["other"]);
        for (method, durations) in methods.zip(&self.durations) {
            page.histogram(
                &names::SIP_REQUEST_DURATION,
                &[(METHOD, method)],
                &durations.snapshot(),
            );
        }
        for ((_, reason), count) in REFUSED.iter().zip(&self.refused) {
            page.counter(&names::SIP_REFUSALS, &[(REASON, reason)], read(count));
        }
        page.counter(&names::SIP_TRANSACTION_TIMEOUTS, &[], read(&self.timeouts));
        page.counter(&names::HEALTH_PROBES, &[], read(&self.probes));
        page.counter(&names::SIP_DUPLICATE_DELIVERIES, &[], read(&self.duplicates));
        page.histogram(&names::IM_DELIVERY_DURATION, &[], &self.delivery.snapshot());
        self.presence.collect(page);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stands_on_the_page() {
        let counters = Counters::default();
        counters.request_in(&Method::Message);
        counters.request_in(&Method::Refer);
        counters.response_out(StatusCode::FORBIDDEN);
        counters.refused(Refused::Relay);
        counters.answered(&Method::Message, Duration::from_millis(7));
        let mut page = Page::new();
        counters.collect(&mut page);
        let text = page.render();
        for line in [
            r#"portico_sip_requests_total{method="MESSAGE",direction="in"} 1"#,
            r#"portico_sip_requests_total{method="other",direction="in"} 1"#,
            r#"portico_sip_responses_total{status_class="4xx",direction="out"} 1"#,
            r#"portico_sip_refusals_total{reason="relay"} 1"#,
            r#"portico_sip_request_duration_seconds_bucket{method="MESSAGE",le="0.01"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
