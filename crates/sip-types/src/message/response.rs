//! [`Response`].

use bytes::Bytes;

use super::{ResponseBuilder, common_accessors};
use crate::header::typed::{CSeq, CallId, From, To, Via};
use crate::header::{HeaderError, Headers};
use crate::status::StatusCode;
use crate::text::SipStr;

/// A response. Cloning counts references and copies nothing.
#[derive(Clone)]
pub struct Response {
    pub(super) status: StatusCode,
    pub(super) reason: SipStr,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

common_accessors!(Response);

impl Response {
    /// Starts a response without any header; most callers want [`Request::reply`](super::Request::reply).
    pub fn builder(status: StatusCode) -> ResponseBuilder {
        ResponseBuilder::new(status)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason phrase as received; may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Checks the headers that every response must have (RFC 3261 section 8.1.3): Via, From, To, Call-ID, CSeq.
    ///
    /// # Errors
    /// The first that is missing, doubled or malformed. Such a response is dropped; nothing can be answered to it.
    pub fn validate(&self) -> Result<(), HeaderError> {
        if self.headers.list::<Via>()?.is_empty() {
            return Err(HeaderError::Missing(crate::HeaderName::Via));
        }
        self.headers.one::<From>()?;
        self.headers.one::<To>()?;
        self.headers.one::<CallId>()?;
        self.headers.one::<CSeq>()?;
        Ok(())
    }

    fn line_for_debug(&self) -> String {
        format!("{} {}", self.status, self.reason)
    }
}
