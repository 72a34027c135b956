//! A Postgres of one test that speaks TLS only.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::Result;
use tempfile::TempDir;

use super::authority::{Authority, word};
use super::postgres::{USER, as_allowed_user, prepare, program};
use super::process::{checked, run, words};
use crate::clients::Program;
use crate::patience::{eventually, within};

/// Who may connect: over TLS everybody, `certified` with a certificate whose common name that is; without it nobody.
const RULES: &str =
    "hostssl all certified all cert\nhostssl all all all trust\nhostnossl all all all reject\n";

/// A Postgres that speaks TLS only, with an empty database `portico`. Ends with the value.
pub struct OwnPostgres {
    address: SocketAddr,
    /// How it is stopped.
    stop: Vec<String>,
    /// Dropped after it was stopped.
    _program: Program,
    _folder: TempDir,
}

impl OwnPostgres {
    /// Starts one with a certificate of `authority` for `hosts`. It knows the users `portico` and `certified`; who comes as
    /// the latter needs a certificate of the same authority with that common name.
    ///
    /// # Errors
    /// Postgres is not installed or does not start.
    pub async fn with_tls(authority: &Authority, hosts: &[&str]) -> Result<OwnPostgres> {
        let folder = tempfile::Builder::new().prefix("portico-postgres-").tempdir()?;
        let server = prepare(folder.path().to_owned()).await?;
        let files = folder.path().join("data");
        let issued = authority.issue("postgres", hosts)?;
        std::fs::copy(&issued.certificate, files.join("server.crt"))?;
        std::fs::copy(&issued.key, files.join("server.key"))?;
        std::fs::copy(authority.ca(), files.join("ca.crt"))?;
        std::fs::write(files.join("pg_hba.conf"), RULES)?;
        // It wants its key to be readable by nobody else.
        let key = word(&files.join("server.key"));
        run(&words(["chmod", "600", &key]), "").await?;
        let mut stop = as_allowed_user(folder.path()).await?;
        if !stop.is_empty() {
            run(&words(["chown", "-R", "postgres:postgres", &word(&files)]), "").await?;
        }
        stop.extend(words([
            &program("pg_ctl")?,
            "stop",
            "-m",
            "immediate",
            "-D",
            &word(&files),
        ]));
        let mut command = tokio::process::Command::new(&server.command[0]);
        command.args(&server.command[1..]).current_dir("/");
        for setting in [
            "ssl=on",
            "ssl_cert_file=server.crt",
            "ssl_key_file=server.key",
            "ssl_ca_file=ca.crt",
        ] {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null());
        let own = OwnPostgres {
            address: server.address,
            stop,
            _program: Program::spawn("postgres", command)?,
            _folder: folder,
        };
        eventually("Postgres to answer over TLS", || async {
            // It refuses while it starts.
            Ok(own.sql("postgres", "SELECT 1").await.ok())
        })
        .await?;
        own.sql(
            "postgres",
            "CREATE ROLE certified SUPERUSER LOGIN; CREATE DATABASE portico",
        )
        .await?;
        Ok(own)
    }

    /// `postgres://user@host:port/portico?parameters`; the host is a name or an address of this machine.
    #[must_use]
    pub fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        let port = self.address.port();
        format!("postgres://{user}@{host}:{port}/portico?{parameters}")
    }

    async fn sql(&self, database: &str, statements: &str) -> Result<String> {
        let (host, port) = (self.address.ip(), self.address.port());
        let place = format!("host={host} port={port} user={USER} dbname={database} sslmode=require");
        let psql = program("psql")?;
        // Each statement by itself: no database is made within a transaction.
        let command = words([
            &psql,
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &place,
        ]);
        within("psql", run(&command, statements)).await
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let stopped = Command::new(&self.stop[0])
            .args(&self.stop[1..])
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .map_err(anyhow::Error::from)
            .and_then(|output| checked("pg_ctl", output));
        if let Err(error) = stopped {
            // It is killed all the same; its folder may stay.
            eprintln!("stopping Postgres: {error:#}");
        }
    }
}
