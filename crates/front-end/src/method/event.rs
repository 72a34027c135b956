//! What SUBSCRIBE and PUBLISH have in common: how long, with which body, and how they are refused.

use bytes::Bytes;
use sip_bodies::BodyError;
use sip_types::header::typed::MALFORMED_EXPIRES;
use sip_types::{AddressOfRecord, HeaderError, HeaderName, Request, StatusCode};

use super::Incoming;
use crate::dialect::encoding::{self, EncodingError};
use crate::presence::{DEFAULT_EXPIRES, MAX_EXPIRES, MIN_EXPIRES};

/// A refusal, and what its answer says besides.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    header: Option<(HeaderName, String)>,
    reason: Option<String>,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode) -> Self {
        Refusal {
            status,
            header: None,
            reason: None,
        }
    }

    /// The same with a header that says how it would have been accepted.
    pub(crate) fn with(self, name: HeaderName, value: impl ToString) -> Self {
        Refusal {
            header: Some((name, value.to_string())),
            ..self
        }
    }

    /// The same with words for the person.
    pub(crate) fn saying(self, reason: impl Into<String>) -> Self {
        Refusal {
            reason: Some(reason.into()),
            ..self
        }
    }

    /// 400 in words.
    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST).saying(reason)
    }

    /// Answers with it.
    pub(crate) fn send(self, incoming: &Incoming) {
        let mut reply = incoming.reply(self.status);
        if let Some(reason) = &self.reason {
            reply = reply.reason(reason);
        }
        if let Some((name, value)) = self.header {
            reply = reply.header(name, value);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            reply = reply.header(HeaderName::RetryAfter, incoming.service.retry_after());
        }
        incoming.respond(reply.build());
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Refusal::bad(error.to_string())
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = StatusCode::new(error.sip_status()).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal::new(status).saying(error.to_string())
    }
}

impl From<EncodingError> for Refusal {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::Unknown => Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with(HeaderName::AcceptEncoding, "deflate, identity"),
            EncodingError::Malformed => Refusal::bad("The body is not deflated"),
            EncodingError::TooLarge => Refusal::new(StatusCode::REQUEST_ENTITY_TOO_LARGE),
        }
    }
}

/// Seconds to be granted; 0: the end, or a single look.
///
/// # Errors
/// 423 for less than [`MIN_EXPIRES`].
pub(crate) fn expires(request: &Request) -> Result<u32, Refusal> {
    let value = request.headers().get(&HeaderName::Expires);
    let wanted = value.map_or(DEFAULT_EXPIRES, |value| {
        value.trim().parse().unwrap_or(MALFORMED_EXPIRES)
    });
    if (1..MIN_EXPIRES).contains(&wanted) {
        return Err(Refusal::new(StatusCode::INTERVAL_TOO_BRIEF).with(HeaderName::MinExpires, MIN_EXPIRES));
    }
    Ok(wanted.min(MAX_EXPIRES))
}

/// The body without its Content-Encoding.
///
/// # Errors
/// 415, 400 or 413.
pub(crate) fn body(request: &Request) -> Result<Bytes, Refusal> {
    let coding = request.headers().get(&HeaderName::ContentEncoding);
    Ok(encoding::decode(&coding.unwrap_or_default(), request.body())?)
}

/// Whom a URI in a body means: `pres:` names the same people as `sip:`.
pub(crate) fn user(uri: &str) -> Option<AddressOfRecord> {
    let uri = uri.trim();
    let rest = match uri.split_at_checked(5) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("pres:") => rest,
        _ => uri,
    };
    AddressOfRecord::parse(rest).ok()
}
