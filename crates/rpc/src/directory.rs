//! Administration of accounts, organisational groups and policies, the registrar role's second face.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use sip_types::AddressOfRecord;

use crate::Error;

/// A new account.
#[derive(Clone)]
pub struct NewAccount {
    /// Address of record; its domain must be one of the pool's.
    pub aor: AddressOfRecord,
    /// The name people see; empty: the user part.
    pub display_name: String,
    /// The site it belongs to; empty: the default site.
    pub site: String,
    /// The password, from which verifiers are computed. It is not stored.
    pub password: String,
    /// Whether an NT hash is stored too, so that the account may sign in by NTLM.
    pub ntlm: bool,
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount")
            .field("aor", &self.aor)
            .field("ntlm", &self.ntlm)
            .finish_non_exhaustive()
    }
}

/// A change of an account; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct AccountChange {
    /// The name people see.
    pub display_name: Option<String>,
    /// The site.
    pub site: Option<String>,
    /// A disabled account signs in nowhere; its endpoints are signed out.
    pub enabled: Option<bool>,
    /// A new password, with or without an NT hash.
    pub password: Option<(String, bool)>,
}

impl fmt::Debug for AccountChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountChange")
            .field("display_name", &self.display_name)
            .field("site", &self.site)
            .field("enabled", &self.enabled)
            .field("password", &self.password.is_some())
            .finish()
    }
}

/// An account as an administrator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountView {
    /// Address of record.
    pub aor: AddressOfRecord,
    /// The name people see.
    pub display_name: String,
    /// Its site.
    pub site: String,
    /// False: signs in nowhere.
    pub enabled: bool,
    /// True: an NT hash is stored.
    pub ntlm: bool,
    /// Unix seconds.
    pub created_at: i64,
}

/// A signed-in endpoint as an administrator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionView {
    /// Endpoint name.
    pub endpoint: String,
    /// Front end that holds it.
    pub member: String,
    /// `simple` or `lync`.
    pub family: &'static str,
    /// `page` or `session`.
    pub mode: &'static str,
    /// User-Agent.
    pub user_agent: Option<String>,
    /// Contact URI.
    pub contact: String,
    /// GRUU.
    pub gruu: Option<String>,
    /// Seconds left.
    pub expires_in: u32,
}

/// A new organisational group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewGroup {
    /// Its address, one of the pool's domains that no account has.
    pub address: AddressOfRecord,
    /// The name people see; empty: the user part.
    pub display_name: String,
}

/// A change of an organisational group, made as a whole or not at all.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GroupChange {
    /// The name people see; `None` leaves it as it is.
    pub display_name: Option<String>,
    /// Members from now on: accounts, or addresses of other domains. Harmless for those who are.
    pub add: Vec<AddressOfRecord>,
    /// Members no more. Harmless for those who are not.
    pub remove: Vec<AddressOfRecord>,
}

/// An organisational group as an administrator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupView {
    /// Its address.
    pub address: AddressOfRecord,
    /// The name people see.
    pub display_name: String,
    /// How many members it has.
    pub size: u32,
    /// Unix seconds.
    pub created_at: i64,
}

/// Whom a policy is for. The nearest wins: tag before site before global.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PolicyScope {
    /// Everybody.
    Global,
    /// Everybody of a site.
    Site(String),
    /// Whoever it was granted to.
    Tag(String),
}

impl PolicyScope {
    /// `global`, `site:<site>` or the tag, as written on the command line.
    pub fn parse(name: &str) -> Self {
        match name.split_once(':') {
            Some(("site", site)) => PolicyScope::Site(site.to_owned()),
            _ if name == "global" => PolicyScope::Global,
            _ => PolicyScope::Tag(name.to_owned()),
        }
    }
}

impl fmt::Display for PolicyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyScope::Global => f.write_str("global"),
            PolicyScope::Site(site) => write!(f, "site:{site}"),
            PolicyScope::Tag(tag) => f.write_str(tag),
        }
    }
}

/// One setting of a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicyValue {
    /// On or off.
    Bool(bool),
    /// A count, seconds or bytes: the kind's description says which.
    Number(i64),
    /// A word, one of those the kind allows.
    Text(String),
}

impl fmt::Display for PolicyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyValue::Bool(value) => write!(f, "{value}"),
            PolicyValue::Number(value) => write!(f, "{value}"),
            PolicyValue::Text(value) => f.write_str(value),
        }
    }
}

/// A stored policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyView {
    /// Kind, as registered by the role that uses it.
    pub kind: String,
    /// Whom it is for.
    pub scope: PolicyScope,
    /// The settings it makes; others have the kind's default.
    pub values: BTreeMap<String, PolicyValue>,
}

/// What applies to a user, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectivePolicy {
    /// Kind.
    pub kind: String,
    /// The policy that won; `None`: no policy is stored, the defaults of the kind apply.
    pub scope: Option<PolicyScope>,
    /// In words: which policies were looked at and why this one is the nearest.
    pub reason: String,
    /// All settings of the kind, defaults filled in.
    pub values: BTreeMap<String, PolicyValue>,
}

impl EffectivePolicy {
    /// A switch; `fallback` if the kind has no such setting.
    pub fn bool(&self, key: &str, fallback: bool) -> bool {
        match self.values.get(key) {
            Some(PolicyValue::Bool(value)) => *value,
            _ => fallback,
        }
    }

    /// A number; `fallback` if the kind has no such setting.
    pub fn number(&self, key: &str, fallback: i64) -> i64 {
        match self.values.get(key) {
            Some(PolicyValue::Number(value)) => *value,
            _ => fallback,
        }
    }
}

/// Accounts, organisational groups and policies for administrators. Reads may be retried; writes are idempotent except
/// `create_account`, `create_group` and `create_policy`, which answer Conflict when repeated.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Creates an account. Conflict if it exists or a group has its address; InvalidRequest for a domain that is not the pool's.
    async fn create_account(&self, account: NewAccount) -> Result<AccountView, Error>;
    /// Changes an account and returns it; NotFound if there is none.
    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        change: AccountChange,
    ) -> Result<AccountView, Error>;
    /// Deletes an account and signs its endpoints out; NotFound if there is none.
    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<(), Error>;
    /// One account.
    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<AccountView>, Error>;
    /// Accounts in order of address, after `after`, at most `limit`.
    async fn accounts(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<AccountView>, Error>;
    /// Signed-in endpoints of a user.
    async fn sessions(&self, aor: &AddressOfRecord) -> Result<Vec<SessionView>, Error>;
    /// Signs one endpoint (or all) of a user out; returns how many.
    async fn kick(&self, aor: &AddressOfRecord, endpoint: Option<&str>) -> Result<u32, Error>;
    /// Creates an organisational group without members. Conflict if it exists or an account has its address; InvalidRequest for
    /// a domain that is not the pool's.
    async fn create_group(&self, group: NewGroup) -> Result<GroupView, Error>;
    /// Changes a group and returns it. NotFound if there is none, or no account of a new member of the pool's domains;
    /// InvalidRequest for too many members.
    async fn change_group(&self, address: &AddressOfRecord, change: GroupChange) -> Result<GroupView, Error>;
    /// Deletes a group; NotFound if there is none. Contacts of its address stay.
    async fn delete_group(&self, address: &AddressOfRecord) -> Result<(), Error>;
    /// One group and its members in order of address.
    async fn group(
        &self,
        address: &AddressOfRecord,
    ) -> Result<Option<(GroupView, Vec<AddressOfRecord>)>, Error>;
    /// Groups in order of address, after `after`, at most `limit`.
    async fn groups(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<GroupView>, Error>;
    /// Creates a policy. Conflict if it exists, NotFound for an unknown kind, InvalidRequest for an unknown setting.
    async fn create_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error>;
    /// Sets values of an existing policy.
    async fn set_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error>;
    /// Deletes a policy; grants of it end.
    async fn delete_policy(&self, kind: &str, scope: PolicyScope) -> Result<(), Error>;
    /// Stored policies, of one kind or all.
    async fn policies(&self, kind: Option<&str>) -> Result<Vec<PolicyView>, Error>;
    /// Gives a user the policy with this tag, or takes it back (`None`).
    async fn grant_policy(&self, kind: &str, tag: Option<&str>, aor: &AddressOfRecord) -> Result<(), Error>;
    /// What applies to a user and why.
    async fn effective_policy(
        &self,
        kind: &str,
        aor: &AddressOfRecord,
    ) -> Result<Arc<EffectivePolicy>, Error>;
    /// Numbers for `porticoctl status`: accounts, signed-in users, endpoints.
    async fn totals(&self) -> Result<BTreeMap<String, u64>, Error>;
}

/// Reaches the directory wherever it runs.
#[derive(Clone)]
pub struct DirectoryClient(Arc<dyn Directory>);

impl DirectoryClient {
    /// A directory in this process.
    pub fn local(directory: Arc<dyn Directory>) -> Self {
        DirectoryClient(directory)
    }
}

impl Deref for DirectoryClient {
    type Target = dyn Directory;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
