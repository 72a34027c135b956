//! Errors: the domain's, the wire's, and the status of a gRPC call. The one table of codes.

use std::iter;

use bytes::Bytes;
use prost::Message;
use rpc::{Error, ErrorCode};
use tonic::{Code, Status, TimeoutExpired};

use super::{duration, milliseconds};
use crate::proto::errors::v1 as wire;

/// Each code of ours, on the wire, and as the status of a call for whoever knows nothing but gRPC.
const CODES: [(ErrorCode, wire::ErrorCode, Code); 9] = [
    (
        ErrorCode::InvalidRequest,
        wire::ErrorCode::InvalidRequest,
        Code::InvalidArgument,
    ),
    (
        ErrorCode::Unauthenticated,
        wire::ErrorCode::Unauthenticated,
        Code::Unauthenticated,
    ),
    (
        ErrorCode::Forbidden,
        wire::ErrorCode::Forbidden,
        Code::PermissionDenied,
    ),
    (ErrorCode::NotFound, wire::ErrorCode::NotFound, Code::NotFound),
    (ErrorCode::Conflict, wire::ErrorCode::Conflict, Code::Aborted),
    (
        ErrorCode::TooMany,
        wire::ErrorCode::TooMany,
        Code::ResourceExhausted,
    ),
    (
        ErrorCode::Timeout,
        wire::ErrorCode::Timeout,
        Code::DeadlineExceeded,
    ),
    (
        ErrorCode::Unavailable,
        wire::ErrorCode::Unavailable,
        Code::Unavailable,
    ),
    (ErrorCode::Internal, wire::ErrorCode::Internal, Code::Internal),
];

/// The status code of a call that failed with this error.
pub fn code_of(code: ErrorCode) -> Code {
    let row = CODES.iter().find(|row| row.0 == code);
    row.map_or(Code::Internal, |row| row.2)
}

/// The error behind a status without details: it comes from the gRPC layers, not from a role.
fn error_code_of(status: &Status) -> ErrorCode {
    match status.code() {
        _ if sources(status).any(|source| source.is::<TimeoutExpired>()) => ErrorCode::Timeout,
        // Layers on this side make these of connections that break or are closed.
        Code::Cancelled | Code::Unknown | Code::Internal if sources(status).next().is_some() => {
            ErrorCode::Unavailable
        }
        // The layers of the other side make this of a call whose deadline passed, and of nothing else.
        Code::Cancelled => ErrorCode::Timeout,
        // A peer of another version, or one that does not run the role (any more).
        Code::Unimplemented => ErrorCode::Unavailable,
        Code::OutOfRange | Code::FailedPrecondition => ErrorCode::InvalidRequest,
        Code::AlreadyExists => ErrorCode::Conflict,
        code => {
            let row = CODES.iter().find(|row| row.2 == code);
            row.map_or(ErrorCode::Internal, |row| row.0)
        }
    }
}

/// What led to a status on this side of the wire, outermost first.
fn sources(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    iter::successors(std::error::Error::source(status), |error| error.source())
}

impl From<&Error> for wire::Error {
    fn from(error: &Error) -> Self {
        let row = CODES.iter().find(|row| row.0 == error.code);
        wire::Error {
            code: row.map_or(wire::ErrorCode::Internal, |row| row.1).into(),
            message: error.message.clone(),
            retry_after_ms: error.retry_after.map(milliseconds),
        }
    }
}

/// A code that is not told, or not known here, is a defect: nobody knows what could be done about it.
impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        let row = CODES.iter().find(|row| i32::from(row.1) == error.code);
        Error {
            code: row.map_or(ErrorCode::Internal, |row| row.0),
            message: error.message,
            retry_after: error.retry_after_ms.map(duration),
        }
    }
}

/// `google.rpc.Status`, which is what the details of a gRPC status are by convention, so that tools can read ours.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

const TYPE_URL: &str = "type.googleapis.com/portico.errors.v1.Error";

/// Longest text of an error that is sent: it stands in a header twice.
const MAX_MESSAGE: usize = 512;

/// The status of a call that failed with this error. The error itself is in the details.
pub fn status(error: &Error) -> Status {
    let code = code_of(error.code);
    let mut detail = wire::Error::from(error);
    let end = detail.message.floor_char_boundary(MAX_MESSAGE);
    detail.message.truncate(end);
    let message = detail.message.clone();
    let rich = RichStatus {
        code: i32::from(code),
        message: message.clone(),
        details: vec![Any {
            type_url: TYPE_URL.to_owned(),
            value: detail.encode_to_vec().into(),
        }],
    };
    Status::with_details(code, message, rich.encode_to_vec().into())
}

/// The error of a call that ended with this status: that of the role if there is one in the details, else what the code
/// says. What breaks between here and the peer is `Unavailable`.
pub fn error(status: &Status) -> Error {
    if let Ok(rich) = RichStatus::decode(status.details()) {
        let ours = rich.details.iter().find(|any| any.type_url == TYPE_URL);
        if let Some(Ok(error)) = ours.map(|any| wire::Error::decode(any.value.clone())) {
            return error.into();
        }
    }
    let mut text = status.message().to_owned();
    if text.is_empty() {
        status.code().description().clone_into(&mut text);
    }
    // The innermost source says what really happened: connection refused, broken pipe.
    if let Some(source) = sources(status).last() {
        text = format!("{text}: {source}");
    }
    Error::new(error_code_of(status), text)
}
