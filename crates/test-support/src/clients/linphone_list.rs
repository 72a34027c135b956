//! linphonelist: liblinphone 5.1 watching people through a list server. Its source lies in `tests/interop/linphonelist`;
//! `make interop` builds it into `target/interop`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::Program;
use super::linphone;
use crate::sandbox::{Account, DOMAIN};

/// A running linphonelist.
pub struct LinphoneList {
    program: Program,
    _home: TempDir,
}

impl LinphoneList {
    /// Starts it with this account: it signs in by itself over TLS, publishes that it is online, and watches these users; the
    /// contact list the server keeps if there are none.
    ///
    /// # Errors
    /// It is not built, or does not start.
    pub fn start(
        server: SocketAddr,
        ca: &Path,
        account: &Account,
        people: &[String],
    ) -> Result<LinphoneList> {
        let (home, config) = linphone::home(server, ca, account, true)?;
        let mut command = Command::new(super::built("linphonelist")?);
        command.arg(&config).arg(format!("sip:contacts@{DOMAIN}"));
        command.args(people.iter().map(|user| format!("sip:{user}@{DOMAIN}")));
        command
            .current_dir(home.path())
            .env("HOME", home.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::piped());
        let program = Program::spawn(&format!("linphonelist {}", account.user), command)?;
        Ok(LinphoneList { program, _home: home })
    }

    /// Waits until it is registered.
    ///
    /// # Errors
    /// It does not come to be so.
    pub async fn signed_in(&self) -> Result<()> {
        self.event_where("linphonelist's registration", |e| e["event"] == "signed-on")
            .await?;
        Ok(())
    }

    /// Waits to be shown this status of a contact: `online`, `busy`, `do-not-disturb`, `offline`. Returns the event, with
    /// `activity` and `note` if there are any.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn sees(&self, user: &str, status: &str) -> Result<Value> {
        let who = format!("sip:{user}@{DOMAIN}");
        self.event_where(&format!("{user} being {status}"), |e| {
            e["event"] == "presence" && e["who"] == who && e["status"] == status
        })
        .await
    }

    /// Waits to be shown this note of a contact.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn sees_note(&self, user: &str, note: &str) -> Result<()> {
        let who = format!("sip:{user}@{DOMAIN}");
        self.event_where(&format!("{user} with {note:?}"), |e| {
            e["event"] == "presence" && e["who"] == who && e["note"] == note
        })
        .await?;
        Ok(())
    }

    /// Publishes this status, with a note if there is one behind a blank.
    ///
    /// # Errors
    /// It does not know the status.
    pub async fn publish(&mut self, status: &str) -> Result<()> {
        self.program.command(&format!("status {status}")).await?;
        let answer = self
            .event_where("the answer of linphonelist", |e| {
                e["event"] == "done" || e["event"] == "error"
            })
            .await?;
        ensure!(
            answer["event"] == "done",
            "linphonelist refused {status}: {answer}"
        );
        Ok(())
    }

    async fn event_where(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.program
            .event(what, |line| {
                serde_json::from_str(line).ok().filter(|event| wanted(event))
            })
            .await
    }

    /// Signs out and ends.
    ///
    /// # Errors
    /// It does not end well.
    pub async fn quit(mut self) -> Result<()> {
        self.program.command("quit").await?;
        let status = self.program.exit().await?;
        ensure!(status == 0, "linphonelist ended with {status}");
        Ok(())
    }
}
