//! Each load against the smallest server there is, as an operator runs them.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portico-load");

/// A switchboard of its own for each test.
struct Switchboard {
    process: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Switchboard {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new(PROGRAM)
            .args(["switchboard", "--ca-out"])
            .arg(directory.path().join("ca.pem"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self {
            process,
            address: ready["address"].as_str().unwrap().to_owned(),
            directory,
        }
    }

    fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn load(&self, arguments: &str) -> Value {
        let output = Command::new(PROGRAM)
            .args([
                "--server",
                &self.address,
                "--pid",
                &self.process.id().to_string(),
                "-o",
                "json",
                "--ca",
            ])
            .arg(self.ca())
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}{errors}");
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["errors"], serde_json::json!({}), "{report}");
        assert_eq!(report["processes"][0]["pid"], self.process.id());
        assert!(report["processes"][0]["resident"].as_u64().unwrap() > 1 << 20);
        report
    }
}

impl Drop for Switchboard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A registrar over clear TCP that is busy for the first so many connections, then admits everybody.
fn busy_registrar(refusals: usize, retry_after: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let status = match number < refusals {
                true => format!("503 Service Unavailable\r\n{retry_after}"),
                false => "200 OK\r\n".to_owned(),
            };
            std::thread::spawn(move || answer_registers(stream.unwrap(), &status));
        }
    });
    address
}

fn answer_registers(mut stream: TcpStream, status: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut copied = String::new();
    while let Some(Ok(line)) = lines.next() {
        let name = line.split(':').next().unwrap();
        if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
            copied += &format!("{line}\r\n");
        }
        if line.is_empty() && !copied.is_empty() {
            let answer = format!("SIP/2.0 {status}{copied}Content-Length: 0\r\n\r\n");
            copied.clear();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    }
}

fn idle(server: SocketAddr) -> (bool, Value, String) {
    let output = Command::new(PROGRAM)
        .args(["--server", &server.to_string(), "--users", "4", "-o", "json"])
        .args(["idle", "--hold", "0.1"])
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), report, errors)
}

fn done(report: &Value) -> u64 {
    report["done"].as_u64().unwrap()
}

#[test]
fn idle_endpoints_are_held() {
    let report = Switchboard::start().load("--users 20 idle --hold 0.2");
    assert_eq!(done(&report), 20);
    assert_eq!(report["setup"]["latency"]["count"], 20);
    assert!(report["processes"][0]["resident_each"].as_f64().unwrap() > 0.0);
}

#[test]
fn sign_ins_are_repeated() {
    let report = Switchboard::start().load("--users 20 sign-in --warm-up 0.1 --duration 0.5 --concurrency 4");
    assert!(done(&report) > 5, "{report}");
    assert_eq!(report["latencies"][0]["of"], "sign-ins");
}

#[test]
fn pages_are_exchanged_in_turn_and_at_a_rate_beside_the_floor() {
    let switchboard = Switchboard::start();
    let report = switchboard.load("--users 10 page --warm-up 0.1 --duration 0.5 --concurrency 7 --floor");
    assert!(done(&report) > 10, "{report}");
    assert!(done(&report["floor"]) > 10, "{report}");
    assert_eq!(report["floor"]["errors"], serde_json::json!({}));

    let report = switchboard.load("--users 10 page --warm-up 0.2 --duration 1 --rate 100 --size 1200");
    assert!((50..=150).contains(&done(&report)), "{report}");
}

#[test]
fn sessions_are_held_in_turn_and_at_a_rate_beside_the_floor() {
    let switchboard = Switchboard::start();
    let report = switchboard.load("--users 10 session --warm-up 0.1 --duration 0.5 --concurrency 5 --floor");
    assert!(done(&report) > 5, "{report}");
    assert!(done(&report["floor"]) > 5, "{report}");
    assert_eq!(report["floor"]["errors"], serde_json::json!({}));
    for load in [&report, &report["floor"]] {
        let parts = load["latencies"][1]["count"].as_u64().unwrap();
        assert!(parts >= 11 * done(load), "INVITE, ten messages and BYE: {report}");
    }

    let report = switchboard.load("--users 10 session --warm-up 0.2 --duration 1 --rate 20 --messages 2");
    assert!((10..=30).contains(&done(&report)), "{report}");
}

#[test]
fn watchers_know_in_the_end_what_was_published() {
    let switchboard = Switchboard::start();
    let load = "presence --contacts 5 --warm-up 0.1 --duration 1 --rate 40 --subscribe";
    for (subscribe, at_least) in [("list", 50), ("single", 50)] {
        let report = switchboard.load(&format!("--users 12 {load} {subscribe}"));
        let told = &report["presence"];
        assert!(done(&report) >= at_least, "{report}");
        assert_eq!(report["presence"]["notifications"], report["done"]);
        assert_eq!(report["latencies"][0]["of"], "publication");
        for nothing in ["missing", "older", "refused"] {
            assert_eq!(told[nothing], 0, "{report}");
        }
    }
}

#[test]
fn a_storm_ends_when_all_know_all() {
    let report = Switchboard::start().load("--users 12 storm --contacts 5");
    assert_eq!((done(&report), &report["presence"]["missing"]), (12, &0.into()));
    // One from each user for each of its watchers.
    assert_eq!(report["presence"]["learned"], 60, "{report}");
}

#[test]
fn watchers_who_are_told_nothing_are_missed() {
    let server = busy_registrar(0, "");
    let output = Command::new(PROGRAM)
        .args(["--server", &server.to_string(), "--users", "4", "-o", "json"])
        .args("presence --contacts 2 --patience 0.1 --settle 0.1 --duration 0.1 --warm-up 0".split(' '))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["presence"]["missing"], 8, "{report}");
    assert_eq!(report["errors"]["8 contacts are not known"], 1, "{report}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("8 last publications are not known"), "{errors}");
}

#[test]
fn users_take_turns_with_the_servers() {
    let servers = [busy_registrar(0, ""), busy_registrar(usize::MAX, "")];
    let output = Command::new(PROGRAM)
        .args(["--server", &servers[0].to_string()])
        .args(["--server", &servers[1].to_string()])
        .args(["--users", "4", "-o", "json", "idle", "--hold", "0.1"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["users"], &report["missing"]), (&2.into(), &2.into()));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let output = Command::new(PROGRAM)
        .args(["--server", "127.0.0.1:1", "--users", "2", "idle"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("nobody could sign in: connect: ")
    );
}

#[test]
fn a_user_who_is_put_off_comes_back_when_told() {
    let (success, report, errors) = idle(busy_registrar(3, "Retry-After: 1 (busy)\r\n"));
    assert!(success, "{errors}");
    assert_eq!(report["users"], 4);
    assert_eq!(report["setup"]["put_off"], 3);
    assert!(report["setup"]["seconds"].as_f64().unwrap() >= 1.0, "{report}");
    assert_eq!(report["errors"], serde_json::json!({}));
}

#[test]
fn users_who_did_not_sign_in_are_missed() {
    let (success, report, errors) = idle(busy_registrar(3, ""));
    assert!(!success);
    assert!(errors.contains("3 of 4 users did not sign in"), "{errors}");
    assert_eq!((&report["users"], &report["missing"]), (&1.into(), &3.into()));
    assert_eq!(report["errors"]["REGISTER: 503 Service Unavailable"], 3);
}
