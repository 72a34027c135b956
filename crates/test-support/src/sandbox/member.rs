//! One process of the server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::binary;
use crate::clients::Program;
use crate::patience::within;

/// How a member is started, as often as it is.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) name: String,
    /// `run`, or `demo`.
    pub(super) command: &'static str,
    /// All roles without one.
    pub(super) role: Option<&'static str>,
    /// Its data directory.
    pub(super) data: PathBuf,
    /// The directory it is started in.
    pub(super) home: PathBuf,
    pub(super) env: Vec<(String, String)>,
}

/// A process of the server: all of a Standard Edition, or a role of a pool. Dropping it kills the process.
pub struct Member {
    recipe: Recipe,
    program: Program,
    ready: Value,
    demo: Value,
}

impl Member {
    /// Starts the process, which is not ready yet.
    pub(super) fn spawn(recipe: Recipe) -> Result<Member> {
        let mut command = Command::new(binary("portico")?);
        command
            .arg(recipe.command)
            .args(["--log-format", "json", "--data-dir"])
            .arg(&recipe.data);
        if let Some(role) = recipe.role {
            command.args(["--role", role]);
        }
        command
            .envs(recipe.env.clone())
            .current_dir(&recipe.home)
            .stdin(Stdio::null());
        let program = Program::spawn(&recipe.name, command)?;
        Ok(Member {
            recipe,
            program,
            ready: Value::Null,
            demo: Value::Null,
        })
    }

    /// Waits for the ready line.
    pub(super) async fn until_ready(&mut self) -> Result<()> {
        let look = |line: &str| json_event(line, "ready");
        self.ready = self.program.event("the ready line", look).await?;
        let demo = self.program.seen(|line| json_event(line, "demo"));
        self.demo = demo.unwrap_or_default();
        Ok(())
    }

    // === what it is ===

    /// Its name in the pool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// The one role it runs; `None`: all.
    #[must_use]
    pub fn role(&self) -> Option<&'static str> {
        self.recipe.role
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.recipe.data
    }

    /// Whether clients connect to it.
    #[must_use]
    pub fn serves_clients(&self) -> bool {
        matches!(self.recipe.role, None | Some("front-end"))
    }

    /// The ready line: one JSON object, as docs/operations.md shows it.
    #[must_use]
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// What the demo said about its people; null unless it is a demo.
    #[must_use]
    pub fn demo(&self) -> &Value {
        &self.demo
    }

    /// The address of a listener, by its name in the ready line.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        let listeners = &self.ready["listeners"];
        let address = listeners[name]
            .as_str()
            .with_context(|| format!("no listener {name} in {listeners}"))?;
        Ok(address.parse()?)
    }

    /// All lines it printed in this life.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.program.lines()
    }

    /// Status and body of a page of its ops listener.
    ///
    /// # Errors
    /// The listener does not answer.
    pub async fn page(&self, path: &str) -> Result<(u16, String)> {
        let address = self.listener("ops")?;
        within(path, async {
            let mut stream = TcpStream::connect(address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
            let status = head.split(' ').nth(1).context("no status")?;
            Ok((status.parse()?, body.to_owned()))
        })
        .await
    }

    /// The value of one of its metrics: the sum over its lines whose labels contain all of `labels`.
    ///
    /// # Errors
    /// The page does not come.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let (status, page) = self.page("/metrics").await?;
        ensure!(status == 200, "/metrics gave {status}: {page}");
        let lines = page.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        Ok(lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Resident memory in KiB, as the kernel counts it.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident_kib(&self) -> Result<u64> {
        let pid = self.pid().context("the server has exited")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    // === what is done to it ===

    /// The process id; `None` once its end was seen.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.program.pid()
    }

    /// Whether the process is still there.
    ///
    /// # Errors
    /// The system does not say.
    pub fn running(&mut self) -> Result<bool> {
        self.program.running()
    }

    /// Kills it in the middle of what it does (SIGKILL).
    ///
    /// # Errors
    /// It is dead already.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.program.exit().await.map(drop)
    }

    /// Stops it in the middle of what it does (SIGSTOP): connections stand and nothing is answered.
    ///
    /// # Errors
    /// It is dead.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Member::pause`].
    ///
    /// # Errors
    /// It is dead.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end (SIGTERM) and returns its exit code.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn terminate(&mut self) -> Result<i32> {
        self.ask_to_end()?;
        self.ended().await
    }

    /// Asks it to end (SIGTERM) and does not wait.
    ///
    /// # Errors
    /// It is dead.
    pub fn ask_to_end(&self) -> Result<()> {
        self.program.terminate()
    }

    /// Waits for its end and returns its exit code.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn ended(&mut self) -> Result<i32> {
        self.program.exit().await
    }

    /// Starts it again after its end, on the same data, and waits until it is ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn start_again(&mut self) -> Result<()> {
        self.start()?;
        self.until_ready().await
    }

    /// Starts it again and does not wait.
    pub(super) fn start(&mut self) -> Result<()> {
        ensure!(self.pid().is_none(), "{} still runs", self.name());
        *self = Member::spawn(self.recipe.clone())?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.program.pid();
        let pid = pid.with_context(|| format!("{} has exited", self.name()))?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("process id 0")?;
        Ok(kill_process(pid, signal)?)
    }
}

fn json_event(line: &str, event: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value["event"] == event).then_some(value)
}
