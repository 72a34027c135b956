//! `porticoctl node`: the members of the pool, and what to do with the one in this data directory.

use std::time::Duration;

use clap::Subcommand;
use hyper::Method;
use server::control::api::{Drain, Moving, Node, Rebalance};

use super::Terms;
use super::failure::Failure;
use crate::out;

/// Seconds that one question waits for the end of the drain.
const ASK: u64 = 15;
/// How often the process is looked for after its last client has gone.
const LOOK: Duration = Duration::from_millis(200);

/// What to do with members.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Live members of the pool, as this one knows them
    List,
    /// Empty the member of this data directory: its clients and what it owns go to others
    ///
    /// It goes on without them, for maintenance, until `undrain` or until it is stopped.
    Drain {
        /// Return when nobody is left, or with --stop when it has ended
        #[arg(long)]
        wait: bool,
        /// Stop it at the end: the same as SIGTERM, and not to be taken back
        #[arg(long)]
        stop: bool,
    },
    /// Take a drain back: clients, users and conversations come to the member of this data directory again
    Undrain,
    /// Move some clients of the member of this data directory to other front ends, after one was added
    Rebalance {
        /// Their share of its clients, in percent
        #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
    },
}

pub(super) async fn run(terms: &Terms, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => {
            let nodes: Vec<Node> = terms.client.get("/v1/nodes").await?;
            terms.show(&nodes, |nodes| table(nodes));
            Ok(())
        }
        Verb::Drain { wait, stop: false } => drain(terms, wait).await,
        Verb::Drain { wait, stop: true } => stop(terms, wait).await,
        Verb::Undrain => {
            let state: Drain = terms.client.send(Method::DELETE, "/v1/drain", &()).await?;
            show(terms, &state);
            Ok(())
        }
        Verb::Rebalance { percent } => {
            let wish = Rebalance { percent };
            let moving: Moving = terms.client.send(Method::POST, "/v1/rebalance", &wish).await?;
            terms.show(&moving, |moving| format!("moving {} clients\n", moving.clients));
            Ok(())
        }
    }
}

fn show(terms: &Terms, drain: &Drain) {
    terms.show(drain, |drain| format!("{}\n", drain.state));
}

async fn drain(terms: &Terms, wait: bool) -> Result<(), Failure> {
    let mut now: Drain = terms.client.send(Method::POST, "/v1/drain", &()).await?;
    while wait && now.state != "drained" {
        now = terms.client.get(&format!("/v1/drain?wait={ASK}")).await?;
        if now.state == "serving" {
            return Err(Failure::Failed("the drain was taken back".to_owned()));
        }
    }
    show(terms, &now);
    Ok(())
}

async fn stop(terms: &Terms, wait: bool) -> Result<(), Failure> {
    let begun: Drain = terms.client.send(Method::POST, "/v1/stop", &()).await?;
    if !wait {
        show(terms, &begun);
        return Ok(());
    }
    loop {
        let now = terms.client.get::<Drain>(&format!("/v1/drain?wait={ASK}")).await;
        match now {
            // It was there a moment ago: it has stopped.
            Err(Failure::Unreachable(..)) => break,
            Err(failure) => return Err(failure),
            Ok(now) if now.state == "drained" => tokio::time::sleep(LOOK).await,
            Ok(_) => {}
        }
    }
    let stopped = Drain {
        state: "stopped".to_owned(),
    };
    show(terms, &stopped);
    Ok(())
}

fn table(nodes: &[Node]) -> String {
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|node| {
            vec![
                format!("{}{}", node.member, if node.this { " *" } else { "" }),
                node.state.clone(),
                node.roles.join(","),
                node.users.to_string(),
                node.conversations.to_string(),
                node.presentities.to_string(),
                node.lease_age_ms.map_or_else(String::new, age),
                node.version.clone(),
                node.address.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let columns = [
        "member",
        "state",
        "roles",
        "users",
        "conversations",
        "presence",
        "lease",
        "version",
        "address",
    ];
    out::table(&columns, &rows)
}

/// Seconds with one decimal place.
pub(super) fn age(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_listed_with_what_they_own_and_the_one_asked_is_marked() {
        let node = |member: &str, this| Node {
            member: member.to_owned(),
            this,
            roles: vec!["registrar".to_owned(), "front-end".to_owned()],
            state: "serving".to_owned(),
            version: "1.2.3".to_owned(),
            address: Some("10.0.0.1:7000".to_owned()),
            users: 512,
            conversations: 0,
            presentities: 7,
            lease_age_ms: this.then_some(1_234),
        };
        let text = table(&[node("fe1", true), node("fe2", false)]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let own = [
            "fe1",
            "*",
            "serving",
            "registrar,front-end",
            "512",
            "0",
            "7",
            "1.2",
            "s",
            "1.2.3",
            "10.0.0.1:7000",
        ];
        assert_eq!(lines[1], own, "{text}");
        assert_eq!(lines[2][..2], ["fe2", "serving"], "{text}");
    }
}
