//! SIPp 3.6 (Debian 12, built without TLS): runs scenario files over the TCP listener.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use super::{Program, free_port};
use crate::sandbox::{Account, DOMAIN};

/// One run of SIPp with one scenario.
pub struct Sipp {
    command: Command,
    name: String,
    home: TempDir,
}

impl Sipp {
    /// A run of this scenario file once, against the TCP listener, in the name of this account. In the
    /// scenario the user is `[field0]`, the other party `[field1]`, the Authorization line `[field2]`.
    ///
    /// # Errors
    /// No temporary directory.
    pub fn new(server: SocketAddr, scenario: &Path, account: &Account, other: &Account) -> Result<Sipp> {
        let home = tempfile::Builder::new().prefix("sipp-").tempdir()?;
        let users = home.path().join("users.csv");
        let Account { user, password } = account;
        // The keyword does not take other fields inside, so it stands in one as a whole.
        let authentication = format!("[authentication username={user} password={password}]");
        let line = format!("SEQUENTIAL\n{user};{};{authentication}\n", other.user);
        std::fs::write(&users, line)?;
        let name = scenario
            .file_stem()
            .context("a scenario without a name")?
            .to_string_lossy()
            .into_owned();
        let mut command = Command::new("sipp");
        command
            .arg(server.to_string())
            .arg("-sf")
            .arg(scenario)
            .arg("-inf")
            .arg(&users);
        command.args([
            "-t",
            "t1",
            "-m",
            "1",
            "-i",
            "127.0.0.1",
            "-nostdin",
            "-auth_uri",
            DOMAIN,
            "-timeout",
            "20s",
            "-timeout_error",
        ]);
        command
            .args(["-trace_err", "-trace_msg", "-message_file"])
            .arg(home.path().join("messages"));
        command.arg("-error_file").arg(home.path().join("errors"));
        command.current_dir(home.path()).stdin(Stdio::null());
        Ok(Sipp {
            command,
            name: format!("sipp {name} {}", account.user),
            home,
        })
    }

    /// Starts it beside others; [`SippRun::done`] waits for its end.
    ///
    /// # Errors
    /// SIPp is not installed.
    pub async fn start(mut self) -> Result<SippRun> {
        let port = free_port().await?.port();
        self.command.args(["-p", &port.to_string()]);
        let program = Program::spawn(&self.name, self.command)?;
        Ok(SippRun {
            program,
            home: self.home,
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The scenario failed; the messages are shown.
    pub async fn run(self) -> Result<()> {
        self.start().await?.done().await
    }
}

/// A running SIPp.
pub struct SippRun {
    program: Program,
    home: TempDir,
}

impl SippRun {
    /// Waits for the end of the scenario.
    ///
    /// # Errors
    /// The scenario failed; the messages are shown.
    pub async fn done(mut self) -> Result<()> {
        let code = self.program.exit().await;
        let file = |name| std::fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        let story = || format!("{}\n{}", file("errors"), file("messages"));
        let code = code.with_context(story)?;
        ensure!(code == 0, "sipp gave {code}\n{}", story());
        Ok(())
    }
}
