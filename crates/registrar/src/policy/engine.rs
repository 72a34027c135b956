//! Which policy applies to whom.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use rpc::{EffectivePolicy, Error, PolicyScope, PolicyValue, PolicyView};
use sip_types::AddressOfRecord;
use store::{GrantOutcome, PolicyStore, SettingValue, StoredPolicy};
use tokio::sync::Semaphore;
use topology::SiteId;

use super::{PolicyKind, PolicyKinds};
use crate::error::{invalid, not_found, store_failed};

type Values = BTreeMap<String, PolicyValue>;

/// What about a user decides which policies apply.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// The user's site.
    pub(crate) site: SiteId,
    /// Tags granted, by kind.
    pub(crate) grants: BTreeMap<String, String>,
}

/// Answers already worked out for one user, kept beside the user's account and dropped with it.
#[derive(Default, Debug)]
pub(crate) struct CachedPolicies {
    /// By position of the kind, each with the generation it was worked out under.
    answers: RwLock<Vec<(usize, u64, Arc<EffectivePolicy>)>>,
}

/// Every stored policy at one time.
struct PolicySet {
    /// Grows with each change.
    generation: u64,
    policies: HashMap<String, HashMap<PolicyScope, Values>>,
}

/// The engine: kinds, stored policies, answers.
pub(crate) struct PolicyEngine {
    kinds: PolicyKinds,
    store: Arc<dyn PolicyStore>,
    set: RwLock<Arc<PolicySet>>,
    /// One administrative write at a time, so that what is read back after it is not older than what another one read.
    writes: Semaphore,
}

impl PolicyEngine {
    /// Reads what is stored.
    pub(crate) async fn load(kinds: PolicyKinds, store: Arc<dyn PolicyStore>) -> Result<Self, Error> {
        let set = RwLock::new(Arc::new(read_all(&*store, 1).await?));
        Ok(PolicyEngine {
            kinds,
            store,
            set,
            writes: Semaphore::new(1),
        })
    }

    /// Every kind there is.
    pub(crate) fn kinds(&self) -> &PolicyKinds {
        &self.kinds
    }

    fn kind(&self, name: &str) -> Result<(usize, &PolicyKind), Error> {
        self.kinds.find(name).ok_or_else(|| {
            let known: Vec<_> = self.kinds.iter().map(|kind| kind.name).collect();
            not_found(format!(
                "no policy kind is called `{name}`; there are {}",
                known.join(", ")
            ))
        })
    }

    /// The nearest policy of a kind for a user, from the user's cache if nothing has changed.
    pub(crate) fn effective(
        &self,
        kind: &str,
        user: &Assignment,
        cache: &CachedPolicies,
    ) -> Result<Arc<EffectivePolicy>, Error> {
        let (position, kind) = self.kind(kind)?;
        let set = self.set.read().clone();
        let cached = cache
            .answers
            .read()
            .iter()
            .find(|(at, ..)| *at == position)
            .cloned();
        if let Some((_, generation, answer)) = cached
            && generation == set.generation
        {
            return Ok(answer);
        }
        let answer = Arc::new(nearest(kind, set.policies.get(kind.name), user));
        let mut answers = cache.answers.write();
        answers.retain(|(at, ..)| *at != position);
        answers.push((position, set.generation, answer.clone()));
        Ok(answer)
    }

    /// All stored policies, or those of one kind, in order.
    pub(crate) async fn list(&self, kind: Option<&str>) -> Result<Vec<PolicyView>, Error> {
        if let Some(kind) = kind {
            self.kind(kind)?;
        }
        let stored = self.store.policies().await.map_err(store_failed)?;
        let wanted = stored
            .into_iter()
            .filter(|policy| kind.is_none_or(|kind| policy.kind == kind));
        Ok(wanted.map(view_of).collect())
    }

    /// Adds a policy.
    pub(crate) async fn create(
        &self,
        kind: &str,
        scope: PolicyScope,
        written: &BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        let (_, kind) = self.kind(kind)?;
        check_scope(&scope)?;
        let values = kind.parse(written).map_err(invalid)?;
        kind.check(&values).map_err(invalid)?;
        let policy = StoredPolicy {
            kind: kind.name.to_owned(),
            scope: to_stored_scope(&scope),
            values: to_stored(&values),
        };
        let _one_at_a_time = self.writes.acquire().await;
        self.store
            .create_policy(&policy)
            .await
            .map_err(|error| match error {
                store::StoreError::Conflict(_) => Error::new(
                    rpc::ErrorCode::Conflict,
                    format!("the {} policy {scope} exists already", kind.name),
                ),
                other => store_failed(other),
            })?;
        self.reload().await?;
        Ok(view_of(policy))
    }

    /// Sets values of a policy.
    pub(crate) async fn set(
        &self,
        kind: &str,
        scope: &PolicyScope,
        written: &BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        let (_, kind) = self.kind(kind)?;
        let values = kind.parse(written).map_err(invalid)?;
        let missing = || not_found(format!("there is no {} policy {scope}", kind.name));
        let _one_at_a_time = self.writes.acquire().await;
        // Read from the store, not from memory: another program may have written since.
        let stored = self.store.policies().await.map_err(store_failed)?;
        let stored_scope = to_stored_scope(scope);
        let found = stored
            .into_iter()
            .find(|policy| policy.kind == kind.name && policy.scope == stored_scope);
        let mut whole = from_stored(&found.ok_or_else(missing)?.values);
        whole.extend(values.clone());
        kind.check(&whole).map_err(invalid)?;
        let changed = self
            .store
            .set_policy_values(kind.name, &stored_scope, &to_stored(&values))
            .await;
        let changed = changed.map_err(store_failed)?.ok_or_else(missing)?;
        self.reload().await?;
        Ok(view_of(changed))
    }

    /// Removes a policy; grants of it end.
    pub(crate) async fn delete(&self, kind: &str, scope: &PolicyScope) -> Result<(), Error> {
        let (_, kind) = self.kind(kind)?;
        let _one_at_a_time = self.writes.acquire().await;
        let was_there = self
            .store
            .delete_policy(kind.name, &to_stored_scope(scope))
            .await
            .map_err(store_failed)?;
        self.reload().await?;
        if was_there {
            Ok(())
        } else {
            Err(not_found(format!("there is no {} policy {scope}", kind.name)))
        }
    }

    /// Gives a user a policy, or takes it back. The caller drops what it has cached of the user.
    pub(crate) async fn grant(
        &self,
        kind: &str,
        tag: Option<&str>,
        aor: &AddressOfRecord,
    ) -> Result<(), Error> {
        let (_, kind) = self.kind(kind)?;
        match self
            .store
            .grant_policy(kind.name, tag, aor)
            .await
            .map_err(store_failed)?
        {
            GrantOutcome::Done => Ok(()),
            GrantOutcome::NoSuchAccount => Err(not_found(format!("there is no user {aor}"))),
            GrantOutcome::NoSuchPolicy => {
                let tag = tag.unwrap_or_default();
                Err(not_found(format!(
                    "there is no {} policy with the tag {tag}",
                    kind.name
                )))
            }
        }
    }

    /// Reads what is stored again, after somebody else changed it.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let _one_at_a_time = self.writes.acquire().await;
        self.reload().await
    }

    async fn reload(&self) -> Result<(), Error> {
        let generation = self.set.read().generation + 1;
        let set = Arc::new(read_all(&*self.store, generation).await?);
        *self.set.write() = set;
        Ok(())
    }
}

async fn read_all(store: &dyn PolicyStore, generation: u64) -> Result<PolicySet, Error> {
    let mut policies: HashMap<String, HashMap<PolicyScope, Values>> = HashMap::new();
    for policy in store.policies().await.map_err(store_failed)? {
        let view = view_of(policy);
        policies
            .entry(view.kind)
            .or_default()
            .insert(view.scope, view.values);
    }
    Ok(PolicySet { generation, policies })
}

/// A name an operator can write again: `policy create KIND NAME` reads `global` and `site:<site>` as scopes.
fn check_scope(scope: &PolicyScope) -> Result<(), Error> {
    let name = match scope {
        PolicyScope::Global => return Ok(()),
        PolicyScope::Site(name) | PolicyScope::Tag(name) => name,
    };
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.chars().count() > 64 || !name.chars().all(plain) {
        return Err(invalid(
            "the name of a policy has 1 to 64 letters, digits, hyphens, underscores or dots",
        ));
    }
    if matches!(scope, PolicyScope::Tag(tag) if tag == "global") {
        return Err(invalid("`global` is not a tag"));
    }
    Ok(())
}

/// The nearest policy wins as a whole.
fn nearest(
    kind: &PolicyKind,
    stored: Option<&HashMap<PolicyScope, Values>>,
    user: &Assignment,
) -> EffectivePolicy {
    let find = |scope: PolicyScope| {
        let values = stored?.get(&scope)?;
        Some((scope, values))
    };
    let site = user.site.as_str();
    let tag = user.grants.get(kind.name);
    let granted = tag.and_then(|tag| find(PolicyScope::Tag(tag.clone())));
    let (found, reason) = if let Some(found) = granted {
        let reason = format!(
            "policy {} was granted to the user, which comes before site {site} and global",
            found.0
        );
        (Some(found), reason)
    } else if let Some(found) = find(PolicyScope::Site(site.to_owned())) {
        let reason = format!("no policy was granted to the user; the one of site {site} comes before global");
        (Some(found), reason)
    } else if let Some(found) = find(PolicyScope::Global) {
        (
            Some(found),
            format!("no policy was granted to the user, site {site} has none; the global one applies"),
        )
    } else {
        let none = format!(
            "no policy was granted to the user, neither site {site} nor global has one; the defaults of the kind apply"
        );
        (None, none)
    };
    let values = found
        .as_ref()
        .map_or_else(|| kind.defaults(), |(_, values)| kind.complete(values));
    EffectivePolicy {
        kind: kind.name.to_owned(),
        scope: found.map(|(scope, _)| scope),
        reason,
        values,
    }
}

fn to_stored_scope(scope: &PolicyScope) -> store::PolicyScope {
    match scope {
        PolicyScope::Global => store::PolicyScope::Global,
        PolicyScope::Site(site) => store::PolicyScope::Site(SiteId::new(site)),
        PolicyScope::Tag(tag) => store::PolicyScope::Tag(tag.clone()),
    }
}

fn to_stored(values: &Values) -> BTreeMap<String, SettingValue> {
    let stored = |value: &PolicyValue| match value {
        PolicyValue::Bool(value) => SettingValue::Bool(*value),
        PolicyValue::Number(value) => SettingValue::Number(*value),
        PolicyValue::Text(value) => SettingValue::Text(value.clone()),
    };
    values
        .iter()
        .map(|(key, value)| (key.clone(), stored(value)))
        .collect()
}

fn from_stored(values: &BTreeMap<String, SettingValue>) -> Values {
    let read = |value: &SettingValue| match value {
        SettingValue::Bool(value) => PolicyValue::Bool(*value),
        SettingValue::Number(value) => PolicyValue::Number(*value),
        SettingValue::Text(value) => PolicyValue::Text(value.clone()),
    };
    values
        .iter()
        .map(|(key, value)| (key.clone(), read(value)))
        .collect()
}

fn view_of(policy: StoredPolicy) -> PolicyView {
    let values = from_stored(&policy.values);
    let scope = match policy.scope {
        store::PolicyScope::Global => PolicyScope::Global,
        store::PolicyScope::Site(site) => PolicyScope::Site(site.as_str().to_owned()),
        store::PolicyScope::Tag(tag) => PolicyScope::Tag(tag),
    };
    PolicyView {
        kind: policy.kind,
        scope,
        values,
    }
}

#[cfg(test)]
mod tests;
