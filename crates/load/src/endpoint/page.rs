//! MESSAGE outside of a dialog (RFC 3428).

use super::request::{Body, Draft};
use super::{Endpoint, Purpose, State, Timers, Work};
use sip_types::Response;
use std::time::Instant;

impl Endpoint {
    pub(super) fn begin_page(&self, state: &mut State, work: Work, size: usize, now: Instant) {
        let draft = Draft {
            method: "MESSAGE",
            uri: work.to.address.clone(),
            from: format!("<{}>;tag={}", self.address, self.index),
            to: format!("<{}>", work.to.address),
            call_id: self.run.unique(),
            extra: String::new(),
            body: Body::TextUpTo(size),
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
        let since = work.since;
        let next = work.next(now);
        if !response.status().is_success() {
            let what = format!("MESSAGE: {} {}", response.status().code(), response.reason());
            return self.failed(state, timers, what, next, now);
        }
        self.run.unit_done(since);
        if let Some(next) = next.filter(|_| self.run.is_active()) {
            self.begin_locked(state, next, now);
        }
    }
}
