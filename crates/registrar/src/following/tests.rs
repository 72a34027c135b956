//! What others change: written to the store behind the registrar's back, then told by a feed of the test's.

use rpc::{BindingEnd, Directory, Freshness, Registrar, RegistrarChange};
use store::{AccountPatch, AccountStore, PolicyScope, PolicyStore, SettingValue, StoredPolicy};

use super::*;
use crate::testing::{Fixture, aor, request};

fn disabled() -> AccountPatch {
    AccountPatch {
        enabled: Some(false),
        ..AccountPatch::default()
    }
}

fn global(size: i64) -> StoredPolicy {
    StoredPolicy {
        kind: "im".into(),
        scope: PolicyScope::Global,
        values: [("size".to_owned(), SettingValue::Number(size))].into(),
    }
}

impl Fixture {
    /// Signs alice in on connection 1, and drops what was announced by that.
    async fn with_alice_signed_in() -> Self {
        let mut fixture = Fixture::new().await;
        fixture.register(request("alice", "e1")).await;
        fixture.next_change().await;
        fixture
    }

    /// Waits for the two announcements of an account that ended.
    async fn expect_the_end_of_alice(&mut self) {
        let (user, ended) = {
            let (user, ended) = self.next_change().await;
            (user, ended)
        };
        assert_eq!(user, "alice");
        assert_eq!(ended, [("e1".to_owned(), 1, BindingEnd::Rejected)]);
        let change = tokio::time::timeout(Duration::from_secs(1), self.changes.next()).await;
        let change = change.unwrap().unwrap();
        let RegistrarChange::Bindings(change) = change else {
            panic!("{change:?}");
        };
        assert!(change.account_ended && change.aor == aor("alice"), "{change:?}");
    }

    async fn size(&self) -> i64 {
        let policy = self.service.policy("im", &aor("alice")).await.unwrap();
        policy.number("size", -1)
    }
}

/// Waits until `holds`: the task has had its turns.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn an_account_disabled_elsewhere_ends_its_sessions_here() {
    let mut fixture = Fixture::with_alice_signed_in().await;
    let alice = aor("alice");
    fixture
        .directory
        .change_account(&alice, disabled())
        .await
        .unwrap();
    fixture.feed.tell(StoreChange::Account(alice.clone()));
    fixture.expect_the_end_of_alice().await;
    assert!(fixture.endpoints("alice").await.is_empty());
    assert!(!fixture.service.account(&alice).await.unwrap().unwrap().enabled);
    fixture.stop().await;
}

#[tokio::test]
async fn an_account_deleted_elsewhere_ends_its_sessions_here() {
    let mut fixture = Fixture::with_alice_signed_in().await;
    fixture.directory.delete_account(&aor("alice")).await.unwrap();
    fixture.feed.tell(StoreChange::Account(aor("alice")));
    fixture.expect_the_end_of_alice().await;
    assert!(
        fixture
            .service
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .is_none()
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_name_given_elsewhere_is_shown_here_and_nobody_is_signed_out() {
    let mut fixture = Fixture::with_alice_signed_in().await;
    let patch = AccountPatch {
        display_name: Some("Alice B.".into()),
        ..AccountPatch::default()
    };
    fixture
        .directory
        .change_account(&aor("alice"), patch)
        .await
        .unwrap();
    fixture.feed.tell(StoreChange::Account(aor("alice")));
    until("the name did not change", async || {
        let location = fixture
            .service
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .unwrap();
        location.display_name == "Alice B."
    })
    .await;
    assert_eq!(fixture.endpoints("alice").await, ["e1"]);
    fixture.expect_no_change().await;
    fixture.stop().await;
}

#[tokio::test]
async fn an_account_made_elsewhere_is_no_longer_unknown() {
    let fixture = Fixture::new().await;
    let carol = aor("carol");
    assert!(
        fixture
            .service
            .lookup(&carol, Freshness::Cached)
            .await
            .unwrap()
            .is_none()
    );
    let mut stored = fixture.directory.account(&aor("alice")).await.unwrap().unwrap();
    stored.account.aor = carol.clone();
    fixture.directory.create_account(stored).await.unwrap();
    assert!(
        fixture
            .service
            .lookup(&carol, Freshness::Cached)
            .await
            .unwrap()
            .is_none(),
        "cached"
    );
    fixture.feed.tell(StoreChange::Account(carol.clone()));
    until("carol is still unknown", async || {
        fixture
            .service
            .lookup(&carol, Freshness::Cached)
            .await
            .unwrap()
            .is_some()
    })
    .await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_policy_changed_elsewhere_is_effective_here() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.size().await, 100);
    fixture.directory.create_policy(&global(7)).await.unwrap();
    assert_eq!(fixture.size().await, 100, "nobody told");
    fixture.feed.tell(StoreChange::Policies);
    until("the policy is not effective", async || fixture.size().await == 7).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_stream_that_may_have_missed_something_makes_all_of_it_good() {
    let mut fixture = Fixture::with_alice_signed_in().await;
    fixture.directory.create_policy(&global(7)).await.unwrap();
    fixture
        .directory
        .change_account(&aor("alice"), disabled())
        .await
        .unwrap();
    fixture.feed.tell(StoreChange::Everything);
    fixture.expect_the_end_of_alice().await;
    assert_eq!(fixture.size().await, 7);
    fixture.stop().await;
}

#[tokio::test]
async fn a_change_made_here_that_comes_back_does_nothing_twice() {
    let mut fixture = Fixture::with_alice_signed_in().await;
    let alice = aor("alice");
    let set = |enabled| rpc::AccountChange {
        enabled: Some(enabled),
        ..rpc::AccountChange::default()
    };
    fixture.service.change_account(&alice, set(false)).await.unwrap();
    fixture.expect_the_end_of_alice().await;
    fixture.service.change_account(&alice, set(true)).await.unwrap();
    let mut again = request("alice", "e2");
    again.connection = rpc::ConnectionId(2);
    fixture.register(again).await;
    fixture.next_change().await;

    // Both come late, when alice is back.
    fixture.feed.tell(StoreChange::Account(alice.clone()));
    fixture.feed.tell(StoreChange::Account(alice));
    fixture.feed.tell(StoreChange::Account(aor("bob")));
    fixture.expect_no_change().await;
    assert_eq!(fixture.endpoints("alice").await, ["e2"]);
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_ended_is_followed_again_and_what_was_missed_made_good() {
    let mut fixture = Fixture::with_alice_signed_in().await;
    fixture
        .directory
        .change_account(&aor("alice"), disabled())
        .await
        .unwrap();
    fixture.feed.end();
    tokio::time::sleep(RETRY).await;
    fixture.expect_the_end_of_alice().await;
    fixture.directory.create_policy(&global(7)).await.unwrap();
    fixture.feed.tell(StoreChange::Policies);
    until("the policy is not effective", async || fixture.size().await == 7).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_group_changed_elsewhere_is_announced_and_any_after_a_gap() {
    let mut fixture = Fixture::new().await;
    fixture.feed.tell(StoreChange::Group(aor("sales")));
    fixture.feed.tell(StoreChange::Everything);
    for expected in [Some(aor("sales")), None] {
        let group = loop {
            let change = tokio::time::timeout(Duration::from_secs(1), fixture.changes.next()).await;
            if let RegistrarChange::Group(group) = change.unwrap().unwrap() {
                break group;
            }
        };
        assert_eq!(group, expected);
    }
}
