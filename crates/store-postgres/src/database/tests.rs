use sip_types::AddressOfRecord;
use store::{
    Account, AccountPatch, AccountStore, AuditCategory, AuditEntry, AuditStore, ContactsWrite, PlaceStore,
    PolicyScope, PolicyStore, PresenceStore, SettingValue, StoredAccount, StoredGroup, StoredPolicy,
};
use test_support::stores::{PostgresDatabase, PostgresServer};
use topology::SiteId;

use super::*;
use crate::migrate;

mod suite {
    store::directory_suite!(super::super::Fresh::new);
    store::presence_suite!(super::super::Fresh::new);
    store::group_suite!(super::super::Fresh::new);
}

/// A migrated database of this test, and the server it is on.
pub(crate) struct Fresh {
    database: Database,
    pub(crate) postgres: PostgresDatabase,
}

impl std::ops::Deref for Fresh {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Fresh {
    pub(crate) async fn new() -> Self {
        let postgres = empty().await;
        migrate(&postgres.url(), Duration::ZERO).await.unwrap();
        let database = Database::connect(&postgres.url(), ConnectOptions::default())
            .await
            .unwrap();
        Fresh { database, postgres }
    }
}

async fn empty() -> PostgresDatabase {
    PostgresServer::shared().await.unwrap().database().await.unwrap()
}

/// Deadlines a test can wait for.
fn hasty() -> ConnectOptions {
    ConnectOptions {
        max_connections: 2,
        acquire_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(300),
        wait: Duration::ZERO,
    }
}

pub(crate) fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

pub(crate) fn account(user: &str) -> StoredAccount {
    StoredAccount {
        account: Account {
            aor: aor(user),
            display_name: user.to_owned(),
            site: SiteId::new("main"),
            enabled: true,
            created_at: 0,
        },
        credentials: Vec::new(),
    }
}

fn policy(scope: PolicyScope) -> StoredPolicy {
    StoredPolicy {
        kind: "im".into(),
        scope,
        values: Default::default(),
    }
}

#[tokio::test]
async fn the_connections_are_set_up_as_promised() {
    let fresh = Fresh::new().await;
    for (setting, expected) in [
        ("synchronous_commit", "on"),
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("application_name", "portico"),
    ] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(fresh.pool())
            .await
            .unwrap();
        assert_eq!(value, expected, "{setting}");
    }
    fresh.ping().await.unwrap();
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_refused_in_words() {
    let postgres = empty().await;
    let error = Database::connect(&postgres.url(), hasty()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Inconsistent(text) if text.contains("portico migrate")),
        "{error}"
    );
}

#[tokio::test]
async fn a_member_waits_for_the_migration_it_needs() {
    let postgres = empty().await;
    let url = postgres.url();
    let options = ConnectOptions {
        wait: Duration::from_secs(20),
        ..ConnectOptions::default()
    };
    let waiting = Database::connect(&url, options);
    let migrating = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        migrate(&url, Duration::ZERO).await
    };
    let (connected, migrated) = tokio::join!(waiting, migrating);
    migrated.unwrap();
    connected.unwrap().add_domain("example.test").await.unwrap();
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused_only_if_it_has_contracted() {
    let fresh = Fresh::new().await;
    let applied = |version: i64| {
        format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES ({version}, '', true, '', 1)"
        )
    };
    fresh.postgres.sql(&applied(10_999)).await.unwrap();
    Database::connect(&fresh.postgres.url(), hasty()).await.unwrap();
    migrate(&fresh.postgres.url(), Duration::ZERO).await.unwrap();

    fresh.postgres.sql(&applied(20_001)).await.unwrap();
    for refused in [
        Database::connect(&fresh.postgres.url(), hasty()).await.map(drop),
        migrate(&fresh.postgres.url(), Duration::ZERO).await,
    ] {
        let error = refused.unwrap_err();
        assert!(
            matches!(&error, StoreError::Inconsistent(text) if text.contains("20001")),
            "{error}"
        );
    }
}

/// A database as the release before made it, with one account.
async fn of_the_release_before() -> PostgresDatabase {
    let postgres = empty().await;
    let first = crate::schema::MIGRATIONS
        .iter()
        .filter(|migration| migration.version == 10_001);
    let before = sqlx::migrate::Migrator {
        migrations: first.cloned().collect::<Vec<_>>().into(),
        ..sqlx::migrate::Migrator::DEFAULT
    };
    let pool = PgPool::connect(&postgres.url()).await.unwrap();
    before.run(&pool).await.unwrap();
    pool.close().await;
    let rows = "INSERT INTO sip_domains VALUES ('example.test'); \
         INSERT INTO sites VALUES ('main'); \
         INSERT INTO accounts VALUES ('alice@example.test', 'example.test', 'alice', 'main', true, 0)";
    postgres.sql(rows).await.unwrap();
    postgres
}

#[tokio::test]
async fn a_database_of_the_release_before_keeps_its_accounts_and_still_serves_it() {
    let postgres = of_the_release_before().await;
    let refused = Database::connect(&postgres.url(), hasty()).await.unwrap_err();
    assert!(refused.to_string().contains("portico migrate"), "{refused}");
    migrate(&postgres.url(), Duration::ZERO).await.unwrap();
    let database = Database::connect(&postgres.url(), hasty()).await.unwrap();
    let alice = aor("alice");
    assert_eq!(database.account(&alice).await.unwrap(), Some(account("alice")));
    let write = ContactsWrite {
        delta: 1,
        ..ContactsWrite::default()
    };
    database.write_contacts(&alice, &write).await.unwrap();
    let found = async |text| {
        let search = store::AccountSearch::new([text]);
        database.search_accounts(&search, 9).await.unwrap().accounts.len()
    };
    assert_eq!(found("ali").await, 1);
    // What a program of that release does, which knows nothing of words.
    postgres
        .sql("UPDATE accounts SET display_name = 'Zoë'")
        .await
        .unwrap();
    assert_eq!(found("zoe").await, 1);
    let added = "INSERT INTO accounts VALUES ('x@example.test', 'example.test', 'Zoé', 'main', true, 0)";
    postgres.sql(added).await.unwrap();
    assert_eq!(found("zoe").await, 2);
    // What a program of that release does, which knows nothing of contact lists.
    postgres.sql("DELETE FROM accounts").await.unwrap();
    assert_eq!(database.contacts(&alice).await.unwrap(), None);
    assert_eq!(found("zoe").await, 0);
}

#[tokio::test]
async fn several_who_migrate_take_turns() {
    let postgres = empty().await;
    let url = postgres.url();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let url = url.clone();
        tasks.spawn(async move { migrate(&url, Duration::from_secs(20)).await });
    }
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(
        postgres
            .sql("SELECT count(*) FROM _sqlx_migrations")
            .await
            .unwrap(),
        crate::schema::MIGRATIONS.iter().count().to_string()
    );
}

#[tokio::test]
async fn a_turn_that_does_not_come_is_an_error() {
    let fresh = Fresh::new().await;
    let mut holder = fresh.pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(crate::schema::LOCK)
        .execute(&mut *holder)
        .await
        .unwrap();
    let error = migrate(&fresh.postgres.url(), Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
}

#[tokio::test]
async fn nobody_waits_for_ever_for_a_lock_or_a_connection() {
    let fresh = Fresh::new().await;
    fresh.create_policy(&policy(PolicyScope::Global)).await.unwrap();
    let database = Database::connect(&fresh.postgres.url(), hasty()).await.unwrap();

    // Somebody holds the row: the statement is given up.
    let mut holder = fresh.pool().begin().await.unwrap();
    sqlx::query("SELECT * FROM policies FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let values = [("key".to_owned(), SettingValue::Bool(true))].into();
    let refused = database
        .set_policy_values("im", &PolicyScope::Global, &values)
        .await;
    assert!(matches!(refused, Err(StoreError::Driver(_))), "{refused:?}");
    drop(holder);
    database
        .set_policy_values("im", &PolicyScope::Global, &values)
        .await
        .unwrap();

    // Somebody holds every connection: the caller is told.
    let one = database.pool().acquire().await.unwrap();
    let two = database.pool().acquire().await.unwrap();
    assert!(matches!(database.ping().await, Err(StoreError::Driver(_))));
    drop((one, two));
    database.ping().await.unwrap();
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_connection_behind() {
    let fresh = Fresh::new().await;
    fresh.add_domain("example.test").await.unwrap();
    fresh.create_account(account("alice")).await.unwrap();
    let options = ConnectOptions {
        max_connections: 1,
        ..ConnectOptions::default()
    };
    let database = Database::connect(&fresh.postgres.url(), options).await.unwrap();
    let mut holder = fresh.pool().begin().await.unwrap();
    sqlx::query("SELECT * FROM accounts FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let alice = aor("alice");
    let patch = || AccountPatch {
        enabled: Some(false),
        ..AccountPatch::default()
    };
    // In the middle of the wait for the row.
    let given_up = tokio::time::timeout(
        Duration::from_millis(200),
        database.change_account(&alice, patch()),
    )
    .await;
    assert!(given_up.is_err());
    // The only connection was in the middle of something: this one is another.
    assert!(database.account(&alice).await.unwrap().unwrap().account.enabled);
    drop(holder);
    database.change_account(&alice, patch()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cut_its_connections_is_used_again() {
    let fresh = Fresh::new().await;
    fresh.add_domain("example.test").await.unwrap();
    assert!(fresh.postgres.cut_connections().await.unwrap() > 0);
    assert_eq!(fresh.domains().await.unwrap(), ["example.test"]);
}

#[tokio::test]
async fn concurrent_changes_of_one_policy_all_take_effect() {
    let fresh = Fresh::new().await;
    fresh.create_policy(&policy(PolicyScope::Global)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let database = fresh.database.clone();
        tasks.spawn(async move {
            let values = [(format!("key{number}"), SettingValue::Number(number))].into();
            database
                .set_policy_values("im", &PolicyScope::Global, &values)
                .await
                .unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(fresh.policies().await.unwrap()[0].values.len(), 16);
}

#[tokio::test]
async fn no_password_is_in_an_error_or_a_debug_form() {
    let fresh = Fresh::new().await;
    let password = fresh.postgres.password();
    let shown = format!("{:?}", *fresh);
    assert!(
        shown.contains("postgres://portico@") && !shown.contains(password),
        "{shown}"
    );

    let nobody_there = format!("postgres://al:{password}@127.0.0.1:1/pool");
    let no_such_database = fresh.postgres.url() + "_not";
    let no_tls_there = fresh.postgres.url() + "?sslmode=require";
    for url in [nobody_there, no_such_database, no_tls_there] {
        let error = Database::connect(&url, hasty()).await.unwrap_err();
        assert!(matches!(error, StoreError::Driver(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(password), "{error:?}");
    }
}

#[tokio::test]
async fn stored_nonsense_is_reported_as_inconsistent() {
    let fresh = Fresh::new().await;
    let nonsense = "INSERT INTO policies VALUES ('im', 'global', '', '[1]'); \
         INSERT INTO sip_domains VALUES ('example.test'); \
         INSERT INTO sites VALUES ('main'); \
         INSERT INTO accounts VALUES ('alice@example.test', 'example.test', '', 'main', true, 0); \
         INSERT INTO credentials VALUES ('alice@example.test', 'retina', ''); \
         INSERT INTO presence_rules VALUES ('alice@example.test', 1, 'none'); \
         INSERT INTO contact_lists VALUES ('alice@example.test', 1, -1)";
    fresh.postgres.sql(nonsense).await.unwrap();
    assert!(matches!(
        fresh.presence(&aor("alice")).await,
        Err(StoreError::Inconsistent(_))
    ));
    assert!(matches!(
        fresh.contacts(&aor("alice")).await,
        Err(StoreError::Inconsistent(_))
    ));
    assert!(matches!(fresh.policies().await, Err(StoreError::Inconsistent(_))));
    assert!(matches!(
        fresh.account(&aor("alice")).await,
        Err(StoreError::Inconsistent(_))
    ));
}

#[tokio::test]
async fn a_text_the_server_can_not_store_costs_nobody_else_anything() {
    let fresh = Fresh::new().await;
    let entry = |subject: &str| AuditEntry {
        at: 1,
        category: AuditCategory::SignIn,
        actor: "192.0.2.1".into(),
        action: "sign-in.refused".into(),
        subject: subject.into(),
        detail: String::new(),
    };
    fresh
        .append_audit(&[entry("alice"), entry("a\0b"), entry("bob")])
        .await
        .unwrap();
    let subjects: Vec<_> = fresh
        .audit(10)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.subject)
        .collect();
    assert_eq!(subjects, ["bob", "a\u{fffd}b", "alice"]);

    fresh.add_domain("example.test").await.unwrap();
    let mut zero = account("alice");
    zero.account.display_name = "a\0b".into();
    let refused = fresh.create_account(zero).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidRequest(_))),
        "{refused:?}"
    );

    fresh.create_account(account("alice")).await.unwrap();
    let group = StoredGroup {
        id: 1,
        name: "a\0b".into(),
        external_uri: String::new(),
    };
    let write = ContactsWrite {
        delta: 1,
        put_groups: vec![group],
        ..ContactsWrite::default()
    };
    let refused = fresh.write_contacts(&aor("alice"), &write).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidRequest(_))),
        "{refused:?}"
    );
    assert_eq!(fresh.contacts(&aor("alice")).await.unwrap(), None);
}
