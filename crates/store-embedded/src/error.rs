//! From the driver's errors to those of the contract.

use sqlx::error::ErrorKind;
use store::StoreError;

/// A failure of a statement that breaks no constraint of its own doing.
pub(crate) fn driver(error: sqlx::Error) -> StoreError {
    StoreError::driver(error)
}

/// A failed insert, with what a broken constraint means to the caller.
pub(crate) fn insert(
    error: sqlx::Error,
    exists: impl FnOnce() -> String,
    dangling: impl FnOnce() -> String,
) -> StoreError {
    match error.as_database_error().map(|error| error.kind()) {
        Some(ErrorKind::UniqueViolation) => StoreError::Conflict(exists()),
        Some(ErrorKind::ForeignKeyViolation) => StoreError::InvalidRequest(dangling()),
        _ => driver(error),
    }
}
