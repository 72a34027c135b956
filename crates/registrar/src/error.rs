//! From the errors of stores to those of the contract.

use rpc::{Error, ErrorCode};
use store::StoreError;

/// What a caller is told when a store did not do it. The details of a driver stay in the log.
pub(crate) fn store_failed(error: StoreError) -> Error {
    match error {
        StoreError::Driver(cause) => {
            tracing::warn!(error = %cause, "the directory store failed");
            Error::new(ErrorCode::Unavailable, "the directory store failed")
        }
        StoreError::Inconsistent(text) => {
            tracing::error!(error = %text, "inconsistent data in the directory store");
            Error::new(ErrorCode::Internal, "inconsistent data in the directory store")
        }
        StoreError::InvalidRequest(text) => Error::new(ErrorCode::InvalidRequest, text),
        StoreError::Conflict(text) => Error::new(ErrorCode::Conflict, text),
        StoreError::NotOwner(text) => Error::new(ErrorCode::Unavailable, text),
    }
}

pub(crate) fn unavailable(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::Unavailable, what)
}

pub(crate) fn not_found(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::NotFound, what)
}

pub(crate) fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidRequest, what)
}
