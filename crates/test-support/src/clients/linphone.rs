//! linphone-daemon 5.1 (Debian 12): a page-mode client with receipts, CPIM and is-composing.
//!
//! It is driven by lines on its standard input and prints events on its own. The account stands in the
//! configuration file because the `register` command sets no route, and without one each text
//! would go to where the DNS says the domain is. Its database directory must exist first. It checks the
//! server's name but knows no IP addresses in certificates, so it connects to `localhost`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use super::Program;
use crate::patience::eventually;
use crate::sandbox::{Account, DOMAIN};

/// A running linphone-daemon.
pub struct Linphone {
    program: Program,
    _home: TempDir,
}

impl Linphone {
    /// Starts linphone-daemon with this account; it signs in by itself over TLS.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub async fn start(server: SocketAddr, ca: &Path, account: &Account) -> Result<Linphone> {
        let (home, config) = home(server, ca, account, false)?;
        let mut command = Command::new("linphone-daemon");
        command
            .arg("--config")
            .arg(&config)
            .arg("--log")
            .arg(home.path().join("log"));
        command.arg("--disable-stats-events").current_dir(home.path());
        command
            .env("HOME", home.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME");
        command.stdin(Stdio::piped());
        let program = Program::spawn(&format!("linphone {}", account.user), command)?;
        Ok(Linphone { program, _home: home })
    }

    /// Waits until the account is registered.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn signed_in(&mut self) -> Result<()> {
        match self.registration().await?.as_str() {
            "LinphoneRegistrationOk" => Ok(()),
            other => bail!("linphone's registration is {other}"),
        }
    }

    /// Waits until the sign-in has failed for good.
    ///
    /// # Errors
    /// It succeeded.
    pub async fn refused_to_sign_in(&mut self) -> Result<()> {
        match self.registration().await?.as_str() {
            "LinphoneRegistrationFailed" => Ok(()),
            other => bail!("linphone's registration is {other}"),
        }
    }

    /// The registration has no event; it has to be asked for.
    async fn registration(&mut self) -> Result<String> {
        let program = tokio::sync::Mutex::new(&mut self.program);
        eventually("linphone's registration", || async {
            let mut program = program.lock().await;
            program.command("register-status ALL").await?;
            let state = program.event("the answer", |line| {
                let state = line.strip_prefix("State: ").or(line.strip_prefix("Reason: "))?;
                state
                    .starts_with("LinphoneRegistration")
                    .then(|| state.to_owned())
            });
            let state = state.await?;
            Ok(
                (state != "LinphoneRegistrationProgress" && state != "LinphoneRegistrationNone")
                    .then_some(state),
            )
        })
        .await
    }

    /// Sends a text and waits for what became of it: true if it was delivered.
    ///
    /// # Errors
    /// Neither delivery nor failure is reported.
    pub async fn say(&mut self, user: &str, text: &str) -> Result<bool> {
        self.program
            .command(&format!("message sip:{user}@{DOMAIN} {text}"))
            .await?;
        self.program
            .event("the outcome of a message", |line| {
                match line.strip_prefix("State: ")? {
                    // A receipt may overtake our 200.
                    "LinphoneChatMessageStateDelivered"
                    | "LinphoneChatMessageStateDeliveredToUser"
                    | "LinphoneChatMessageStateDisplayed" => Some(true),
                    "LinphoneChatMessageStateNotDelivered" => Some(false),
                    _ => None,
                }
            })
            .await
    }

    /// Waits for this text from this user.
    ///
    /// # Errors
    /// It does not come.
    pub async fn hears(&mut self, user: &str, text: &str) -> Result<()> {
        // The event is a block of lines: From, To, Id, Content. Texts of a test are unique, so the
        // sender is looked up in the block that ends with this content.
        let content = format!("Content: \"{text}\"");
        self.program
            .event(&content, |line| (line == content).then_some(()))
            .await?;
        let lines = self.program.lines();
        let end = lines
            .iter()
            .rposition(|line| *line == content)
            .context("the line was just there")?;
        let from = lines[..end]
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("From: "));
        if from != Some(&format!("sip:{user}@{DOMAIN}")) {
            bail!("the text {text:?} came from {from:?}");
        }
        Ok(())
    }

    /// Signs out and ends.
    ///
    /// # Errors
    /// It does not end.
    pub async fn quit(mut self) -> Result<()> {
        self.program.command("quit").await?;
        self.program.exit().await?;
        Ok(())
    }
}

/// A home directory with the configuration of an account, which publishes its presence or not.
pub(super) fn home(
    server: SocketAddr,
    ca: &Path,
    account: &Account,
    publishes: bool,
) -> Result<(TempDir, PathBuf)> {
    let home = tempfile::Builder::new().prefix("linphone-").tempdir()?;
    for directory in [".local/share/linphone", ".config/linphone"] {
        std::fs::create_dir_all(home.path().join(directory))?;
    }
    let config = home.path().join("linphonerc");
    std::fs::write(&config, configuration(server, ca, account, publishes))?;
    Ok((home, config))
}

fn configuration(server: SocketAddr, ca: &Path, account: &Account, publishes: bool) -> String {
    let Account { user, password } = account;
    let proxy = format!("sip:localhost:{};transport=tls", server.port());
    format!(
        "[sip]\ndefault_proxy=0\nverify_server_certs=1\nverify_server_cn=1\nroot_ca={}\n\
         sip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\nregister_only_when_network_is_up=0\n\
         [auth_info_0]\nusername={user}\npasswd={password}\nrealm={DOMAIN}\n\
         [proxy_0]\nreg_proxy=<{proxy}>\nreg_route=<{proxy};lr>\nreg_identity=sip:{user}@{DOMAIN}\n\
         reg_expires=600\nreg_sendregister=1\npublish={}\n",
        ca.display(),
        u8::from(publishes)
    )
}
