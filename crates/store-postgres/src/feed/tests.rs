use std::collections::HashSet;

use store::{
    AccountPatch, AccountStore, GroupPatch, GroupStore, OrganisationalGroup, PlaceStore, PolicyScope,
    PolicyStore, StoredPolicy,
};

use super::*;
use crate::database::tests::{Fresh, account, aor};

async fn next(changes: &mut StoreChanges) -> StoreChange {
    tokio::time::timeout(Duration::from_secs(20), changes.next())
        .await
        .expect("no change was heard")
        .unwrap()
}

fn changed(user: &str) -> StoreChange {
    StoreChange::Account(aor(user))
}

#[tokio::test]
async fn every_write_is_heard_by_everybody_in_order() {
    let fresh = Fresh::new().await;
    fresh.add_domain("example.test").await.unwrap();
    let (mut one, mut other) = (fresh.watch().await.unwrap(), fresh.watch().await.unwrap());

    fresh.create_account(account("alice")).await.unwrap();
    let strict = StoredPolicy {
        kind: "im".into(),
        scope: PolicyScope::Tag("strict".into()),
        values: Default::default(),
    };
    fresh.create_policy(&strict).await.unwrap();
    fresh
        .grant_policy("im", Some("strict"), &aor("alice"))
        .await
        .unwrap();
    fresh
        .set_policy_values("im", &strict.scope, &Default::default())
        .await
        .unwrap();
    let disabled = AccountPatch {
        enabled: Some(false),
        ..AccountPatch::default()
    };
    fresh.change_account(&aor("alice"), disabled).await.unwrap();
    fresh.delete_account(&aor("alice")).await.unwrap();

    for changes in [&mut one, &mut other] {
        for expected in [
            changed("alice"),
            StoreChange::Policies,
            changed("alice"),
            StoreChange::Policies,
            changed("alice"),
            changed("alice"),
        ] {
            assert_eq!(next(changes).await, expected);
        }
    }
}

#[tokio::test]
async fn what_was_not_done_is_not_told() {
    let fresh = Fresh::new().await;
    fresh.add_domain("example.test").await.unwrap();
    fresh.create_account(account("alice")).await.unwrap();
    let mut changes = fresh.watch().await.unwrap();
    fresh.create_account(account("alice")).await.unwrap_err();
    fresh.delete_account(&aor("nobody")).await.unwrap();
    fresh
        .grant_policy("im", Some("none"), &aor("alice"))
        .await
        .unwrap();
    fresh.delete_account(&aor("alice")).await.unwrap();
    assert_eq!(next(&mut changes).await, changed("alice"));
    fresh.create_account(account("bob")).await.unwrap();
    assert_eq!(next(&mut changes).await, changed("bob"), "nothing came between");
}

#[tokio::test]
async fn who_loses_a_grant_with_its_policy_is_named() {
    let fresh = Fresh::new().await;
    fresh.add_domain("example.test").await.unwrap();
    let scope = PolicyScope::Tag("strict".into());
    let strict = StoredPolicy {
        kind: "im".into(),
        scope: scope.clone(),
        values: Default::default(),
    };
    fresh.create_policy(&strict).await.unwrap();
    for user in ["alice", "bob", "carol"] {
        fresh.create_account(account(user)).await.unwrap();
    }
    for user in ["alice", "bob"] {
        fresh
            .grant_policy("im", Some("strict"), &aor(user))
            .await
            .unwrap();
    }
    let mut changes = fresh.watch().await.unwrap();
    fresh.delete_policy("im", &scope).await.unwrap();
    let mut heard = HashSet::new();
    for _ in 0..3 {
        heard.insert(next(&mut changes).await);
    }
    assert_eq!(
        heard,
        HashSet::from([StoreChange::Policies, changed("alice"), changed("bob")])
    );
}

#[tokio::test]
async fn after_a_lost_connection_everything_may_have_changed() {
    let fresh = Fresh::new().await;
    fresh.add_domain("example.test").await.unwrap();
    let mut changes = fresh.watch().await.unwrap();
    for user in ["alice", "bob"] {
        fresh.postgres.cut_connections().await.unwrap();
        assert_eq!(next(&mut changes).await, StoreChange::Everything);
        fresh.create_account(account(user)).await.unwrap();
        assert_eq!(next(&mut changes).await, changed(user));
    }
}

#[test]
fn a_payload_nobody_knows_means_everything() {
    for change in [
        StoreChange::Account(aor("alice")),
        StoreChange::Policies,
        StoreChange::Everything,
    ] {
        assert_eq!(change_of(&payload(&change)), change);
    }
    for text in ["", "account:", "rooms", "account:nobody"] {
        assert_eq!(change_of(text), StoreChange::Everything, "{text}");
    }
}

#[tokio::test]
async fn a_change_of_a_group_is_heard_and_whoever_is_deleted_changes_its_groups() {
    let fresh = Fresh::new().await;
    fresh.add_domain("example.test").await.unwrap();
    fresh.create_account(account("alice")).await.unwrap();
    let mut changes = fresh.watch().await.unwrap();
    let sales = OrganisationalGroup {
        address: aor("sales"),
        display_name: "Sales".into(),
        created_at: 1,
        size: 0,
    };
    fresh.create_group(&sales).await.unwrap();
    let patch = GroupPatch {
        add: vec![aor("alice")],
        ..GroupPatch::default()
    };
    fresh.change_group(&sales.address, &patch, 10).await.unwrap();
    fresh.delete_account(&aor("alice")).await.unwrap();
    fresh.delete_group(&sales.address).await.unwrap();
    let group = || StoreChange::Group(sales.address.clone());
    for expected in [group(), group(), group(), changed("alice"), group()] {
        assert_eq!(next(&mut changes).await, expected);
    }
}
