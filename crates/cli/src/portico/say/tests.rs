//! The shape of what others parse or paste.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use server::DemoPerson;

use super::*;

fn ready() -> Ready {
    Ready {
        member: "fe1".to_owned(),
        roles: vec!["registrar", "immcu", "front-end"],
        listeners: BTreeMap::from([
            ("ops", "127.0.0.1:9090".parse().unwrap()),
            ("sip_tls", "127.0.0.1:5061".parse().unwrap()),
        ]),
        ca: Some(PathBuf::from("/data/pki/ca.pem")),
    }
}

fn demo(password: Option<&str>) -> Demo {
    let person = |name: &str| DemoPerson {
        address: format!("{name}@example.test"),
        password: password.map(str::to_owned),
    };
    Demo {
        domain: "example.test".to_owned(),
        people: ["alice", "bob", "carol", "dave"]
            .into_iter()
            .map(person)
            .collect(),
        echo: "echo@example.test".to_owned(),
    }
}

fn config() -> Config {
    config::Layers::new("/data").load().unwrap()
}

#[test]
fn the_ready_line_is_one_json_object_with_the_addresses_really_bound() {
    assert_eq!(
        ready_json(&ready()),
        r#"{"event":"ready","member":"fe1","roles":["registrar","immcu","front-end"],"listeners":{"ops":"127.0.0.1:9090","sip_tls":"127.0.0.1:5061"},"ca":"/data/pki/ca.pem"}"#
    );
}

#[test]
fn the_demo_line_names_the_people() {
    let line: serde_json::Value = serde_json::from_str(&demo_json(&demo(Some("red-fox-1")))).unwrap();
    assert_eq!(line["event"], "demo");
    assert_eq!(line["people"][0]["address"], "alice@example.test");
    assert_eq!(line["people"][3]["password"], "red-fox-1");
    assert_eq!(line["echo"], "echo@example.test");
}

#[test]
fn a_newcomer_reads_where_to_connect_and_what_to_paste() {
    let text = ready_text(&config(), &ready(), Some(&demo(Some("red-fox-1"))), "porticoctl");
    for part in [
        "SIP over TLS   127.0.0.1:5061",
        "/data/pki/ca.pem",
        "alice@example.test     red-fox-1",
        "<sip:alice@example.test>;auth_user=alice;auth_pass=red-fox-1;outbound=\"sip:127.0.0.1:5061;transport=tls\"",
        "reg_proxy=<sip:localhost:5061;transport=tls>",
        "authentication scheme NTLM",
        "porticoctl --data-dir /data user passwd alice@example.test",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_second_start_of_the_demo_says_how_to_get_a_new_password() {
    let text = ready_text(&config(), &ready(), Some(&demo(None)), "porticoctl");
    assert!(text.contains("Passwords are shown once. A new one:"), "{text}");
    assert!(text.contains("auth_pass=PASSWORD"), "{text}");
}

#[test]
fn without_the_demo_it_says_how_to_make_an_account() {
    let text = ready_text(&config(), &ready(), None, "/opt/porticoctl");
    assert!(
        text.contains("/opt/porticoctl --data-dir /data user create alice@example.test"),
        "{text}"
    );
}

#[test]
fn a_busy_port_is_named_with_what_to_set() {
    let error = StartError::Bind {
        key: "sip.tls_listen",
        address: "127.0.0.1:5061".parse().unwrap(),
        source: io::Error::from(io::ErrorKind::AddrInUse),
    };
    let text = start_error(&error, false);
    assert!(text.starts_with("port 5061 is in use (sip.tls_listen"), "{text}");
    assert!(text.contains("PORTICO_SIP__TLS_LISTEN=127.0.0.1:0"), "{text}");
    let text = start_error(&error, true);
    assert!(text.ends_with("--port-offset 1000"), "{text}");
}
