use rpc::{Directory, ErrorCode, Registrar};

use super::*;
use crate::testing::{Fixture, aor};

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn size(fixture: &Fixture, user: &str) -> (Option<String>, i64) {
    let policy = fixture.service.policy("im", &aor(user)).await.unwrap();
    (
        policy.scope.as_ref().map(PolicyScope::to_string),
        policy.number("size", -1),
    )
}

/// Creates an `im` policy that sets `size`.
async fn create(fixture: &Fixture, name: &str, size: &str) {
    fixture
        .service
        .create_policy("im", PolicyScope::parse(name), values(&[("size", size)]))
        .await
        .unwrap();
}

async fn grant(fixture: &Fixture, tag: Option<&str>, user: &str) {
    fixture.service.grant_policy("im", tag, &aor(user)).await.unwrap();
}

/// Which of the three scopes has a policy, and which one wins.
#[tokio::test]
async fn the_nearest_policy_wins() {
    let rows = [
        (false, false, false, None, 100),
        (true, false, false, Some("global"), 1),
        (false, true, false, Some("site:main"), 2),
        (true, true, false, Some("site:main"), 2),
        (false, false, true, Some("strict"), 3),
        (true, false, true, Some("strict"), 3),
        (false, true, true, Some("strict"), 3),
        (true, true, true, Some("strict"), 3),
    ];
    for (global, site, tag, scope, expected) in rows {
        let fixture = Fixture::new().await;
        for (wanted, name, size) in [
            (global, "global", "1"),
            (site, "site:main", "2"),
            (tag, "strict", "3"),
        ] {
            if wanted {
                create(&fixture, name, size).await;
            }
        }
        if tag {
            grant(&fixture, Some("strict"), "alice").await;
        }
        let found = size(&fixture, "alice").await;
        assert_eq!(
            found,
            (scope.map(str::to_owned), expected),
            "{global} {site} {tag}"
        );
    }
}

#[tokio::test]
async fn the_nearest_policy_wins_as_a_whole() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    service
        .create_policy(
            "im",
            PolicyScope::Global,
            values(&[("html", "false"), ("size", "1")]),
        )
        .await
        .unwrap();
    create(&fixture, "site:main", "2").await;
    let policy = service.policy("im", &aor("alice")).await.unwrap();
    assert!(
        policy.bool("html", false),
        "the default of the kind, not the global policy's value"
    );
    assert_eq!(policy.number("size", -1), 2);
}

#[tokio::test]
async fn a_tag_is_for_whom_it_was_granted_to_and_a_site_for_who_is_there() {
    let fixture = Fixture::new().await;
    create(&fixture, "strict", "3").await;
    create(&fixture, "site:north", "2").await;
    grant(&fixture, Some("strict"), "alice").await;
    assert_eq!(size(&fixture, "alice").await, (Some("strict".into()), 3));
    assert_eq!(size(&fixture, "bob").await, (None, 100));
    let moved = rpc::AccountChange {
        site: Some("north".into()),
        ..Default::default()
    };
    fixture.service.change_account(&aor("bob"), moved).await.unwrap();
    assert_eq!(size(&fixture, "bob").await, (Some("site:north".into()), 2));
}

#[tokio::test]
async fn every_change_takes_effect_at_once() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    assert_eq!(size(&fixture, "alice").await, (None, 100));
    create(&fixture, "global", "1").await;
    assert_eq!(size(&fixture, "alice").await.1, 1);
    service
        .set_policy("im", PolicyScope::Global, values(&[("size", "5")]))
        .await
        .unwrap();
    assert_eq!(size(&fixture, "alice").await.1, 5);
    create(&fixture, "strict", "3").await;
    grant(&fixture, Some("strict"), "alice").await;
    assert_eq!(size(&fixture, "alice").await.1, 3);
    grant(&fixture, None, "alice").await;
    assert_eq!(size(&fixture, "alice").await.1, 5);
    grant(&fixture, Some("strict"), "alice").await;
    service
        .delete_policy("im", PolicyScope::Tag("strict".into()))
        .await
        .unwrap();
    assert_eq!(
        size(&fixture, "alice").await.1,
        5,
        "grants of a deleted policy end"
    );
    create(&fixture, "strict", "7").await;
    assert_eq!(
        size(&fixture, "alice").await.1,
        5,
        "and do not come back with one of the same name"
    );
    service.delete_policy("im", PolicyScope::Global).await.unwrap();
    assert_eq!(size(&fixture, "alice").await, (None, 100));
}

#[tokio::test]
async fn an_answer_is_worked_out_once_per_change() {
    let fixture = Fixture::new().await;
    let ask = async || fixture.service.policy("im", &aor("alice")).await.unwrap();
    let first = ask().await;
    assert!(Arc::ptr_eq(&first, &ask().await));
    create(&fixture, "unrelated", "3").await;
    assert!(!Arc::ptr_eq(&first, &ask().await));
}

#[tokio::test]
async fn an_answer_says_why() {
    let fixture = Fixture::new().await;
    let reason = async || {
        fixture
            .service
            .effective_policy("im", &aor("alice"))
            .await
            .unwrap()
            .reason
            .clone()
    };
    assert_eq!(
        reason().await,
        "no policy was granted to the user, neither site main nor global has one; the defaults of the kind apply"
    );
    create(&fixture, "global", "1").await;
    assert_eq!(
        reason().await,
        "no policy was granted to the user, site main has none; the global one applies"
    );
    create(&fixture, "site:main", "2").await;
    assert_eq!(
        reason().await,
        "no policy was granted to the user; the one of site main comes before global"
    );
    create(&fixture, "strict", "3").await;
    grant(&fixture, Some("strict"), "alice").await;
    assert_eq!(
        reason().await,
        "policy strict was granted to the user, which comes before site main and global"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_right_code() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    create(&fixture, "strict", "3").await;
    let tag = |name: &str| PolicyScope::Tag(name.into());
    let code = |result: Result<PolicyView, Error>| result.unwrap_err().code;

    let created = service
        .create_policy("no-kind", PolicyScope::Global, values(&[]))
        .await;
    assert_eq!(
        created.clone().unwrap_err().message,
        "no policy kind is called `no-kind`; there are im, registration"
    );
    assert_eq!(code(created), ErrorCode::NotFound);
    let created = service
        .create_policy("im", tag("new"), values(&[("colour", "red")]))
        .await;
    assert_eq!(code(created), ErrorCode::InvalidRequest);
    let created = service
        .create_policy("im", tag("new"), values(&[("size", "0")]))
        .await;
    assert_eq!(code(created), ErrorCode::InvalidRequest);
    let created = service.create_policy("im", tag("strict"), values(&[])).await;
    assert_eq!(
        created.clone().unwrap_err().message,
        "the im policy strict exists already"
    );
    assert_eq!(code(created), ErrorCode::Conflict);
    for bad in ["", "two words", "a:b", &"x".repeat(65)] {
        let created = service.create_policy("im", tag(bad), values(&[])).await;
        assert_eq!(code(created), ErrorCode::InvalidRequest, "{bad}");
    }
    assert_eq!(
        code(service.create_policy("im", tag("global"), values(&[])).await),
        ErrorCode::InvalidRequest
    );

    let set = service
        .set_policy("im", tag("none"), values(&[("size", "1")]))
        .await;
    assert_eq!(set.clone().unwrap_err().message, "there is no im policy none");
    assert_eq!(code(set), ErrorCode::NotFound);
    assert_eq!(
        service.delete_policy("im", tag("none")).await.unwrap_err().code,
        ErrorCode::NotFound
    );
    assert_eq!(
        service.policies(Some("no-kind")).await.unwrap_err().code,
        ErrorCode::NotFound
    );

    let grant = async |kind, tag, user| {
        service
            .grant_policy(kind, tag, &aor(user))
            .await
            .unwrap_err()
            .code
    };
    assert_eq!(grant("im", Some("none"), "alice").await, ErrorCode::NotFound);
    assert_eq!(grant("im", Some("strict"), "nobody").await, ErrorCode::NotFound);
    assert_eq!(
        grant("no-kind", Some("strict"), "alice").await,
        ErrorCode::NotFound
    );
    assert_eq!(
        grant("im", Some("global"), "alice").await,
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        grant("im", Some("site:main"), "alice").await,
        ErrorCode::InvalidRequest
    );

    let asked = async |kind, user| service.effective_policy(kind, &aor(user)).await.unwrap_err().code;
    assert_eq!(asked("no-kind", "alice").await, ErrorCode::NotFound);
    assert_eq!(asked("im", "nobody").await, ErrorCode::NotFound);
}

#[tokio::test]
async fn settings_are_checked_together_with_those_already_stored() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    let scope = PolicyScope::Global;
    service
        .create_policy("registration", scope.clone(), values(&[("min_expires", "500")]))
        .await
        .unwrap();
    let error = service
        .set_policy(
            "registration",
            scope.clone(),
            values(&[("default_expires", "400")]),
        )
        .await;
    assert!(
        error
            .unwrap_err()
            .message
            .contains("min_expires <= default_expires")
    );
    let both = values(&[("default_expires", "400"), ("min_expires", "300")]);
    let set = service.set_policy("registration", scope, both).await.unwrap();
    assert_eq!(set.values.get("min_expires"), Some(&PolicyValue::Number(300)));
}

#[tokio::test]
async fn policies_are_listed_by_kind_or_all() {
    let fixture = Fixture::new().await;
    create(&fixture, "strict", "3").await;
    create(&fixture, "global", "1").await;
    fixture
        .service
        .create_policy("registration", PolicyScope::Global, values(&[]))
        .await
        .unwrap();
    let listed = async |kind| {
        let views = fixture.service.policies(kind).await.unwrap();
        views
            .iter()
            .map(|view| format!("{} {}", view.kind, view.scope))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        listed(None).await,
        ["im global", "im strict", "registration global"]
    );
    assert_eq!(listed(Some("im")).await, ["im global", "im strict"]);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log() {
    let fixture = Fixture::new().await;
    let before = audit(&fixture).await.len();
    create(&fixture, "strict", "3").await;
    fixture
        .service
        .set_policy("im", PolicyScope::parse("strict"), values(&[("size", "4")]))
        .await
        .unwrap();
    grant(&fixture, Some("strict"), "alice").await;
    grant(&fixture, None, "alice").await;
    fixture
        .service
        .delete_policy("im", PolicyScope::parse("strict"))
        .await
        .unwrap();
    let mut lines = audit(&fixture).await;
    lines.truncate(lines.len() - before);
    lines.reverse();
    let expected = [
        "policy.create im strict: size=3",
        "policy.set im strict: size=4",
        "policy.grant im strict: alice@example.test",
        "policy.grant im (none): alice@example.test",
        "policy.delete im strict: ",
    ];
    assert_eq!(lines, expected);
}

async fn audit(fixture: &Fixture) -> Vec<String> {
    use store::AuditStore;
    let entries = fixture.directory.audit(1_000).await.unwrap();
    entries
        .iter()
        .map(|entry| format!("{} {}: {}", entry.action, entry.subject, entry.detail))
        .collect()
}
