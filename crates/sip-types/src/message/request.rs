//! [`Request`].

use std::fmt::Display;

use bytes::Bytes;

use super::{RequestBuilder, ResponseBuilder, Version, common_accessors};
use crate::header::Headers;
use crate::method::Method;
use crate::status::StatusCode;
use crate::text::SipStr;
use crate::uri::{Uri, UriError};

/// A request. Cloning counts references and copies nothing.
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) uri: SipStr,
    pub(super) version: Version,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

common_accessors!(Request);

impl Request {
    /// Starts a new request. White space and control characters in `uri` are escaped.
    pub fn builder(method: Method, uri: impl Display) -> RequestBuilder {
        RequestBuilder::new(method, &uri)
    }

    /// Starts the answer to this request: with all its Via, From, To, Call-ID and CSeq as they are, and its
    /// Timestamp for a 100 (RFC 3261 section 8.2.6). Add the tag with [`ResponseBuilder::to_tag`].
    pub fn reply(&self, status: StatusCode) -> ResponseBuilder {
        ResponseBuilder::reply_to(self, status)
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The Request-URI as received; not checked.
    pub fn uri(&self) -> &SipStr {
        &self.uri
    }

    /// The Request-URI taken apart.
    ///
    /// # Errors
    /// A malformed URI; after [`Request::validate`] there is none.
    pub fn parsed_uri(&self) -> Result<Uri, UriError> {
        Uri::parse(&self.uri)
    }

    /// The version of the start line.
    pub fn version(&self) -> Version {
        self.version
    }

    fn line_for_debug(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }
}
