use sip_types::AddressOfRecord;
use store::{Account, AccountStore, PlaceStore, StoredAccount};
use topology::SiteId;

use super::*;

mod in_memory {
    async fn fresh() -> Box<crate::Database> {
        Box::new(crate::Database::in_memory().await.unwrap())
    }

    store::directory_suite!(super::fresh);
    store::presence_suite!(super::fresh);
    store::group_suite!(super::fresh);
}

mod on_disk {
    store::directory_suite!(super::super::OnDisk::new);
    store::presence_suite!(super::super::OnDisk::new);
    store::group_suite!(super::super::OnDisk::new);
}

/// A database in a file, and the folder it is in.
struct OnDisk {
    database: Database,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for OnDisk {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl OnDisk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("portico.db")).await.unwrap();
        OnDisk { database, folder }
    }
}

fn alice() -> StoredAccount {
    StoredAccount {
        account: Account {
            aor: AddressOfRecord::parse("alice@example.test").unwrap(),
            display_name: "Alice".into(),
            site: SiteId::new("main"),
            enabled: true,
            created_at: 1,
        },
        credentials: Vec::new(),
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let OnDisk { database, folder } = OnDisk::new().await;
    database.add_domain("example.test").await.unwrap();
    database.create_account(alice()).await.unwrap();
    database.close().await;
    assert!(database.ping().await.is_err());

    let again = Database::open(&folder.path().join("portico.db")).await.unwrap();
    again.ping().await.unwrap();
    assert_eq!(again.account(&alice().account.aor).await.unwrap(), Some(alice()));
}

#[tokio::test]
async fn a_file_of_the_version_before_keeps_its_accounts_and_gets_presence() {
    use store::{ContactsWrite, PresenceStore};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portico.db");
    let old = options().filename(&path).create_if_missing(true);
    let old = pool(1).connect_with(old).await.unwrap();
    let first = MIGRATIONS.iter().filter(|migration| migration.version == 1);
    let before = sqlx::migrate::Migrator {
        migrations: first.cloned().collect::<Vec<_>>().into(),
        ..sqlx::migrate::Migrator::DEFAULT
    };
    before.run(&old).await.unwrap();
    for statement in [
        "INSERT INTO sip_domains VALUES ('example.test')",
        "INSERT INTO sites VALUES ('main')",
        "INSERT INTO accounts VALUES ('alice@example.test', 'example.test', 'Alice', 'main', 1, 1)",
    ] {
        sqlx::query(statement).execute(&old).await.unwrap();
    }
    old.close().await;

    let database = Database::open(&path).await.unwrap();
    let key = &alice().account.aor;
    assert_eq!(database.account(key).await.unwrap(), Some(alice()));
    assert_eq!(database.presence(key).await.unwrap(), Default::default());
    let write = ContactsWrite {
        delta: 1,
        ..ContactsWrite::default()
    };
    database.write_contacts(key, &write).await.unwrap();
    assert!(database.contacts(key).await.unwrap().is_some());
    let found = database
        .search_accounts(&store::AccountSearch::new(["ÁLI"]), 9)
        .await;
    assert_eq!(found.unwrap().accounts, [alice().account]);
}

/// What somebody writes past this program, as an administrator by hand.
#[tokio::test]
async fn a_search_sees_what_others_wrote_and_words_go_with_their_account() {
    let database = Database::in_memory().await.unwrap();
    database.add_domain("example.test").await.unwrap();
    database.create_account(alice()).await.unwrap();
    let sql = async |statement: &'static str| {
        sqlx::query(statement).execute(database.writer()).await.unwrap();
    };
    let found = async |text| {
        let search = store::AccountSearch::new([text]);
        database.search_accounts(&search, 9).await.unwrap().accounts.len()
    };
    sql("UPDATE accounts SET display_name = 'Zoë'").await;
    assert_eq!(
        (found("zoe").await, found("alice").await),
        (1, 1),
        "alice by the address"
    );
    sql("INSERT INTO accounts VALUES ('x@example.test', 'example.test', 'Zoé', 'main', 1, 1)").await;
    assert_eq!(found("zoe").await, 2);
    sql("DELETE FROM accounts").await;
    let words: i64 = sqlx::query_scalar("SELECT count(*) FROM account_words")
        .fetch_one(database.readers())
        .await
        .unwrap();
    assert_eq!((found("zoe").await, words), (0, 0));
}

#[tokio::test]
async fn words_are_found_by_their_index() {
    let database = Database::in_memory().await.unwrap();
    let plan = "EXPLAIN QUERY PLAN SELECT aor FROM accounts WHERE enabled \
         AND aor IN (SELECT aor FROM account_words WHERE word >= 'a' AND word < 'b') ORDER BY aor LIMIT 9";
    let rows = sqlx::query(plan).fetch_all(database.readers()).await.unwrap();
    let steps: Vec<String> = rows
        .iter()
        .map(|row| sqlx::Row::get::<String, _>(row, "detail"))
        .collect();
    assert!(
        steps
            .iter()
            .all(|step| !step.starts_with("SCAN accounts") && !step.starts_with("SCAN account_words")),
        "{steps:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_any_of_its_files() {
    use std::os::unix::fs::PermissionsExt;
    let OnDisk { database, folder } = OnDisk::new().await;
    database.add_domain("example.test").await.unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["portico.db", "portico.db-shm", "portico.db-wal"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_could_read_is_narrowed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portico.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    Database::open(&path).await.unwrap().close().await;
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn the_connections_are_set_up_as_promised() {
    let OnDisk {
        database,
        folder: _folder,
    } = OnDisk::new().await;
    for (pragma, expected) in [
        ("PRAGMA foreign_keys", 1_i64),
        ("PRAGMA synchronous", 2),
        ("PRAGMA busy_timeout", 5_000),
    ] {
        let value: i64 = sqlx::query_scalar(pragma)
            .fetch_one(database.writer())
            .await
            .unwrap();
        assert_eq!(value, expected, "{pragma}");
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(database.writer())
        .await
        .unwrap();
    assert_eq!(mode, "wal");
    sqlx::query("DELETE FROM accounts")
        .execute(database.readers())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_reader_is_not_held_up_by_a_writer() {
    let OnDisk {
        database,
        folder: _folder,
    } = OnDisk::new().await;
    database.add_domain("example.test").await.unwrap();
    let mut tx = database.write().await.unwrap();
    sqlx::query("INSERT INTO sip_domains (name) VALUES ('other.test')")
        .execute(&mut *tx)
        .await
        .unwrap();
    assert_eq!(database.domains().await.unwrap(), ["example.test"]);
    tx.commit().await.unwrap();
    assert_eq!(database.domains().await.unwrap(), ["example.test", "other.test"]);
}

#[tokio::test]
async fn concurrent_changes_of_one_policy_all_take_effect() {
    use store::{PolicyScope, PolicyStore, SettingValue, StoredPolicy};
    let OnDisk {
        database,
        folder: _folder,
    } = OnDisk::new().await;
    let policy = StoredPolicy {
        kind: "im".into(),
        scope: PolicyScope::Global,
        values: Default::default(),
    };
    database.create_policy(&policy).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let database = database.clone();
        tasks.spawn(async move {
            let values = [(format!("key{number}"), SettingValue::Number(number))].into();
            database
                .set_policy_values("im", &PolicyScope::Global, &values)
                .await
                .unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(database.policies().await.unwrap()[0].values.len(), 16);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portico.db");
    std::fs::write(
        &path,
        "this is a letter, not a database, and long enough to be looked at".repeat(20),
    )
    .unwrap();
    assert!(matches!(Database::open(&path).await, Err(StoreError::Driver(_))));
}

#[tokio::test]
async fn a_schema_from_the_future_is_named() {
    let OnDisk { database, folder } = OnDisk::new().await;
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, '', 1, x'00', 0)")
        .execute(database.writer())
        .await
        .unwrap();
    database.close().await;
    let error = Database::open(&folder.path().join("portico.db"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Inconsistent(text) if text.contains("9999")),
        "{error}"
    );
}

#[tokio::test]
async fn stored_nonsense_is_reported_as_inconsistent() {
    use store::{PolicyStore, PresenceStore};
    let OnDisk {
        database,
        folder: _folder,
    } = OnDisk::new().await;
    for statement in [
        "INSERT INTO policies VALUES ('im', 'global', '', '[1]')",
        "INSERT INTO sip_domains VALUES ('example.test')",
        "INSERT INTO sites VALUES ('main')",
        "INSERT INTO accounts VALUES ('alice@example.test', 'example.test', '', 'main', 1, 0)",
        "INSERT INTO credentials VALUES ('alice@example.test', 'retina', x'00')",
        "INSERT INTO presence_publications VALUES ('alice@example.test', 'note', -1, 0, 1, 0, NULL, x'')",
        "INSERT INTO contact_lists VALUES ('alice@example.test', 1, 0)",
        "INSERT INTO contacts VALUES ('alice@example.test', 'Bob@Example.Test', 1, '', '[]', 1, '')",
    ] {
        sqlx::query(statement).execute(database.writer()).await.unwrap();
    }
    let key = &alice().account.aor;
    assert!(matches!(
        database.presence(key).await,
        Err(StoreError::Inconsistent(_))
    ));
    assert!(matches!(
        database.contacts(key).await,
        Err(StoreError::Inconsistent(_))
    ));
    assert!(matches!(
        database.policies().await,
        Err(StoreError::Inconsistent(_))
    ));
    assert!(matches!(
        database.account(key).await,
        Err(StoreError::Inconsistent(_))
    ));
}
