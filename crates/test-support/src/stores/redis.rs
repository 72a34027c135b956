//! A throw-away Redis: one per run with a name per test, or one of a test's own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::authority::{Authority, Issued, word};
use super::process::{find, run, words};
use super::shared::{self, Joined, Server};
use crate::clients::{Program, free_port};
use crate::patience::{eventually, within};

const PACKAGE: &str = "redis-server";

/// A place in the Redis of this test run.
#[derive(Debug)]
pub struct RedisServer {
    address: SocketAddr,
    pool: String,
}

impl RedisServer {
    /// The server all tests of a run share, started by the first, and a name under which this caller's keys are its own.
    /// Whoever wants to stop or empty it takes [`RedisServer::own`].
    ///
    /// # Errors
    /// Redis is not installed or does not start.
    pub async fn shared() -> Result<RedisServer> {
        static JOINED: OnceCell<Joined> = OnceCell::const_new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let joined = JOINED.get_or_try_init(join).await.context("starting Redis")?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Ok(RedisServer {
            address: joined.address,
            pool: format!("test-{}-{count}", std::process::id()),
        })
    }

    /// A server of this test's own.
    ///
    /// # Errors
    /// Redis is not installed or does not start.
    pub async fn own() -> Result<OwnRedis> {
        OwnRedis::with(Vec::new(), None).await
    }

    /// A server of this test's own that speaks TLS only, with a certificate of `authority` for `hosts`. `further` are
    /// arguments such as `--tls-auth-clients yes`: it asks clients for a certificate of the same authority.
    ///
    /// # Errors
    /// Redis is not installed or does not start.
    pub async fn own_with_tls(authority: &Authority, hosts: &[&str], further: &[&str]) -> Result<OwnRedis> {
        let tls = Tls {
            ca: authority.ca(),
            issued: authority.issue("redis", hosts)?,
        };
        let further = further.iter().map(|&one| one.to_owned()).collect();
        OwnRedis::with(further, Some(tls)).await
    }

    /// `redis://host:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// A name no other test has: for the name of a pool, which is part of every key.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }
}

/// Where the files are with which a server speaks TLS, also to others.
#[derive(Clone)]
struct Tls {
    ca: PathBuf,
    issued: Issued,
}

impl Tls {
    /// What a server has to be told, as names and values.
    fn settings(&self, port: u16) -> [(&'static str, String); 8] {
        [
            ("port", "0".to_owned()),
            ("tls-port", port.to_string()),
            ("tls-cert-file", word(&self.issued.certificate)),
            ("tls-key-file", word(&self.issued.key)),
            ("tls-ca-cert-file", word(&self.ca)),
            ("tls-auth-clients", "no".to_owned()),
            ("tls-replication", "yes".to_owned()),
            ("tls-cluster", "yes".to_owned()),
        ]
    }

    /// The same of `redis-cli`.
    fn client(&self) -> Vec<String> {
        let (ca, certificate, key) = (&self.ca, &self.issued.certificate, &self.issued.key);
        let (ca, certificate, key) = (word(ca), word(certificate), word(key));
        words(["--tls", "--cacert", &ca, "--cert", &certificate, "--key", &key])
    }
}

/// A Redis that one test may treat as it likes. Ends with the value.
pub struct OwnRedis {
    program: Program,
    address: SocketAddr,
    folder: TempDir,
    /// Further arguments.
    further: Vec<String>,
    tls: Option<Tls>,
}

impl OwnRedis {
    async fn with(further: Vec<String>, tls: Option<Tls>) -> Result<OwnRedis> {
        let folder = tempfile::tempdir()?;
        let address = free_port().await?;
        let program = start(address, &folder, &further, tls.as_ref()).await?;
        Ok(OwnRedis {
            program,
            address,
            folder,
            further,
            tls,
        })
    }

    /// Another server that copies this one; returns when it follows.
    ///
    /// # Errors
    /// It does not.
    pub async fn replica(&self) -> Result<OwnRedis> {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let further = words(["--replicaof", &host, &port]);
        let replica = OwnRedis::with(further, self.tls.clone()).await?;
        eventually("the replica to follow", || async {
            let replication = replica.command(&["INFO", "replication"]).await?;
            Ok(replication.contains("master_link_status:up").then_some(()))
        })
        .await?;
        Ok(replica)
    }

    /// A sentinel that watches this server under the name `pool`, is a majority by itself, and makes the replica the master
    /// when this server has not answered for half a second; returns when it knows the replica.
    ///
    /// # Errors
    /// It does not come to know one.
    pub async fn sentinel(&self) -> Result<OwnRedis> {
        let folder = tempfile::tempdir()?;
        let address = free_port().await?;
        let (host, master) = (self.address.ip(), self.address.port());
        let file = folder.path().join("sentinel.conf");
        let mut text = format!(
            "port {}\nbind {host}\ndir .\nsentinel monitor pool {host} {master} 1\n\
             sentinel down-after-milliseconds pool 500\nsentinel failover-timeout pool 3000\n",
            address.port()
        );
        for (name, value) in self.tls.iter().flat_map(|tls| tls.settings(address.port())) {
            text.push_str(&format!("{name} {value}\n"));
        }
        std::fs::write(&file, text)?;
        let server = find("redis-server", &[], PACKAGE)?;
        let mut start = Command::new(server);
        start.arg(&file).arg("--sentinel").current_dir(folder.path());
        start.stdin(std::process::Stdio::null());
        let program = Program::spawn("sentinel", start)?;
        ready(address, self.tls.as_ref()).await?;
        let sentinel = OwnRedis {
            program,
            address,
            folder,
            further: Vec::new(),
            tls: self.tls.clone(),
        };
        eventually("the sentinel to know a replica to promote", || async {
            let replicas = sentinel.command(&["SENTINEL", "replicas", "pool"]).await?;
            let mut words = replicas.lines().skip_while(|word| *word != "master-link-status");
            Ok((words.nth(1) == Some("ok")).then_some(()))
        })
        .await?;
        Ok(sentinel)
    }

    /// `redis://host:port`, or `rediss` if it speaks TLS; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs one command, such as `["GET", "key"]`, and returns its answer as text.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn command(&self, words: &[&str]) -> Result<String> {
        let command: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        cli(self.address, self.tls.as_ref(), &command).await
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn flush(&self) -> Result<()> {
        self.command(&["FLUSHALL"]).await.map(drop)
    }

    /// Kills it: nothing of what it kept comes back.
    ///
    /// # Errors
    /// It is dead already.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.program.exit().await.map(drop)
    }

    /// Starts it again after [`OwnRedis::kill`], empty, at the same address.
    ///
    /// # Errors
    /// Something else listens there meanwhile.
    pub async fn restart(&mut self) -> Result<()> {
        self.program = start(self.address, &self.folder, &self.further, self.tls.as_ref()).await?;
        Ok(())
    }

    /// Stops it in the middle of what it does (SIGSTOP): connections stand and nothing is answered.
    ///
    /// # Errors
    /// It is dead.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`OwnRedis::pause`].
    ///
    /// # Errors
    /// It is dead.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.program.pid().context("Redis has exited")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("process id 0")?;
        Ok(kill_process(pid, signal)?)
    }
}

async fn join() -> Result<Joined> {
    let prepare = || async {
        let data = tempfile::Builder::new()
            .prefix("portico-redis-")
            .tempdir()?
            .keep();
        let address = free_port().await?;
        let command = command(address, &data.to_string_lossy())?;
        Ok(Server {
            data,
            address,
            command,
        })
    };
    shared::join("redis", prepare, |address| ready(address, None)).await
}

fn command(address: SocketAddr, folder: &str) -> Result<Vec<String>> {
    let program = find("redis-server", &[], PACKAGE)?;
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    Ok(words([
        &program,
        "--bind",
        &host,
        "--port",
        &port,
        "--dir",
        folder,
        "--save",
        "",
        "--appendonly",
        "no",
    ]))
}

async fn start(
    address: SocketAddr,
    folder: &TempDir,
    further: &[String],
    tls: Option<&Tls>,
) -> Result<Program> {
    let command = command(address, &folder.path().to_string_lossy())?;
    let (program, arguments) = command.split_first().context("no command")?;
    let mut start = Command::new(program);
    start
        .args(arguments)
        // The last word on a setting counts: TLS before what a test says.
        .args(
            tls.into_iter()
                .flat_map(|tls| tls.settings(address.port()))
                .flat_map(|(name, value)| [format!("--{name}"), value]),
        )
        .args(further)
        .stdin(std::process::Stdio::null());
    let program = Program::spawn("redis", start)?;
    ready(address, tls).await?;
    Ok(program)
}

async fn ready(address: SocketAddr, tls: Option<&Tls>) -> Result<()> {
    let ping = words(["PING"]);
    eventually("Redis to answer", || async {
        // It refuses while it starts.
        Ok(cli(address, tls, &ping)
            .await
            .ok()
            .filter(|answer| answer == "PONG"))
    })
    .await
    .map(drop)
}

async fn cli(address: SocketAddr, tls: Option<&Tls>, command: &[String]) -> Result<String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut whole = words([&find("redis-cli", &[], PACKAGE)?, "-h", &host, "-p", &port]);
    whole.extend(tls.map(Tls::client).unwrap_or_default());
    whole.extend_from_slice(command);
    within("redis-cli", run(&whole, "")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_in_the_shared_server_have_names_of_their_own() {
        let (one, other) = (
            RedisServer::shared().await.unwrap(),
            RedisServer::shared().await.unwrap(),
        );
        assert_eq!(one.url(), other.url());
        assert_ne!(one.pool(), other.pool());
    }

    #[tokio::test]
    async fn a_server_of_ones_own_can_be_emptied_paused_killed_and_started_again() {
        let mut redis = RedisServer::own().await.unwrap();
        redis.command(&["SET", "key", "value"]).await.unwrap();
        redis.flush().await.unwrap();
        assert_eq!(redis.command(&["GET", "key"]).await.unwrap(), "");
        redis.pause().unwrap();
        let answer = tokio::time::timeout(std::time::Duration::from_millis(300), redis.command(&["PING"]));
        assert!(answer.await.is_err(), "a paused server answers nothing");
        redis.resume().unwrap();
        redis.command(&["SET", "key", "value"]).await.unwrap();
        redis.kill().await.unwrap();
        assert!(redis.command(&["PING"]).await.is_err());
        redis.restart().await.unwrap();
        assert_eq!(
            redis.command(&["GET", "key"]).await.unwrap(),
            "",
            "nothing was kept"
        );
    }
}
