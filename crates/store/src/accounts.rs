//! Accounts and their sealed credentials.

use std::fmt;

use async_trait::async_trait;
use sip_types::AddressOfRecord;
use topology::SiteId;

use crate::{AccountSearch, StoreError};

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Address of record, the key.
    pub aor: AddressOfRecord,
    /// The name people see.
    pub display_name: String,
    /// Where the account belongs; a site exists once an account or a policy names it.
    pub site: SiteId,
    /// False: signs in nowhere.
    pub enabled: bool,
    /// Unix seconds.
    pub created_at: i64,
}

/// What a sealed credential verifies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum CredentialKind {
    /// HA1 of Digest with MD5 (RFC 7616 section 3.4.2).
    DigestMd5,
    /// HA1 of Digest with SHA-256.
    DigestSha256,
    /// MD4 of the password (MS-NLMP 3.3.1), only for accounts that may use NTLM.
    NtHash,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [CredentialKind; 3] = [
        CredentialKind::DigestMd5,
        CredentialKind::DigestSha256,
        CredentialKind::NtHash,
    ];

    /// The name under which it is stored. It also enters the seal: it never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            CredentialKind::DigestMd5 => "digest-md5",
            CredentialKind::DigestSha256 => "digest-sha-256",
            CredentialKind::NtHash => "nt-hash",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        CredentialKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A verifier encrypted under the pool's key file. The store never sees more than this.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCredential {
    /// What it verifies.
    pub kind: CredentialKind,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedCredential")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An account with what is stored beside it. At most one credential per kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAccount {
    /// The account.
    pub account: Account,
    /// Its credentials, in order of kind.
    pub credentials: Vec<SealedCredential>,
}

impl StoredAccount {
    /// The sealed credential of this kind.
    pub fn credential(&self, kind: CredentialKind) -> Option<&SealedCredential> {
        self.credentials.iter().find(|credential| credential.kind == kind)
    }
}

/// A change of an account; `None` leaves a field as it is.
#[derive(Clone, Default, Debug)]
pub struct AccountPatch {
    /// The name people see.
    pub display_name: Option<String>,
    /// The site.
    pub site: Option<SiteId>,
    /// Whether it may sign in.
    pub enabled: Option<bool>,
    /// All credentials: those not named are removed.
    pub credentials: Option<Vec<SealedCredential>>,
}

/// Accounts that were searched for.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FoundAccounts {
    /// In order of address (bytewise).
    pub accounts: Vec<Account>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// Keeps accounts. Every write is one transaction, durable when the call returns.
#[async_trait]
pub trait AccountStore: Send + Sync + 'static {
    /// Adds an account with its credentials.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it exists, or a group has its address; [`StoreError::InvalidRequest`] if its domain was never added with
    /// [`crate::PlaceStore::add_domain`].
    async fn create_account(&self, account: StoredAccount) -> Result<(), StoreError>;

    /// Changes an account and returns it as it is now; `None` if there is none. Repeating it is harmless.
    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        patch: AccountPatch,
    ) -> Result<Option<StoredAccount>, StoreError>;

    /// Removes an account, its credentials, its grants, its places in groups and what a [`crate::PresenceStore`] keeps of it.
    /// False if there was none.
    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<bool, StoreError>;

    /// One account with its credentials: all that a sign-in needs, in one read.
    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<StoredAccount>, StoreError>;

    /// Accounts in order of address (bytewise), after `after`, at most `limit`.
    async fn accounts(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<StoredAccount>, StoreError>;

    /// Enabled accounts that match a search, in order of address (bytewise), at most `limit`. What was written before is found.
    async fn search_accounts(&self, search: &AccountSearch, limit: u32) -> Result<FoundAccounts, StoreError>;

    /// How many accounts there are.
    async fn account_count(&self) -> Result<u64, StoreError>;
}
