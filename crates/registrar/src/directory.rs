//! Administration: accounts, sessions, policies, totals. Groups are in `groups`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use rpc::{
    AccountChange, AccountView, ClientFamily, Directory, EffectivePolicy, Error, ErrorCode, GroupChange,
    GroupView, ImMode, NewAccount, NewGroup, PolicyScope, PolicyView, RegistrarChange, SessionView,
};
use sip_types::AddressOfRecord;
use store::{Account, AccountPatch, CredentialKind, StoredAccount};
use topology::SiteId;
use zeroize::Zeroizing;

use crate::error::{invalid, not_found, store_failed};
use crate::location::bindings_of;
use crate::service::{Inner, RegistrarService};

/// Longest address of record, in bytes.
const MAX_ADDRESS: usize = 255;
/// Longest name of a person or a site, in characters.
const MAX_NAME: usize = 128;
/// Accounts returned at once.
pub(crate) const MAX_PAGE: u32 = 1_000;

fn view_of(stored: &StoredAccount) -> AccountView {
    AccountView {
        aor: stored.account.aor.clone(),
        display_name: stored.account.display_name.clone(),
        site: stored.account.site.as_str().to_owned(),
        enabled: stored.account.enabled,
        ntlm: stored.credential(CredentialKind::NtHash).is_some(),
        created_at: stored.account.created_at,
    }
}

/// An address that every client can write as user name and in a URI: what Digest, NTLM and SIP use as syntax is left out.
pub(crate) fn check_address(aor: &AddressOfRecord, domains: &[String]) -> Result<(), Error> {
    if !domains.iter().any(|domain| domain == aor.domain()) {
        return Err(invalid(format!(
            "{} is not a domain of this pool; it has {}",
            aor.domain(),
            domains.join(", ")
        )));
    }
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !":\"\\<>%/;?".contains(c);
    if aor.as_str().len() > MAX_ADDRESS || !aor.user().chars().all(is_plain) {
        return Err(invalid(format!(
            "an address has at most {MAX_ADDRESS} bytes, and no blanks or any of : \" \\ < > % / ; ? in its user part"
        )));
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<String, Error> {
    let name = name.trim();
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(invalid(format!(
            "{what} has at most {MAX_NAME} characters and no control characters"
        )));
    }
    Ok(name.to_owned())
}

pub(crate) fn check_display_name(name: &str, aor: &AddressOfRecord) -> Result<String, Error> {
    let name = check_name("a display name", name)?;
    Ok(if name.is_empty() {
        aor.user().to_owned()
    } else {
        name
    })
}

fn check_site(name: &str) -> Result<SiteId, Error> {
    let name = check_name("the name of a site", name)?;
    Ok(SiteId::new(if name.is_empty() { SiteId::DEFAULT } else { &name }))
}

impl Inner {
    async fn create_account(&self, account: NewAccount) -> Result<AccountView, Error> {
        let password = Zeroizing::new(account.password);
        check_address(&account.aor, &self.config.domains)?;
        let display_name = check_display_name(&account.display_name, &account.aor)?;
        let stored = StoredAccount {
            credentials: self.vault.make(&account.aor, &password, account.ntlm)?,
            account: Account {
                display_name,
                site: check_site(&account.site)?,
                enabled: true,
                created_at: i64::try_from(self.clock.unix_seconds()).unwrap_or(i64::MAX),
                aor: account.aor,
            },
        };
        self.stores
            .accounts
            .create_account(stored.clone())
            .await
            .map_err(store_failed)?;
        let view = view_of(&stored);
        // It may be cached as unknown.
        self.accounts.forget(&view.aor);
        self.watchers.publish(RegistrarChange::Account(view.aor.clone()));
        let detail = format!("site {}, ntlm {}", view.site, view.ntlm);
        self.audit
            .administration("user.create", view.aor.to_string(), detail)
            .await;
        Ok(view)
    }

    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        change: AccountChange,
    ) -> Result<AccountView, Error> {
        let detail = describe(&change);
        let is_disabled = change.enabled == Some(false);
        let new_password = change.password.is_some();
        let credentials = match change.password {
            Some((password, ntlm)) => Some(self.vault.make(aor, &Zeroizing::new(password), ntlm)?),
            None => None,
        };
        let patch = AccountPatch {
            display_name: change
                .display_name
                .map(|name| check_display_name(&name, aor))
                .transpose()?,
            site: change.site.map(|site| check_site(&site)).transpose()?,
            enabled: change.enabled,
            credentials,
        };
        let changed = self
            .stores
            .accounts
            .change_account(aor, patch)
            .await
            .map_err(store_failed)?;
        // Before bindings end: see `check_still_allowed`.
        self.accounts.forget(aor);
        let view = view_of(&changed.ok_or_else(|| not_found(format!("there is no user {aor}")))?);
        self.locations.rename(aor, &view.display_name);
        self.watchers.publish(RegistrarChange::Account(aor.clone()));
        if is_disabled {
            self.end_all(aor, None).await?;
            self.announce_account_ended(aor);
        }
        let action = if new_password { "user.passwd" } else { "user.set" };
        self.audit.administration(action, aor.to_string(), detail).await;
        Ok(view)
    }

    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<(), Error> {
        let groups = self.stores.groups.groups_of(aor).await.map_err(store_failed)?;
        let was_there = self
            .stores
            .accounts
            .delete_account(aor)
            .await
            .map_err(store_failed)?;
        // Before bindings end: see `check_still_allowed`. Also when there was no account: an earlier attempt may have
        // got only that far.
        self.accounts.forget(aor);
        self.end_all(aor, None).await?;
        self.announce_account_ended(aor);
        for group in groups {
            self.watchers.publish(RegistrarChange::Group(Some(group)));
        }
        if !was_there {
            return Err(not_found(format!("there is no user {aor}")));
        }
        self.audit
            .administration("user.delete", aor.to_string(), String::new())
            .await;
        Ok(())
    }

    async fn sessions(&self, aor: &AddressOfRecord) -> Result<Vec<SessionView>, Error> {
        self.known(aor).await?;
        let state = self.bindings.load(aor).await.map_err(store_failed)?;
        let views = bindings_of(aor, &state, self.time.now())
            .into_iter()
            .map(|binding| SessionView {
                endpoint: binding.address.endpoint.as_str().to_owned(),
                member: binding.address.member.as_str().to_owned(),
                family: match binding.family {
                    ClientFamily::Simple => "simple",
                    ClientFamily::Lync => "lync",
                },
                mode: match binding.mode {
                    ImMode::Page => "page",
                    ImMode::Session => "session",
                },
                user_agent: binding.user_agent,
                contact: binding.contact,
                gruu: binding.gruu,
                expires_in: binding.expires_in,
            });
        Ok(views.collect())
    }

    async fn kick(&self, aor: &AddressOfRecord, endpoint: Option<&str>) -> Result<u32, Error> {
        self.known(aor).await?;
        let ended = self.end_all(aor, endpoint).await?;
        let detail = format!("{}: {ended} ended", endpoint.unwrap_or("all endpoints"));
        self.audit
            .administration("user.kick", aor.to_string(), detail)
            .await;
        Ok(ended)
    }

    async fn totals(&self) -> Result<BTreeMap<String, u64>, Error> {
        let accounts = self.stores.accounts.account_count().await.map_err(store_failed)?;
        let bound = self.bindings.binding_totals().await.map_err(store_failed)?;
        let totals = [
            ("accounts", accounts),
            ("users", bound.users),
            ("endpoints", bound.endpoints),
        ];
        Ok(totals.map(|(name, count)| (name.to_owned(), count)).into())
    }

    async fn audit_policy(&self, action: &str, kind: &str, name: &str, detail: String) {
        self.audit
            .administration(action, format!("{kind} {name}"), detail)
            .await;
    }
}

/// What an administrator changed, for the audit log. Never a password.
fn describe(change: &AccountChange) -> String {
    let mut parts = Vec::new();
    if let Some(name) = &change.display_name {
        parts.push(format!("display name {name}"));
    }
    if let Some(site) = &change.site {
        parts.push(format!("site {site}"));
    }
    if let Some(enabled) = change.enabled {
        parts.push(format!("enabled {enabled}"));
    }
    if let Some((_, ntlm)) = &change.password {
        parts.push(format!("new password, ntlm {ntlm}"));
    }
    parts.join(", ")
}

fn describe_values(values: &BTreeMap<String, String>) -> String {
    let parts: Vec<_> = values
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    parts.join(" ")
}

#[async_trait]
impl Directory for RegistrarService {
    async fn create_account(&self, account: NewAccount) -> Result<AccountView, Error> {
        self.inner.create_account(account).await
    }

    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        change: AccountChange,
    ) -> Result<AccountView, Error> {
        self.inner.change_account(aor, change).await
    }

    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<(), Error> {
        self.inner.delete_account(aor).await
    }

    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<AccountView>, Error> {
        Ok(self
            .inner
            .accounts
            .get(aor)
            .await?
            .map(|known| view_of(&known.stored)))
    }

    async fn accounts(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<AccountView>, Error> {
        let page = self
            .inner
            .stores
            .accounts
            .accounts(after, limit.min(MAX_PAGE))
            .await
            .map_err(store_failed)?;
        Ok(page.iter().map(view_of).collect())
    }

    async fn sessions(&self, aor: &AddressOfRecord) -> Result<Vec<SessionView>, Error> {
        self.inner.sessions(aor).await
    }

    async fn kick(&self, aor: &AddressOfRecord, endpoint: Option<&str>) -> Result<u32, Error> {
        self.inner.kick(aor, endpoint).await
    }

    async fn create_group(&self, group: NewGroup) -> Result<GroupView, Error> {
        self.inner.create_group(group).await
    }

    async fn change_group(&self, address: &AddressOfRecord, change: GroupChange) -> Result<GroupView, Error> {
        self.inner.change_group(address, change).await
    }

    async fn delete_group(&self, address: &AddressOfRecord) -> Result<(), Error> {
        self.inner.delete_group(address).await
    }

    async fn group(
        &self,
        address: &AddressOfRecord,
    ) -> Result<Option<(GroupView, Vec<AddressOfRecord>)>, Error> {
        self.inner.group(address).await
    }

    async fn groups(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<GroupView>, Error> {
        self.inner.groups(after, limit).await
    }

    async fn create_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        let name = scope.to_string();
        let view = self.inner.engine.create(kind, scope, &values).await?;
        self.inner.watchers.publish(RegistrarChange::Policies);
        self.inner
            .audit_policy("policy.create", kind, &name, describe_values(&values))
            .await;
        Ok(view)
    }

    async fn set_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        let engine = &self.inner.engine;
        let view = match engine.set(kind, &scope, &values).await {
            // What applies to everybody is there from the start, stored or not.
            Err(error) if error.code == ErrorCode::NotFound && scope == PolicyScope::Global => {
                engine.create(kind, scope.clone(), &values).await?
            }
            set => set?,
        };
        self.inner.watchers.publish(RegistrarChange::Policies);
        self.inner
            .audit_policy("policy.set", kind, &scope.to_string(), describe_values(&values))
            .await;
        Ok(view)
    }

    async fn delete_policy(&self, kind: &str, scope: PolicyScope) -> Result<(), Error> {
        self.inner.engine.delete(kind, &scope).await?;
        // Grants of it ended: whoever had one has it cached.
        if matches!(scope, PolicyScope::Tag(_)) {
            self.inner.accounts.forget_all();
        }
        self.inner.watchers.publish(RegistrarChange::Policies);
        self.inner
            .audit_policy("policy.delete", kind, &scope.to_string(), String::new())
            .await;
        Ok(())
    }

    async fn policies(&self, kind: Option<&str>) -> Result<Vec<PolicyView>, Error> {
        self.inner.engine.list(kind).await
    }

    async fn grant_policy(&self, kind: &str, tag: Option<&str>, aor: &AddressOfRecord) -> Result<(), Error> {
        if tag.is_some_and(|tag| !matches!(PolicyScope::parse(tag), PolicyScope::Tag(_))) {
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                "only a policy with a tag can be granted",
            ));
        }
        self.inner.engine.grant(kind, tag, aor).await?;
        self.inner.accounts.forget(aor);
        self.inner.watchers.publish(RegistrarChange::Account(aor.clone()));
        self.inner
            .audit_policy("policy.grant", kind, tag.unwrap_or("(none)"), aor.to_string())
            .await;
        Ok(())
    }

    async fn effective_policy(
        &self,
        kind: &str,
        aor: &AddressOfRecord,
    ) -> Result<Arc<EffectivePolicy>, Error> {
        let known = self.inner.known(aor).await?;
        self.inner
            .engine
            .effective(kind, &known.assignment, &known.policies)
    }

    async fn totals(&self) -> Result<BTreeMap<String, u64>, Error> {
        self.inner.totals().await
    }
}

#[cfg(test)]
mod tests;
