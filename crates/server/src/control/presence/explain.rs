//! Why a watcher sees what it sees.

use std::cmp::Reverse;
use std::sync::Arc;

use rpc::presence::{AccessLevel, Bound, Publication, PublicationContent, StateInput};
use sip_types::AddressOfRecord;

use super::shown::{activity, shown};
use super::{Presences, Refusal, api, following, member_text, not_found, now};

/// What is seen, and what it was made of. The two are read one after the other: a change in between is in the second only.
pub(super) async fn explain(
    presences: &Arc<Presences>,
    user: &AddressOfRecord,
    watcher: &AddressOfRecord,
) -> Result<api::PresenceExplanation, Refusal> {
    let document = following::once(presences, user).await?;
    let own = presences.client.own(user).await?;
    let own = own.ok_or_else(|| not_found("user", user))?;
    let (level, by) = document.rules.explain(watcher, presences.origin(watcher));
    let row = match level {
        AccessLevel::Default | AccessLevel::Blocked => None,
        _ => Some(presence::deciding_row(
            &own.publications,
            level == AccessLevel::Workgroup,
            now().saturating_mul(1_000),
        )),
    };
    Ok(api::PresenceExplanation {
        seen: shown(presences, &document, Some(watcher)),
        by: by.map(member_text),
        contacts_only: document.rules.contacts_only,
        row,
        sources: sources(&own.publications, now()),
    })
}

/// Every state that is reported, newest first.
fn sources(publications: &[Arc<Publication>], now: u64) -> Vec<api::PresenceSource> {
    let mut publications: Vec<&Arc<Publication>> = publications.iter().collect();
    publications.sort_by_key(|publication| Reverse(publication.published_at));
    publications
        .into_iter()
        .flat_map(|publication| {
            let states = match &publication.content {
                PublicationContent::States(states) | PublicationContent::Document { states, .. } => {
                    &states[..]
                }
                _ => &[],
            };
            states.iter().map(|state| source(publication, state, now))
        })
        .collect()
}

fn source(publication: &Publication, state: &StateInput, now: u64) -> api::PresenceSource {
    let published_at = publication.published_at / 1_000;
    let lifetime = publication.lifetime;
    api::PresenceSource {
        source: state.source.as_str().to_owned(),
        state: state.availability.band().as_str().to_owned(),
        availability: state.availability.0,
        activity: state.activity.as_ref().and_then(activity),
        endpoint: publication.endpoint.as_ref().map(ToString::to_string),
        category: publication.key.category.to_string(),
        instance: publication.key.instance,
        container: publication.key.container,
        version: publication.version,
        ends_with: match lifetime.bound {
            Bound::Static => "nothing",
            Bound::User => "user",
            Bound::Endpoint => "endpoint",
        }
        .to_owned(),
        published_at,
        age: now.saturating_sub(published_at),
        starts_at: state.starts_at,
        ends_at: lifetime
            .expires
            .map(|expires| published_at.saturating_add(expires.as_secs())),
    }
}
