//! Header fields: their names, the list of them in a message, and their typed values.

pub(crate) mod fields;
mod keys;
pub(crate) mod name;
pub mod typed;

use std::fmt::Display;

pub use fields::Headers;
pub use name::HeaderName;

use crate::syntax::SyntaxError;
use crate::text::SipStr;

/// A header value in its own type.
///
/// To add a header: a file in `header/typed/` with the struct, `parse`, `Display` and tests; a line in
/// `header/typed/mod.rs`; a line in the table of `header/name.rs` if the name is not there.
///
/// `Display` prints the value only, and parsing what it printed gives an equal value.
pub trait TypedHeader: Sized + Display {
    /// The field the value belongs to.
    const NAME: HeaderName;

    /// Whether one field may carry several values, separated by commas. Then the type is *one* of them and
    /// [`Headers::list`] reads them all.
    const COMMA_SEPARATED: bool = false;

    /// Parses one value: trimmed, unfolded, without the field name.
    ///
    /// # Errors
    /// [`HeaderError::Invalid`] if the value does not follow the header's grammar or limits.
    fn parse(value: &SipStr) -> Result<Self, HeaderError>;
}

/// Why a header could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The message has no such field, and must.
    #[error("missing {0} header")]
    Missing(HeaderName),
    /// The message has the field more than once, and must not.
    #[error("more than one {0} header")]
    Duplicate(HeaderName),
    /// The value breaks the grammar of its header.
    #[error("invalid {name} header: {reason}")]
    Invalid {
        /// Which header.
        name: HeaderName,
        /// What is wrong; never contains input.
        reason: &'static str,
    },
}

impl HeaderError {
    /// A grammar error in header `H`.
    pub(crate) fn invalid<H: TypedHeader>(reason: &'static str) -> Self {
        Self::Invalid {
            name: H::NAME,
            reason,
        }
    }

    /// The same for errors of the shared grammar; for `map_err`.
    pub(crate) fn syntax<H: TypedHeader>(error: impl Into<SyntaxError>) -> Self {
        Self::invalid::<H>(error.into().0)
    }

    /// Which header.
    pub fn name(&self) -> &HeaderName {
        match self {
            Self::Missing(name) | Self::Duplicate(name) | Self::Invalid { name, .. } => name,
        }
    }
}
