//! `porticoctl group ...`.

use clap::Subcommand;
use hyper::Method;
use server::control::api::{Group, GroupChange, GroupMembers, NewGroup};

use super::client::segment;
use super::confirm::confirm;
use super::failure::Failure;
use super::{Terms, table};

/// Groups read at once while listing all.
const PAGE: usize = 1_000;

/// What to do with organisational groups.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Create a group without members
    Create {
        /// Address, such as sales@example.test; no account may have it
        address: String,
        /// Name people see; without it: the user part of the address
        #[arg(long, value_name = "NAME", default_value = "")]
        display_name: String,
    },
    /// List groups
    List,
    /// Show a group and its members
    Show {
        /// Address
        address: String,
    },
    /// Change a group
    Set {
        /// Address
        address: String,
        /// Name people see
        #[arg(long, value_name = "NAME")]
        display_name: String,
    },
    /// Delete a group; who has it as a contact keeps a contact of its address
    Delete {
        /// Address
        address: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Add members: all of them, or none
    Add {
        /// Address of the group
        address: String,
        /// Accounts, or addresses of other domains
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Remove members
    Remove {
        /// Address of the group
        address: String,
        /// Addresses
        #[arg(required = true)]
        members: Vec<String>,
    },
}

pub(super) async fn run(terms: &Terms, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create {
            address,
            display_name,
        } => {
            let new = NewGroup {
                address,
                display_name,
            };
            let group: Group = terms.client.send(Method::POST, "/v1/groups", &new).await?;
            terms.show(&group, |group| table::groups(std::slice::from_ref(group)));
            Ok(())
        }
        Verb::List => {
            let groups = all(terms).await?;
            terms.show(&groups, |groups| table::groups(groups));
            Ok(())
        }
        Verb::Show { address } => {
            let group: GroupMembers = terms.client.get(&path(&address)).await?;
            terms.show(&group, table::group_members);
            Ok(())
        }
        Verb::Set {
            address,
            display_name,
        } => {
            let change = GroupChange {
                display_name: Some(display_name),
                ..GroupChange::default()
            };
            change_group(terms, &address, &change).await
        }
        Verb::Delete { address, yes } => {
            if !yes {
                confirm(&format!("delete the group {address}?"))?;
            }
            terms.client.delete(&path(&address)).await?;
            terms.done(&format!("deleted {address}"));
            Ok(())
        }
        Verb::Add { address, members } => {
            let change = GroupChange {
                add: members,
                ..GroupChange::default()
            };
            change_group(terms, &address, &change).await
        }
        Verb::Remove { address, members } => {
            let change = GroupChange {
                remove: members,
                ..GroupChange::default()
            };
            change_group(terms, &address, &change).await
        }
    }
}

fn path(address: &str) -> String {
    format!("/v1/groups/{}", segment(address))
}

async fn change_group(terms: &Terms, address: &str, change: &GroupChange) -> Result<(), Failure> {
    let group: GroupMembers = terms.client.send(Method::PATCH, &path(address), change).await?;
    terms.show(&group, table::group_members);
    Ok(())
}

/// Every group, page by page.
async fn all(terms: &Terms) -> Result<Vec<Group>, Failure> {
    let mut groups: Vec<Group> = Vec::new();
    loop {
        let after = groups
            .last()
            .map_or_else(String::new, |group| format!("&after={}", segment(&group.address)));
        let page: Vec<Group> = terms
            .client
            .get(&format!("/v1/groups?limit={PAGE}{after}"))
            .await?;
        let complete = page.len() < PAGE;
        groups.extend(page);
        if complete {
            return Ok(groups);
        }
    }
}
