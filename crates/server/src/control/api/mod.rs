//! What travels over the control socket, as JSON. `porticoctl` speaks these types too.

mod groups;
mod presence;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use groups::{Group, GroupChange, GroupMembers, NewGroup};
pub use presence::{
    CalendarReport, Contact, Contacts, LevelMembers, Levels, OutOfOfficeReport, Presence,
    PresenceExplanation, PresenceNote, PresenceSource, Report, SetContact,
};

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    /// `user@domain`.
    pub address: String,
    /// The name people see.
    pub display_name: String,
    /// Its site.
    pub site: String,
    /// False: signs in nowhere.
    pub enabled: bool,
    /// True: may sign in by NTLM; an NT hash is stored.
    pub ntlm: bool,
    /// Unix seconds.
    pub created_at: i64,
}

/// One account more.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// `user@domain`; the domain must be one of the pool's.
    pub address: String,
    /// The name people see; empty: the user part.
    #[serde(default)]
    pub display_name: String,
    /// Its site; empty: the default site.
    #[serde(default)]
    pub site: String,
    /// The password.
    pub password: String,
    /// Whether it may sign in by NTLM; absent: as `auth.ntlm` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntlm: Option<bool>,
}

/// A change of an account; what is absent stays.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// The name people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Whether it may sign in at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A new password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// With a new password: whether it may sign in by NTLM; absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntlm: Option<bool>,
}

/// A signed-in endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Member that holds its connection.
    pub member: String,
    /// `simple` or `lync`.
    pub family: String,
    /// `page` or `session`.
    pub mode: String,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Contact URI.
    pub contact: String,
    /// GRUU.
    pub gruu: Option<String>,
    /// Seconds until it must refresh.
    pub expires_in: u32,
}

/// How many endpoints were signed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kicked {
    /// Endpoints.
    pub kicked: u32,
}

/// A value of a policy setting.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// On or off.
    Bool(bool),
    /// A number.
    Number(i64),
    /// A word.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Text(value) => f.write_str(value),
        }
    }
}

/// A stored policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Kind.
    pub kind: String,
    /// `global`, `site:<site>` or a tag.
    pub name: String,
    /// The settings it makes.
    pub values: BTreeMap<String, Value>,
}

/// Settings for a policy, as typed; the server knows their types.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyValues {
    /// Setting and value.
    pub values: BTreeMap<String, String>,
}

/// Who gets a policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The policy's tag.
    pub name: String,
}

/// What applies to a user and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Effective {
    /// Kind.
    pub kind: String,
    /// The policy that won; absent: the defaults apply.
    pub name: Option<String>,
    /// Why this one.
    pub reason: String,
    /// All settings.
    pub values: BTreeMap<String, Value>,
}

/// A kind of policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyKind {
    /// Its name.
    pub kind: String,
    /// What it is about.
    pub description: String,
    /// Its settings.
    pub settings: Vec<PolicySetting>,
}

/// A setting of a kind of policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicySetting {
    /// Its name.
    pub key: String,
    /// What it does, in which unit.
    pub description: String,
    /// The value when no policy sets it.
    pub default: Value,
}

/// The server in one screen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the server.
    pub version: String,
    /// Name of this member.
    pub member: String,
    /// `starting`, `serving`, `draining` or `drained`.
    pub state: String,
    /// Roles that run here.
    pub roles: Vec<String>,
    /// SIP domains.
    pub domains: Vec<String>,
    /// Addresses really bound, by listener.
    pub listeners: BTreeMap<String, String>,
    /// Seconds since the start.
    pub uptime: u64,
    /// Seconds until the certificate ends.
    pub certificate_remaining: Option<i64>,
    /// The pool this member is in; absent in a Standard Edition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolState>,
    /// Counts: accounts, users, endpoints and what else the roles tell.
    pub totals: BTreeMap<String, u64>,
    /// Conditions of readiness that do not hold.
    pub warnings: Vec<String>,
}

/// The pool as one member sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolState {
    /// Its name.
    pub name: String,
    /// `confirmed`: what this member owns counts; `frozen`: nobody can renew a lease, owners go on; `fenced`: it accepts
    /// nothing.
    pub validity: String,
    /// Milliseconds since this member last renewed its lease; absent before the first time.
    pub lease_age_ms: Option<u64>,
    /// Live members.
    pub members: Vec<String>,
}

/// A live member of the pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub member: String,
    /// Whether it is the one that answers.
    pub this: bool,
    /// Its roles.
    pub roles: Vec<String>,
    /// `serving` or `draining`; of the one that answers also `starting` and `drained`.
    pub state: String,
    /// Version of its program.
    pub version: String,
    /// Where other members reach it; absent in a Standard Edition.
    pub address: Option<String>,
    /// Partitions of users it owns, of 1,024.
    pub users: u64,
    /// Partitions of conversations it owns, of 1,024.
    pub conversations: u64,
    /// Partitions of users whose presence it owns, of 1,024.
    pub presentities: u64,
    /// Milliseconds since it last renewed its lease: only of the one that answers.
    pub lease_age_ms: Option<u64>,
}

/// How far a drain is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drain {
    /// `starting`, `serving`, `draining` or `drained`.
    pub state: String,
}

/// A share of the clients of a front end that are to go to others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rebalance {
    /// From 1 to 100.
    pub percent: u8,
}

/// Clients that are being moved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moving {
    /// How many.
    pub clients: usize,
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// `not_found`, `conflict`, ...
    pub code: String,
    /// What happened.
    pub message: String,
}
