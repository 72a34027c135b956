//! [`Request::validate`]: the rules every request must keep, whatever it asks for.

use std::borrow::Cow;

use super::{Request, Version};
use crate::header::typed::{CSeq, CallId, Contact, Expires, From, MaxForwards, To, Via};
use crate::header::{HeaderError, HeaderName};
use crate::status::StatusCode;

/// The answer to a request that breaks the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}")]
pub struct Rejection {
    /// 400, 416 or 505.
    pub status: StatusCode,
    /// The reason phrase.
    pub reason: Cow<'static, str>,
}

impl Rejection {
    fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    fn bad_request(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl std::convert::From<HeaderError> for Rejection {
    fn from(error: HeaderError) -> Self {
        Self::bad_request(match error {
            HeaderError::Missing(name) => format!("Missing {name} Header"),
            HeaderError::Duplicate(name) => format!("More Than One {name} Header"),
            HeaderError::Invalid { name, .. } => format!("Invalid {name} Header"),
        })
    }
}

/// Headers that may stand only once and have no list form (RFC 3261 section 7.3.1 and table 2, RFC 6665, RFC 3903).
const SINGLE: [HeaderName; 26] = [
    HeaderName::CallId,
    HeaderName::ContentDisposition,
    HeaderName::ContentLength,
    HeaderName::ContentType,
    HeaderName::CSeq,
    HeaderName::Date,
    HeaderName::Event,
    HeaderName::Expires,
    HeaderName::From,
    HeaderName::Join,
    HeaderName::MaxForwards,
    HeaderName::MimeVersion,
    HeaderName::MinExpires,
    HeaderName::Organization,
    HeaderName::Priority,
    HeaderName::RAck,
    HeaderName::ReferTo,
    HeaderName::ReferSub,
    HeaderName::ReferredBy,
    HeaderName::Replaces,
    HeaderName::ReplyTo,
    HeaderName::SipIfMatch,
    HeaderName::Subject,
    HeaderName::SubscriptionState,
    HeaderName::Timestamp,
    HeaderName::To,
];

impl Request {
    /// Checks what RFC 3261 sections 8.1.1 and 8.2 want of every request: the version, the Request-URI, the mandatory
    /// headers (Via, From, To, Call-ID, CSeq) well-formed and once, the method in CSeq, and the form of Max-Forwards,
    /// Contact and Expires if they are there.
    ///
    /// Not checked, because it is not for everyone to decide: extensions in Require, methods, the scheme of other
    /// headers than the Request-URI, headers nobody looks at. A missing Max-Forwards or From tag is let through, as
    /// older peers send none (RFC 3261 section 16.3, RFC 4475 section 3.4).
    ///
    /// # Errors
    /// The status and reason to answer with.
    pub fn validate(&self) -> Result<(), Rejection> {
        if self.version != Version::SIP_2_0 {
            return Err(Rejection::new(
                StatusCode::VERSION_NOT_SUPPORTED,
                StatusCode::VERSION_NOT_SUPPORTED.reason(),
            ));
        }
        self.validate_uri()?;
        self.validate_single()?;
        self.validate_headers()
    }

    fn validate_uri(&self) -> Result<(), Rejection> {
        let uri = self
            .parsed_uri()
            .map_err(|_| Rejection::bad_request("Malformed Request-URI"))?;
        if !uri.is_sip() && !uri.is_tel() {
            let status = StatusCode::UNSUPPORTED_URI_SCHEME;
            return Err(Rejection::new(status, status.reason()));
        }
        // RFC 3261 section 19.1.1, table 1: no headers in a Request-URI.
        if uri.headers().next().is_some() {
            return Err(Rejection::bad_request("Headers in Request-URI"));
        }
        Ok(())
    }

    fn validate_single(&self) -> Result<(), Rejection> {
        // Name table positions are below 128, so one word is a set of them.
        let bit = |id: u8| 1u128.checked_shl(u32::from(id)).unwrap_or(0);
        let single = SINGLE.iter().fold(0, |set, name| set | bit(name.id()));
        let mut seen = 0u128;
        for field in self.headers.index() {
            let this = bit(field.id) & single;
            if seen & this != 0 {
                let name = crate::header::name::by_id(field.id);
                return Err(name.map_or_else(
                    || Rejection::bad_request("Doubled Header"),
                    |name| HeaderError::Duplicate(name).into(),
                ));
            }
            seen |= this;
        }
        Ok(())
    }

    fn validate_headers(&self) -> Result<(), Rejection> {
        if self.headers.list::<Via>()?.is_empty() {
            return Err(HeaderError::Missing(HeaderName::Via).into());
        }
        self.headers.one::<From>()?;
        self.headers.one::<To>()?;
        self.headers.one::<CallId>()?;
        let cseq = self.headers.one::<CSeq>()?;
        if cseq.method != self.method {
            return Err(Rejection::bad_request("CSeq Method Mismatch"));
        }
        self.headers.optional::<MaxForwards>()?;
        self.headers.optional::<Expires>()?;
        self.headers.list::<Contact>()?;
        Ok(())
    }
}
