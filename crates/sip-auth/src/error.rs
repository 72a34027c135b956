//! Why an `Authorization` value was not understood.

/// An `Authorization` value that carries no usable credentials.
///
/// Always the peer's doing: answer 401 with a fresh challenge ([`AuthorizationError::OtherScheme`],
/// [`AuthorizationError::Unsupported`]) or 400 (the rest); log at debug level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    /// The value is for another scheme than the one asked for.
    #[error("credentials are not of the {0} scheme")]
    OtherScheme(&'static str),
    /// The value breaks the grammar of RFC 3261 section 25.1 (`credentials`).
    #[error("malformed credentials: {0}")]
    Malformed(&'static str),
    /// A parameter the scheme needs is absent.
    #[error("credentials lack the parameter {0}")]
    Missing(&'static str),
    /// A parameter stands twice, so that two readers could disagree on its value.
    #[error("credentials carry the parameter {0} twice")]
    Duplicate(&'static str),
    /// A parameter asks for something this server does not offer.
    #[error("credentials carry an unsupported value of {0}")]
    Unsupported(&'static str),
}
