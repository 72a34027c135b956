//! One file per SIP method: the request of a signed-in client becomes a domain verb, the role's answer its response.

pub(crate) mod bye;
pub(crate) mod cancel;
pub(crate) mod event;
pub(crate) mod info;
pub(crate) mod invite;
pub(crate) mod message;
pub(crate) mod options;
pub(crate) mod publish;
pub(crate) mod register;
pub(crate) mod service;
pub(crate) mod subscribe;

use std::sync::Arc;
use std::time::Instant;

use rpc::{Error, FailureReason};
use sip_core::ServerKey;
use sip_types::{HeaderName, Method, Request, Response, ResponseBuilder, StatusCode};
use telemetry::trace::Span;

use crate::flow::{Flow, SignedIn};
use crate::service::FrontEndService;
use crate::trace;

/// A request of a signed-in client, with everything its method needs.
pub(crate) struct Incoming {
    pub(crate) service: Arc<FrontEndService>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) key: ServerKey,
    pub(crate) request: Request,
    /// When it was read.
    pub(crate) received: Instant,
    /// Whose connection this is.
    pub(crate) who: Arc<SignedIn>,
    /// What is recorded of it.
    pub(crate) span: Span,
}

impl Incoming {
    /// The start of a response, with a To tag of ours where the request has none.
    pub(crate) fn reply(&self, status: StatusCode) -> ResponseBuilder {
        self.request.reply(status).to_tag(&self.service.ids.tag())
    }

    /// Sends a response.
    pub(crate) fn respond(&self, response: Response) {
        if response.status().is_final() {
            let counters = &self.service.counters;
            counters.answered(self.request.method(), self.received.elapsed());
            trace::answered(&self.span, response.status());
        }
        self.flow.respond(&self.service, &self.key, response);
    }

    /// Answers with a status and nothing else.
    pub(crate) fn answer(&self, status: StatusCode) {
        self.respond(self.reply(status).build());
    }

    /// Answers with the status of a delivery that failed, in words for the person (RFC 3261 section 20.43).
    pub(crate) fn answer_failure(&self, reason: FailureReason) {
        let status = match StatusCode::new(reason.sip_status()) {
            // RFC 4320 section 4.2: a 408 to anything but an INVITE comes too late to be of use.
            Some(StatusCode::REQUEST_TIMEOUT) if *self.request.method() != Method::Invite => {
                StatusCode::SERVER_TIMEOUT
            }
            Some(status) => status,
            None => StatusCode::SERVER_INTERNAL_ERROR,
        };
        let warning = format!(
            "399 {} \"{}\"",
            self.service.config.fqdn,
            reason.as_str().replace('_', " ")
        );
        let mut reply = self.reply(status).header(HeaderName::Warning, warning);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            reply = reply.header(HeaderName::RetryAfter, self.service.retry_after());
        }
        self.respond(reply.build());
    }

    /// Answers with the status of a role that failed.
    pub(crate) fn answer_error(&self, error: &Error) {
        let status = StatusCode::new(error.code.sip_status()).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
        let mut reply = self.reply(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = error
                .retry_after
                .map_or_else(|| self.service.retry_after(), |delay| delay.as_secs().max(1));
            reply = reply.header(HeaderName::RetryAfter, seconds);
        }
        if error.code == rpc::ErrorCode::Internal {
            tracing::error!(method = %self.request.method(), %error, "a role failed");
        } else {
            tracing::debug!(method = %self.request.method(), %error, "a role refused");
        }
        self.respond(reply.build());
    }
}
