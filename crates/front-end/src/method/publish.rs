//! PUBLISH (RFC 3903): the presence document of a SIMPLE client becomes a publication of its user.

use std::sync::Arc;
use std::time::Duration;

use rpc::presence::{Bound, Kept, KeptFormat, Lifetime, Publication, Publish, PublishOne, PublishRefusal};
use sip_bodies::media_type::MediaType;
use sip_bodies::pidf::{self, Presence};
use sip_types::header::typed::{Event, SipIfMatch};
use sip_types::{HeaderName, StatusCode};

use super::Incoming;
use super::event::{self, Refusal};
use crate::counters::presence::Published;
use crate::identity::Destination;
use crate::presence::{self, EntityTag};

/// Publications are of one package only.
const ALLOW_EVENTS: &str = "presence";

/// Answers a PUBLISH.
pub(crate) fn handle(incoming: Incoming, destination: Option<&Destination>) {
    let change = match change(&incoming, destination) {
        Ok(change) => change,
        Err(refusal) => return refuse(&incoming, refusal),
    };
    let service = Arc::clone(&incoming.service);
    // In order: what a client published last is what counts.
    service.spawn_in_order(async move { publish(incoming, change).await });
}

fn refuse(incoming: &Incoming, refusal: Refusal) {
    let outcome = match refusal.status {
        StatusCode::CONDITIONAL_REQUEST_FAILED => Published::Stale,
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Published::Forbidden,
        _ => Published::Invalid,
    };
    incoming.service.counters.presence.published(outcome);
    refusal.send(incoming);
}

/// What a request does to the publication of its endpoint.
struct Change {
    one: PublishOne,
    /// The tag the client brought.
    given: Option<EntityTag>,
    outcome: Published,
    expires: u32,
}

fn change(incoming: &Incoming, destination: Option<&Destination>) -> Result<Change, Refusal> {
    let headers = incoming.request.headers();
    let event = headers.optional::<Event>()?;
    if !event.is_some_and(|event| event.is("presence")) {
        return Err(Refusal::new(StatusCode::BAD_EVENT).with(HeaderName::AllowEvents, ALLOW_EVENTS));
    }
    match destination {
        Some(Destination::User(user)) if *user == incoming.who.aor => {}
        Some(_) => {
            return Err(
                Refusal::new(StatusCode::FORBIDDEN).saying("Only your own presence is yours to publish")
            );
        }
        // There are no dialogs in which one publishes.
        None => return Err(Refusal::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)),
    }
    let expires = event::expires(&incoming.request)?;
    // Checked before the body: RFC 3903 section 6 has it in this order.
    let tag = match headers.optional::<SipIfMatch>()? {
        Some(tag) => {
            let tag = EntityTag::parse(tag.as_str()).filter(|tag| tag.version > 0);
            Some(tag.ok_or(Refusal::new(StatusCode::CONDITIONAL_REQUEST_FAILED))?)
        }
        None => None,
    };
    let key = match tag {
        Some(tag) => tag.key(),
        None => presence::key(presence::instance_of(&incoming.flow.endpoint())),
    };
    let known = tag.map(|tag| incoming.flow.published.stored(tag).version);
    let lifetime = Lifetime {
        bound: Bound::Endpoint,
        expires: Some(Duration::from_secs(u64::from(expires))),
    };
    let has_body = !incoming.request.body().is_empty();
    let (one, outcome) = match known {
        _ if expires == 0 => (PublishOne::Remove { key, known }, Published::Removed),
        Some(known) if !has_body => {
            let refresh = PublishOne::Refresh { key, known, lifetime };
            (refresh, Published::Refreshed)
        }
        None if !has_body => {
            return Err(Refusal::bad("A presence document is missing"));
        }
        known => {
            let presence = document(incoming)?;
            let set = PublishOne::Set {
                key,
                known,
                lifetime,
                content: presence::content(&presence),
                kept: Some(Kept {
                    format: KeptFormat::Pidf,
                    xml: presence.print(),
                }),
            };
            let outcome = known.map_or(Published::Initial, |_| Published::Modified);
            (set, outcome)
        }
    };
    Ok(Change {
        one,
        given: tag,
        outcome,
        expires,
    })
}

/// The document a request carries, which is about its sender.
fn document(incoming: &Incoming) -> Result<Presence, Refusal> {
    let request = &incoming.request;
    let headers = request.headers();
    let content_type = headers.get(&HeaderName::ContentType).unwrap_or_default();
    if !MediaType::parse(&content_type).is_some_and(|media| media.is(pidf::CONTENT_TYPE)) {
        return Err(
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE).with(HeaderName::Accept, pidf::CONTENT_TYPE)
        );
    }
    let presence = Presence::parse(&event::body(request)?)?;
    // An entity that names no address of record names nobody else either.
    if event::user(&presence.entity).is_some_and(|who| who != incoming.who.aor) {
        let reason = "The presence document is about somebody else";
        return Err(Refusal::new(StatusCode::FORBIDDEN).saying(reason));
    }
    Ok(presence)
}

async fn publish(incoming: Incoming, change: Change) {
    let key = change.one.key().clone();
    let held = match &change.one {
        PublishOne::Set { content, kept, .. } => Some((content.clone(), kept.clone())),
        PublishOne::Refresh { .. } | PublishOne::Remove { .. } => None,
    };
    let ask = |one| {
        incoming.service.presence.client.publish(Publish {
            user: incoming.who.aor.clone(),
            endpoint: Some(incoming.flow.endpoint()),
            changes: vec![one],
        })
    };
    let counters = &incoming.service.counters.presence;
    let mut answer = ask(change.one.clone()).await;
    // The tag is the last this connection was given: what the owner has instead is of another owner's counting.
    if let (Ok(Err(PublishRefusal::Conflict(_))), Some(given)) = (&answer, change.given)
        && let Some(one) = incoming.flow.published.vouch(given, change.one)
    {
        answer = ask(one).await;
    }
    let published = match answer {
        Ok(Ok(published)) => published,
        Ok(Err(refusal)) => return refuse(&incoming, refused_by_owner(refusal)),
        Err(error) => {
            counters.published(Published::Failed);
            return incoming.answer_error(&error);
        }
    };
    counters.published(change.outcome);
    let stored = published.versions.iter().find(|stored| stored.key == key);
    let tag = EntityTag {
        instance: key.instance,
        version: stored.map_or(0, |stored| stored.version),
    };
    let (mine, expires) = (
        &incoming.flow.published,
        Duration::from_secs(u64::from(change.expires)),
    );
    match held {
        Some((content, kept)) => mine.set(incoming.who.aor.clone(), tag, expires, content, kept),
        None if tag.version == 0 => mine.removed(tag),
        None if mine.refreshed(tag, expires) => {}
        None => {
            let stands = |publication: &&Arc<Publication>| publication.key == key;
            if let Some(publication) = published.own.publications.iter().find(stands) {
                let (content, kept) = (publication.content.clone(), publication.kept.clone());
                mine.set(incoming.who.aor.clone(), tag, expires, content, kept);
            }
        }
    }
    let reply = incoming
        .reply(StatusCode::OK)
        .header(HeaderName::SipEtag, tag)
        .header(HeaderName::Expires, change.expires);
    incoming.respond(reply.build());
}

fn refused_by_owner(refusal: PublishRefusal) -> Refusal {
    match refusal {
        PublishRefusal::NoSuchUser => Refusal::new(StatusCode::NOT_FOUND),
        PublishRefusal::Conflict(_) => Refusal::new(StatusCode::CONDITIONAL_REQUEST_FAILED),
        PublishRefusal::Limit(reason) => Refusal::new(StatusCode::FORBIDDEN).saying(reason),
        PublishRefusal::Invalid(reason) => Refusal::new(StatusCode::BAD_REQUEST).saying(reason),
    }
}
