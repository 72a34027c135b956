//! baresip 1.0 (Debian 12): a page-mode client with Digest MD5 and RFC 5626 outbound.
//!
//! It is driven over `ctrl_tcp` (JSON in netstrings), which also reports the sign-in. Incoming texts
//! go to the user interfaces only, so a second connection listens to the console module (`cons`). The
//! `stdio` module stays off because it wants a terminal; `uuid` is needed for the instance id. The outbound address
//! must be an IP address. `message` always goes to the marked contact.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Command;

use super::{Program, free_port};
use crate::patience::{eventually, within};
use crate::sandbox::{Account, DOMAIN};

/// A running baresip.
pub struct Baresip {
    program: Program,
    control: Control,
    console: BufReader<TcpStream>,
    console_lines: Vec<String>,
    server: SocketAddr,
    _home: TempDir,
}

impl Baresip {
    /// Starts baresip without an account. `contacts` are the users it can write to.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub async fn start(server: SocketAddr, ca: &Path, contacts: &[&str]) -> Result<Baresip> {
        Baresip::start_with(server, ca, contacts, ("", String::new())).await
    }

    /// Starts baresip with an account that publishes that it is there, and watches the contacts. It does neither for an
    /// account that is made later.
    ///
    /// # Errors
    /// As [`Baresip::start`].
    pub async fn with_presence(
        server: SocketAddr,
        ca: &Path,
        contacts: &[&str],
        account: &Account,
    ) -> Result<Baresip> {
        let line = account_line(server, account) + ";pubint=600\n";
        let mut client = Baresip::start_with(server, ca, contacts, (";presence=p2p", line)).await?;
        client.control.command("presence_online", "").await?;
        Ok(client)
    }

    async fn start_with(
        server: SocketAddr,
        ca: &Path,
        contacts: &[&str],
        (how, accounts): (&str, String),
    ) -> Result<Baresip> {
        let home = tempfile::Builder::new().prefix("baresip-").tempdir()?;
        // baresip takes no port 0 for these two that could be asked for afterwards.
        let (control, console) = (free_port().await?, free_port().await?);
        std::fs::write(home.path().join("config"), config(ca, control, console))?;
        std::fs::write(home.path().join("accounts"), accounts)?;
        let contacts = contacts
            .iter()
            .map(|user| format!("\"{user}\" <sip:{user}@{DOMAIN}>{how}\n"));
        std::fs::write(home.path().join("contacts"), contacts.collect::<String>())?;

        let mut command = Command::new("baresip");
        command
            .arg("-f")
            .arg(home.path())
            .env("HOME", home.path())
            .stdin(Stdio::null());
        let program = Program::spawn("baresip", command)?;
        let connect = |address: SocketAddr| async move { Ok(TcpStream::connect(address).await.ok()) };
        let (read, write) = eventually("baresip's control port", || connect(control))
            .await?
            .into_split();
        let console = eventually("baresip's console port", || connect(console)).await?;
        let control = Control {
            read: BufReader::new(read),
            write,
            events: Vec::new(),
        };
        Ok(Baresip {
            program,
            control,
            console: BufReader::new(console),
            console_lines: Vec::new(),
            server,
            _home: home,
        })
    }

    /// Signs in over TLS and waits for the registration.
    ///
    /// # Errors
    /// The server refuses it; the error carries status and reason.
    pub async fn sign_in(&mut self, account: &Account) -> Result<()> {
        let line = account_line(self.server, account);
        self.sign_in_with(&line).await
    }

    /// Waits until a contact is listed with this status: `Online`, `Busy`, `Offline`, `Unknown`.
    ///
    /// # Errors
    /// It does not come to be so.
    pub async fn sees(&mut self, user: &str, status: &str) -> Result<()> {
        let marked = format!("<sip:{user}@{DOMAIN}>");
        let what = format!("baresip to list {user} as {status}");
        within(&what, async {
            loop {
                let list = self.control.command("contacts", "").await?;
                if list
                    .lines()
                    .any(|line| line.contains(&marked) && line.contains(status))
                {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
    }

    /// Signs in with this line of baresip's `accounts` file.
    ///
    /// # Errors
    /// As [`Baresip::sign_in`].
    pub async fn sign_in_with(&mut self, line: &str) -> Result<()> {
        self.control.command("uanew", line).await?;
        let event = self.control.event("REGISTER_OK or REGISTER_FAIL", |e| {
            e["type"] == "REGISTER_OK" || e["type"] == "REGISTER_FAIL"
        });
        let event = event.await?;
        ensure!(event["type"] == "REGISTER_OK", "baresip says: {}", event["param"]);
        Ok(())
    }

    /// Sends a text to one of the contacts. A refusal is told by [`Baresip::refused`].
    ///
    /// # Errors
    /// There is no such contact.
    pub async fn say(&mut self, user: &str, text: &str) -> Result<()> {
        let marked = format!("<sip:{user}@{DOMAIN}>");
        let list = self.control.command("contacts", "").await?;
        ensure!(list.contains(&marked), "no contact {user} in: {list}");
        // The mark does not go round: up to the first, then down.
        for step in ["contact_prev", "contact_next"] {
            for _ in list.lines() {
                if self
                    .control
                    .command("contacts", "")
                    .await?
                    .contains(&format!("> {user} {marked}"))
                {
                    break;
                }
                self.control.command(step, "").await?;
            }
        }
        self.control.command("message", text).await?;
        Ok(())
    }

    /// Texts that were shown so far and nobody waited for, as baresip shows them.
    #[must_use]
    pub fn unexpected(&self) -> &[String] {
        &self.console_lines
    }

    /// Waits for this text from this user.
    ///
    /// # Errors
    /// It does not come; the error shows what did.
    pub async fn hears(&mut self, user: &str, text: &str) -> Result<()> {
        let wanted = format!("sip:{user}@{DOMAIN}: \"{text}\"");
        let what = format!("baresip to show {wanted}");
        let heard = within(&what, async {
            loop {
                if let Some(at) = self.console_lines.iter().position(|line| *line == wanted) {
                    self.console_lines.remove(at);
                    return Ok(());
                }
                let mut line = Vec::new();
                if self.console.read_until(b'"', &mut line).await? == 0 {
                    bail!("baresip has ended");
                }
                // `\r<uri>: "<text>"`; newlines stand where they like.
                self.console.read_until(b'"', &mut line).await?;
                let line = String::from_utf8_lossy(&line).into_owned();
                self.console_lines
                    .push(line.rsplit(['\r', '\n']).next().unwrap_or_default().to_owned());
            }
        })
        .await;
        heard.with_context(|| format!("its console said: {:?}", self.console_lines))
    }

    /// Waits until baresip reports that a text was refused with this status.
    ///
    /// # Errors
    /// It does not report that.
    pub async fn refused(&self, status: u16) -> Result<()> {
        let status = format!("{status} ");
        self.program
            .event("a refusal", |line| line.contains(&status).then_some(()))
            .await
    }

    /// Signs out and ends.
    ///
    /// # Errors
    /// It does not end.
    pub async fn quit(mut self) -> Result<()> {
        self.control.send("quit", "").await?;
        self.program.exit().await?;
        Ok(())
    }
}

/// A line of baresip's `accounts` file.
fn account_line(server: SocketAddr, Account { user, password }: &Account) -> String {
    format!(
        "<sip:{user}@{DOMAIN}>;auth_user={user};auth_pass={password};\
         outbound=\"sip:{server};transport=tls\";sipnat=outbound;regint=600"
    )
}

fn config(ca: &Path, control: SocketAddr, console: SocketAddr) -> String {
    format!(
        "poll_method epoll\nsip_cafile {}\nsip_verify_server yes\nsip_listen 127.0.0.1:0\n\
         module_path /usr/lib/baresip/modules\n\
         module uuid.so\nmodule account.so\nmodule g711.so\nmodule cons.so\n\
         module_app contact.so\nmodule_app presence.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen {control}\ncons_listen {console}\n",
        ca.display()
    )
}

/// The connection to `ctrl_tcp`: commands with their answers, and events in between.
struct Control {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    events: Vec<Value>,
}

impl Control {
    async fn send(&mut self, command: &str, params: &str) -> Result<()> {
        let text = json!({ "command": command, "params": params, "token": command }).to_string();
        Ok(self
            .write
            .write_all(format!("{}:{text},", text.len()).as_bytes())
            .await?)
    }

    async fn command(&mut self, command: &str, params: &str) -> Result<String> {
        self.send(command, params).await?;
        let answer = self
            .event(command, |e| e["response"] == true && e["token"] == command)
            .await?;
        ensure!(
            answer["ok"] == true,
            "baresip refused {command} {params}: {answer}"
        );
        Ok(answer["data"].as_str().unwrap_or_default().to_owned())
    }

    async fn event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        within(&format!("baresip's {what}"), async {
            loop {
                if let Some(at) = self.events.iter().position(&wanted) {
                    return Ok(self.events.remove(at));
                }
                let event = self.netstring().await?;
                eprintln!("[baresip] {event}");
                self.events.push(event);
            }
        })
        .await
    }

    async fn netstring(&mut self) -> Result<Value> {
        let mut length = Vec::new();
        self.read.read_until(b':', &mut length).await?;
        let length = String::from_utf8(length)?;
        let length: usize = length
            .trim_end_matches(':')
            .parse()
            .context("baresip's control port closed")?;
        let mut text = vec![0; length + 1];
        self.read.read_exact(&mut text).await?;
        Ok(serde_json::from_slice(&text[..length])?)
    }
}
