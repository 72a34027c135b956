//! MESSAGE outside of a dialog (RFC 3428).

use super::request::{Body, Draft};
use super::{Endpoint, Purpose, State, Timers, Work};
use sip_types::Response;
use std::time::Instant;

impl Endpoint {
    pub(super) fn begin_page(&self, state: &mut State, work: Work, now: Instant) {
        let Work::Page { to, size, .. } = &work else {
            return;
        };
        let draft = Draft {
            method: "MESSAGE",
            uri: to.address.clone(),
            from: format!("<{}>;tag={}", self.address, self.index),
            to: format!("<{}>", to.address),
            call_id: self.run.unique(),
            extra: String::new(),
            body: Body::TextUpTo(*size),
            answered_challenge: false,
        };
        self.send(state, draft, Purpose::Page(work), now);
    }

    pub(super) fn page_answered(
        &self,
        state: &mut State,
        timers: &mut Timers,
        work: Work,
        response: &Response,
        now: Instant,
    ) {
        let next = work.clone().next(now);
        if !response.status().is_success() {
            let what = format!("MESSAGE: {} {}", response.status().code(), response.reason());
            return self.failed(state, timers, what, next, now);
        }
        if let Work::Page { since, .. } = work {
            self.run.unit_done(since);
        }
        if let Some(next) = next.filter(|_| self.run.is_active()) {
            self.begin_page(state, next, now);
        }
    }
}

impl Work {
    /// What follows when this is done.
    pub(super) fn next(self, now: Instant) -> Option<Self> {
        match self {
            Self::Page { to, size, again, .. } => again.then_some(Self::Page {
                to,
                size,
                again,
                since: now,
            }),
            session @ Self::Session { .. } => Some(session),
        }
    }
}
