//! A throw-away Postgres: one server per run, one database per test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use super::process::{checked, find, run, words};
use super::shared::{self, Joined, Server};
use crate::clients::free_port;
use crate::patience::{eventually, within};

/// Who owns everything in it. Every connection from loopback is trusted; the password in URLs is for looking for it in
/// places where it must not be.
pub(super) const USER: &str = "portico";
const PASSWORD: &str = "not-for-logs";

/// The Postgres of this test run.
#[derive(Debug)]
pub struct PostgresServer {
    joined: Joined,
    psql: String,
}

/// A database of one test, dropped with the value.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: &'static PostgresServer,
    name: String,
}

impl PostgresServer {
    /// The server all tests of a run share; started by the first.
    ///
    /// # Errors
    /// Postgres is not installed or does not start.
    pub async fn shared() -> Result<&'static PostgresServer> {
        static SERVER: OnceCell<PostgresServer> = OnceCell::const_new();
        SERVER.get_or_try_init(PostgresServer::join).await
    }

    async fn join() -> Result<PostgresServer> {
        let psql = program("psql")?;
        let ready = psql.clone();
        let prepare = || async {
            let data = tempfile::Builder::new()
                .prefix("portico-postgres-")
                .tempdir()?
                .keep();
            prepare(data).await
        };
        let joined = shared::join("postgres", prepare, |address| async move {
            eventually("Postgres to answer", || async {
                // It refuses while it starts.
                Ok(psql_run(&ready, address, "postgres", "SELECT 1").await.ok())
            })
            .await
            .map(drop)
        })
        .await
        .context("starting Postgres")?;
        Ok(PostgresServer { joined, psql })
    }

    /// An empty database.
    ///
    /// # Errors
    /// The server has gone.
    pub async fn database(&'static self) -> Result<PostgresDatabase> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}", std::process::id());
        self.run(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"),
        )
        .await?;
        Ok(PostgresDatabase { server: self, name })
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.joined.address
    }

    async fn run(&self, database: &str, sql: &str) -> Result<String> {
        psql_run(&self.psql, self.joined.address, database, sql).await
    }
}

impl PostgresDatabase {
    /// `postgres://user:password@host:port/name`.
    #[must_use]
    pub fn url(&self) -> String {
        let address = self.server.joined.address;
        format!("postgres://{USER}:{PASSWORD}@{address}/{}", self.name)
    }

    /// The password of [`PostgresDatabase::url`], which nothing may show.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Runs statements as an administrator would with `psql` and returns what they print: rows as lines, columns
    /// separated by `|`.
    ///
    /// # Errors
    /// The server refuses one.
    pub async fn sql(&self, statements: &str) -> Result<String> {
        self.server.run(&self.name, statements).await
    }

    /// Cuts every connection to this database, as a restart of the server would; returns how many.
    ///
    /// # Errors
    /// The server has gone.
    pub async fn cut_connections(&self) -> Result<usize> {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        Ok(self.sql(cut).await?.parse()?)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let mut command = Command::new(&self.server.psql);
        command
            .args(arguments(self.server.joined.address, "postgres"))
            .args(["-c", &statement])
            .current_dir("/")
            .stdin(Stdio::null());
        let dropped = command
            .output()
            .map_err(anyhow::Error::from)
            .and_then(|output| checked("psql", output));
        if let Err(error) = dropped {
            // It goes with the server.
            eprintln!("dropping {}: {error:#}", self.name);
        }
    }
}

pub(super) fn program(name: &str) -> Result<String> {
    // Debian puts servers where the path does not lead; the newest version first.
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    find(name, &folders, "postgresql")
}

fn arguments(address: SocketAddr, database: &str) -> Vec<String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    words([
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        &host,
        "-p",
        &port,
        "-U",
        USER,
        "-d",
        database,
    ])
}

async fn psql_run(psql: &str, address: SocketAddr, database: &str, sql: &str) -> Result<String> {
    let mut command = words([psql]);
    command.extend(arguments(address, database));
    within("psql", run(&command, sql)).await
}

/// Makes the files of a server in a folder and says how to start it.
pub(super) async fn prepare(data: PathBuf) -> Result<Server> {
    let files = data.join("data").to_string_lossy().into_owned();
    let as_user = as_allowed_user(&data).await?;
    let mut initdb = as_user.clone();
    initdb.push(program("initdb")?);
    initdb.extend(words([
        "-D",
        &files,
        "-U",
        USER,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]));
    within("initdb", run(&initdb, "")).await?;
    let address = free_port().await?;
    let mut command = as_user;
    command.push(program("postgres")?);
    command.extend(words([
        "-D",
        &files,
        "-h",
        "127.0.0.1",
        "-p",
        &address.port().to_string(),
    ]));
    for setting in [
        "unix_socket_directories=",
        // Nobody misses it after a power cut.
        "fsync=off",
        "full_page_writes=off",
        // Many tests with a few connections each.
        "max_connections=400",
        "shared_buffers=32MB",
        "jit=off",
    ] {
        command.extend(words(["-c", setting]));
    }
    Ok(Server {
        data,
        address,
        command,
    })
}

/// Postgres refuses to run as root: then it runs as the user of its package, who gets the folder. Returns what to put
/// before a command.
pub(super) async fn as_allowed_user(folder: &std::path::Path) -> Result<Vec<String>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Vec::new());
    }
    let folder = folder.to_string_lossy();
    run(&words(["chown", "postgres:postgres", &folder]), "").await?;
    // The death signal comes last: a change of user takes it away.
    Ok(words([
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--init-groups",
        "--pdeathsig=INT",
        "--",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_database_is_empty_and_gone_with_its_value() {
        let server = PostgresServer::shared().await.unwrap();
        let (one, other) = (server.database().await.unwrap(), server.database().await.unwrap());
        one.sql("CREATE TABLE letters (letter TEXT); INSERT INTO letters VALUES ('a'), ('b')")
            .await
            .unwrap();
        assert_eq!(
            one.sql("SELECT letter FROM letters ORDER BY 1").await.unwrap(),
            "a\nb"
        );
        let error = other.sql("SELECT letter FROM letters").await.unwrap_err();
        assert!(format!("{error:#}").contains("letters"), "{error:#}");
        let name = one.name.clone();
        drop(one);
        let left = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        assert_eq!(other.sql(&left).await.unwrap(), "0");
    }
}
