//! `porticoctl` against a running server: answers and exit codes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Server, ctl};

const ALICE: &str = "alice@example.test";

/// A server with one account.
fn server_with_alice() -> Server {
    let server = Server::start("run");
    let created = server.ctl_with(
        &[
            "user",
            "create",
            ALICE,
            "--password-stdin",
            "--display-name",
            "Alice A",
        ],
        "secret one\n",
    );
    assert_eq!(created.code, 0, "{created:?}");
    server
}

#[test]
fn an_account_lives_from_create_to_delete() {
    let server = server_with_alice();
    let shown = server.ctl(&["user", "show", ALICE, "-o", "json"]).json();
    assert_eq!(
        (
            &shown["address"],
            &shown["display_name"],
            &shown["site"],
            &shown["enabled"],
            &shown["ntlm"]
        ),
        (
            &ALICE.into(),
            &"Alice A".into(),
            &"main".into(),
            &true.into(),
            &false.into()
        )
    );

    let changed = server
        .ctl(&[
            "-o",
            "json",
            "user",
            "set",
            ALICE,
            "--enabled",
            "false",
            "--site",
            "north",
        ])
        .json();
    assert_eq!(
        (&changed["enabled"], &changed["site"]),
        (&false.into(), &"north".into())
    );

    let changed = server.ctl_with(
        &[
            "user",
            "passwd",
            ALICE,
            "--password-stdin",
            "--ntlm",
            "true",
            "-o",
            "json",
        ],
        "two\n",
    );
    assert_eq!(changed.json()["ntlm"], true);

    assert_eq!(server.ctl(&["user", "delete", ALICE, "--yes"]).code, 0);
    assert_eq!(server.ctl(&["user", "show", ALICE]).code, 3);
    assert_eq!(
        server.ctl(&["user", "list", "-o", "json"]).json(),
        serde_json::json!([])
    );
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let server = server_with_alice();
    for (arguments, code) in [
        (vec!["user", "create", ALICE], 4),
        (vec!["user", "create", "alice@elsewhere.test"], 1),
        (vec!["user", "create", "not an address"], 1),
        (vec!["user", "show", "bob@example.test"], 3),
        (vec!["user", "sessions", "bob@example.test"], 3),
        (vec!["user", "passwd", "bob@example.test"], 3),
        (vec!["user", "delete", "bob@example.test", "--yes"], 3),
        (vec!["user", "delete", ALICE], 2),
        (vec!["user", "set", ALICE], 2),
        (vec!["user", "dance"], 2),
        (vec!["--token", "x", "status"], 2),
        (vec!["policy", "create", "weather", "global"], 3),
        (vec!["policy", "create", "im", "global", "--colour", "red"], 1),
        (vec!["policy", "create", "im", "global", "--enabled"], 2),
        (vec!["policy", "show", "im", "global"], 3),
        (vec!["policy", "effective", "im", "bob@example.test"], 3),
    ] {
        let answer = server.ctl(&arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {answer:?}");
        assert!(!answer.err.is_empty(), "{arguments:?} said nothing");
    }
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let server = Server::start("run");
    let answer = server.ctl(&["user", "show", ALICE, "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(&answer.err).unwrap();
    assert_eq!(error["code"], "not_found");
    assert!(error["message"].as_str().unwrap().contains(ALICE), "{error}");
}

#[test]
fn without_a_server_it_says_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let answer = ctl(dir.path(), &["status"], "");
    assert_eq!(answer.code, 7);
    assert!(answer.err.contains(dir.path().to_str().unwrap()), "{answer:?}");
}

#[test]
fn a_generated_password_is_shown_once() {
    let server = Server::start("run");
    let created = server.ctl(&["user", "create", ALICE, "-o", "json"]).json();
    assert_eq!(created["user"]["address"], ALICE);
    assert_eq!(created["password"].as_str().unwrap().split('-').count(), 6);
    assert!(
        !server
            .ctl(&["user", "show", ALICE, "-o", "json"])
            .out
            .contains("password")
    );
}

#[test]
fn an_empty_password_is_no_password() {
    let server = Server::start("run");
    assert_eq!(
        server
            .ctl_with(&["user", "create", ALICE, "--password-stdin"], "\n")
            .code,
        2
    );
    assert_eq!(server.ctl(&["user", "show", ALICE]).code, 3);
}

#[test]
fn policies_apply_from_the_nearest_and_say_why() {
    let server = server_with_alice();
    let effective = || {
        server
            .ctl(&["policy", "effective", "im", ALICE, "-o", "json"])
            .json()
    };
    assert!(effective()["name"].is_null(), "{}", effective());

    assert_eq!(
        server
            .ctl(&["policy", "create", "im", "global", "--max-text-bytes", "100"])
            .code,
        0
    );
    assert_eq!(effective()["name"], "global");
    assert_eq!(
        server
            .ctl(&["policy", "create", "im", "site:main", "--max-text-bytes", "200"])
            .code,
        0
    );
    assert_eq!(effective()["values"]["max_text_bytes"], 200);

    assert_eq!(
        server.ctl(&["policy", "grant", "im", "quiet", ALICE]).code,
        3,
        "there is no such policy yet"
    );
    assert_eq!(
        server
            .ctl(&["policy", "create", "im", "quiet", "--enabled=false"])
            .code,
        0
    );
    assert_eq!(server.ctl(&["policy", "create", "im", "quiet"]).code, 4);
    assert_eq!(server.ctl(&["policy", "grant", "im", "quiet", ALICE]).code, 0);
    assert_eq!(
        (&effective()["name"], &effective()["values"]["enabled"]),
        (&"quiet".into(), &false.into())
    );

    assert_eq!(
        server
            .ctl(&["policy", "set", "im", "quiet", "--enabled", "true"])
            .code,
        0
    );
    assert_eq!(
        effective()["values"]["enabled"],
        true,
        "a change takes effect without a restart"
    );
    assert_eq!(server.ctl(&["policy", "revoke", "im", ALICE]).code, 0);
    assert_eq!(effective()["name"], "site:main");
    assert_eq!(server.ctl(&["policy", "delete", "im", "site:main"]).code, 0);
    assert_eq!(effective()["name"], "global");

    let names: Vec<_> = server
        .ctl(&["policy", "list", "im", "-o", "json"])
        .json()
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(names.len(), 2, "{names:?}");
    let kinds = server.ctl(&["policy", "kinds", "-o", "json"]).json();
    assert!(
        kinds
            .as_array()
            .unwrap()
            .iter()
            .any(|kind| kind["kind"] == "registration"),
        "{kinds}"
    );
}

#[test]
fn status_fits_one_screen_and_counts_accounts() {
    let server = server_with_alice();
    let status = server.ctl(&["status", "-o", "json"]).json();
    assert_eq!(
        (&status["state"], &status["member"]),
        (&"serving".into(), &"fe1".into())
    );
    assert_eq!(
        status["listeners"]["sip_tls"],
        server.ready["listeners"]["sip_tls"]
    );
    assert_eq!(status["totals"]["accounts"], 1);
    assert_eq!(status["warnings"], serde_json::json!([]));
    assert!(server.ctl(&["status"]).out.lines().count() < 24);
}

#[test]
fn every_change_of_presence_is_a_line_until_the_server_stops() {
    let server = server_with_alice();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_porticoctl"))
        .args(["-o", "json", "presence", "watch", ALICE, "--data-dir"])
        .arg(server.data_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["state"], "offline");
    let noted = server.ctl(&["presence", "set", ALICE, "--note", "On leave"]);
    assert_eq!(noted.code, 0, "{noted:?}");
    assert_eq!(next()["notes"][0]["text"], "On leave");
    let cleared = server.ctl(&["presence", "set", ALICE, "--clear-note"]);
    assert_eq!(cleared.code, 0, "{cleared:?}");
    assert_eq!(next()["notes"], Value::Array(Vec::new()));
    rustix::process::kill_process(server.pid(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(watching.wait().unwrap().code(), Some(1));
}

#[test]
fn slips_in_what_is_set_of_presence_are_usage_errors() {
    let server = server_with_alice();
    for arguments in [
        &["presence", "set", ALICE][..],
        &["presence", "set", ALICE, "--calendar", "busy"],
        &["presence", "set", ALICE, "--until", "1800000000", "--note", "x"],
        &[
            "presence",
            "set",
            ALICE,
            "--calendar",
            "free",
            "--out-of-office",
            "on",
        ],
        &["presence", "set", ALICE, "--reply", "x"],
        &["presence", "set", ALICE, "--note", "x", "--clear-note"],
    ] {
        let refused = server.ctl(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}: {refused:?}");
    }
}

#[test]
fn accounts_are_imported_and_exported_as_csv() {
    let server = Server::start("run");
    let csv = "address,password,display_name\na@example.test,p1,\"Ann, A\"\nb@elsewhere.test,p2,B\nc@example.test,p3,\n";
    let imported = server.ctl_with(&["user", "import", "-"], csv);
    assert_eq!(imported.code, 1, "{imported:?}");
    assert!(imported.out.contains("2 of 3 accounts created"), "{imported:?}");
    assert!(
        imported.err.contains("-:3: b@elsewhere.test: "),
        "the line is told: {imported:?}"
    );
    let exported = server.ctl(&["user", "export"]);
    assert_eq!(
        exported.out,
        "address,display_name,site,enabled,ntlm\na@example.test,\"Ann, A\",main,true,false\n\
         c@example.test,c,main,true,false\n"
    );
}

#[test]
fn accounts_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Server::start_in("run", dir.path());
    assert_eq!(
        start()
            .ctl_with(&["user", "create", ALICE, "--password-stdin"], "one\n")
            .code,
        0
    );
    assert_eq!(start().ctl(&["user", "show", ALICE]).code, 0);
}

#[test]
fn a_shell_learns_our_words_without_a_server() {
    let nowhere = Path::new("/nonexistent");
    for shell in ["bash", "zsh", "fish"] {
        let script = ctl(nowhere, &["completion", shell], "");
        assert_eq!(script.code, 0, "{script:?}");
        for word in ["porticoctl", "effective", "passwd"] {
            assert!(script.out.contains(word), "{shell}: {word} is missing");
        }
    }
    assert_eq!(ctl(nowhere, &["completion", "dos"], "").code, 2);
}
