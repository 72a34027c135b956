//! The answers to what is no message.

use crate::framing::FramingError;
use sip_types::{ParseErrorKind, ReplyParts, Response, StatusCode};

/// The answer to a message whose framing failed, made of validated header values only. `None` for a response,
/// for an ACK and if a header that the answer needs was not read.
pub(crate) fn answer(error: &FramingError) -> Option<Response> {
    let status = StatusCode::new(error.kind.status())?;
    let parts = ReplyParts::salvage(&error.reply_source)?;
    let builder = parts.response(status);
    Some(match status {
        // RFC 3261 section 21.4.1: the phrase says what is wrong.
        StatusCode::BAD_REQUEST => builder.reason(&format!("Bad Request - {}", error.kind)).build(),
        _ => builder.build(),
    })
}

/// Whether an error of the parser means that the peer and we may not agree on where messages begin. Then the
/// connection must be closed. Other errors are within one message, whose end framing knows.
pub(crate) fn doubts_framing(kind: ParseErrorKind) -> bool {
    match kind {
        ParseErrorKind::TooManyFields
        | ParseErrorKind::TooManyVias
        | ParseErrorKind::TooManyRoutes
        | ParseErrorKind::TooManyContacts
        | ParseErrorKind::Nul
        | ParseErrorKind::NotUtf8
        | ParseErrorKind::Version
        | ParseErrorKind::StatusCode
        | ParseErrorKind::HeaderField => false,
        ParseErrorKind::HeadTooLarge
        | ParseErrorKind::StartLineTooLong
        | ParseErrorKind::HeaderTooLong
        | ParseErrorKind::LineEnd
        | ParseErrorKind::HeadEnd
        | ParseErrorKind::StartLine
        | ParseErrorKind::Fold
        | ParseErrorKind::ContentLength
        | ParseErrorKind::BodyLength => true,
    }
}
