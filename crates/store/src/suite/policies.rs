//! What a policy store must do.

use std::collections::BTreeMap;

use topology::SiteId;

use super::{Outcome, account, aor};
use crate::{
    AccountStore, GrantOutcome, PlaceStore, PolicyScope, PolicyStore, SettingValue, StoreError, StoredPolicy,
};

fn values<const N: usize>(pairs: [(&str, SettingValue); N]) -> BTreeMap<String, SettingValue> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn policy(kind: &str, scope: PolicyScope) -> StoredPolicy {
    StoredPolicy {
        kind: kind.to_owned(),
        scope,
        values: BTreeMap::new(),
    }
}

fn tag(name: &str) -> PolicyScope {
    PolicyScope::Tag(name.to_owned())
}

pub async fn a_policy_is_read_back_with_the_types_of_its_values(store: &impl PolicyStore) -> Outcome {
    let written = StoredPolicy {
        kind: "im".into(),
        scope: PolicyScope::Global,
        values: values([
            ("html", SettingValue::Bool(true)),
            ("size", SettingValue::Number(-9_007_199_254_740_993)),
            ("mode", SettingValue::Text("true".into())),
            ("note", SettingValue::Text("12 \"quoted\" ü\u{0}".into())),
        ]),
    };
    store.create_policy(&written).await?;
    assert_eq!(store.policies().await?, [written]);
    Ok(())
}

pub async fn a_second_policy_of_kind_and_scope_is_a_conflict(store: &impl PolicyStore) -> Outcome {
    for scope in [
        PolicyScope::Global,
        PolicyScope::Site(SiteId::new("main")),
        tag("strict"),
    ] {
        store.create_policy(&policy("im", scope.clone())).await?;
        let again = store.create_policy(&policy("im", scope.clone())).await;
        assert!(
            matches!(again, Err(StoreError::Conflict(_))),
            "{scope:?}: {again:?}"
        );
        store.create_policy(&policy("registration", scope)).await?;
    }
    Ok(())
}

pub async fn setting_values_leaves_the_others(store: &impl PolicyStore) -> Outcome {
    let scope = PolicyScope::Global;
    let mut stored = policy("im", scope.clone());
    stored.values = values([("a", SettingValue::Number(1)), ("b", SettingValue::Number(2))]);
    store.create_policy(&stored).await?;
    let change = values([
        ("b", SettingValue::Bool(false)),
        ("c", SettingValue::Text("x".into())),
    ]);
    stored.values.extend(change.clone());
    assert_eq!(
        store.set_policy_values("im", &scope, &change).await?,
        Some(stored.clone())
    );
    assert_eq!(store.policies().await?, [stored]);
    assert_eq!(store.set_policy_values("im", &tag("none"), &change).await?, None);
    assert_eq!(store.set_policy_values("other", &scope, &change).await?, None);
    Ok(())
}

pub async fn scopes_of_the_same_name_are_different_policies(store: &impl PolicyStore) -> Outcome {
    let scopes = [
        PolicyScope::Global,
        PolicyScope::Site(SiteId::new("global")),
        tag("global"),
    ];
    for scope in &scopes {
        store.create_policy(&policy("im", scope.clone())).await?;
    }
    assert!(store.delete_policy("im", &scopes[1]).await?);
    let left: Vec<_> = store
        .policies()
        .await?
        .into_iter()
        .map(|policy| policy.scope)
        .collect();
    assert_eq!(left, [PolicyScope::Global, tag("global")]);
    Ok(())
}

async fn alice(
    store: &(impl PolicyStore + AccountStore + PlaceStore),
) -> Result<sip_types::AddressOfRecord, StoreError> {
    store.add_domain("example.test").await?;
    let alice = account("alice")?;
    let key = alice.account.aor.clone();
    store.create_account(alice).await?;
    Ok(key)
}

pub async fn a_grant_needs_account_and_policy(
    store: &(impl PolicyStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = alice(store).await?;
    store
        .create_policy(&policy("im", PolicyScope::Site(SiteId::new("strict"))))
        .await?;
    store.create_policy(&policy("other", tag("strict"))).await?;
    assert_eq!(
        store.grant_policy("im", Some("strict"), &alice).await?,
        GrantOutcome::NoSuchPolicy
    );
    store.create_policy(&policy("im", tag("strict"))).await?;
    let nobody = aor("nobody@example.test")?;
    assert_eq!(
        store.grant_policy("im", Some("strict"), &nobody).await?,
        GrantOutcome::NoSuchAccount
    );
    assert_eq!(
        store.grant_policy("im", None, &nobody).await?,
        GrantOutcome::NoSuchAccount
    );
    assert!(store.grants(&alice).await?.is_empty());
    assert!(store.grants(&nobody).await?.is_empty());
    Ok(())
}

pub async fn a_grant_replaces_the_one_before_and_can_be_taken_back(
    store: &(impl PolicyStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = alice(store).await?;
    for (kind, name) in [("im", "strict"), ("im", "loose"), ("registration", "strict")] {
        store.create_policy(&policy(kind, tag(name))).await?;
        assert_eq!(
            store.grant_policy(kind, Some(name), &alice).await?,
            GrantOutcome::Done
        );
    }
    let granted: Vec<_> = store.grants(&alice).await?.into_iter().collect();
    assert_eq!(
        granted,
        [
            ("im".into(), "loose".into()),
            ("registration".into(), "strict".into())
        ]
    );
    for _ in 0..2 {
        assert_eq!(store.grant_policy("im", None, &alice).await?, GrantOutcome::Done);
    }
    let granted: Vec<_> = store.grants(&alice).await?.into_keys().collect();
    assert_eq!(granted, ["registration"]);
    Ok(())
}

pub async fn deleting_a_policy_ends_its_grants(
    store: &(impl PolicyStore + AccountStore + PlaceStore),
) -> Outcome {
    let alice = alice(store).await?;
    for kind in ["im", "registration"] {
        store.create_policy(&policy(kind, tag("strict"))).await?;
        store.grant_policy(kind, Some("strict"), &alice).await?;
    }
    assert!(store.delete_policy("im", &tag("strict")).await?);
    assert!(!store.delete_policy("im", &tag("strict")).await?);
    let granted: Vec<_> = store.grants(&alice).await?.into_keys().collect();
    assert_eq!(granted, ["registration"]);
    Ok(())
}

pub async fn policies_are_listed_in_order(store: &impl PolicyStore) -> Outcome {
    let north = || PolicyScope::Site(SiteId::new("north"));
    let expected = [
        ("a", PolicyScope::Global),
        ("a", north()),
        ("a", tag("b")),
        ("a", tag("c")),
        ("b", north()),
    ];
    for (kind, scope) in expected.iter().rev() {
        store.create_policy(&policy(kind, scope.clone())).await?;
    }
    let listed: Vec<_> = store
        .policies()
        .await?
        .into_iter()
        .map(|policy| (policy.kind, policy.scope))
        .collect();
    let expected = expected.map(|(kind, scope)| (kind.to_owned(), scope));
    assert_eq!(listed, expected);
    Ok(())
}
