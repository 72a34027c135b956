//! lyncdrive: a real Lync-family client (libpurple with SIPE) without a user interface. Its source lies in
//! `tests/interop/lyncdrive`; `make interop` builds it into `target/interop`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::Program;
use crate::sandbox::{Account, DOMAIN};

/// A running lyncdrive.
pub struct Lyncdrive {
    program: Program,
}

impl Lyncdrive {
    /// Starts lyncdrive, which signs in with NTLM over TLS. `endpoint` is the host name it claims: one
    /// user signed in twice needs two.
    ///
    /// # Errors
    /// It is not built.
    pub fn start(server: SocketAddr, ca: &Path, account: &Account, endpoint: &str) -> Result<Lyncdrive> {
        Lyncdrive::start_with(server, ca, account, endpoint, &[])
    }

    /// As [`Lyncdrive::start`] with more options of the program; of two equal options the last one counts.
    ///
    /// # Errors
    /// It is not built.
    pub fn start_with(
        server: SocketAddr,
        ca: &Path,
        account: &Account,
        endpoint: &str,
        options: &[&str],
    ) -> Result<Lyncdrive> {
        let Account { user, password } = account;
        let mut command = Command::new(super::built("lyncdrive")?);
        command.args([
            "-u",
            &format!("{user}@{DOMAIN}"),
            "-s",
            &format!("localhost:{}", server.port()),
        ]);
        // Nothing is to be waited for between sign-in and the first command.
        command
            .args(["--settle", "0", "--endpoint", endpoint, "-c"])
            .arg(ca);
        command
            .args(options)
            .env("LYNCDRIVE_PASSWORD", password)
            .stdin(Stdio::piped());
        let program = Program::spawn(&format!("lyncdrive {user}/{endpoint}"), command)?;
        Ok(Lyncdrive { program })
    }

    /// Waits until it has signed in.
    ///
    /// # Errors
    /// The server refuses it; the error is what the person would read.
    pub async fn signed_in(&self) -> Result<()> {
        let outcome = self.event_where("sign-on", |e| {
            e["event"] == "signed-on" || e["event"] == "connection-error"
        });
        let outcome = outcome.await?;
        ensure!(outcome["event"] == "signed-on", "lyncdrive says: {outcome}");
        Ok(())
    }

    /// Waits until the sign-in is refused, and returns what the person would read.
    ///
    /// # Errors
    /// It is not refused.
    pub async fn refused_to_sign_in(&self) -> Result<String> {
        let error = self.event("connection-error").await?;
        Ok(error["text"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends a text. Whether it arrives is told by the other side or by `conv-error`.
    ///
    /// # Errors
    /// lyncdrive does not take the command.
    pub async fn say(&mut self, user: &str, text: &str) -> Result<()> {
        self.command(&format!("im {user}@{DOMAIN} {text}")).await
    }

    /// Waits for this text from this user.
    ///
    /// # Errors
    /// It does not come.
    pub async fn hears(&self, user: &str, text: &str) -> Result<()> {
        let from = format!("sip:{user}@{DOMAIN}");
        self.event_where(&format!("the text {text:?} from {user}"), |e| {
            e["event"] == "im" && e["from"] == from && e["text"] == text
        })
        .await?;
        Ok(())
    }

    /// Shows the other side that this user types, or has stopped.
    ///
    /// # Errors
    /// There is no session with this user.
    pub async fn types(&mut self, user: &str, on: bool) -> Result<()> {
        let state = if on { "on" } else { "off" };
        self.command(&format!("typing {user}@{DOMAIN} {state}")).await
    }

    /// Waits to be shown that this user types (`typing`) or has stopped (`idle`).
    ///
    /// # Errors
    /// It is not shown.
    pub async fn sees_typing(&self, user: &str, state: &str) -> Result<()> {
        let from = format!("sip:{user}@{DOMAIN}");
        self.event_where(&format!("{state} of {user}"), |e| {
            e["event"] == "typing" && e["from"] == from && e["state"] == state
        })
        .await?;
        Ok(())
    }

    /// Waits until its person is shown with this status.
    ///
    /// # Errors
    /// It does not come to be so.
    pub async fn shows_itself(&self, status: &str) -> Result<()> {
        let what = format!("{status} of its own");
        self.event_where(&what, |e| e["event"] == "own-status" && e["status"] == status)
            .await?;
        Ok(())
    }

    /// Waits to be shown this status of a contact.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn sees(&self, user: &str, status: &str) -> Result<()> {
        let who = format!("sip:{user}@{DOMAIN}");
        let changes = ["buddy-online", "buddy-offline", "presence"];
        self.event_where(&format!("{user} being {status}"), |e| {
            changes.iter().any(|name| e["event"] == *name) && e["who"] == who && e["status"] == status
        })
        .await?;
        Ok(())
    }

    /// Waits to be shown this status of a contact together with this note.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn sees_note(&self, user: &str, status: &str, note: &str) -> Result<()> {
        let who = format!("sip:{user}@{DOMAIN}");
        self.event_where(&format!("{user} being {status} with {note:?}"), |e| {
            let text = e["text"].as_str().unwrap_or_default();
            e["event"] == "presence" && e["who"] == who && e["status"] == status && text.contains(note)
        })
        .await?;
        Ok(())
    }

    /// Waits for an event of this name about a user.
    ///
    /// # Errors
    /// It does not come.
    pub async fn event_about(&self, name: &str, user: &str) -> Result<()> {
        let who = format!("sip:{user}@{DOMAIN}");
        self.event_where(&format!("{name} of {user}"), |e| {
            e["event"] == name && e["who"] == who
        })
        .await?;
        Ok(())
    }

    /// Ends the session with this user.
    ///
    /// # Errors
    /// lyncdrive does not take the command.
    pub async fn close(&mut self, user: &str) -> Result<()> {
        self.command(&format!("close {user}@{DOMAIN}")).await
    }

    /// Gives a command and waits for its `done`.
    ///
    /// # Errors
    /// The command is answered with `error`.
    pub async fn command(&mut self, line: &str) -> Result<()> {
        self.program.command(line).await?;
        let answer = self
            .event_where(line, |e| {
                (e["event"] == "done" || e["event"] == "error") && e["command"] == line
            })
            .await?;
        ensure!(answer["event"] == "done", "lyncdrive refused {line}: {answer}");
        Ok(())
    }

    /// Waits for an event of this name and takes it.
    ///
    /// # Errors
    /// It does not come.
    pub async fn event(&self, name: &str) -> Result<Value> {
        self.event_where(name, |e| e["event"] == name).await
    }

    /// Events of this name so far.
    #[must_use]
    pub fn events(&self, name: &str) -> Vec<Value> {
        let lines = self.program.lines();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|e: &Value| e["event"] == name)
            .collect()
    }

    async fn event_where(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.program
            .event(what, |line| {
                serde_json::from_str(line).ok().filter(|event| wanted(event))
            })
            .await
    }

    /// Signs out and ends; returns the exit status (0 after a sign-on).
    ///
    /// # Errors
    /// It does not end.
    pub async fn quit(mut self) -> Result<i32> {
        self.program.command("quit").await?;
        self.program.exit().await
    }
}
