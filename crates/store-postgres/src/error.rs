//! From the driver's errors to those of the contract.

use std::time::Duration;

use sqlx::error::ErrorKind;
use store::StoreError;

/// SQLSTATE of a text the server's encoding does not have: for UTF-8 that is one with U+0000.
const NO_SUCH_CHARACTER: &str = "22021";

/// A failure of a statement that breaks no constraint of its own doing.
pub(crate) fn driver(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(NO_SUCH_CHARACTER) {
        return StoreError::InvalidRequest("a text with the character U+0000 can not be stored".to_owned());
    }
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

/// No answer in time.
pub(crate) fn too_late(what: &str, deadline: Duration) -> StoreError {
    StoreError::driver(format!("{what} took longer than {} ms", deadline.as_millis()))
}
