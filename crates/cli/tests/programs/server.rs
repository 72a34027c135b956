//! `portico`: what it says when it starts, when it cannot, and when it is told to stop.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Signal, kill_process};

use crate::support::{Answer, Server, portico};

fn run(arguments: &[&str]) -> Answer {
    portico().args(arguments).output().unwrap().into()
}

/// Status and body of a page of the ops listener.
fn page(server: &Server, path: &str) -> (u16, String) {
    asked(server, "GET", path)
}

/// What the ops listener answers to a request without a body.
fn asked(server: &Server, method: &str, path: &str) -> (u16, String) {
    let address: SocketAddr = server.ready["listeners"]["ops"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn the_ready_line_tells_member_roles_listeners_and_authority() {
    let server = Server::start("run");
    assert_eq!(server.ready["member"], "fe1");
    assert_eq!(
        server.ready["roles"],
        serde_json::json!(["registrar", "presence", "immcu", "front-end"])
    );
    for name in ["sip_tls", "sip_tcp", "ops"] {
        let address: SocketAddr = server.ready["listeners"][name].as_str().unwrap().parse().unwrap();
        assert_ne!(address.port(), 0, "{name}");
        assert!(
            TcpStream::connect(address).is_ok(),
            "nobody listens at {name} {address}"
        );
    }
    let ca = std::fs::read_to_string(server.ready["ca"].as_str().unwrap()).unwrap();
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(
        server.before.iter().all(|line| line["event"].is_null()),
        "run has no demo people: {:?}",
        server.before
    );
}

#[test]
fn a_demo_tells_its_people_and_their_passwords_before_it_is_ready() {
    let server = Server::start("demo");
    let demo = server.before.iter().find(|line| line["event"] == "demo").unwrap();
    let people = demo["people"].as_array().unwrap();
    let addresses: Vec<_> = people
        .iter()
        .map(|person| person["address"].as_str().unwrap())
        .collect();
    assert_eq!(
        addresses,
        [
            "alice@example.test",
            "bob@example.test",
            "carol@example.test",
            "dave@example.test"
        ]
    );
    assert!(
        people
            .iter()
            .all(|person| person["password"].as_str().unwrap().len() > 20),
        "{demo}"
    );
    let sessions = server
        .ctl(&["user", "sessions", "echo@example.test", "-o", "json"])
        .json();
    assert_eq!(
        sessions[0]["member"], "demo-bots",
        "the echo contact is signed in: {sessions}"
    );
}

#[test]
fn passwords_of_the_demo_are_in_no_file() {
    let server = Server::start("demo");
    let demo = server.before.iter().find(|line| line["event"] == "demo").unwrap();
    let password = demo["people"][0]["password"].as_str().unwrap();
    let mut files = Vec::new();
    collect(&server.data_dir(), &mut files);
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes
            .windows(password.len())
            .any(|window| window == password.as_bytes());
        assert!(!found, "{} holds a password", file.display());
    }
}

fn collect(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files)
        } else {
            files.push(path)
        }
    }
}

#[test]
fn the_data_directory_is_for_its_owner_only() {
    let server = Server::start("run");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data_dir()), 0o700);
    for file in [
        "portico.db",
        "pool.key",
        "control.sock",
        "pki/ca.key",
        "pki/server.pem",
    ] {
        assert_eq!(mode(&server.data_dir().join(file)), 0o600, "{file}");
    }
}

#[test]
fn health_and_metrics_are_served() {
    let server = Server::start("run");
    assert_eq!(page(&server, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(page(&server, "/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(
        page(&server, "/readyz?verbose").1,
        "state: ok\ndatabase: ok\ncertificate: ok\n"
    );
    let (_, metrics) = page(&server, "/metrics");
    for name in [
        "portico_pool_member_state",
        "portico_registration_active",
        "process_resident_memory_bytes",
    ] {
        assert!(
            metrics.contains(&format!("# TYPE {name} gauge\n")),
            "{name} is missing"
        );
    }
}

/// The labels docs/metrics.md promises for a metric, in order.
fn promised_labels(docs: &str, metric: &str) -> Vec<String> {
    let row = docs
        .lines()
        .find(|line| line.starts_with(&format!("| `{metric}` | ")))
        .unwrap_or_else(|| panic!("{metric} is not in docs/metrics.md"));
    let cell = row.split(" | ").nth(2).unwrap();
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_of_metrics_is_what_its_documentation_says() {
    let docs =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md")).unwrap();
    let server = Server::start("run");
    let (_, text) = page(&server, "/metrics");
    let mut family = String::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split(' ').next().unwrap().to_owned();
        } else if !line.starts_with('#') {
            let labels: Vec<_> = match line.split_once('{') {
                None => Vec::new(),
                Some((_, rest)) => rest
                    .split(',')
                    .map(|label| label.split('=').next().unwrap())
                    .collect(),
            };
            let labels: Vec<_> = labels.into_iter().filter(|label| *label != "le").collect();
            assert_eq!(labels, promised_labels(&docs, &family), "`{line}`");
        }
    }
}

#[test]
fn the_page_of_metrics_is_valid() {
    let server = Server::start("run");
    let (_, text) = page(&server, "/metrics");
    let mut family = String::new();
    let (mut families, mut samples) = (HashSet::new(), HashSet::new());
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} stands in two places");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family = name.to_owned();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "`{line}` stands under {family}");
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "`{line}` has no number");
            assert!(
                samples.insert(line.rsplit_once(' ').unwrap().0.to_owned()),
                "`{line}` stands twice"
            );
        }
    }
}

/// The status line of the answer to an OPTIONS for this Request-URI.
fn options(server: &Server, uri: &str) -> String {
    let address = server.ready["listeners"]["sip_tcp"].as_str().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/TCP client.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:x@client.invalid>;tag=1\r\nTo: <{uri}>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

#[test]
fn a_server_behind_a_balancer_answers_to_the_balancers_names() {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        ("PORTICO_SIP__ADVERTISE", "sip.example.net:443"),
        ("PORTICO_SIP__ALIASES", "lb.example.net,[2001:db8::1]"),
    ];
    let server = Server::start_with("run", &[], &names, dir.path());
    for ours in [
        "sip:sip.example.net",
        "sip:lb.example.net:5061",
        "sip:[2001:db8::1]",
    ] {
        assert_eq!(options(&server, ours), "SIP/2.0 200 OK", "{ours}");
    }
    assert_ne!(options(&server, "sip:other.example.net"), "SIP/2.0 200 OK");
}

#[test]
fn sigterm_stops_it_in_good_order() {
    let server = Server::start("run");
    let socket = server.data_dir().join("control.sock");
    assert!(socket.exists());
    kill_process(server.pid(), Signal::TERM).unwrap();
    let dir = server.data_dir();
    assert_eq!(server.exit_code(), Some(0));
    assert!(!dir.join("control.sock").exists());
}

#[test]
fn a_drain_that_is_asked_for_on_the_ops_listener_ends_it_in_good_order_and_is_waited_for() {
    let server = Server::start("run");
    assert_eq!(page(&server, "/drainz"), (503, "serving\n".to_owned()));
    assert_eq!(
        asked(&server, "POST", "/drainz?wait=20"),
        (200, "drained\n".to_owned())
    );
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn sighup_applies_what_it_can_and_names_what_needs_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("[telemetry]\nlog = \"info\"\n");
    let server = Server::start_with("run", &["--config", file.to_str().unwrap()], &[], dir.path());
    let reload = || kill_process(server.pid(), Signal::HUP).unwrap();

    write("[telemetry]\nlog = \"info,cli=debug\"\n[limits]\nconnections = 100\n[pool]\nmember = \"fe2\"\n");
    reload();
    let warning = server.line("changed, and needs a restart");
    assert_eq!(warning["keys"], "pool.member, limits.connections");
    assert_eq!(server.line("configuration read")["changed"], "telemetry.log");
    server.line("certificate loaded");

    // The log level is in force and so is no difference any more; the rest still is one.
    reload();
    server.line("changed, and needs a restart");
    assert_eq!(server.line("configuration read")["changed"], "");

    write("[telemetry]\nlgo = \"debug\"\n");
    reload();
    let refused = server.line("the configuration is not usable; the old one stays");
    assert!(
        refused["problem"]
            .as_str()
            .unwrap()
            .contains("telemetry.lgo: no such key"),
        "{refused}"
    );
    assert_eq!(page(&server, "/readyz").0, 200);
    assert_eq!(server.ctl(&["status"]).code, 0);
}

#[test]
fn a_demo_is_not_for_others_unless_that_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| -> Answer {
        portico()
            .args(["demo", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(arguments)
            // An address for documentation: nobody has it, so nothing is exposed even when that is allowed.
            .env("PORTICO_SIP__TLS_LISTEN", "192.0.2.1:0")
            .output()
            .unwrap()
            .into()
    };
    let refused = demo(&[]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("sip.tls_listen = \"192.0.2.1:0\"") && refused.err.contains("--expose"),
        "{refused:?}"
    );
    assert!(!dir.path().join("data").exists(), "nothing was begun");
    let allowed = demo(&["--expose"]);
    assert_eq!(allowed.code, 1);
    assert!(
        allowed.err.contains("cannot listen on 192.0.2.1:0"),
        "{allowed:?}"
    );
}

#[test]
fn the_version_is_told_to_people_and_to_programs() {
    let text = run(&["--version"]);
    assert_eq!(text.code, 0);
    assert!(
        text.out
            .starts_with(concat!("portico ", env!("CARGO_PKG_VERSION"))),
        "{text:?}"
    );
    assert_eq!(run(&["run", "-V"]).out, text.out);
    let json = run(&["--version", "--json"]).json();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["features"].is_array(), "{json}");
    assert_eq!(run(&["--json"]).code, 2, "--json alone says nothing");
}

#[test]
fn a_busy_port_is_named_with_what_to_set() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let answer: Answer = portico()
        .args(["run", "--data-dir"])
        .arg(dir.path())
        .env("PORTICO_SIP__TLS_LISTEN", address.to_string())
        .output()
        .unwrap()
        .into();
    assert_eq!(answer.code, 1);
    assert!(
        answer.err.contains(&format!("port {} is in use", address.port())),
        "{answer:?}"
    );
    assert!(answer.err.contains("PORTICO_SIP__TLS_LISTEN="), "{answer:?}");
}

#[test]
fn a_second_server_on_one_data_directory_is_refused() {
    let server = Server::start("run");
    let answer: Answer = portico()
        .args(["run", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .unwrap()
        .into();
    assert_eq!(answer.code, 1);
    assert!(
        answer.err.contains("another server runs in the data directory"),
        "{answer:?}"
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_every_problem() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    std::fs::write(&file, "[sip]\ntls_lisen = \"x\"\n[auth]\nntlm = 3\n").unwrap();
    let path = file.to_str().unwrap();
    for command in [
        vec!["run"],
        vec!["demo"],
        vec!["migrate"],
        vec!["config", "check"],
        vec!["config", "show"],
    ] {
        let answer = run(&[&command[..], &["--config", path]].concat());
        assert_eq!(answer.code, 2, "{command:?}: {answer:?}");
        assert!(
            answer.err.contains(&format!("{path}:2: sip.tls_lisen")),
            "{answer:?}"
        );
        assert!(answer.err.contains(&format!("{path}:4: auth.ntlm")), "{answer:?}");
    }
}

#[test]
fn the_shown_configuration_can_be_used_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let shown = run(&["config", "show"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown.out.contains("# PORTICO_SIP__TLS_LISTEN"),
        "origins are shown: {}",
        shown.out
    );
    let file = dir.path().join("p.toml");
    std::fs::write(&file, shown.out).unwrap();
    assert_eq!(
        run(&["config", "check", "--config", file.to_str().unwrap()]).code,
        0
    );
}

#[test]
fn roles_are_listed_and_none_can_be_left_out_yet() {
    let listed = run(&["run", "--list-roles"]);
    assert_eq!(listed.code, 0);
    for role in ["front-end", "registrar", "presence", "immcu"] {
        assert!(listed.out.contains(role), "{listed:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let alone = run(&[
        "run",
        "--role",
        "front-end",
        "--data-dir",
        dir.path().to_str().unwrap(),
    ]);
    assert_eq!(alone.code, 1);
    assert!(alone.err.contains("registrar cannot be left out"), "{alone:?}");
    assert_eq!(run(&["run", "--role", "mailbox"]).code, 2);
}

#[test]
fn migrate_makes_the_database_and_may_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for _ in 0..2 {
        let answer = run(&["migrate", "--data-dir", data.to_str().unwrap()]);
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    assert!(data.join("portico.db").exists());
    assert!(!data.join("control.sock").exists());
}

#[test]
fn healthcheck_says_whether_the_server_is_ready() {
    let server = Server::start("run");
    let ask = |address: &str| -> Answer {
        portico()
            .arg("healthcheck")
            .env("PORTICO_OPS__LISTEN", address)
            .output()
            .unwrap()
            .into()
    };
    let good = ask(server.ready["listeners"]["ops"].as_str().unwrap());
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.out.contains("database: ok"), "{good:?}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(ask(&free.to_string()).code, 1);
}
