//! What applies in the end, for `portico config show`.

use crate::Origin;

/// One key, the value it has, and where that comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// `section.key`.
    pub key: &'static str,
    /// The value as it would be written in a file.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
}
