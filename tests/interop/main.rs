//! Real client programs against the real server: baresip, linphone-daemon, linphonelist, lyncdrive (libpurple with
//! SIPE), SIPp, and a collector of telemetry. `make interop` installs and builds them, then runs this.

mod echo;
mod endpoints;
mod errors;
mod lists;
mod otlp;
mod presence;
mod readme;
mod sipp;
mod talk;

use anyhow::Result;
use test_support::clients::{Baresip, Linphone, LinphoneList, Lyncdrive};
use test_support::{Account, Sandbox};

/// A server and what clients need to reach it.
struct Pool {
    sandbox: Sandbox,
}

impl Pool {
    async fn start() -> Result<Pool> {
        Ok(Pool {
            sandbox: Sandbox::start().await?,
        })
    }

    async fn user(&self, name: &str) -> Result<Account> {
        self.sandbox.create(name).await
    }

    /// baresip, signed in, able to write to `contacts`.
    async fn baresip(&self, account: &Account, contacts: &[&str]) -> Result<Baresip> {
        let mut client = Baresip::start(self.sandbox.tls()?, &self.sandbox.ca()?, contacts).await?;
        client.sign_in(account).await?;
        Ok(client)
    }

    /// baresip that signs in, publishes its presence and watches `contacts`.
    async fn baresip_with_presence(&self, account: &Account, contacts: &[&str]) -> Result<Baresip> {
        Baresip::with_presence(self.sandbox.tls()?, &self.sandbox.ca()?, contacts, account).await
    }

    /// linphone-daemon, signed in.
    async fn linphone(&self, account: &Account) -> Result<Linphone> {
        let mut client = Linphone::start(self.sandbox.tls()?, &self.sandbox.ca()?, account).await?;
        client.signed_in().await?;
        Ok(client)
    }

    /// Linphone's library, signed in, which publishes its presence and watches these users in one list; the contact list the
    /// server keeps if there are none.
    async fn linphone_list(&self, account: &Account, people: &[String]) -> Result<LinphoneList> {
        let client = LinphoneList::start(self.sandbox.tls()?, &self.sandbox.ca()?, account, people)?;
        client.signed_in().await?;
        Ok(client)
    }

    /// lyncdrive, signed in with NTLM.
    async fn lyncdrive(&self, account: &Account, endpoint: &str) -> Result<Lyncdrive> {
        let client = Lyncdrive::start(self.sandbox.tls()?, &self.sandbox.ca()?, account, endpoint)?;
        client.signed_in().await?;
        Ok(client)
    }
}
