//! [`MessageHead`]: a parsed head whose body may still be on its way.

use std::sync::Arc;

use bytes::Bytes;

use super::scan::{Fault, scan};
use super::{Message, ParseError, ParseErrorKind, ReplyParts, Request, Response, Version};
use crate::header::Headers;
use crate::header::fields::Index;
use crate::header::name::Slot;
use crate::limits;
use crate::method::Method;
use crate::status::StatusCode;
use crate::syntax::{parse_u16, split_list};
use crate::text::SipStr;

/// The head of a message: parse it when its empty line is there, ask it how long the body is, then give it the body.
///
/// ```
/// use bytes::Bytes;
/// use sip_types::MessageHead;
///
/// let head = Bytes::from_static(b"OPTIONS sip:a@example.test SIP/2.0\r\nContent-Length: 2\r\n\r\n");
/// let head = MessageHead::parse(head)?;
/// assert_eq!(head.content_length()?, 2);
/// let message = head.with_body(Bytes::from_static(b"hi"))?;
/// assert_eq!(message.body().as_ref(), b"hi");
/// # Ok::<(), sip_types::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MessageHead {
    line: StartLine,
    headers: Headers,
    content_length: Option<u64>,
}

#[derive(Clone, Debug)]
enum StartLine {
    Request {
        method: Method,
        uri: SipStr,
        version: Version,
    },
    Response {
        status: StatusCode,
        reason: SipStr,
    },
}

impl MessageHead {
    /// Parses a head, from the first byte of the start line to the empty line, included.
    ///
    /// # Errors
    /// See [`Message::parse`].
    pub fn parse(head: Bytes) -> Result<Self, ParseError> {
        Self::try_parse(&head)
            .map_err(|(kind, offset)| ParseError::new(kind, offset, ReplyParts::salvage(&head)))
    }

    fn try_parse(head: &Bytes) -> Result<Self, Fault> {
        if head.len() > limits::HEAD {
            return Err((ParseErrorKind::HeadTooLarge, limits::HEAD));
        }
        let head = SipStr::from_utf8(head.clone())
            .map_err(|error| (ParseErrorKind::NotUtf8, error.valid_up_to()))?;
        // Made where it stays: the index is too large to be moved around.
        let mut index = Arc::new(Index::new());
        let start_line = scan(head.as_bytes(), Arc::make_mut(&mut index))?;
        let line = start_line_of(&head, head.get(..start_line).unwrap_or_default())?;
        let headers = Headers::new(head, index);
        check_counts(&headers)?;
        let content_length = content_length(&headers)?;
        Ok(Self {
            line,
            headers,
            content_length,
        })
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The method, if this is a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.line {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// How long the body is, in bytes. Compare with the limit before a byte of it is read.
    ///
    /// # Errors
    /// 400 if there is no Content-Length, which a stream can not do without (RFC 3261 section 18.3).
    pub fn content_length(&self) -> Result<u64, ParseError> {
        self.content_length
            .ok_or_else(|| self.fault(ParseErrorKind::ContentLength))
    }

    /// The whole message.
    ///
    /// # Errors
    /// 400 if `body` has another length than Content-Length says. Without Content-Length any body will do.
    pub fn with_body(self, body: Bytes) -> Result<Message, ParseError> {
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if self.content_length.is_some_and(|expected| expected != length) {
            return Err(self.fault(ParseErrorKind::BodyLength));
        }
        let headers = self.headers;
        Ok(match self.line {
            StartLine::Request { method, uri, version } => Message::Request(Request {
                method,
                uri,
                version,
                headers,
                body,
                source: None,
            }),
            StartLine::Response { status, reason } => Message::Response(Response {
                status,
                reason,
                headers,
                body,
            }),
        })
    }

    /// An answer to this head that has nothing to do with its grammar, such as 413 for a body that is too long or
    /// 408 for one that does not come. `None` for a response, for an ACK, and if it lacks a header the answer needs.
    pub fn refuse(&self, status: StatusCode) -> Option<Response> {
        Some(
            ReplyParts::salvage(self.headers.head().bytes())?
                .response(status)
                .build(),
        )
    }

    fn fault(&self, kind: ParseErrorKind) -> ParseError {
        let head = self.headers.head().bytes();
        ParseError::new(kind, head.len(), ReplyParts::salvage(head))
    }
}

/// Tells a request line from a status line: only the latter begins with a version.
fn start_line_of(head: &SipStr, line: &str) -> Result<StartLine, Fault> {
    match crate::syntax::cut(line, b' ') {
        Some((first, rest)) if is_version(first) => status_line(head, first, rest),
        Some((first, rest)) => request_line(head, first, rest),
        None => Err((ParseErrorKind::StartLine, 0)),
    }
}

/// `Method SP Request-URI SP SIP-Version`, with exactly these two spaces (RFC 3261 section 7.1).
fn request_line(head: &SipStr, method: &str, rest: &str) -> Result<StartLine, Fault> {
    let bad = (ParseErrorKind::StartLine, 0);
    let method = Method::parse_in(head, method).ok_or(bad)?;
    let (uri, version) = crate::syntax::cut(rest, b' ').ok_or(bad)?;
    if uri.is_empty() || uri.contains('\t') {
        return Err(bad);
    }
    let version = version_of(version).ok_or(bad)?;
    Ok(StartLine::Request {
        method,
        uri: head.slice_of(uri),
        version,
    })
}

/// `SIP-Version SP 3DIGIT SP Reason-Phrase`. The second space may be missing with an empty phrase.
fn status_line(head: &SipStr, version: &str, rest: &str) -> Result<StartLine, Fault> {
    let (code, reason) = crate::syntax::cut(rest, b' ').unwrap_or((rest, ""));
    let code = Some(code)
        .filter(|code| code.len() == 3)
        .and_then(|code| parse_u16(code).ok());
    let status = code
        .and_then(StatusCode::new)
        .ok_or((ParseErrorKind::StatusCode, version.len()))?;
    match version_of(version) {
        Some(Version::SIP_2_0) => Ok(StartLine::Response {
            status,
            reason: head.slice_of(reason),
        }),
        Some(_) => Err((ParseErrorKind::Version, 0)),
        None => Err((ParseErrorKind::StartLine, 0)),
    }
}

fn is_version(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
}

fn version_of(text: &str) -> Option<Version> {
    if text == "SIP/2.0" {
        return Some(Version::SIP_2_0);
    }
    let (major, minor) = crate::syntax::cut(text.get(4..).filter(|_| is_version(text))?, b'.')?;
    Some(Version {
        major: parse_u16(major).ok()?,
        minor: parse_u16(minor).ok()?,
    })
}

const VIA: u8 = Slot::Via as u8;
const ROUTE: u8 = Slot::Route as u8;
const RECORD_ROUTE: u8 = Slot::RecordRoute as u8;
const CONTACT: u8 = Slot::Contact as u8;
const CONTENT_LENGTH: u8 = Slot::ContentLength as u8;

/// The limits on headers that make work for us by their number.
fn check_counts(headers: &Headers) -> Result<(), Fault> {
    let (mut vias, mut routes, mut contacts) = (0usize, 0usize, 0usize);
    for field in headers.index() {
        let (count, limit, kind) = match field.id {
            VIA => (&mut vias, limits::VIA_VALUES, ParseErrorKind::TooManyVias),
            ROUTE | RECORD_ROUTE => (&mut routes, limits::ROUTE_VALUES, ParseErrorKind::TooManyRoutes),
            CONTACT => (
                &mut contacts,
                limits::CONTACT_VALUES,
                ParseErrorKind::TooManyContacts,
            ),
            _ => continue,
        };
        let raw = headers
            .head()
            .get(field.value_range())
            .unwrap_or_default()
            .as_bytes();
        let values = match memchr::memchr(b',', raw) {
            None => 1,
            // Malformed lists are found when they are parsed; here they only count.
            Some(_) => split_list(&headers.value(field)).count(),
        };
        *count = count.saturating_add(values);
        if *count > limit {
            return Err((kind, field.start as usize));
        }
    }
    Ok(())
}

/// At most one Content-Length, digits only: two of them, even equal ones, are how requests are smuggled.
fn content_length(headers: &Headers) -> Result<Option<u64>, Fault> {
    let mut found = None;
    for field in headers.index().iter().filter(|field| field.id == CONTENT_LENGTH) {
        let fault = (ParseErrorKind::ContentLength, field.start as usize);
        let text = headers.value(field);
        if found.is_some() || text.is_empty() || !text.bytes().iter().all(u8::is_ascii_digit) {
            return Err(fault);
        }
        found = Some(text.parse::<u64>().map_err(|_| fault)?);
    }
    Ok(found)
}
