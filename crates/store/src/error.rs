//! What can go wrong in a store, by what the caller can do about it.

/// A store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database or the connection to it failed; the outcome of a write is unknown. Later it may work.
    #[error("the store failed: {0}")]
    Driver(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored breaks an invariant. An operator must look; asking again does not help.
    #[error("inconsistent data in the store: {0}")]
    Inconsistent(String),
    /// The caller asked for something that can not be stored, such as an account in a domain that does not exist.
    #[error("{0}")]
    InvalidRequest(String),
    /// The thing exists already, or somebody else was faster. Reading again tells.
    #[error("{0}")]
    Conflict(String),
    /// Another member owns this. Ask that one.
    #[error("{0}")]
    NotOwner(String),
}

impl StoreError {
    /// Wraps an error of the driver.
    pub fn driver(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        StoreError::Driver(error.into())
    }
}
