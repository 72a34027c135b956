//! The real server in a temporary directory on free ports, started through its production entry point.

mod member;
mod options;
mod pool;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

pub use self::member::Member;
use self::member::Recipe;
pub use self::options::{Options, Seed, Topology};
use self::pool::Shared;
use crate::flow::Flow;
use crate::patience::{eventually, within};
use crate::puppet::{Dialect, Puppet, Scheme};
use crate::stores::OwnRedis;

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

/// A running server. Dropping it kills its processes and removes the directory.
pub struct Sandbox {
    /// The first is the one that is looked at where one is enough.
    members: Vec<Member>,
    /// Only in a pool.
    shared: Option<Shared>,
    dir: TempDir,
    /// Counts connections: successive ones go to different front ends.
    connections: AtomicUsize,
    /// Whether all connections go to the first front end instead.
    stay: bool,
}

impl Sandbox {
    /// Starts a server with NTLM on, in the shape `PORTICO_TEST_TOPOLOGY` says.
    ///
    /// # Errors
    /// The binary is not built, or no ready line came.
    pub async fn start() -> Result<Sandbox> {
        Sandbox::with(Options::default()).await
    }

    /// As [`Sandbox::start`], with these settings.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn with(options: Options) -> Result<Sandbox> {
        match Topology::wanted() {
            Topology::Standard => Sandbox::standard_with(options).await,
            Topology::Pool => Sandbox::pool(options).await,
        }
    }

    /// Starts a Standard Edition whatever the topology: for what only it has, such as demo people.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn standard() -> Result<Sandbox> {
        Sandbox::standard_with(Options::default()).await
    }

    /// As [`Sandbox::standard`], with these settings.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn standard_with(options: Options) -> Result<Sandbox> {
        let dir = temporary()?;
        let mut member = Member::spawn(Recipe {
            name: "portico".to_owned(),
            command: options.command,
            role: None,
            data: dir.path().join("data"),
            home: dir.path().to_owned(),
            env: options.env,
        })?;
        member.until_ready().await?;
        Ok(Sandbox::of(dir, vec![member], None))
    }

    /// Starts a pool whatever the topology: for what happens between its members.
    ///
    /// # Errors
    /// As [`Sandbox::start`], and if Redis or Postgres can not be started.
    pub async fn pool(options: Options) -> Result<Sandbox> {
        let dir = temporary()?;
        let shared = Shared::prepare(dir.path(), &options).await?;
        let members = shared.start().await?;
        Ok(Sandbox::of(dir, members, Some(shared)))
    }

    fn of(dir: TempDir, members: Vec<Member>, shared: Option<Shared>) -> Sandbox {
        Sandbox {
            members,
            shared,
            dir,
            connections: AtomicUsize::new(0),
            stay: false,
        }
    }

    /// Stops the server with SIGTERM and starts it again on the same data.
    ///
    /// # Errors
    /// It does not stop with 0, or does not come back.
    pub async fn restart(mut self) -> Result<Sandbox> {
        let code = self.end().await?;
        ensure!(code == 0, "the server stopped with {code}");
        for member in &mut self.members {
            member.start()?;
        }
        for member in &mut self.members {
            member.until_ready().await?;
        }
        Ok(self)
    }

    /// The ready line of the first member: one JSON object, as docs/operations.md shows it.
    #[must_use]
    pub fn ready(&self) -> &Value {
        self.first().ready()
    }

    /// What the demo said about its people; null unless it is a demo.
    #[must_use]
    pub fn demo(&self) -> &Value {
        self.first().demo()
    }

    /// The address of a listener of the first member, by its name in the ready line.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        self.first().listener(name)
    }

    // === members ===

    fn first(&self) -> &Member {
        // There is always one: see the constructors.
        &self.members[0]
    }

    /// All processes of the server.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The process of this name: `fe1`, `fe2`, `reg1`, `im1` or `im2`, and what was [added](Sandbox::add).
    ///
    /// # Errors
    /// There is none.
    pub fn member(&mut self, name: &str) -> Result<&mut Member> {
        let mut members = self.members.iter_mut();
        let found = members.find(|member| member.name() == name);
        found.with_context(|| format!("no member {name}"))
    }

    /// Starts one more member of a pool, such as (`fe3`, `front-end`), and waits until it is ready.
    ///
    /// # Errors
    /// This is no pool, or it does not get ready.
    pub async fn add(&mut self, name: &str, role: &'static str) -> Result<()> {
        let shared = self.shared.as_ref().context("not a pool")?;
        let mut member = shared.spawn(name, role)?;
        member.until_ready().await?;
        self.members.push(member);
        Ok(())
    }

    /// The Redis of this pool alone ([`Options::with_own_redis`]).
    ///
    /// # Errors
    /// It has none.
    pub fn redis(&mut self) -> Result<&mut OwnRedis> {
        let own = self.shared.as_mut().and_then(|shared| shared.own_redis.as_mut());
        own.context("no Redis of its own")
    }

    /// From now on all connections go to the first front end: for what one process counts or remembers of its
    /// connections. Without it successive connections go to different front ends.
    pub fn one_front_end(&mut self) {
        self.stay = true;
    }

    /// The front end for the next connection.
    fn front_end(&self) -> Result<&Member> {
        let there: Vec<&Member> = self
            .members
            .iter()
            .filter(|member| member.serves_clients() && member.pid().is_some())
            .collect();
        let turn = match self.stay {
            true => 0,
            false => self.connections.fetch_add(1, Ordering::Relaxed) % there.len().max(1),
        };
        there.get(turn).copied().context("no front end runs")
    }

    /// Where the next client connects with TLS: in a pool the front ends take turns.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn tls(&self) -> Result<SocketAddr> {
        self.front_end()?.listener("sip_tls")
    }

    /// Where the next client connects in clear text: in a pool the front ends take turns.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn tcp(&self) -> Result<SocketAddr> {
        self.front_end()?.listener("sip_tcp")
    }

    /// The PEM file with the certificate authority that clients trust.
    ///
    /// # Errors
    /// The ready line does not say.
    pub fn ca(&self) -> Result<PathBuf> {
        let path = self.ready()["ca"].as_str().context("no ca in the ready line")?;
        let path = self.dir.path().join(path);
        ensure!(path.is_file(), "{} is not there", path.display());
        Ok(path)
    }

    /// All files of the data directories with their contents.
    ///
    /// # Errors
    /// They can not be read.
    pub fn data_files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
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

    /// Resident memory of all members in KiB, as the kernel counts it.
    ///
    /// # Errors
    /// A process is gone.
    pub fn resident_kib(&self) -> Result<u64> {
        self.members.iter().map(Member::resident_kib).sum()
    }

    /// Lines all members printed so far that contain `text`.
    #[must_use]
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        self.members
            .iter()
            .flat_map(Member::lines)
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

    /// The member that administrators talk to: any that runs will do.
    fn control(&self) -> Result<&Member> {
        let mut members = self.members.iter();
        members
            .find(|member| member.pid().is_some())
            .context("no member runs")
    }

    /// As [`Sandbox::ctl`], with the exit code; the output has both streams.
    ///
    /// # Errors
    /// It can not be run.
    pub async fn ctl_status(&self, arguments: &[&str], stdin: &str) -> Result<(i32, String)> {
        run_ctl(self.control()?.data(), arguments, stdin).await
    }

    /// As [`Sandbox::ctl`], against this member.
    ///
    /// # Errors
    /// There is none of this name, or it does not exit with 0.
    pub async fn ctl_at(&self, member: &str, arguments: &[&str]) -> Result<String> {
        let mut members = self.members.iter();
        let found = members.find(|one| one.name() == member);
        let data = found.with_context(|| format!("no member {member}"))?.data();
        let (code, output) = run_ctl(data, arguments, "").await?;
        ensure!(code == 0, "porticoctl {arguments:?} gave {code}: {output}");
        Ok(output)
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

    /// A connection with TLS to this front end.
    ///
    /// # Errors
    /// There is none of this name, or it does not take the connection.
    pub async fn flow_to(&self, front_end: &str) -> Result<Flow> {
        let mut members = self.members.iter();
        let member = members.find(|member| member.name() == front_end);
        let address = member.context("no such front end")?.listener("sip_tls")?;
        Flow::tls(address, &self.ca()?).await
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
        signed_in(self.flow().await?, account, dialect).await
    }

    /// As [`Sandbox::endpoint`], at this front end.
    ///
    /// # Errors
    /// The sign-in fails.
    pub async fn endpoint_at(&self, front_end: &str, account: &Account, dialect: Dialect) -> Result<Puppet> {
        signed_in(self.flow_to(front_end).await?, account, dialect).await
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

    /// Status and body of a page of the ops listener of the first member.
    ///
    /// # Errors
    /// The listener does not answer.
    pub async fn page_status(&self, path: &str) -> Result<(u16, String)> {
        self.first().page(path).await
    }

    /// The value of a metric: the sum over all members and over lines whose labels contain all of `labels`.
    ///
    /// # Errors
    /// A page does not come.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let mut sum = 0.0;
        for member in &self.members {
            sum += member.metric(name, labels).await?;
        }
        Ok(sum)
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

    /// Stops the server with SIGTERM, front ends first, and returns the exit code; in a pool the first that is not 0.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(mut self) -> Result<i32> {
        self.end().await
    }

    async fn end(&mut self) -> Result<i32> {
        let mut code = 0;
        for member in &mut self.members {
            let ended = member.terminate().await?;
            code = if code == 0 { ended } else { code };
        }
        Ok(code)
    }

    /// Fails if a process is gone or has reported a panic.
    ///
    /// # Errors
    /// The server is not well.
    pub fn healthy(&mut self) -> Result<()> {
        for member in &mut self.members {
            ensure!(member.running()?, "{} has exited", member.name());
        }
        let panics = self.log_lines("panicked at");
        ensure!(panics.is_empty(), "the server panicked: {panics:?}");
        Ok(())
    }
}

async fn signed_in(flow: Flow, account: &Account, dialect: Dialect) -> Result<Puppet> {
    let mut puppet = Puppet::new(flow, account.clone(), dialect)?;
    let scheme = match dialect {
        Dialect::Simple => Scheme::Md5,
        Dialect::Lync => Scheme::Ntlm,
    };
    let signing = puppet.sign_in(scheme).await;
    signing.with_context(|| format!("signing {} in", account.user))?;
    Ok(puppet)
}

/// Runs `porticoctl` on this data directory: its exit code and both streams.
async fn run_ctl(data: &Path, arguments: &[&str], stdin: &str) -> Result<(i32, String)> {
    let mut command = Command::new(binary("porticoctl")?);
    command.arg("--data-dir").arg(data).args(arguments);
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

fn temporary() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("portico-test-").tempdir()?)
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
