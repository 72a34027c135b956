//! The builders of requests and responses.

use std::fmt::{self, Display, Write as _};

use bytes::Bytes;

use super::writer::HeadWriter;
use super::{Request, Response, Version};
use crate::header::typed::Via;
use crate::header::{HeaderName, Headers, TypedHeader};
use crate::method::Method;
use crate::status::StatusCode;
use crate::syntax::{is_token, split_list};
use crate::text::SipStr;

/// What both builders can do.
macro_rules! common_steps {
    ($builder:ty) => {
        impl $builder {
            /// Adds a header field. CR, LF and NUL in the value become spaces. Content-Length is written by
            /// `build` and not taken from here.
            pub fn header(mut self, name: HeaderName, value: impl Display) -> Self {
                self.head.field(&name, &value);
                self
            }

            /// Adds a typed header.
            pub fn typed<H: TypedHeader>(mut self, header: &H) -> Self {
                self.head.field(&H::NAME, header);
                self
            }

            /// Adds a header line such as `Name: value`; without a colon it is a name with an empty value.
            pub fn raw_line(mut self, line: &str) -> Self {
                let (name, value) = crate::syntax::cut(line, b':').unwrap_or((line, ""));
                let name = SipStr::copy_from(crate::syntax::trim(name));
                let name = HeaderName::parse(&name).unwrap_or(HeaderName::Other(name));
                self.head.field(&name, &crate::syntax::trim(value));
                self
            }

            /// Adds all fields of this name from another message, in order.
            pub fn copy(mut self, headers: &Headers, name: &HeaderName) -> Self {
                self.head.copy(headers, name);
                self
            }

            /// Sets the body and its Content-Type (none if `content_type` is empty).
            pub fn body(mut self, content_type: &str, body: Bytes) -> Self {
                if !content_type.is_empty() {
                    self.head.field(&HeaderName::ContentType, &content_type);
                }
                self.body = body;
                self
            }
        }
    };
}

/// Builds a [`Request`]. Headers come out in the order they were given, Content-Length last.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequestBuilder {
    method: Method,
    uri: String,
    head: HeadWriter,
    body: Bytes,
}

common_steps!(RequestBuilder);

impl RequestBuilder {
    pub(super) fn new(method: Method, uri: &dyn Display) -> Self {
        let mut clean = String::with_capacity(64);
        // Writing to a String does not fail.
        let _ = write!(Visible(&mut clean), "{uri}");
        let head = HeadWriter::new(format_args!("{method} {clean} SIP/2.0"));
        Self {
            method,
            uri: clean,
            head,
            body: Bytes::new(),
        }
    }

    /// The finished request.
    pub fn build(self) -> Request {
        let headers = self.head.finish(self.body.len());
        let start = self.method.as_str().len().saturating_add(1);
        let uri = headers.head().slice(start..start.saturating_add(self.uri.len()));
        Request {
            method: self.method,
            uri,
            version: Version::SIP_2_0,
            headers,
            body: self.body,
            source: None,
        }
    }
}

/// Builds a [`Response`]. Headers come out in the order they were given, Content-Length last.
#[derive(Clone, Debug)]
#[must_use]
pub struct ResponseBuilder {
    status: StatusCode,
    reason: SipStr,
    head: HeadWriter,
    body: Bytes,
}

common_steps!(ResponseBuilder);

impl ResponseBuilder {
    pub(super) fn new(status: StatusCode) -> Self {
        let reason = SipStr::from_static(status.reason());
        let head = HeadWriter::new(format_args!("SIP/2.0 {status} {reason}"));
        Self {
            status,
            reason,
            head,
            body: Bytes::new(),
        }
    }

    pub(super) fn reply_to(request: &Request, status: StatusCode) -> Self {
        let mut builder = Self::new(status);
        builder.copy_via(request);
        for name in [
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::CSeq,
        ] {
            builder.head.copy(request.headers(), &name);
        }
        if status == StatusCode::TRYING {
            builder.head.copy(request.headers(), &HeaderName::Timestamp);
        }
        builder
    }

    /// All Via fields; the top value as the request's source makes it.
    fn copy_via(&mut self, request: &Request) {
        if self.copy_seen_via(request).is_none() {
            return self.head.copy(request.headers(), &HeaderName::Via);
        }
        for value in request.headers().get_all(&HeaderName::Via).skip(1) {
            self.head.field(&HeaderName::Via, &value);
        }
    }

    /// The first Via field as the request's source makes it. `None`, and nothing added, where it stays as it is.
    fn copy_seen_via(&mut self, request: &Request) -> Option<()> {
        let source = request.source?;
        let top = request.headers().get(&HeaderName::Via)?;
        let first = split_list(&top).next()?.ok()?;
        let via = Via::parse(&top.slice_of(first)).ok()?;
        let seen = via.seen_from(source)?;
        // Values behind the first one, with their comma.
        let others = top.get(first.len()..).unwrap_or_default();
        self.head.field(&HeaderName::Via, &format_args!("{seen}{others}"));
        Some(())
    }

    /// Replaces the reason phrase.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = reason.replace(['\r', '\n', '\0'], " ").into();
        self.head
            .set_start_line(format_args!("SIP/2.0 {} {}", self.status, self.reason));
        self
    }

    /// Adds a tag to the To header, unless it has one or does not parse (RFC 3261 section 8.2.6.2).
    pub fn to_tag(mut self, tag: &str) -> Self {
        let tags = |value| {
            let parts = crate::name_addr::Parts::of(value).ok()?;
            let list = crate::params::checked(parts.params).ok()?;
            Some(
                crate::params::each(list)
                    .filter(|(name, _)| name.eq_ignore_ascii_case("tag"))
                    .count(),
            )
        };
        let untagged = self.head.value(&HeaderName::To).and_then(tags) == Some(0);
        if untagged && is_token(tag) {
            self.head.append_to(&HeaderName::To, &format!(";tag={tag}"));
        }
        self
    }

    /// The finished response.
    pub fn build(self) -> Response {
        let headers = self.head.finish(self.body.len());
        Response {
            status: self.status,
            reason: self.reason,
            headers,
            body: self.body,
        }
    }
}

/// Escapes what would end the URI of a request line: controls and blanks.
struct Visible<'a>(&'a mut String);

impl fmt::Write for Visible<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            if character.is_ascii_graphic() || !character.is_ascii() {
                self.0.push(character);
            } else {
                write!(self.0, "%{:02X}", u32::from(character))?;
            }
        }
        Ok(())
    }
}
