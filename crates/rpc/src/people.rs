//! Searching for people.

use sip_types::AddressOfRecord;

/// Most people one search finds.
pub const MAX_FOUND: u32 = 100;

/// Whom somebody searches for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeopleSearch {
    /// Words apart by blanks, all of which have to match: a complete address, or the beginning of a word of the name or of
    /// the user part of the address. Without a word nobody is found.
    pub words: String,
    /// At most so many; never more than [`MAX_FOUND`].
    pub limit: u32,
}

/// Somebody who was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Address of record.
    pub aor: AddressOfRecord,
    /// The name people see.
    pub display_name: String,
}

/// Who was found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PeopleFound {
    /// In the order of their addresses.
    pub people: Vec<Person>,
    /// Whether there are more.
    pub more: bool,
}
