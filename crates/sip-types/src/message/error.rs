//! [`ParseError`]: what is wrong with a head, and the answer to it.

use super::{ReplyParts, Response};
use crate::status::StatusCode;

/// What is wrong. The peer is at fault in all cases: count them, log them at debug level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseErrorKind {
    /// More than [`crate::limits::HEAD`] bytes.
    #[error("header block too large")]
    HeadTooLarge,
    /// The start line is longer than [`crate::limits::START_LINE`].
    #[error("start line too long")]
    StartLineTooLong,
    /// A header field is longer than [`crate::limits::HEADER_LINE`].
    #[error("header field too long")]
    HeaderTooLong,
    /// More than [`crate::limits::HEADER_FIELDS`] fields.
    #[error("too many header fields")]
    TooManyFields,
    /// More than [`crate::limits::VIA_VALUES`] values.
    #[error("too many Via values")]
    TooManyVias,
    /// More than [`crate::limits::ROUTE_VALUES`] values.
    #[error("too many Route and Record-Route values")]
    TooManyRoutes,
    /// More than [`crate::limits::CONTACT_VALUES`] values.
    #[error("too many Contact values")]
    TooManyContacts,
    /// CR without LF, or LF without CR.
    #[error("bare CR or LF")]
    LineEnd,
    /// NUL outside an escape in a quoted string.
    #[error("NUL character")]
    Nul,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// No empty line at the end, or one before it.
    #[error("misplaced end of header block")]
    HeadEnd,
    /// Neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// A status line with another version than SIP/2.0.
    #[error("unsupported version")]
    Version,
    /// A status code outside 100..=699.
    #[error("malformed status code")]
    StatusCode,
    /// A line without colon, or with a name that is no token.
    #[error("malformed header field")]
    HeaderField,
    /// A continuation line without a header field before it.
    #[error("continuation of nothing")]
    Fold,
    /// Doubled, not a number, or missing where the transport needs it.
    #[error("malformed Content-Length")]
    ContentLength,
    /// Content-Length is not the length of the body.
    #[error("body differs from Content-Length")]
    BodyLength,
}

impl ParseErrorKind {
    /// The status to answer with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HeadTooLarge => StatusCode::MESSAGE_TOO_LARGE,
            Self::StartLineTooLong => StatusCode::REQUEST_URI_TOO_LONG,
            Self::TooManyVias => StatusCode::TOO_MANY_HOPS,
            Self::Version => StatusCode::VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The reason phrase to answer with: that of the status, or for 400 what is wrong.
    pub fn reason(self) -> String {
        match self.status() {
            StatusCode::BAD_REQUEST => format!("Bad Request - {self}"),
            status => status.reason().to_owned(),
        }
    }
}

/// A head that can not be taken apart. On a stream the connection must be closed: where the next message begins is
/// not known.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ParseError {
    kind: ParseErrorKind,
    offset: usize,
    reply: Option<Box<ReplyParts>>,
}

impl ParseError {
    pub(super) fn new(kind: ParseErrorKind, offset: usize, reply: Option<ReplyParts>) -> Self {
        Self {
            kind,
            offset,
            reply: reply.map(Box::new),
        }
    }

    /// What is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// Where in the head.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The headers an answer needs, if all of them could be read.
    pub fn reply(&self) -> Option<&ReplyParts> {
        self.reply.as_deref()
    }

    /// The answer, made of validated values only. `None` for a response, for an ACK, and if a header that the
    /// answer needs could not be read.
    pub fn response(&self) -> Option<Response> {
        let builder = self.reply.as_ref()?.response(self.status());
        Some(builder.reason(&self.kind.reason()).build())
    }
}
