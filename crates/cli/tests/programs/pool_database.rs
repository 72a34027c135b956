//! A member on Postgres, and the way there from a Standard Edition.

use std::path::Path;

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use test_support::stores::{PostgresDatabase, PostgresServer};

use crate::support::{Answer, Server, ctl, portico};

const ALICE: &str = "alice@example.test";

async fn empty() -> PostgresDatabase {
    PostgresServer::shared().await.unwrap().database().await.unwrap()
}

fn migrate(url: &str, wait: &str) -> Answer {
    portico()
        .args(["migrate", "--wait", wait])
        .env("PORTICO_STORE__DATABASE", url)
        .output()
        .unwrap()
        .into()
}

fn stop(server: Server) {
    kill_process(server.pid(), Signal::TERM).unwrap();
    assert_eq!(server.exit_code(), Some(0));
}

fn move_to(data_dir: &Path, url: &str) -> Answer {
    let arguments = ["-o", "json", "migrate", "standard-to-pool", "--database", url];
    ctl(data_dir, &arguments, "")
}

#[tokio::test]
async fn migrate_makes_the_schema_on_postgres_and_may_be_repeated() {
    let postgres = empty().await;
    for _ in 0..2 {
        let answer = migrate(&postgres.url(), "10s");
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    assert_eq!(postgres.sql("SELECT count(*) FROM accounts").await.unwrap(), "0");

    let nobody = format!("postgres://al:{}@127.0.0.1:1/pool", postgres.password());
    let refused = migrate(&nobody, "0s");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused
            .err
            .contains("store.database: postgres://al:***@127.0.0.1:1/pool"),
        "{refused:?}"
    );
    assert!(!refused.err.contains(postgres.password()), "{refused:?}");
    assert_eq!(migrate(&nobody, "soon").code, 2, "not a duration");
}

#[tokio::test]
async fn a_standard_edition_goes_on_as_a_member_of_a_pool() {
    let (dir, postgres) = (tempfile::tempdir().unwrap(), empty().await);
    let url = postgres.url();
    let standard = Server::start_in("run", dir.path());
    let data_dir = standard.data_dir();
    let create = [
        "user",
        "create",
        ALICE,
        "--password-stdin",
        "--display-name",
        "Alice A",
    ];
    assert_eq!(standard.ctl_with(&create, "secret one\n").code, 0);

    let in_use = move_to(&data_dir, &url);
    assert_eq!(in_use.code, 4, "{in_use:?}");
    stop(standard);

    let moved = move_to(&data_dir, &url);
    assert_eq!(moved.code, 0, "{moved:?}");
    assert_eq!(moved.json()["was_there"], Value::Bool(false));
    let key_file = moved.json()["key_file"].as_str().unwrap().to_owned();
    let again = move_to(&data_dir, &url);
    assert_eq!(again.json()["was_there"], Value::Bool(true), "{again:?}");

    // The member has the key, and the URL from a file.
    let secret = dir.path().join("url");
    std::fs::write(&secret, format!("{url}\n")).unwrap();
    let variables = [
        ("PORTICO_STORE__DATABASE_FILE", secret.to_str().unwrap()),
        ("PORTICO_SECRETS__KEY_FILE", &key_file),
    ];
    let member = Server::start_with("run", &[], &variables, &dir.path().join("member"));
    let shown = member.ctl(&["user", "show", ALICE, "-o", "json"]).json();
    assert_eq!(shown["display_name"], "Alice A");
    let created = member.ctl_with(
        &["user", "create", "bob@example.test", "--password-stdin"],
        "secret two\n",
    );
    assert_eq!(created.code, 0, "{created:?}");
    stop(member);
    assert_eq!(postgres.sql("SELECT count(*) FROM accounts").await.unwrap(), "2");

    // The pool has gone on: there is no way back into it.
    let late = move_to(&data_dir, &url);
    assert_eq!(late.code, 4, "{late:?}");
    assert!(
        late.err.contains("not empty") && !late.err.contains(postgres.password()),
        "{late:?}"
    );
}

#[test]
fn a_move_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let url = "postgres://al:s3cret@127.0.0.1:1/pool";
    assert_eq!(move_to(dir.path(), url).code, 3, "no database in the directory");
    let no_url = ctl(dir.path(), &["migrate", "standard-to-pool"], "");
    assert_eq!(no_url.code, 2, "{no_url:?}");
    assert!(no_url.err.contains("--database"), "{no_url:?}");
}
