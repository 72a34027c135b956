//! `porticoctl user ...`.

mod bulk;
mod contacts;

use std::path::PathBuf;

use clap::Subcommand;
use hyper::Method;
use serde_json::json;
use server::control::api::{Kicked, NewUser, Session, User, UserChange};

use super::client::segment;
use super::confirm::confirm;
use super::failure::Failure;
use super::password::{self, Password};
use super::{Format, Terms, table};
use crate::out;

/// Accounts read at once while listing all.
const PAGE: usize = 1_000;

/// What to do with accounts.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Create an account; without --password-stdin the password is generated and shown once
    Create {
        /// Address, such as alice@example.test
        address: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Name people see; without it: the user part of the address
        #[arg(long, value_name = "NAME", default_value = "")]
        display_name: String,
        /// Site it belongs to
        #[arg(long, default_value = "")]
        site: String,
        /// Whether it may sign in by NTLM; without it: as auth.ntlm of the server says
        #[arg(long, value_name = "true|false")]
        ntlm: Option<bool>,
    },
    /// List accounts
    List {
        /// Only those that users find by these words of a name or beginning of an address: enabled ones, 100 at most
        #[arg(long, value_name = "WORDS")]
        search: Option<String>,
    },
    /// Show an account
    Show {
        /// Address
        address: String,
    },
    /// Change an account
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Set {
        /// Address
        address: String,
        /// Name people see
        #[arg(long, value_name = "NAME", group = "change")]
        display_name: Option<String>,
        /// Site it belongs to
        #[arg(long, group = "change")]
        site: Option<String>,
        /// false: it signs in nowhere, and is signed out where it is
        #[arg(long, value_name = "true|false", group = "change")]
        enabled: Option<bool>,
    },
    /// Delete an account and sign it out
    Delete {
        /// Address
        address: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Set a password; without --password-stdin it is generated and shown once
    Passwd {
        /// Address
        address: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Whether it may sign in by NTLM; without it: as before
        #[arg(long, value_name = "true|false")]
        ntlm: Option<bool>,
    },
    /// Show where an account is signed in
    Sessions {
        /// Address
        address: String,
    },
    /// Sign an account out
    Kick {
        /// Address
        address: String,
        /// Only this endpoint, as `user sessions` names it
        #[arg(long)]
        endpoint: Option<String>,
    },
    /// Show the contact list of an account, or change it
    Contacts {
        /// Address
        address: String,
        /// Add this contact, or give it another name
        #[arg(long, value_name = "ADDRESS")]
        add: Option<String>,
        /// With --add: the name the user sees
        #[arg(long, requires = "add")]
        name: Option<String>,
        /// Remove this contact
        #[arg(long, value_name = "ADDRESS", conflicts_with = "add")]
        remove: Option<String>,
    },
    /// Create accounts from a CSV file with the columns address, password and optionally display_name, site, ntlm
    Import {
        /// File, or - for standard input
        file: PathBuf,
    },
    /// Write all accounts as CSV to standard output; passwords are not known and not in it
    Export,
}

pub(super) async fn run(terms: &Terms, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create {
            address,
            password_stdin,
            display_name,
            site,
            ntlm,
        } => {
            let password = password::obtain(password_stdin)?;
            let new = NewUser {
                address,
                display_name,
                site,
                password: password.text.clone(),
                ntlm,
            };
            let user: User = terms.client.send(Method::POST, "/v1/users", &new).await?;
            show_with_password(terms, &user, &password);
            Ok(())
        }
        Verb::List { search } => {
            let users = match search {
                Some(words) => found(terms, &words).await?,
                None => all(terms).await?,
            };
            terms.show(&users, |users| table::users(users));
            Ok(())
        }
        Verb::Show { address } => {
            let user: User = terms.client.get(&path(&address)).await?;
            terms.show(&user, |user| table::users(std::slice::from_ref(user)));
            Ok(())
        }
        Verb::Set {
            address,
            display_name,
            site,
            enabled,
        } => {
            let change = UserChange {
                display_name,
                site,
                enabled,
                ..UserChange::default()
            };
            let user: User = terms.client.send(Method::PATCH, &path(&address), &change).await?;
            terms.show(&user, |user| table::users(std::slice::from_ref(user)));
            Ok(())
        }
        Verb::Delete { address, yes } => delete(terms, &address, yes).await,
        Verb::Passwd {
            address,
            password_stdin,
            ntlm,
        } => {
            let password = password::obtain(password_stdin)?;
            let change = UserChange {
                password: Some(password.text.clone()),
                ntlm,
                ..UserChange::default()
            };
            let user: User = terms.client.send(Method::PATCH, &path(&address), &change).await?;
            show_with_password(terms, &user, &password);
            Ok(())
        }
        Verb::Sessions { address } => {
            let sessions: Vec<Session> = terms.client.get(&format!("{}/sessions", path(&address))).await?;
            terms.show(&sessions, |sessions| table::sessions(sessions));
            Ok(())
        }
        Verb::Kick { address, endpoint } => kick(terms, &address, endpoint).await,
        Verb::Contacts {
            address,
            add,
            name,
            remove,
        } => contacts::run(terms, &path(&address), add, name, remove).await,
        Verb::Import { file } => bulk::import(terms, &file).await,
        Verb::Export => bulk::export(terms).await,
    }
}

fn path(address: &str) -> String {
    format!("/v1/users/{}", segment(address))
}

/// The accounts that users find by these words.
async fn found(terms: &Terms, words: &str) -> Result<Vec<User>, Failure> {
    let path = format!("/v1/users?search={}", segment(words));
    terms.client.get(&path).await
}

/// Every account, page by page.
async fn all(terms: &Terms) -> Result<Vec<User>, Failure> {
    let mut users: Vec<User> = Vec::new();
    loop {
        let after = users
            .last()
            .map_or_else(String::new, |user| format!("&after={}", segment(&user.address)));
        let page: Vec<User> = terms
            .client
            .get(&format!("/v1/users?limit={PAGE}{after}"))
            .await?;
        let complete = page.len() < PAGE;
        users.extend(page);
        if complete {
            return Ok(users);
        }
    }
}

/// A generated password is shown once: here.
fn show_with_password(terms: &Terms, user: &User, password: &Password) {
    if !password.generated {
        terms.show(user, |user| table::users(std::slice::from_ref(user)));
        return;
    }
    match terms.format {
        Format::Table => {
            out::print(&table::users(std::slice::from_ref(user)));
            out::line(&format!("password (shown once): {}", password.text));
        }
        Format::Json => {
            let answer = json!({ "user": user, "password": password.text });
            out::line(&serde_json::to_string_pretty(&answer).unwrap_or_default());
        }
    }
}

async fn delete(terms: &Terms, address: &str, yes: bool) -> Result<(), Failure> {
    if !yes {
        confirm(&format!("delete {address} and everything of it?"))?;
    }
    terms.client.delete(&path(address)).await?;
    terms.done(&format!("deleted {address}"));
    Ok(())
}

async fn kick(terms: &Terms, address: &str, endpoint: Option<String>) -> Result<(), Failure> {
    let query = endpoint.map_or_else(String::new, |endpoint| {
        format!("?endpoint={}", segment(&endpoint))
    });
    let kicked: Kicked = terms
        .client
        .delete_counted(&format!("{}/sessions{query}", path(address)))
        .await?;
    terms.show(&kicked, |kicked| match kicked.kicked {
        1 => "1 endpoint signed out\n".to_owned(),
        n => format!("{n} endpoints signed out\n"),
    });
    Ok(())
}
