//! SUBSCRIBE (RFC 6665): presence of a user (RFC 3856) or a list (RFC 4662, RFC 5367), and who watches (RFC 3857); what is
//! peculiar to Lync-family clients is in `lync`.

mod lync;

use std::sync::Arc;

use sip_bodies::lync::categories;
use sip_bodies::lync::roaming_self::RoamingPart;
use sip_bodies::media_type::MediaType;
use sip_bodies::multipart::RelatedStyle;
use sip_bodies::resource_lists::{self, RECIPIENT_LIST, ResourceLists};
use sip_bodies::{pidf, watcherinfo};
use sip_core::DialogId;
use sip_types::header::typed::{Accept, Event};
use sip_types::{AddressOfRecord, HeaderName, Request, ResponseBuilder, SipStr, StatusCode};

use super::Incoming;
use super::event::{self, Refusal};
use crate::client;
use crate::identity::Destination;
use crate::presence::content::{Content, Person, Watchers};
use crate::presence::following::Known;
use crate::presence::list::{Entry, List, MEMBERS};
use crate::presence::lync::PROVISIONING;
use crate::presence::lync::batch::Batch;
use crate::presence::lync::contacts::Contacts;
use crate::presence::lync::own::Own;
use crate::presence::render::Dialect;
use crate::presence::subscription::{Asked, End, Package, Style, Subscription};
use crate::presence::watching::NotKept;
use crate::presence::{ALLOW_EVENTS, LIST_PATIENCE, PATIENCE};
use crate::service::now;

/// The user part of the address that stands for the subscriber's own contact list.
const CONTACTS: &str = "contacts";

/// What is subscribed to.
enum Target {
    Person(AddressOfRecord),
    /// The subscriber's contact list.
    Contacts,
    /// The list the request brought.
    Members(Vec<Entry>),
    /// The subscriber's own watchers.
    Watchers,
    /// Many users, as a Lync-family client names them.
    Batch(lync::Members),
    /// These parts of the subscriber's own data.
    RoamingSelf(Vec<RoamingPart>),
    /// The subscriber's contact list itself.
    RoamingContacts,
}

impl Target {
    fn package(&self) -> Package {
        match self {
            Target::Person(_) => Package::Presence,
            Target::Contacts | Target::Members(_) => Package::List,
            Target::Watchers => Package::Watchers,
            Target::Batch(_) => Package::Batch,
            Target::RoamingSelf(_) => Package::RoamingSelf,
            Target::RoamingContacts => Package::RoamingContacts,
        }
    }

    /// What tells it from others; for a list the URI as it was written, which its documents repeat.
    fn resource(&self, request: &Request) -> String {
        match self {
            Target::Person(user) => user.to_string(),
            Target::Contacts
            | Target::Members(_)
            | Target::Watchers
            | Target::RoamingSelf(_)
            | Target::RoamingContacts => request.uri().to_string(),
            // Each has users of its own.
            Target::Batch(_) => request.call_id().map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

/// Answers a SUBSCRIBE.
pub(crate) fn handle(incoming: Incoming, destination: Option<Destination>) {
    let request = &incoming.request;
    let wish = event(request).and_then(|event| Ok((event, event::expires(request)?)));
    let (event, expires) = match wish {
        Ok(wish) => wish,
        Err(refused) => return refuse(&incoming, refused),
    };
    let Some(destination) = destination else {
        return in_dialog(incoming, event, expires);
    };
    // Whoever is to go subscribes where it goes.
    if incoming.flow.is_parting() && expires > 0 {
        return incoming
            .service
            .turn_away(&incoming.flow, &incoming.key, &incoming.request);
    }
    if event.is(PROVISIONING) {
        if let Err(refused) = lync::provision(&incoming, &event, &destination) {
            refuse(&incoming, refused);
        }
        return;
    }
    let target = match target(&incoming, &event, &destination) {
        Ok(target) => target,
        Err(refused) => return refuse(&incoming, refused),
    };
    let service = Arc::clone(&incoming.service);
    let asked = Asked {
        package: target.package(),
        resource: target.resource(&incoming.request),
        event_id: event.id().map(|id| id.detach()),
        deflate: takes_deflate(&incoming.request),
        style: Style {
            linphone: client::is_linphone(&incoming.request),
            ..lync::style(&incoming.request)
        },
        expires,
    };
    service.spawn(async move {
        if let Err(refused) = begin(&incoming, &event, target, asked).await {
            refuse(&incoming, refused);
        }
    });
}

fn refuse(incoming: &Incoming, refusal: Refusal) {
    incoming.service.counters.presence.refused(refusal.status);
    refusal.send(incoming);
}

// === what the request asks for ===

fn event(request: &Request) -> Result<Event, Refusal> {
    let event = request.headers().optional::<Event>()?;
    event
        .filter(|event| event.is("presence") || event.is("presence.winfo") || lync::serves(event))
        .ok_or_else(|| Refusal::new(StatusCode::BAD_EVENT).with(HeaderName::AllowEvents, ALLOW_EVENTS))
}

fn target(incoming: &Incoming, event: &Event, destination: &Destination) -> Result<Target, Refusal> {
    let request = &incoming.request;
    if let Some(target) = lync::target(incoming, event, destination)? {
        return Ok(target);
    }
    if event.is("presence.winfo") {
        accepts(request, watcherinfo::CONTENT_TYPE)?;
        return match destination {
            Destination::User(user) if *user == incoming.who.aor => Ok(Target::Watchers),
            _ => Err(Refusal::new(StatusCode::FORBIDDEN).saying("Only your own watchers are told")),
        };
    }
    if dialect(request) == Dialect::Pidf {
        accepts(request, pidf::CONTENT_TYPE)?;
    }
    let target = match (members(request)?, destination) {
        (Some(entries), _) => Target::Members(entries),
        (None, Destination::User(user)) if user.user() == CONTACTS => Target::Contacts,
        (None, Destination::User(user)) => Target::Person(user.clone()),
        (None, Destination::Server) => {
            return Err(Refusal::new(StatusCode::NOT_FOUND));
        }
    };
    if target.package() == Package::List && !speaks_event_lists(request) {
        return Err(Refusal::new(StatusCode::EXTENSION_REQUIRED).with(HeaderName::Require, "eventlist"));
    }
    Ok(target)
}

/// RFC 4662 section 4.1: who subscribes to a list says so.
fn speaks_event_lists(request: &Request) -> bool {
    client::supports(request, "eventlist") || client::requires(request, "eventlist")
}

/// An absent Accept means the type of the package; only one that names nothing we have is refused.
fn accepts(request: &Request, content_type: &str) -> Result<(), Refusal> {
    let accept = request.headers().list::<Accept>()?;
    if accept.is_empty() || accept.iter().any(|range| range.matches(content_type)) {
        Ok(())
    } else {
        Err(Refusal::new(StatusCode::NOT_ACCEPTABLE))
    }
}

/// Categories for a client that names them: `*/*` does not.
fn dialect(request: &Request) -> Dialect {
    let mut accepted = request.headers().get_all(&HeaderName::Accept);
    match accepted.any(|value| value.contains(categories::CONTENT_TYPE)) {
        true => Dialect::Categories,
        false => Dialect::Pidf,
    }
}

fn takes_deflate(request: &Request) -> bool {
    let values = request.headers().get_all(&HeaderName::AcceptEncoding);
    values.into_iter().any(|value| {
        value.split(',').any(|coding| {
            let (name, params) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = params
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
            name.trim().eq_ignore_ascii_case("deflate") && !refused
        })
    })
}

/// The members of the list a request brings (RFC 5367); `None` if it brings none.
fn members(request: &Request) -> Result<Option<Vec<Entry>>, Refusal> {
    let headers = request.headers();
    if request.body().is_empty() {
        return match client::requires(request, client::LIST_SUBSCRIBE) {
            true => Err(Refusal::bad("A recipient list is missing")),
            false => Ok(None),
        };
    }
    let content_type = headers.get(&HeaderName::ContentType).unwrap_or_default();
    let disposition = headers.get(&HeaderName::ContentDisposition);
    let is_list = MediaType::parse(&content_type).is_some_and(|media| media.is(resource_lists::CONTENT_TYPE));
    let is_meant = disposition.is_none_or(|value| {
        let kind = value.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case(RECIPIENT_LIST)
    });
    if !is_list || !is_meant {
        let unsupported = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        return Err(unsupported.with(HeaderName::Accept, resource_lists::CONTENT_TYPE));
    }
    let lists = ResourceLists::parse(&event::body(request)?, MEMBERS)?;
    let entries: Vec<Entry> = lists
        .entries()
        .into_iter()
        .map(|entry| Entry {
            uri: entry.uri.clone(),
            who: event::user(&entry.uri),
            name: entry
                .display_name
                .as_ref()
                .map(|name| name.text.clone())
                .unwrap_or_default(),
        })
        .collect();
    if entries.is_empty() {
        return Err(Refusal::bad("The recipient list is empty"));
    }
    Ok(Some(entries))
}

// === a new subscription ===

fn unavailable() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE)
}

fn owner_failed(error: &rpc::Error) -> Refusal {
    tracing::debug!(%error, "a subscription was not begun");
    let status = StatusCode::new(error.code.sip_status()).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
    Refusal::new(status)
}

fn accepted(incoming: &Incoming, package: Package, expires: u32) -> ResponseBuilder {
    let reply = incoming
        .reply(StatusCode::OK)
        .header(HeaderName::Expires, expires)
        .header(HeaderName::Contact, incoming.flow.contact(&incoming.service));
    match package {
        Package::List | Package::Batch => reply.header(HeaderName::Require, "eventlist"),
        Package::Presence | Package::Watchers | Package::RoamingSelf | Package::RoamingContacts => reply,
    }
}

async fn begin(incoming: &Incoming, event: &Event, target: Target, asked: Asked) -> Result<(), Refusal> {
    let service = &incoming.service;
    let following = &service.presence.following;
    let me = &incoming.who.aor;
    let related = match asked.style.linphone {
        true => RelatedStyle::Linphone,
        false => RelatedStyle::Standard,
    };
    let content = match &target {
        Target::Person(user) => match following.known(user, PATIENCE).await {
            Some(Known::Shown(_)) => Content::Person(Person::new(user.clone(), dialect(&incoming.request))),
            Some(Known::Nobody) => return Err(Refusal::new(StatusCode::NOT_FOUND)),
            None => return Err(unavailable()),
        },
        Target::Members(_) => Content::List(List::new(asked.resource.clone(), false, related)),
        Target::Batch(_) => Content::Batch(Batch::default()),
        Target::Contacts | Target::Watchers | Target::RoamingSelf(_) | Target::RoamingContacts
            if !following.own_followed(me, PATIENCE).await =>
        {
            return Err(unavailable());
        }
        Target::Contacts => Content::List(List::new(asked.resource.clone(), true, related)),
        Target::Watchers => Content::Watchers(Watchers::default()),
        Target::RoamingSelf(parts) => Content::Own(Box::new(Own::new(me.clone(), parts))),
        Target::RoamingContacts => Content::Contacts(Contacts::new(client::is_sipe(&incoming.request))),
    };
    let (package, style, expires) = (asked.package, asked.style, asked.expires);
    let reply = accepted(incoming, package, expires);
    let response = reply.clone().build();
    let subscription = Subscription::new(
        service,
        (&incoming.flow, &incoming.who),
        asked,
        content,
        (&incoming.request, &response),
    )
    .map_err(Refusal::new)?;
    let watching = &incoming.flow.watching;
    let mut former = None;
    if expires > 0 {
        match watching.add(&subscription) {
            Ok(replaced) => former = replaced,
            Err(NotKept::TooMany) => {
                return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE));
            }
            // Nobody reads the answer.
            Err(NotKept::Gone) => return Ok(()),
        }
    }
    if let Err(refused) = connect(incoming, target, &subscription).await {
        subscription.end(service, End::Unheard);
        // The one it was to replace stands; unless there is no room any more, or nobody to hear of it.
        if let Some(former) = former
            && watching.add(&former).is_err()
        {
            former.end(service, End::Unheard);
        }
        return Err(refused);
    }
    if let Some(former) = former {
        // SIPE 1.25 takes the end of the former one for the end of this one.
        let end = match former.style.benotify {
            true => End::Unheard,
            false => End::Replaced,
        };
        former.end(service, end);
    }
    service.counters.presence.subscribed(package);
    if style.piggyback {
        let first = subscription.first(service, true);
        incoming.respond(lync::piggybacked(reply, event, &subscription, (first, expires)).build());
        match expires {
            0 => subscription.end(service, End::Unheard),
            _ => subscription.began(service),
        }
        return Ok(());
    }
    incoming.respond(response);
    if expires == 0 {
        // RFC 6665 section 4.4.3: a fetch is one NOTIFY, which is the last.
        subscription.end(service, End::Timeout);
    } else {
        subscription.announce(service);
    }
    Ok(())
}

/// Connects a subscription with what it is about, and waits for what the first NOTIFY says.
async fn connect(
    incoming: &Incoming,
    target: Target,
    subscription: &Arc<Subscription>,
) -> Result<(), Refusal> {
    let service = &incoming.service;
    let following = &service.presence.following;
    match target {
        Target::Person(user) => {
            let watched = following.watch(&user, subscription, now());
            watched.map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE))?;
        }
        Target::Members(entries) => {
            let entries = entries.into_iter().map(|entry| served(incoming, entry)).collect();
            service.set_members(subscription, entries);
        }
        Target::Contacts => {
            following.watch_own(subscription, now());
            service
                .load_contacts(subscription)
                .await
                .map_err(|error| owner_failed(&error))?;
        }
        Target::Watchers => {
            following.watch_own(subscription, now());
            service
                .load_own(&incoming.who.aor)
                .await
                .map_err(|error| owner_failed(&error))?;
        }
        Target::RoamingSelf(_) => {
            following.watch_own(subscription, now());
            let watched = following.watch(&incoming.who.aor, subscription, now());
            watched.map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE))?;
            service
                .load_own(&incoming.who.aor)
                .await
                .map_err(|error| owner_failed(&error))?;
        }
        Target::RoamingContacts => {
            following.watch_own(subscription, now());
            service
                .load_contacts(subscription)
                .await
                .map_err(|error| owner_failed(&error))?;
        }
        Target::Batch(members) => lync::change(incoming, subscription, members)?,
    }
    wait_for_members(incoming, subscription).await;
    if subscription.is_ended() {
        // The connection closed, or was closed, while this was done.
        service
            .presence
            .forget(subscription, &subscription.presentities());
    }
    Ok(())
}

/// Waits for the state of all users of a list, for a while.
async fn wait_for_members(incoming: &Incoming, subscription: &Subscription) {
    if !matches!(subscription.package, Package::List | Package::Batch) {
        return;
    }
    let following = &incoming.service.presence.following;
    let deadline = now() + LIST_PATIENCE;
    for presentity in subscription.presentities() {
        // Whoever is not known by then is told of later.
        following
            .learned(&presentity, deadline.saturating_duration_since(now()))
            .await;
    }
}

/// A member of a list, who is nobody if not of this pool.
fn served(incoming: &Incoming, entry: Entry) -> Entry {
    let config = &incoming.service.config;
    Entry {
        who: entry.who.filter(|who| config.serves(who.domain())),
        ..entry
    }
}

// === in a dialog ===

/// A SUBSCRIBE that refreshes or ends a subscription.
fn in_dialog(incoming: Incoming, event: Event, expires: u32) {
    let service = Arc::clone(&incoming.service);
    let refuse = |refused| refuse(&incoming, refused);
    let found = DialogId::of_request(&incoming.request)
        .ok()
        .and_then(|dialog| incoming.flow.watching.get(&dialog))
        .filter(|known| known.watcher == incoming.who.aor)
        .filter(|known| known.is_of(&event.package, event.id().as_ref().map(SipStr::as_str)));
    let Some(subscription) = found else {
        let unknown = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        return refuse(Refusal::new(unknown));
    };
    let batch = match lync::members(&incoming) {
        Ok(batch) => batch,
        Err(refused) => return refuse(refused),
    };
    let entries = match subscription.package {
        Package::List => members(&incoming.request),
        _ => Ok(None),
    };
    let entries = match entries {
        Ok(entries) => entries,
        Err(refused) => return refuse(refused),
    };
    match subscription.refresh(&incoming.request, expires) {
        Ok(expiry) => incoming.flow.watching.expects(expiry),
        Err(status) => return refuse(Refusal::new(status)),
    }
    if subscription.style.piggyback && expires == 0 {
        let reply = accepted(&incoming, subscription.package, expires);
        incoming.respond(lync::ended(reply, &event).build());
        // The 200 was the last it hears.
        return subscription.end(&service, End::Unheard);
    }
    if subscription.style.piggyback {
        return service.spawn(async move {
            if let Err(refused) = again(&incoming, &event, &subscription, (batch, expires)).await {
                super::subscribe::refuse(&incoming, refused);
            }
        });
    }
    incoming.respond(accepted(&incoming, subscription.package, expires).build());
    if expires == 0 {
        return subscription.end(&service, End::Timeout);
    }
    if let Some(entries) = entries {
        let entries = entries
            .into_iter()
            .map(|entry| served(&incoming, entry))
            .collect();
        service.set_members(&subscription, entries);
    }
    if subscription.package == Package::List {
        for presentity in subscription.presentities() {
            // Who did not exist may exist by now.
            service.presence.following.ensure(&presentity, false, now());
        }
    }
    subscription.announce(&service);
}

/// Answers a refresh of a subscription whose client is told inside the 200: all there is, or of those it asks for.
async fn again(
    incoming: &Incoming,
    event: &Event,
    subscription: &Arc<Subscription>,
    (batch, expires): (Option<lync::Members>, u32),
) -> Result<(), Refusal> {
    let service = &incoming.service;
    let reply = accepted(incoming, subscription.package, expires);
    let everything = batch.is_none();
    if let Some(members) = batch {
        lync::change(incoming, subscription, members)?;
        wait_for_members(incoming, subscription).await;
    }
    if subscription.package == Package::RoamingContacts {
        let loaded = service.load_whole_contacts(subscription).await;
        loaded.map_err(|error| owner_failed(&error))?;
    }
    let first = subscription.first(service, everything);
    incoming.respond(lync::piggybacked(reply, event, subscription, (first, expires)).build());
    subscription.began(service);
    Ok(())
}
