//! The running pool: compose, the engine, and what balancer and servers say of themselves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use test_support::{Account, DOMAIN};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// How long the balancer may take to take a front end in.
const ROTATION: Duration = Duration::from_secs(60);
/// Between two questions.
const LOOK: Duration = Duration::from_millis(500);

/// A pool that `deploy/offline/compose-test.sh` has started.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Place>);

struct Place {
    /// The command that drives it, with its project.
    compose: Vec<String>,
    address: SocketAddr,
    ca: PathBuf,
}

impl Pool {
    /// # Errors
    /// A variable of compose-test.sh is not there.
    pub(crate) fn from_environment() -> Result<Pool> {
        let get =
            |name: &str| std::env::var(name).with_context(|| format!("{name}: run `make compose-test`"));
        Ok(Pool(Arc::new(Place {
            compose: get("POOL_COMPOSE")?
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            address: get("POOL_LISTEN")?.parse()?,
            ca: PathBuf::from(get("POOL_SECRETS")?).join("ca.pem"),
        })))
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What they trust.
    pub(crate) fn ca(&self) -> &Path {
        &self.0.ca
    }

    async fn compose(&self, arguments: &[&str], input: &str) -> Result<String> {
        let words = self.0.compose.iter().map(String::as_str);
        let words: Vec<&str> = words.chain(arguments.iter().copied()).collect();
        run(&words, input).await
    }

    /// Creates somebody.
    pub(crate) async fn create(&self, account: &Account) -> Result<()> {
        let address = format!("{}@{DOMAIN}", account.user);
        let command = ["user", "create", &address, "--password-stdin"];
        self.control(&command, &account.password).await.map(drop)
    }

    async fn control(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut words = vec!["exec", "-T", "registrar", "porticoctl"];
        words.extend(arguments);
        self.compose(&words, input).await
    }

    /// The container somebody is signed in at, once he is and it runs.
    pub(crate) async fn session(&self, user: &str, patience: Duration) -> Result<String> {
        let address = format!("{user}@{DOMAIN}");
        let began = Instant::now();
        loop {
            let sessions = self
                .control(&["-o", "json", "user", "sessions", &address], "")
                .await?;
            let sessions: Value = serde_json::from_str(&sessions)?;
            for session in sessions.as_array().context("not a list")? {
                // A member's name is its container's.
                let member = session["member"].as_str().context("no member")?;
                let state = run(&["docker", "inspect", "-f", "{{.State.Running}}", member], "").await?;
                if state.trim() == "true" {
                    return Ok(member.to_owned());
                }
            }
            ensure!(began.elapsed() < patience, "{user} is not signed in: {sessions}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Changes the number of front ends and nothing else.
    pub(crate) async fn scale(&self, front_ends: usize) -> Result<()> {
        let scale = format!("front-end={front_ends}");
        let arguments = ["up", "-d", "--no-recreate", "--scale", &scale];
        self.compose(&arguments, "").await.map(drop)
    }

    /// Waits until as many front ends are in rotation.
    pub(crate) async fn front_ends_up(&self, wanted: usize) -> Result<()> {
        let id = self.compose(&["ps", "-q", "lb"], "").await?;
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip = run(&["docker", "inspect", "-f", format, id.trim()], "").await?;
        let began = Instant::now();
        loop {
            let table = get(&format!("{}:8404", ip.trim()), "/;csv").await?;
            let up = table
                .lines()
                .filter(|row| row.starts_with("pool,fe") && row.contains(",UP,"));
            if up.count() == wanted {
                return Ok(());
            }
            ensure!(
                began.elapsed() < ROTATION,
                "the balancer has not {wanted} front ends:\n{table}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops a container gracefully, and waits for its end.
    pub(crate) async fn stop(self, container: String) -> Result<()> {
        run(&["docker", "stop", "-t", "160", &container], "").await?;
        let code = run(
            &["docker", "inspect", "-f", "{{.State.ExitCode}}", &container],
            "",
        )
        .await?;
        ensure!(code.trim() == "0", "{container} ended with {code}");
        Ok(())
    }

    /// Kills a container.
    pub(crate) async fn kill(self, container: String) -> Result<()> {
        run(&["docker", "kill", &container], "").await.map(drop)
    }
}

/// Runs a command to its end and gives its output.
async fn run(words: &[&str], input: &str) -> Result<String> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A page of the balancer.
async fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
