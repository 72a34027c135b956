use rpc::{BindingEnd, Freshness, Registrar};
use store::{AccountStore, AuditStore};

use super::*;
use crate::testing::{Fixture, aor, request};

fn new_account(address: &str) -> NewAccount {
    NewAccount {
        aor: AddressOfRecord::parse(address).unwrap(),
        display_name: String::new(),
        site: String::new(),
        password: "secret".into(),
        ntlm: false,
    }
}

async fn code<T: std::fmt::Debug>(result: impl Future<Output = Result<T, Error>>) -> ErrorCode {
    result.await.unwrap_err().code
}

#[tokio::test]
async fn a_created_account_is_shown_with_what_was_left_out() {
    let fixture = Fixture::new().await;
    let view = fixture
        .service
        .create_account(new_account("Carol@example.test"))
        .await
        .unwrap();
    let expected = AccountView {
        aor: aor("carol"),
        display_name: "carol".into(),
        site: "main".into(),
        enabled: true,
        ntlm: false,
        created_at: 1_800_000_000,
    };
    assert_eq!(view, expected);
    assert_eq!(
        fixture.service.account(&aor("carol")).await.unwrap(),
        Some(expected)
    );
    assert_eq!(fixture.service.account(&aor("nobody")).await.unwrap(), None);
}

#[tokio::test]
async fn an_account_looked_for_before_it_existed_is_found_after() {
    let fixture = Fixture::new().await;
    assert!(
        fixture
            .service
            .lookup(&aor("carol"), Freshness::Cached)
            .await
            .unwrap()
            .is_none()
    );
    fixture
        .service
        .create_account(new_account("carol@example.test"))
        .await
        .unwrap();
    assert!(
        fixture
            .service
            .lookup(&aor("carol"), Freshness::Cached)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn accounts_that_no_client_could_use_are_refused() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    assert_eq!(
        code(service.create_account(new_account("alice@example.test"))).await,
        ErrorCode::Conflict
    );
    for address in [
        "carol@elsewhere.test",
        "a%3ab@example.test",
        "a%20b@example.test",
        "a/b@example.test",
    ] {
        assert_eq!(
            code(service.create_account(new_account(address))).await,
            ErrorCode::InvalidRequest,
            "{address}"
        );
    }
    let with = |change: fn(&mut NewAccount)| {
        let mut account = new_account("carol@example.test");
        change(&mut account);
        service.create_account(account)
    };
    assert_eq!(
        code(with(|account| account.password.clear())).await,
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        code(with(|account| account.display_name = "a\r\nb".into())).await,
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        code(with(|account| account.site = "x".repeat(129))).await,
        ErrorCode::InvalidRequest
    );
    assert_eq!(service.totals().await.unwrap().get("accounts"), Some(&2));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_changed() {
    let fixture = Fixture::new().await;
    let nobody = aor("nobody");
    assert_eq!(
        code(fixture.service.change_account(&nobody, AccountChange::default())).await,
        ErrorCode::NotFound
    );
    assert_eq!(
        code(fixture.service.delete_account(&nobody)).await,
        ErrorCode::NotFound
    );
    assert_eq!(code(fixture.service.sessions(&nobody)).await, ErrorCode::NotFound);
    assert_eq!(
        code(fixture.service.kick(&nobody, None)).await,
        ErrorCode::NotFound
    );
}

#[tokio::test]
async fn a_new_name_is_what_lookups_show() {
    let mut fixture = Fixture::new().await;
    fixture.register(request("alice", "e1")).await;
    fixture.next_change().await;
    let named = |name: &str| AccountChange {
        display_name: Some(name.to_owned()),
        ..Default::default()
    };
    for (name, expected) in [("Alice A.", "Alice A."), ("  ", "alice")] {
        for user in ["alice", "bob"] {
            fixture
                .service
                .change_account(&aor(user), named(name))
                .await
                .unwrap();
        }
        let shown = fixture
            .service
            .lookup(&aor("alice"), Freshness::Cached)
            .await
            .unwrap()
            .unwrap()
            .display_name;
        assert_eq!(shown, expected, "signed in");
    }
    let shown = fixture
        .service
        .lookup(&aor("bob"), Freshness::Cached)
        .await
        .unwrap()
        .unwrap()
        .display_name;
    assert_eq!(shown, "bob", "signed in nowhere");
}

#[tokio::test]
async fn disabling_and_deleting_sign_endpoints_out_and_keep_them_out() {
    for delete in [false, true] {
        let mut fixture = Fixture::new().await;
        fixture.register(request("alice", "e1")).await;
        fixture.next_change().await;
        if delete {
            fixture.service.delete_account(&aor("alice")).await.unwrap();
        } else {
            let disabled = AccountChange {
                enabled: Some(false),
                ..Default::default()
            };
            assert!(
                !fixture
                    .service
                    .change_account(&aor("alice"), disabled)
                    .await
                    .unwrap()
                    .enabled
            );
        }
        assert_eq!(
            fixture.next_change().await,
            ("alice".into(), vec![("e1".into(), 1, BindingEnd::Rejected)])
        );
        let refused = fixture
            .service
            .register(request("alice", "e2"))
            .await
            .unwrap_err();
        let expected = if delete { "NoSuchUser" } else { "Forbidden" };
        assert_eq!(format!("{refused:?}"), expected);
        assert_eq!(fixture.service.totals().await.unwrap().get("endpoints"), Some(&0));
    }
}

#[tokio::test]
async fn an_enabled_account_may_sign_in_again() {
    let fixture = Fixture::new().await;
    for enabled in [false, true] {
        let change = AccountChange {
            enabled: Some(enabled),
            ..Default::default()
        };
        fixture
            .service
            .change_account(&aor("alice"), change)
            .await
            .unwrap();
    }
    fixture.register(request("alice", "e1")).await;
}

#[tokio::test]
async fn one_endpoint_or_all_can_be_kicked() {
    let mut fixture = Fixture::new().await;
    for endpoint in ["e1", "e2", "e3"] {
        fixture.register(request("alice", endpoint)).await;
        fixture.next_change().await;
    }
    assert_eq!(fixture.service.kick(&aor("alice"), Some("e2")).await.unwrap(), 1);
    assert_eq!(
        fixture.next_change().await.1,
        [("e2".into(), 1, BindingEnd::Rejected)]
    );
    assert_eq!(fixture.service.kick(&aor("alice"), Some("e2")).await.unwrap(), 0);
    assert_eq!(fixture.endpoints("alice").await, ["e1", "e3"]);
    assert_eq!(fixture.service.kick(&aor("alice"), None).await.unwrap(), 2);
    assert!(fixture.endpoints("alice").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn sessions_show_what_is_left_of_each() {
    let fixture = Fixture::new().await;
    let granted = fixture.register(request("alice", "e1")).await.expires;
    tokio::time::advance(std::time::Duration::from_secs(100)).await;
    let [session] = &fixture.service.sessions(&aor("alice")).await.unwrap()[..] else {
        panic!("not one session")
    };
    assert_eq!((&*session.endpoint, &*session.member), ("e1", "fe1"));
    assert_eq!((session.family, session.mode), ("simple", "page"));
    assert_eq!(session.expires_in, granted - 100);
    assert!(fixture.service.sessions(&aor("bob")).await.unwrap().is_empty());
}

#[tokio::test]
async fn totals_count_accounts_users_and_endpoints() {
    let fixture = Fixture::new().await;
    for endpoint in ["e1", "e2"] {
        fixture.register(request("alice", endpoint)).await;
    }
    let totals: Vec<_> = fixture.service.totals().await.unwrap().into_iter().collect();
    assert_eq!(
        totals,
        [
            ("accounts".into(), 2),
            ("endpoints".into(), 2),
            ("users".into(), 1)
        ]
    );
    let mut page = telemetry::Page::new();
    fixture.service.collect(&mut page);
    assert!(
        page.render()
            .contains("portico_registration_active{client=\"simple\"} 2\n")
    );
}

#[tokio::test]
async fn neither_the_store_nor_the_audit_log_holds_a_password() {
    let fixture = Fixture::new().await;
    let change = AccountChange {
        password: Some(("another-secret".into(), true)),
        display_name: Some("Alice A.".into()),
        site: Some("north".into()),
        enabled: Some(true),
    };
    fixture
        .service
        .change_account(&aor("alice"), change)
        .await
        .unwrap();
    let stored = fixture.directory.account(&aor("alice")).await.unwrap().unwrap();
    for credential in &stored.credentials {
        assert!(!credential.sealed.windows(6).any(|window| window == b"secret"));
    }
    let entries = fixture.directory.audit(10).await.unwrap();
    assert!(
        entries
            .iter()
            .all(|entry| !format!("{entry:?}").contains("secret"))
    );
    let newest = &entries[0];
    assert_eq!(newest.action, "user.passwd");
    assert_eq!(
        newest.detail,
        "display name Alice A., site north, enabled true, new password, ntlm true"
    );
    assert_eq!((&*newest.actor, newest.at), ("administrator", 1_800_000_000));
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let fixture = Fixture::new().await;
    let page = fixture.service.accounts(None, 1).await.unwrap();
    assert_eq!(
        page.iter().map(|view| view.aor.clone()).collect::<Vec<_>>(),
        [aor("alice")]
    );
    let page = fixture.service.accounts(Some(&aor("alice")), 10).await.unwrap();
    assert_eq!(
        page.iter().map(|view| view.aor.clone()).collect::<Vec<_>>(),
        [aor("bob")]
    );
}

#[tokio::test]
async fn the_global_policy_can_be_set_without_being_created() {
    let fixture = Fixture::new().await;
    let set = |scope: PolicyScope| {
        let values = [("max_endpoints".to_owned(), "4".to_owned())].into();
        fixture.service.set_policy("registration", scope, values)
    };
    assert_eq!(set(PolicyScope::Global).await.unwrap().scope, PolicyScope::Global);
    assert_eq!(
        set(PolicyScope::Global).await.unwrap().values.len(),
        1,
        "and set again"
    );
    assert_eq!(
        code(set(PolicyScope::Tag("few".to_owned()))).await,
        ErrorCode::NotFound
    );
}
