//! Servers for tests.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::FromRedisValue;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that is going to happen.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until something is so. `what` is for the reader of a failure.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server in a process of its own, killed when it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Child,
    directory: TempDir,
}

fn start(program: &str, directory: &Path, arguments: &[String]) -> Child {
    Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} must be installed for this test: {error}"))
}

impl Server {
    pub(crate) async fn fresh() -> Server {
        Server::with(&[]).await
    }

    /// With further arguments, such as `--requirepass`, `secret`.
    pub(crate) async fn with(further: &[&str]) -> Server {
        for _ in 0..5 {
            let port = free_port();
            let own =
                format!("--port {port} --bind 127.0.0.1 --appendonly no --loglevel warning --dir . --save");
            let mut arguments: Vec<String> = own.split(' ').map(str::to_owned).collect();
            arguments.push(String::new());
            arguments.extend(further.iter().map(|one| (*one).to_owned()));
            let directory = tempfile::tempdir().unwrap();
            let process = start("redis-server", directory.path(), &arguments);
            let mut server = Server {
                port,
                arguments,
                process,
                directory,
            };
            if server.comes_up().await {
                return server;
            }
        }
        panic!("redis-server does not come up on any port");
    }

    /// A sentinel that watches the master on this port under the name `pool`.
    pub(crate) async fn sentinel(master: u16) -> Server {
        for _ in 0..5 {
            let port = free_port();
            let directory = tempfile::tempdir().unwrap();
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir .\nsentinel monitor pool 127.0.0.1 {master} 1\n\
                 sentinel down-after-milliseconds pool 500\nsentinel failover-timeout pool 3000\n"
            );
            std::fs::write(directory.path().join("sentinel.conf"), text).unwrap();
            let arguments = vec!["sentinel.conf".to_owned()];
            let process = start("redis-sentinel", directory.path(), &arguments);
            let mut server = Server {
                port,
                arguments,
                process,
                directory,
            };
            if server.comes_up().await {
                return server;
            }
        }
        panic!("redis-sentinel does not come up on any port");
    }

    /// False if it ended: somebody else had the port.
    async fn comes_up(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let answer = self.try_ask::<redis::Value>(&redis::cmd("PING")).await;
            match answer {
                Ok(_) => return true,
                // It is up, and asks for a password.
                Err(error) if error.to_string().contains("NOAUTH") => return true,
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        panic!("the server on port {} does not answer", self.port);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn try_ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    /// Asks the server, past what is tested. Words separated by blanks.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &str) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words.split(' ').collect::<Vec<_>>());
        let answer = self.try_ask(&command).await;
        answer.unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    /// Ends the process as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on the same port, with nothing in it.
    pub(crate) async fn restart(&mut self) {
        self.process = start("redis-server", self.directory.path(), &self.arguments);
        assert!(self.comes_up().await, "port {} was taken meanwhile", self.port);
    }

    /// Holds it, as a machine that hangs.
    pub(crate) fn pause(&self) {
        kill_process(Pid::from_child(&self.process), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        kill_process(Pid::from_child(&self.process), Signal::CONT).unwrap();
    }

    /// Keys that live for ever, of which there should be none, and how many there are in all.
    pub(crate) async fn immortal_keys(&self) -> (Vec<String>, usize) {
        let keys: Vec<String> = self.ask("KEYS *").await;
        let mut immortal = Vec::new();
        for key in &keys {
            if self.ask::<i64>(&format!("TTL {key}")).await < 0 {
                immortal.push(key.clone());
            }
        }
        (immortal, keys.len())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        if self.process.kill().is_ok() {
            let _ended = self.process.wait();
        }
    }
}
