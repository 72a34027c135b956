//! OPTIONS (RFC 3261 section 11): what this server speaks; also a balancer's health check.

use sip_types::{HeaderName, Request, Response, StatusCode};

use crate::dialect::incoming::ACCEPT;
use crate::dispatch::ALLOW;
use crate::presence::ALLOW_EVENTS;

/// The answer, the same for everybody: it tells nothing about users.
pub(crate) fn answer(request: &Request, tag: &str) -> Response {
    request
        .reply(StatusCode::OK)
        .to_tag(tag)
        .header(HeaderName::Allow, ALLOW)
        .header(HeaderName::AllowEvents, ALLOW_EVENTS)
        .header(HeaderName::Accept, ACCEPT)
        .header(HeaderName::AcceptEncoding, "deflate, identity")
        .header(
            HeaderName::Supported,
            "path, outbound, gruu, eventlist, recipient-list-subscribe",
        )
        .build()
}
