//! [`Request`].

use std::fmt::Display;
use std::net::SocketAddr;

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
    /// Where it came from, if the receiver said so.
    pub(super) source: Option<SocketAddr>,
}

common_accessors!(Request);

impl Request {
    /// Starts a new request. White space and control characters in `uri` are escaped.
    pub fn builder(method: Method, uri: impl Display) -> RequestBuilder {
        RequestBuilder::new(method, &uri)
    }

    /// Notes where the request came from. Answers to it then tell so in their top Via: `received` where the address
    /// differs from what the Via says, and `rport` where it asks (RFC 3261 section 18.2.1, RFC 3581 section 4).
    pub fn set_source(&mut self, source: SocketAddr) {
        self.source = Some(source);
    }

    /// Starts the answer to this request: with all its Via, From, To, Call-ID and CSeq as they are (but for
    /// [`Request::set_source`]), and its Timestamp for a 100 (RFC 3261 section 8.2.6). Add the tag with
    /// [`ResponseBuilder::to_tag`].
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
