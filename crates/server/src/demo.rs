//! The people of a demo: made at its first start, with passwords that are shown once.

use config::Config;
use rpc::{DirectoryClient, NewAccount};
use sip_types::AddressOfRecord;

use crate::error::StartError;
use crate::password::readable_password;
use crate::ready::{Demo, DemoPerson};

/// User part and name of the people.
const PEOPLE: [(&str, &str); 4] = [
    ("alice", "Alice"),
    ("bob", "Bob"),
    ("carol", "Carol"),
    ("dave", "Dave"),
];

/// The user part of the contact that answers.
const ECHO: &str = "echo";

/// Creates whoever is missing. An account that is there keeps its password.
pub(crate) async fn create_people(
    directory: &DirectoryClient,
    config: &Config,
) -> Result<(Demo, AddressOfRecord), StartError> {
    let domain = config.pool.domains.first().unwrap_or(&config.pool.fqdn);
    let mut people = Vec::new();
    for (user, name) in PEOPLE {
        let (aor, password) = create(directory, domain, user, name, config.auth.ntlm).await?;
        people.push(DemoPerson {
            address: aor.to_string(),
            password,
        });
    }
    // Nobody signs in as the echo contact over the network: its password is told to nobody.
    let (echo, _) = create(directory, domain, ECHO, "Echo", false).await?;
    let demo = Demo {
        domain: domain.clone(),
        people,
        echo: echo.to_string(),
    };
    Ok((demo, echo))
}

/// The address, and the password if the account was created now.
async fn create(
    directory: &DirectoryClient,
    domain: &str,
    user: &str,
    name: &str,
    ntlm: bool,
) -> Result<(AddressOfRecord, Option<String>), StartError> {
    let problem = |error: &dyn std::fmt::Display| StartError::Demo(error.to_string());
    let aor = AddressOfRecord::parse(&format!("{user}@{domain}")).map_err(|error| problem(&error))?;
    if directory
        .account(&aor)
        .await
        .map_err(|error| problem(&error))?
        .is_some()
    {
        return Ok((aor, None));
    }
    let password = readable_password().map_err(|error| problem(&error))?;
    let account = NewAccount {
        aor: aor.clone(),
        display_name: name.to_owned(),
        site: String::new(),
        password: password.clone(),
        ntlm,
    };
    directory
        .create_account(account)
        .await
        .map_err(|error| problem(&error))?;
    Ok((aor, Some(password)))
}
