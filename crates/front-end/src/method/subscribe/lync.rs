//! SUBSCRIBE of Lync-family clients (MS-SIP, MS-PRES): settings, own data, the contact list, and many users at once.

use std::sync::Arc;

use bytes::Bytes;
use sip_bodies::BodyError;
use sip_bodies::lync::batch_subscribe::{self, BatchActionKind, BatchSubscribe};
use sip_bodies::lync::provisioning::{self, ProvisionGroup, ProvisioningAnswer, ProvisioningQuestion};
use sip_bodies::lync::roaming_self::{self, RoamingList};
use sip_bodies::media_type::MediaType;
use sip_types::header::typed::{Event, SubscriptionState};
use sip_types::{AddressOfRecord, HeaderName, Request, ResponseBuilder, StatusCode};

use super::super::Incoming;
use super::super::event::{self, Refusal};
use super::Target;
use crate::client;
use crate::identity::Destination;
use crate::presence::content::Content;
use crate::presence::list::MEMBERS;
use crate::presence::lync::wanted::Wanted;
use crate::presence::lync::{BENOTIFY, PIGGYBACK, PROVISIONING, ROAMING_CONTACTS, ROAMING_SELF};
use crate::presence::subscription::{First, Style, Subscription};

/// The group of settings that is about the server.
const SERVER: &str = "ServerConfiguration";

/// Users to be watched, and no more.
#[derive(Default)]
pub(super) struct Members {
    added: Vec<(AddressOfRecord, Wanted)>,
    /// Who was asked for and is nobody of this pool, by URI.
    strangers: Vec<String>,
    removed: Vec<AddressOfRecord>,
}

impl Members {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.strangers.is_empty()
    }
}

/// Whether an event package is one of this family's own.
pub(super) fn serves(event: &Event) -> bool {
    [PROVISIONING, ROAMING_SELF, ROAMING_CONTACTS]
        .iter()
        .any(|package| event.is(package))
}

/// How the client wants to be told.
pub(super) fn style(request: &Request) -> Style {
    Style {
        benotify: client::supports(request, BENOTIFY),
        piggyback: client::supports(request, PIGGYBACK),
        ..Style::default()
    }
}

fn is_of_type(request: &Request, content_type: &str) -> bool {
    let value = request
        .headers()
        .get(&HeaderName::ContentType)
        .unwrap_or_default();
    MediaType::parse(&value).is_some_and(|media| media.is(content_type))
}

fn own_only(incoming: &Incoming, destination: &Destination) -> Result<(), Refusal> {
    match destination {
        Destination::User(user) if *user == incoming.who.aor => Ok(()),
        _ => Err(Refusal::new(StatusCode::FORBIDDEN).saying("Only your own data is told")),
    }
}

/// What a SUBSCRIBE of this family is about; `None`: it is like any other.
pub(super) fn target(
    incoming: &Incoming,
    event: &Event,
    destination: &Destination,
) -> Result<Option<Target>, Refusal> {
    let request = &incoming.request;
    if event.is(ROAMING_CONTACTS) {
        own_only(incoming, destination)?;
        return Ok(Some(Target::RoamingContacts));
    }
    if event.is(ROAMING_SELF) {
        own_only(incoming, destination)?;
        if !is_of_type(request, roaming_self::CONTENT_TYPE) {
            let unsupported = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            return Err(unsupported.with(HeaderName::Accept, roaming_self::CONTENT_TYPE));
        }
        let list = RoamingList::parse(&event::body(request)?)?;
        return Ok(Some(Target::RoamingSelf(list.parts)));
    }
    match members(incoming)? {
        Some(members) if members.is_empty() => Err(Refusal::bad("Nobody is to be watched")),
        Some(members) => Ok(Some(Target::Batch(members))),
        None => Ok(None),
    }
}

/// Whom a request asks to watch; `None` if it does not say it in this family's words.
pub(super) fn members(incoming: &Incoming) -> Result<Option<Members>, Refusal> {
    let request = &incoming.request;
    if request.body().is_empty() || !is_of_type(request, batch_subscribe::CONTENT_TYPE) {
        return Ok(None);
    }
    let asked = BatchSubscribe::parse(&event::body(request)?)?;
    if event::user(&asked.uri).is_some_and(|who| who != incoming.who.aor) {
        return Err(Refusal::new(StatusCode::FORBIDDEN).saying("You watch for nobody else"));
    }
    let mut members = Members::default();
    for action in asked.actions {
        let wanted = Wanted::of(action.categories);
        for resource in action.resources {
            let who = event::user(&resource.uri).filter(|who| incoming.service.config.serves(who.domain()));
            match (action.kind, who) {
                (BatchActionKind::Subscribe, Some(who)) => members.added.push((who, wanted.clone())),
                (BatchActionKind::Subscribe, None) => members.strangers.push(resource.uri),
                (BatchActionKind::Unsubscribe, Some(who)) => members.removed.push(who),
                (BatchActionKind::Unsubscribe, None) => {}
            }
        }
    }
    Ok(Some(members))
}

/// Changes whom a subscription shows.
///
/// # Errors
/// 403 if they are too many.
pub(super) fn change(
    incoming: &Incoming,
    subscription: &Arc<Subscription>,
    members: Members,
) -> Result<(), Refusal> {
    let changed = subscription.with_content(|content| {
        let Content::Batch(batch) = content else {
            return Ok(Default::default());
        };
        let mut changed = batch.add(members.added, members.strangers)?;
        changed.removed = batch.remove(members.removed);
        Ok(changed)
    });
    let changed = changed.map_err(|crate::presence::lync::batch::TooMany| {
        Refusal::new(StatusCode::FORBIDDEN).saying(format!("At most {MEMBERS} users are watched at once"))
    })?;
    incoming.service.change_members(subscription, &changed);
    Ok(())
}

/// The 200 that tells the client for the first time, or again.
pub(super) fn piggybacked(
    reply: ResponseBuilder,
    event: &Event,
    subscription: &Subscription,
    (first, expires): (First, u32),
) -> ResponseBuilder {
    let standing = if subscription.is_fetch {
        SubscriptionState::terminated("timeout")
    } else {
        SubscriptionState::active(expires)
    };
    let reply = told_by(reply, event, &standing).header(HeaderName::MsPiggybackCseq, first.cseq);
    match first.body {
        Some(body) => reply.body(&body.content_type, body.bytes),
        None => reply,
    }
}

/// The 200 to the end of a subscription.
pub(super) fn ended(reply: ResponseBuilder, event: &Event) -> ResponseBuilder {
    told_by(reply, event, &SubscriptionState::terminated("timeout"))
}

fn told_by(reply: ResponseBuilder, event: &Event, standing: &SubscriptionState) -> ResponseBuilder {
    reply
        .typed(event)
        .typed(standing)
        .header(HeaderName::Supported, format_args!("{BENOTIFY}, {PIGGYBACK}"))
}

/// Answers the question for settings: they are told once, and do not change while the server runs.
pub(super) fn provision(
    incoming: &Incoming,
    event: &Event,
    destination: &Destination,
) -> Result<(), Refusal> {
    own_only(incoming, destination)?;
    if !is_of_type(&incoming.request, provisioning::CONTENT_TYPE) {
        let unsupported = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        return Err(unsupported.with(HeaderName::Accept, provisioning::CONTENT_TYPE));
    }
    let asked = ProvisioningQuestion::parse(&event::body(&incoming.request)?)?;
    let reply = incoming
        .reply(StatusCode::OK)
        .header(HeaderName::Expires, 0)
        .header(HeaderName::Contact, incoming.flow.contact(&incoming.service));
    let reply = ended(reply, event)
        .header(HeaderName::MsPiggybackCseq, 1)
        .body(provisioning::CONTENT_TYPE, settings(&asked)?);
    incoming.respond(reply.build());
    Ok(())
}

/// The groups that were asked for. There are no conferences, so no `focusFactoryUri`; and no media.
fn settings(asked: &ProvisioningQuestion) -> Result<Bytes, BodyError> {
    let mut answer = ProvisioningAnswer::default();
    for name in &asked.groups {
        let mut group = ProvisionGroup::new(name.as_str());
        if name == SERVER {
            group.set("ucPC2PCAVEncryption", "DoNotSupportEncryption")?;
            group.set("ucPortRangeEnabled", "false")?;
        }
        answer.groups.push(group);
    }
    Ok(answer.print())
}
