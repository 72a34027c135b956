//! Organisational groups.

use serde::{Deserialize, Serialize};

/// An organisational group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// `name@domain`.
    pub address: String,
    /// The name people see.
    pub display_name: String,
    /// How many members it has.
    pub size: u32,
    /// Unix seconds.
    pub created_at: i64,
}

/// An organisational group with its members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupMembers {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// Addresses, in order.
    pub members: Vec<String>,
}

/// One group more, without members.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// `name@domain`; the domain must be one of the pool's, and no account may have the address.
    pub address: String,
    /// The name people see; empty: the user part.
    #[serde(default)]
    pub display_name: String,
}

/// A change of a group; what is absent stays.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// The name people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Members from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Members no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}
