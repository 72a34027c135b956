//! `porticoctl explain ...`.

use clap::Subcommand;
use server::control::api::{PresenceExplanation, PresenceSource};

use super::client::segment;
use super::failure::Failure;
use super::{Terms, presence};
use crate::out;

/// What to explain.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Why a watcher sees a user as it does: its access level and what gave it, and all states that are reported
    Presence {
        /// Who looks
        watcher: String,
        /// At whom
        user: String,
    },
}

pub(super) async fn run(terms: &Terms, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Presence { watcher, user } => {
            let path = format!("/v1/presence/{}/explain/{}", segment(&user), segment(&watcher));
            let explanation: PresenceExplanation = terms.client.get(&path).await?;
            terms.show(&explanation, |explanation| text(explanation, presence::now()));
            Ok(())
        }
    }
}

fn text(explanation: &PresenceExplanation, now: u64) -> String {
    let seen = &explanation.seen;
    let mut text = presence::text(seen, now);
    let is_self = seen.watcher.as_ref() == Some(&seen.presentity);
    let by = match &explanation.by {
        Some(member) => format!("{} by the membership of {member}", seen.level),
        None if is_self => format!("{}: users see all of themselves", seen.level),
        None => format!("{}: nothing names this watcher", seen.level),
    };
    text.push_str(&format!("  level      {by}\n"));
    if explanation.contacts_only {
        text.push_str("  privacy    only contacts, and who was named, see presence\n");
    }
    match explanation.row {
        Some(row) => text.push_str(&format!("  row        {row} of the table in docs/presence.md\n")),
        None => text.push_str("  row        none: this level sees no state\n"),
    }
    text.push_str("states that are reported, newest first:\n");
    let rows: Vec<Vec<String>> = explanation
        .sources
        .iter()
        .map(|source| row(source, now))
        .collect();
    text.push_str(&out::table(
        &[
            "source",
            "state",
            "activity",
            "endpoint",
            "container",
            "age",
            "version",
            "counts",
        ],
        &rows,
    ));
    text
}

fn row(source: &PresenceSource, now: u64) -> Vec<String> {
    vec![
        source.source.clone(),
        format!("{} ({})", source.state, source.availability),
        source.activity.clone().unwrap_or_default(),
        source.endpoint.clone().unwrap_or_else(|| "-".to_owned()),
        source.container.to_string(),
        presence::age(source.age),
        source.version.to_string(),
        counts(source, now),
    ]
}

/// When a state counts.
fn counts(source: &PresenceSource, now: u64) -> String {
    let begins = source.starts_at.filter(|at| *at > now);
    let begins = begins.map(|at| format!("in {}", presence::age(at - now)));
    let ends = match source.ends_at {
        Some(at) => format!("until in {}", presence::age(at.saturating_sub(now))),
        None => match source.ends_with.as_str() {
            "endpoint" => "with its endpoint".to_owned(),
            "user" => "while signed in".to_owned(),
            _ => "until taken back".to_owned(),
        },
    };
    begins.map_or_else(|| ends.clone(), |begins| format!("{begins}, {ends}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting() -> PresenceSource {
        PresenceSource {
            source: "calendar".to_owned(),
            state: "busy".to_owned(),
            availability: 6_500,
            activity: None,
            endpoint: None,
            category: "state".to_owned(),
            instance: 1,
            container: 2,
            version: 1,
            ends_with: "nothing".to_owned(),
            published_at: 1_000,
            age: 0,
            starts_at: Some(1_060),
            ends_at: Some(4_600),
        }
    }

    #[test]
    fn when_a_state_counts_is_told() {
        assert_eq!(counts(&meeting(), 1_000), "in 1 min, until in 1 h");
        assert_eq!(counts(&meeting(), 1_100), "until in 58 min");
        let for_good = PresenceSource {
            starts_at: None,
            ends_at: None,
            ..meeting()
        };
        assert_eq!(counts(&for_good, 1_000), "until taken back");
    }
}
