use sip_types::AddressOfRecord;
use store::{
    Account, AccountStore, AuditCategory, AuditEntry, AuditStore, ContactsWrite, CredentialKind, GroupPatch,
    GroupStore, Groups, OrganisationalGroup, PlaceStore, PolicyScope, PolicyStore, PresenceStore,
    PublicationWrite, SealedCredential, SettingValue, StoredAccount, StoredContact, StoredContacts,
    StoredContainer, StoredGroup, StoredPolicy, StoredPresence, StoredPublication, StoredRules,
};
use store_postgres::ConnectOptions;
use test_support::stores::{PostgresDatabase, PostgresServer};
use topology::SiteId;

use super::*;

/// More than a page, so that what is between two of them is seen.
const ACCOUNTS: usize = PAGE as usize + 7;

fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

fn entry(at: i64, subject: &str) -> AuditEntry {
    AuditEntry {
        at,
        category: AuditCategory::Administration,
        actor: "administrator".into(),
        action: "user.create".into(),
        subject: subject.into(),
        detail: "because".into(),
    }
}

fn account(number: usize) -> StoredAccount {
    StoredAccount {
        account: Account {
            aor: aor(&format!("user{number}")),
            display_name: format!("Ängström {number}"),
            site: SiteId::new(if number.is_multiple_of(2) { "main" } else { "north" }),
            enabled: !number.is_multiple_of(3),
            created_at: number as i64,
        },
        credentials: vec![SealedCredential {
            kind: CredentialKind::DigestSha256,
            sealed: vec![0, 255, (number % 256) as u8],
        }],
    }
}

/// What user3 published and decided.
fn presence() -> StoredPresence {
    let publication = |instance, expires_at| StoredPublication {
        category: "note".into(),
        instance,
        container: 200,
        version: u32::MAX,
        published_at: 1_800_000_000_000,
        expires_at,
        data: vec![0, 255, b'x'],
    };
    let container = StoredContainer {
        id: 300,
        version: 2,
        members: vec!["user:user5@example.test".into(), "ü\u{0}".into()],
    };
    StoredPresence {
        publications: vec![publication(0, None), publication(1, Some(1_900_000_000_000))],
        rules: Some(StoredRules {
            revision: 7,
            containers: vec![container],
        }),
        acknowledged: vec![aor("user5"), aor("user9")],
    }
}

/// Whom user3 knows.
fn contacts() -> StoredContacts {
    StoredContacts {
        delta: 9,
        last_group: 4,
        groups: vec![StoredGroup {
            id: 1,
            name: "~".into(),
            external_uri: String::new(),
        }],
        contacts: vec![StoredContact {
            uri: aor("user5"),
            added: 9,
            name: "Fünf".into(),
            groups: vec![1],
            subscribed: true,
            external_uri: "https://example.test/5".into(),
        }],
    }
}

async fn write_presence(store: &impl PresenceStore, user: &AddressOfRecord) {
    let StoredPresence {
        publications,
        rules,
        acknowledged,
    } = presence();
    let put = |publication| PublicationWrite::Put {
        expected: 0,
        publication,
    };
    let writes: Vec<_> = publications.into_iter().map(put).collect();
    store.write_publications(user, &writes).await.unwrap();
    store.write_rules(user, 0, &rules.unwrap()).await.unwrap();
    store.acknowledge(user, &acknowledged).await.unwrap();
    let list = contacts();
    let write = ContactsWrite {
        delta: list.delta,
        last_group: list.last_group,
        put_groups: list.groups,
        put_contacts: list.contacts,
        ..ContactsWrite::default()
    };
    store.write_contacts(user, &write).await.unwrap();
}

/// Who is in the group of sales.
fn members() -> Vec<AddressOfRecord> {
    vec![aor("user5"), aor("user9")]
}

/// A data directory as a Standard Edition leaves it.
async fn standard() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let database = store_embedded::Database::open(&dir.path().join(DATABASE))
        .await
        .unwrap();
    database.add_domain("example.test").await.unwrap();
    for number in 0..ACCOUNTS {
        database.create_account(account(number)).await.unwrap();
    }
    let strict = StoredPolicy {
        kind: "im".into(),
        scope: PolicyScope::Tag("strict".into()),
        values: [("note".to_owned(), SettingValue::Text("ü\u{0}".into()))].into(),
    };
    database.create_policy(&strict).await.unwrap();
    database
        .grant_policy("im", Some("strict"), &aor("user5"))
        .await
        .unwrap();
    write_presence(&database, &aor("user3")).await;
    let sales = OrganisationalGroup {
        address: aor("sales"),
        display_name: "Sales".into(),
        created_at: 1_800_000_000,
        size: 0,
    };
    database.create_group(&sales).await.unwrap();
    let patch = GroupPatch {
        add: members(),
        ..GroupPatch::default()
    };
    database.change_group(&sales.address, &patch, 10).await.unwrap();
    database
        .append_audit(&[entry(2, "first"), entry(1, "with a zero \0 byte")])
        .await
        .unwrap();
    database.close().await;
    std::fs::write(dir.path().join(KEY_FILE), "key").unwrap();
    dir
}

async fn empty() -> PostgresDatabase {
    PostgresServer::shared().await.unwrap().database().await.unwrap()
}

async fn open(postgres: &PostgresDatabase) -> store_postgres::Database {
    store_postgres::Database::connect(&postgres.url(), ConnectOptions::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn everything_arrives_and_a_second_move_changes_nothing() {
    let (dir, postgres) = (standard().await, empty().await);
    let report = move_to_pool(dir.path(), &postgres.url()).await.unwrap();
    assert!(!report.was_there);
    assert_eq!(report.key_file, Some(dir.path().join(KEY_FILE)));
    let rows: Vec<_> = report
        .tables
        .iter()
        .map(|table| (table.name, table.rows))
        .collect();
    let accounts = ACCOUNTS as u64;
    assert_eq!(
        rows,
        [
            ("sip_domains", 1),
            ("sites", 2),
            ("accounts", accounts),
            ("organisational_groups", 1),
            ("organisational_group_members", 2),
            ("credentials", accounts),
            ("policies", 1),
            ("grants", 1),
            ("presence_publications", 2),
            ("presence_rules", 1),
            ("presence_acknowledged", 2),
            ("contact_lists", 1),
            ("contact_groups", 1),
            ("contacts", 1),
            ("audit", 2)
        ]
    );

    let pool = open(&postgres).await;
    let mut after = None;
    let mut seen = 0;
    loop {
        let page = pool.accounts(after.as_ref(), 500).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.account.aor.clone());
        for stored in page {
            let number: usize = stored.account.aor.user()["user".len()..].parse().unwrap();
            assert_eq!(stored, account(number));
            seen += 1;
        }
    }
    assert_eq!(seen, ACCOUNTS);
    assert_eq!(
        pool.policies().await.unwrap()[0].values["note"],
        SettingValue::Text("ü\u{0}".into())
    );
    assert_eq!(pool.grants(&aor("user5")).await.unwrap()["im"], "strict");
    assert_eq!(pool.presence(&aor("user3")).await.unwrap(), presence());
    assert_eq!(pool.contacts(&aor("user3")).await.unwrap(), Some(contacts()));
    assert_eq!(pool.group_members(&aor("sales")).await.unwrap(), members());

    // A table that is the same already is no obstacle: a member was started before the move.
    postgres
        .sql("TRUNCATE sites, policies, audit CASCADE")
        .await
        .unwrap();
    let second = move_to_pool(dir.path(), &postgres.url()).await.unwrap();
    assert!(!second.was_there);
    assert_eq!(second.tables, report.tables);

    let again = move_to_pool(dir.path(), &postgres.url()).await.unwrap();
    assert!(again.was_there);
    assert_eq!(again.tables, report.tables);

    // The pool writes on behind what came.
    pool.append_audit(&[entry(3, "third")]).await.unwrap();
    let subjects: Vec<_> = pool
        .audit(10)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.subject)
        .collect();
    assert_eq!(subjects, ["third", "with a zero \u{fffd} byte", "first"]);
}

#[tokio::test]
async fn a_pool_that_holds_something_else_is_refused_and_left_alone() {
    let (dir, postgres) = (standard().await, empty().await);
    store_postgres::migrate(&postgres.url(), PATIENCE).await.unwrap();
    let pool = open(&postgres).await;
    pool.add_domain("other.test").await.unwrap();
    let error = move_to_pool(dir.path(), &postgres.url()).await.unwrap_err();
    assert!(
        matches!(
            error,
            MoveError::NotEmpty {
                table: "sip_domains",
                rows: 1
            }
        ),
        "{error}"
    );
    assert_eq!(pool.domains().await.unwrap(), ["other.test"]);
    assert_eq!(pool.account_count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_move_that_fails_half_way_leaves_nothing_and_can_be_done_again() {
    let (dir, postgres) = (standard().await, empty().await);
    store_postgres::migrate(&postgres.url(), PATIENCE).await.unwrap();
    // The last table refuses, when all the others are written.
    let refuse = "ALTER TABLE audit ADD CONSTRAINT refuse CHECK (subject <> 'first')";
    postgres.sql(refuse).await.unwrap();
    let error = move_to_pool(dir.path(), &postgres.url()).await.unwrap_err();
    assert!(matches!(error, MoveError::Target(_)), "{error}");
    assert_eq!(postgres.sql("SELECT count(*) FROM accounts").await.unwrap(), "0");
    postgres
        .sql("ALTER TABLE audit DROP CONSTRAINT refuse")
        .await
        .unwrap();
    assert!(!move_to_pool(dir.path(), &postgres.url()).await.unwrap().was_there);
}

#[tokio::test]
async fn what_arrives_changed_is_noticed_before_it_is_true() {
    let (dir, postgres) = (standard().await, empty().await);
    store_postgres::migrate(&postgres.url(), PATIENCE).await.unwrap();
    let meddle = "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.display_name := 'x'; RETURN NEW; END $$; \
         CREATE TRIGGER meddle BEFORE INSERT ON accounts FOR EACH ROW \
         WHEN (NEW.aor = 'user7@example.test') EXECUTE FUNCTION meddle()";
    postgres.sql(meddle).await.unwrap();
    let error = move_to_pool(dir.path(), &postgres.url()).await.unwrap_err();
    assert!(
        matches!(&error, MoveError::Differs { table: "accounts", sent, arrived } if sent.rows == arrived.rows),
        "{error}"
    );
    assert_eq!(postgres.sql("SELECT count(*) FROM accounts").await.unwrap(), "0");
}

#[tokio::test]
async fn a_directory_without_a_database_or_with_a_server_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = "postgres://127.0.0.1:1/pool";
    let error = move_to_pool(dir.path(), nowhere).await.unwrap_err();
    assert!(matches!(error, MoveError::NoSource(_)), "{error}");
    assert!(!dir.path().join(DATABASE).exists(), "nothing was made");

    let used = standard().await;
    let _server = control::bind(&control::socket_path(used.path())).unwrap();
    let error = move_to_pool(used.path(), nowhere).await.unwrap_err();
    assert!(
        matches!(error, MoveError::InUse(StartError::DataDirInUse(_))),
        "{error}"
    );
}
