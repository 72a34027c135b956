//! The real server in a temporary directory on free ports, started through its production entry point.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::clients::Program;
use crate::flow::Flow;
use crate::patience::{eventually, within};
use crate::puppet::{Dialect, Puppet, Scheme};

/// The SIP domain of every sandbox.
pub const DOMAIN: &str = "example.test";

/// A user of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The part before the `@`.
    pub user: String,
    /// The password, in the clear.
    pub password: String,
}

impl Account {
    /// An account with a password made from its name.
    #[must_use]
    pub fn named(user: &str) -> Account {
        Account {
            user: user.to_owned(),
            password: format!("{user}-secret-1"),
        }
    }

    /// `sip:user@domain`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.user)
    }
}

/// What a sandbox starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// `run`, or `demo` for the demo people and the echo contact.
    pub command: &'static str,
    /// Configuration by environment, as (`PORTICO_SECTION__KEY`, value); later ones win.
    pub env: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Options {
        let env = [
            ("PORTICO_SIP__TLS_LISTEN", "127.0.0.1:0"),
            ("PORTICO_SIP__TCP_LISTEN", "127.0.0.1:0"),
            ("PORTICO_OPS__LISTEN", "127.0.0.1:0"),
            ("PORTICO_AUTH__NTLM", "true"),
            // All clients of a test come from one address.
            ("PORTICO_LIMITS__UNAUTHENTICATED_REQUESTS_PER_SECOND", "1000"),
            ("PORTICO_LIMITS__NEW_CONNECTIONS_PER_SECOND_PER_ADDRESS", "1000"),
        ];
        let env = env
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec();
        Options { command: "demo", env }
    }
}

impl Options {
    /// The same with this setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Options {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A running server. Dropping it kills the process and removes the directory.
pub struct Sandbox {
    dir: TempDir,
    options: Options,
    program: Program,
    ready: Value,
    demo: Value,
}

impl Sandbox {
    /// Starts a demo server: all roles, NTLM on, the echo contact.
    ///
    /// # Errors
    /// The binary is not built, or no ready line came.
    pub async fn start() -> Result<Sandbox> {
        Sandbox::with(Options::default()).await
    }

    /// Starts a server as told.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn with(options: Options) -> Result<Sandbox> {
        let dir = tempfile::Builder::new().prefix("portico-test-").tempdir()?;
        Sandbox::start_in(dir, options).await
    }

    async fn start_in(dir: TempDir, options: Options) -> Result<Sandbox> {
        let data = dir.path().join("data");
        let mut command = Command::new(binary("portico")?);
        command
            .arg(options.command)
            .args(["--log-format", "json", "--data-dir"])
            .arg(&data);
        command
            .envs(options.env.clone())
            .current_dir(dir.path())
            .stdin(Stdio::null());
        let program = Program::spawn("portico", command)?;
        let ready = program
            .event("the ready line", |line| json_event(line, "ready"))
            .await?;
        let demo = program.seen(|line| json_event(line, "demo")).unwrap_or_default();
        Ok(Sandbox {
            dir,
            options,
            program,
            ready,
            demo,
        })
    }

    /// Stops the server with SIGTERM and starts it again on the same data.
    ///
    /// # Errors
    /// It does not stop with 0, or does not come back.
    pub async fn restart(mut self) -> Result<Sandbox> {
        self.program.terminate()?;
        let code = self.program.exit().await?;
        ensure!(code == 0, "the server stopped with {code}");
        Sandbox::start_in(self.dir, self.options).await
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

    /// Where clients connect with TLS.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn tls(&self) -> Result<SocketAddr> {
        self.listener("sip_tls")
    }

    /// Where clients connect in clear text.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn tcp(&self) -> Result<SocketAddr> {
        self.listener("sip_tcp")
    }

    /// The PEM file with the certificate authority that clients trust.
    ///
    /// # Errors
    /// The ready line does not say.
    pub fn ca(&self) -> Result<PathBuf> {
        let path = self.ready["ca"].as_str().context("no ca in the ready line")?;
        let path = self.dir.path().join(path);
        ensure!(path.is_file(), "{} is not there", path.display());
        Ok(path)
    }

    /// All files of the data directory with their contents.
    ///
    /// # Errors
    /// They can not be read.
    pub fn data_files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut folders = vec![self.dir.path().join("data")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                match entry.file_type()? {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file() => {
                        files.push((entry.path().display().to_string(), std::fs::read(entry.path())?));
                    }
                    // The control socket.
                    _ => {}
                }
            }
        }
        Ok(files)
    }

    /// The process id of the server.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.program.pid()
    }

    /// Resident memory of the server in KiB, as the kernel counts it.
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

    /// Lines the server printed so far that contain `text`.
    #[must_use]
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        self.program
            .lines()
            .into_iter()
            .filter(|line| line.contains(text))
            .collect()
    }

    // === users ===

    /// Runs `porticoctl` against this server and returns its standard output.
    ///
    /// # Errors
    /// It does not exit with 0.
    pub async fn ctl(&self, arguments: &[&str], stdin: &str) -> Result<String> {
        let (code, output) = self.ctl_status(arguments, stdin).await?;
        ensure!(code == 0, "porticoctl {arguments:?} gave {code}: {output}");
        Ok(output)
    }

    /// As [`Sandbox::ctl`], with the exit code; the output has both streams.
    ///
    /// # Errors
    /// It can not be run.
    pub async fn ctl_status(&self, arguments: &[&str], stdin: &str) -> Result<(i32, String)> {
        let mut command = Command::new(binary("porticoctl")?);
        command
            .arg("--data-dir")
            .arg(self.dir.path().join("data"))
            .args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().context("no stdin")?;
        match input.write_all(stdin.as_bytes()).await {
            // It did not want to read.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        drop(input);
        let output = within("porticoctl", async { Ok(child.wait_with_output().await?) }).await?;
        let text = [output.stdout, output.stderr].concat();
        Ok((
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }

    /// Makes a user through `porticoctl`.
    ///
    /// # Errors
    /// The user exists already or the server does not answer.
    pub async fn create(&self, user: &str) -> Result<Account> {
        let account = Account::named(user);
        let address = format!("{user}@{DOMAIN}");
        let password = format!("{}\n", account.password);
        self.ctl(&["user", "create", &address, "--password-stdin"], &password)
            .await?;
        Ok(account)
    }

    /// Gives a user that exists, such as the demo's, a password the test knows.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn adopt(&self, user: &str) -> Result<Account> {
        let account = Account::named(user);
        let address = format!("{user}@{DOMAIN}");
        let password = format!("{}\n", account.password);
        self.ctl(&["user", "passwd", &address, "--password-stdin"], &password)
            .await?;
        Ok(account)
    }

    // === puppets ===

    /// A connection with TLS.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn flow(&self) -> Result<Flow> {
        Flow::tls(self.tls()?, &self.ca()?).await
    }

    /// A puppet on a new TLS connection, not signed in.
    ///
    /// # Errors
    /// The server does not take the connection.
    pub async fn puppet(&self, account: &Account, dialect: Dialect) -> Result<Puppet> {
        Puppet::new(self.flow().await?, account.clone(), dialect)
    }

    /// Another endpoint of this user, signed in the way its dialect does.
    ///
    /// # Errors
    /// The sign-in fails.
    pub async fn endpoint(&self, account: &Account, dialect: Dialect) -> Result<Puppet> {
        let mut puppet = self.puppet(account, dialect).await?;
        let scheme = match dialect {
            Dialect::Simple => Scheme::Md5,
            Dialect::Lync => Scheme::Ntlm,
        };
        puppet
            .sign_in(scheme)
            .await
            .with_context(|| format!("signing {} in", account.user))?;
        Ok(puppet)
    }

    /// A new user with a page-mode client, signed in.
    ///
    /// # Errors
    /// The user exists already, or the sign-in fails.
    pub async fn page_user(&self, user: &str) -> Result<Puppet> {
        self.endpoint(&self.create(user).await?, Dialect::Simple).await
    }

    /// A new user with a session-mode client, signed in with NTLM.
    ///
    /// # Errors
    /// The user exists already, or the sign-in fails.
    pub async fn session_user(&self, user: &str) -> Result<Puppet> {
        self.endpoint(&self.create(user).await?, Dialect::Lync).await
    }

    // === the ops listener and the end ===

    /// The body of a page of the ops listener.
    ///
    /// # Errors
    /// Any status but 200.
    pub async fn page(&self, path: &str) -> Result<String> {
        let (status, body) = self.page_status(path).await?;
        ensure!(status == 200, "{path} gave {status}: {body}");
        Ok(body)
    }

    /// Status and body of a page of the ops listener.
    ///
    /// # Errors
    /// The listener does not answer.
    pub async fn page_status(&self, path: &str) -> Result<(u16, String)> {
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

    /// The value of a metric: the sum over its lines whose labels contain all of `labels`.
    ///
    /// # Errors
    /// The page does not come.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let page = self.page("/metrics").await?;
        let lines = page.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        Ok(lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Waits until a metric has at least this value.
    ///
    /// # Errors
    /// It does not get there in time.
    pub async fn metric_reaches(&self, name: &str, labels: &[&str], least: f64) -> Result<()> {
        let what = format!("{name}{labels:?} to reach {least}");
        eventually(&what, || async {
            Ok((self.metric(name, labels).await? >= least).then_some(()))
        })
        .await
    }

    /// Stops the server with SIGTERM and returns its exit code.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(mut self) -> Result<i32> {
        self.program.terminate()?;
        self.program.exit().await
    }

    /// Fails if the process is gone or has reported a panic.
    ///
    /// # Errors
    /// The server is not well.
    pub fn healthy(&mut self) -> Result<()> {
        ensure!(self.program.running()?, "the server has exited");
        let panics = self.log_lines("panicked at");
        ensure!(panics.is_empty(), "the server panicked: {panics:?}");
        Ok(())
    }
}

fn json_event(line: &str, event: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value["event"] == event).then_some(value)
}

/// The directory of the built programs: the test itself lies in `<target>/<profile>/deps`.
///
/// # Errors
/// The test was not built by cargo.
pub fn target_dir() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let deps = test
        .parent()
        .filter(|dir| dir.ends_with("deps"))
        .context("not in a deps directory")?;
    Ok(deps.parent().map(Path::to_owned).unwrap_or_default())
}

fn binary(name: &str) -> Result<PathBuf> {
    let path = target_dir()?.join(name);
    if !path.is_file() {
        bail!(
            "{} is not built: run `cargo build -p cli` first (`make test` does)",
            path.display()
        );
    }
    Ok(path)
}
