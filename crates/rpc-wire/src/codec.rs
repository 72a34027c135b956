//! Conversions between domain types and wire messages.
//!
//! Domain to wire cannot fail and is `From<&T>`, or a function named `*_to_wire` where a wire message holds less or more
//! than one domain type. Wire to domain is `TryFrom` (or a function) and fails with [`Malformed`], which names the field;
//! it never panics. What `proto/` calls absent, and values of enums this version does not know, get the meaning that the
//! comments there give them.
//!
//! Bodies are shared, never copied; other text is moved from the message that was decoded.

pub mod conversation;
pub mod directory;
pub mod endpoint;
pub mod error;
pub mod message;
pub mod people;
pub mod policy;
pub mod presence;
pub mod registrar;
pub mod seed;

use std::time::Duration;

use rpc::{Error, ErrorCode};
use sip_types::AddressOfRecord;

/// A message that does not say what its kind must say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed field `{field}`")]
pub struct Malformed {
    /// The field, as it is called in `proto/`.
    pub field: &'static str,
}

impl Malformed {
    /// This field is wrong or missing.
    pub const fn new(field: &'static str) -> Self {
        Malformed { field }
    }

    /// The error of a call whose *answer* was malformed: a defect of whoever answered, not of the caller.
    pub fn in_answer(self) -> Error {
        Error::new(ErrorCode::Internal, format!("the answer has a {self}"))
    }
}

/// The error of a malformed *request*.
impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::new(ErrorCode::InvalidRequest, malformed.to_string())
    }
}

/// A duration as the wire has it: whole milliseconds, rounded up so that a little patience does not become none; what
/// does not fit is the most that does (49 days).
pub fn milliseconds(duration: Duration) -> u32 {
    let whole = duration.as_nanos().div_ceil(1_000_000);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// Milliseconds of the wire as a duration.
pub fn duration(milliseconds: u32) -> Duration {
    Duration::from_millis(u64::from(milliseconds))
}

/// An address of record.
pub(crate) fn aor(field: &'static str, text: &str) -> Result<AddressOfRecord, Malformed> {
    AddressOfRecord::parse(text).map_err(|_| Malformed::new(field))
}

/// A message that must be there.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or(Malformed::new(field))
}

/// A name that must not be empty.
pub(crate) fn named(field: &'static str, text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        Err(Malformed::new(field))
    } else {
        Ok(())
    }
}
