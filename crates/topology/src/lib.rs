//! What a site, a pool, a member and a role are.
//!
//! Words only: no sockets, no clock, no configuration file. Every other crate may use these names, so that a member is
//! called the same in a log line, in a lease and in a routing table.
//!
//! To add a role: add a variant to [`Role`], its name in [`Role::as_str`], and the crate that implements it to the
//! table in `ARCHITECTURE.md`; the architecture test will tell what is missing.

mod partition;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use partition::{PARTITIONS, Partition, Partitioned};

/// A part of the work of a pool that can run in a process of its own.
///
/// With no role list a member runs all of them: N identical members are already a pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Ends every client's SIP and speaks the clients' dialects.
    FrontEnd,
    /// Rules of REGISTER, the location service, accounts, credentials and policies.
    Registrar,
    /// Owns conversations.
    ImMcu,
    /// Owns what people publish about themselves, and who sees how much of it.
    Presence,
}

impl Role {
    /// Every role there is, in the order they start.
    pub const ALL: [Role; 4] = [Role::Registrar, Role::Presence, Role::ImMcu, Role::FrontEnd];

    /// The name used on command lines, in configuration files and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::FrontEnd => "front-end",
            Role::Registrar => "registrar",
            Role::ImMcu => "immcu",
            Role::Presence => "presence",
        }
    }

    /// Whose keys the members that run this role share out among themselves; `None`: nobody's, every member serves.
    pub const fn owns(self) -> Option<Partitioned> {
        match self {
            Role::FrontEnd => None,
            Role::Registrar => Some(Partitioned::Users),
            Role::ImMcu => Some(Partitioned::Conversations),
            Role::Presence => Some(Partitioned::Presentities),
        }
    }

    /// One line for `portico run --list-roles`.
    pub const fn describe(self) -> &'static str {
        match self {
            Role::FrontEnd => "ends client connections and SIP; needs registrar, presence and immcu",
            Role::Registrar => "verifies who somebody is, keeps bindings, accounts and policies",
            Role::ImMcu => "owns conversations; needs registrar and front-end",
            Role::Presence => "owns presence, contact lists and access levels; needs registrar",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no role.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no role is called `{0}`")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// The name of one running process of a pool, unique in the pool, the same after a restart.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// Takes any name; two members of one pool must not share one.
    pub fn new(name: &str) -> Self {
        MemberId(Arc::from(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a site: a place with pools of its own, and a scope of policies.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SiteId(Arc<str>);

impl SiteId {
    /// The site everybody belongs to unless an account says otherwise.
    pub const DEFAULT: &'static str = "main";

    /// Takes any name.
    pub fn new(name: &str) -> Self {
        SiteId(Arc::from(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_found_by_its_own_name() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
    }

    #[test]
    fn an_unknown_role_is_named_in_the_error() {
        let error = "mailbox".parse::<Role>().unwrap_err();
        assert_eq!(error.to_string(), "no role is called `mailbox`");
    }
}
