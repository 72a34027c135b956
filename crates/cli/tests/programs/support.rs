//! A server of its own for each test: the real program in a temporary directory on free ports.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::Value;

/// A running `portico`, killed when dropped.
pub(crate) struct Server {
    data_dir: PathBuf,
    /// Removed with the server, if it is the server's own.
    _dir: Option<tempfile::TempDir>,
    child: Child,
    /// The ready line.
    pub(crate) ready: Value,
    /// Lines before it.
    pub(crate) before: Vec<Value>,
    /// Lines after it, as they come.
    after: Receiver<Value>,
}

/// `portico` with free ports and nothing of the caller's environment that would configure it.
pub(crate) fn portico() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTICO_")) {
        command.env_remove(name);
    }
    for name in [
        "PORTICO_SIP__TLS_LISTEN",
        "PORTICO_SIP__TCP_LISTEN",
        "PORTICO_OPS__LISTEN",
    ] {
        command.env(name, "127.0.0.1:0");
    }
    command
}

impl Server {
    /// Starts `run` or `demo` in a directory of its own and waits for the ready line.
    pub(crate) fn start(command: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start_in(command, dir.path());
        server._dir = Some(dir);
        server
    }

    /// The same in a directory that outlives it.
    pub(crate) fn start_in(command: &str, dir: &Path) -> Server {
        Server::start_with(command, &[], &[], dir)
    }

    /// The same with further arguments and environment variables.
    pub(crate) fn start_with(
        command: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
        dir: &Path,
    ) -> Server {
        let data_dir = dir.join("data");
        let mut child = portico()
            .args([command, "--log-format", "json", "--data-dir"])
            .arg(&data_dir)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut before = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Every line of standard output is JSON in this format; a line that is not fails the test here.
        while let Some(line) = lines.next() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["event"] == "ready" {
                // Read on, so that the server never waits for us.
                let (sender, after) = std::sync::mpsc::channel();
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        // Nobody may be interested any more.
                        let _sent = sender.send(serde_json::from_str(&line).unwrap());
                    }
                });
                return Server {
                    data_dir,
                    _dir: None,
                    child,
                    ready: line,
                    before,
                    after,
                };
            }
            before.push(line);
        }
        let status = child.wait().unwrap();
        panic!("no ready line, {status}: {before:?}");
    }

    /// The next log line with this message.
    pub(crate) fn line(&self, message: &str) -> Value {
        loop {
            let line = self.after.recv_timeout(Duration::from_secs(30)).unwrap();
            if line["message"] == message {
                return line;
            }
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Waits for the end of the process and returns its exit code.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Runs `porticoctl` against this server.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Answer {
        self.ctl_with(arguments, "")
    }

    /// The same with something on standard input.
    pub(crate) fn ctl_with(&self, arguments: &[&str], stdin: &str) -> Answer {
        ctl(&self.data_dir(), arguments, stdin)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Answer {
        Answer {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `porticoctl` on a data directory.
pub(crate) fn ctl(data_dir: &Path, arguments: &[&str], stdin: &str) -> Answer {
    let mut child = Command::new(env!("CARGO_BIN_EXE_porticoctl"))
        .arg("--data-dir")
        .arg(data_dir)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _written = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap().into()
}
