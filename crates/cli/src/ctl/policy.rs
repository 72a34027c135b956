//! `porticoctl policy ...`.

use clap::Subcommand;
use hyper::Method;
use server::control::api::{Effective, Grant, Policy, PolicyKind, PolicyValues};

use super::Terms;
use super::client::segment;
use super::failure::Failure;
use super::{settings, table};
use crate::out;

/// What to do with policies. A policy has a kind and a name: `global`, `site:<site>`, or a tag that is granted to users.
/// The nearest wins: tag before site before global.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// List the kinds of policy, their settings and defaults
    Kinds,
    /// List stored policies
    List {
        /// Only of this kind
        kind: Option<String>,
    },
    /// Show a stored policy
    Show {
        /// Kind, as `policy kinds` lists them
        kind: String,
        /// `global`, `site:<site>` or a tag
        name: String,
    },
    /// Create a policy
    Create(Change),
    /// Change settings of a policy
    Set(Change),
    /// Delete a policy; grants of it end
    Delete {
        /// Kind
        kind: String,
        /// `global`, `site:<site>` or a tag
        name: String,
    },
    /// Give a user the policy with this tag
    Grant {
        /// Kind
        kind: String,
        /// Tag of the policy
        name: String,
        /// Address of the user
        user: String,
    },
    /// Take a user's policy of this kind back
    Revoke {
        /// Kind
        kind: String,
        /// Address of the user
        user: String,
    },
    /// Show what applies to a user, and why
    Effective {
        /// Kind
        kind: String,
        /// Address of the user
        user: String,
    },
}

/// A policy and its settings.
#[derive(clap::Args, Debug)]
pub struct Change {
    /// Kind, as `policy kinds` lists them
    kind: String,
    /// `global`, `site:<site>` or a tag
    name: String,
    /// Settings, as `policy kinds` lists them
    #[arg(
        value_name = "--KEY VALUE",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    settings: Vec<String>,
}

pub(super) async fn run(terms: &Terms, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Kinds => kinds(terms).await,
        Verb::List { kind } => list(terms, kind).await,
        Verb::Show { kind, name } => show(terms, &kind, &name).await,
        Verb::Create(change) => save(terms, Method::POST, &change).await,
        Verb::Set(change) => save(terms, Method::PATCH, &change).await,
        Verb::Delete { kind, name } => {
            terms.client.delete(&policy_path(&kind, &name)).await?;
            terms.done(&format!("deleted {kind} {name}"));
            Ok(())
        }
        Verb::Grant { kind, name, user } => {
            let path = format!("/v1/grants/{}/{}", segment(&kind), segment(&user));
            terms.client.put(&path, &Grant { name: name.clone() }).await?;
            terms.done(&format!("{user} has {kind} {name}"));
            Ok(())
        }
        Verb::Revoke { kind, user } => {
            terms
                .client
                .delete(&format!("/v1/grants/{}/{}", segment(&kind), segment(&user)))
                .await?;
            terms.done(&format!("{user} has no {kind} policy of their own"));
            Ok(())
        }
        Verb::Effective { kind, user } => effective(terms, &kind, &user).await,
    }
}

async fn kinds(terms: &Terms) -> Result<(), Failure> {
    let kinds: Vec<PolicyKind> = terms.client.get("/v1/policy-kinds").await?;
    terms.show(&kinds, |kinds| {
        let mut text = String::new();
        for kind in kinds {
            text.push_str(&format!("{}: {}\n", kind.kind, kind.description));
            for setting in &kind.settings {
                text.push_str(&format!(
                    "  {} = {}   {}\n",
                    setting.key, setting.default, setting.description
                ));
            }
        }
        text
    });
    Ok(())
}

async fn list(terms: &Terms, kind: Option<String>) -> Result<(), Failure> {
    let query = kind.map_or_else(String::new, |kind| format!("?kind={}", segment(&kind)));
    let policies: Vec<Policy> = terms.client.get(&format!("/v1/policies{query}")).await?;
    terms.show(&policies, |policies| shown(policies));
    Ok(())
}

async fn show(terms: &Terms, kind: &str, name: &str) -> Result<(), Failure> {
    let policy: Policy = terms.client.get(&policy_path(kind, name)).await?;
    terms.show(&policy, |policy| shown(std::slice::from_ref(policy)));
    Ok(())
}

async fn save(terms: &Terms, method: Method, change: &Change) -> Result<(), Failure> {
    let body = PolicyValues {
        values: settings::pairs(&change.settings)?,
    };
    if body.values.is_empty() && method == Method::PATCH {
        return Err(Failure::usage("nothing to set: give --key value"));
    }
    let policy: Policy = terms
        .client
        .send(method, &policy_path(&change.kind, &change.name), &body)
        .await?;
    terms.show(&policy, |policy| shown(std::slice::from_ref(policy)));
    Ok(())
}

async fn effective(terms: &Terms, kind: &str, user: &str) -> Result<(), Failure> {
    let path = format!("/v1/effective/{}/{}", segment(kind), segment(user));
    let effective: Effective = terms.client.get(&path).await?;
    terms.show(&effective, |effective| {
        format!(
            "{} {}\n  {}\n  {}\n",
            effective.kind,
            effective.name.as_deref().unwrap_or("(defaults)"),
            effective.reason,
            table::values(&effective.values),
        )
    });
    Ok(())
}

fn policy_path(kind: &str, name: &str) -> String {
    format!("/v1/policies/{}/{}", segment(kind), segment(name))
}

fn shown(policies: &[Policy]) -> String {
    let row = |policy: &Policy| {
        vec![
            policy.kind.clone(),
            policy.name.clone(),
            table::values(&policy.values),
        ]
    };
    out::table(
        &["kind", "name", "settings"],
        &policies.iter().map(row).collect::<Vec<_>>(),
    )
}
