//! The one table of error codes: whose fault, may it be retried, what a SIP client is told.

use std::time::Duration;

/// Why a role did not do what it was asked. Deliberately few: each tells the caller what it can do about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorCode {
    /// The request itself is wrong. The peer's fault; never retried.
    InvalidRequest,
    /// No or wrong proof of identity. A challenge may help.
    Unauthenticated,
    /// Known and not allowed.
    Forbidden,
    /// The thing named does not exist.
    NotFound,
    /// Somebody else was faster; reading again and retrying may help.
    Conflict,
    /// A limit is reached; later it may work.
    TooMany,
    /// A dependency did not answer in time. Retried only where the operation is idempotent.
    Timeout,
    /// A dependency is away; another member or a later attempt may work.
    Unavailable,
    /// A defect of ours.
    Internal,
}

impl ErrorCode {
    /// The final status of the SIP request that met this error.
    pub const fn sip_status(self) -> u16 {
        match self {
            ErrorCode::InvalidRequest => 400,
            ErrorCode::Unauthenticated => 401,
            ErrorCode::Forbidden => 403,
            ErrorCode::NotFound => 404,
            ErrorCode::Conflict | ErrorCode::Internal => 500,
            ErrorCode::TooMany | ErrorCode::Unavailable => 503,
            ErrorCode::Timeout => 504,
        }
    }

    /// Whether asking again, unchanged, can succeed.
    pub const fn may_retry(self) -> bool {
        matches!(
            self,
            ErrorCode::Conflict | ErrorCode::TooMany | ErrorCode::Timeout | ErrorCode::Unavailable
        )
    }

    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::InvalidRequest => "invalid_request",
            ErrorCode::Unauthenticated => "unauthenticated",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::NotFound => "not_found",
            ErrorCode::Conflict => "conflict",
            ErrorCode::TooMany => "too_many",
            ErrorCode::Timeout => "timeout",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
        }
    }
}

/// A refused or failed call to a role.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller can do about it.
    pub code: ErrorCode,
    /// What happened, lower case, naming the thing.
    pub message: String,
    /// When trying again makes sense, if the callee knows.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error with this code and text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Error {
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The same with a hint when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}
