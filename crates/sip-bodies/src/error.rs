//! [`BodyError`]: why a body was not understood, in terms of the answer to its sender.

use thiserror::Error;

/// A body that is not what its content type says, or more than we take.
///
/// Always the peer's mistake: an answer and a counter, never an error-level log line. The texts name the rule and
/// never repeat the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BodyError {
    /// The grammar of the format is broken.
    #[error("malformed body: {0}")]
    Malformed(&'static str),
    /// The body asks for something that is refused whatever it holds: a DTD, an entity, a processing instruction.
    #[error("forbidden in a body: {0}")]
    Forbidden(&'static str),
    /// More parts, levels or elements than the limit.
    #[error("too much in a body: {0}")]
    Limit(&'static str),
    /// Longer than the limit on decoded text.
    #[error("body too large: {0}")]
    TooLarge(&'static str),
    /// Well formed, but another kind of document, or in a character set we do not read.
    #[error("unsupported body: {0}")]
    Unsupported(&'static str),
}

impl BodyError {
    /// The final status for the request that carried the body.
    pub const fn sip_status(self) -> u16 {
        match self {
            BodyError::Malformed(_) | BodyError::Forbidden(_) | BodyError::Limit(_) => 400,
            BodyError::TooLarge(_) => 413,
            BodyError::Unsupported(_) => 415,
        }
    }
}
