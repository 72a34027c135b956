//! PUBLISH (RFC 3903), SUBSCRIBE and NOTIFY (RFC 6665), to contacts one by one or as a list (RFC 5367).

use super::request::{Body, Draft};
use super::{Endpoint, Purpose, State, Timers};
use crate::args::Subscribe;
use crate::population::{Learned, Population, Unit};
use sip_types::{HeaderName, Request, Response, StatusCode};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What publications and subscriptions ask for, in seconds: longer than a run.
const EXPIRES: u64 = 43_200;

/// Single subscriptions that an endpoint begins together, and the time between those.
const TOGETHER: usize = 10;
const BETWEEN: Duration = Duration::from_secs(1);

/// What an endpoint published, and knows of its contacts.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The entity tag of what it published.
    tag: Option<String>,
    /// The number of the last publication the server accepted.
    serial: u32,
    /// A PUBLISH is not answered yet.
    publishing: bool,
    /// The number of the newest publication it was shown of each contact; empty before it subscribed.
    known: Vec<u32>,
    /// Contacts of which it was shown nothing.
    unknown: usize,
    /// Contacts it subscribed to.
    subscribed: usize,
    /// Since when it wants to know all of them.
    wanted: Option<Instant>,
}

impl Endpoint {
    /// Publishes for the first time, and then subscribes. `since`: from when the time counts until all contacts are known.
    pub(crate) fn enter(&self, since: Instant) {
        let Some(population) = &self.run.population else {
            return;
        };
        let mut state = self.state.lock();
        let contacts = population.contacts();
        state.presence.known = vec![0; contacts];
        state.presence.unknown = contacts;
        state.presence.wanted = Some(since);
        self.publish_locked(&mut state, population, Instant::now());
    }

    /// Publishes what was due then, unless it does already.
    pub(crate) fn publish(&self, due: Instant) {
        if let Some(population) = &self.run.population {
            self.publish_locked(&mut self.state.lock(), population, due);
        }
    }

    /// Of how many contacts it does not know the last publication.
    pub(crate) fn missing(&self) -> usize {
        let population = self.run.population.as_ref();
        population.map_or(0, |population| {
            population.missing(self.index, &self.state.lock().presence.known)
        })
    }

    /// Whether a PUBLISH is not answered yet.
    pub(crate) fn is_publishing(&self) -> bool {
        self.state.lock().presence.publishing
    }

    fn publish_locked(&self, state: &mut State, population: &Population, due: Instant) {
        if std::mem::replace(&mut state.presence.publishing, true) {
            if self.run.is_measuring() {
                population.counters.skipped.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let serial = state.presence.serial + 1;
        let condition = match &state.presence.tag {
            Some(tag) => format!("SIP-If-Match: {tag}\r\n"),
            None => String::new(),
        };
        let draft = Draft {
            method: "PUBLISH",
            uri: self.address.clone(),
            from: format!("<{}>;tag={}", self.address, self.index),
            to: format!("<{}>", self.address),
            call_id: self.run.unique(),
            extra: format!("Event: presence\r\nExpires: {EXPIRES}\r\n{condition}"),
            body: Body::Document(
                "application/pidf+xml",
                document(&self.address, serial, &population.mark(self.index, serial, due)),
            ),
            answered_challenge: false,
        };
        self.send(state, draft, Purpose::Publish(serial), Instant::now());
    }

    pub(super) fn published(
        &self,
        state: &mut State,
        timers: &mut Timers,
        serial: u32,
        response: &Response,
        now: Instant,
    ) {
        let Some(population) = &self.run.population else {
            return;
        };
        state.presence.publishing = false;
        let counters = &population.counters;
        let (status, counter) = (
            response.status(),
            match response.status().is_success() {
                true => &counters.published,
                false => &counters.refused,
            },
        );
        if self.run.is_measuring() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if status.is_success() {
            state.presence.serial = serial;
            population.accepted(self.index, serial);
            let tag = response.headers().get(&HeaderName::SipEtag);
            state.presence.tag = tag.map(|tag| tag.to_string());
        } else {
            self.run
                .error(format!("PUBLISH: {} {}", status.code(), response.reason()));
            if status == StatusCode::CONDITIONAL_REQUEST_FAILED {
                state.presence.tag = None;
            }
        }
        if state.presence.subscribed == 0 {
            self.subscribe(state, timers, now);
        }
    }

    /// Subscribes to its contacts, or to some, and to the others later.
    pub(super) fn subscribe(&self, state: &mut State, timers: &mut Timers, now: Instant) {
        let Some(population) = &self.run.population else {
            return;
        };
        let done = state.presence.subscribed;
        let contacts = population.contacts_of(self.index).skip(done);
        let contacts = contacts.map(|user| self.address_of(user));
        match population.subscribe {
            Subscribe::List => {
                let entries: String = contacts.map(|uri| format!("<entry uri=\"{uri}\"/>")).collect();
                state.presence.subscribed = population.contacts();
                self.subscribe_to(
                    state,
                    format!("sip:contacts@{}", self.run.domain),
                    Some(entries),
                    now,
                );
            }
            Subscribe::Single => {
                for uri in contacts.take(TOGETHER).collect::<Vec<_>>() {
                    state.presence.subscribed += 1;
                    self.subscribe_to(state, uri, None, now);
                }
                let more = state.presence.subscribed < population.contacts();
                timers.subscribe = more.then_some(now + BETWEEN);
            }
        }
    }

    fn subscribe_to(&self, state: &mut State, uri: String, entries: Option<String>, now: Instant) {
        let contact = self.contact(state);
        let lines = match &entries {
            None => "Accept: application/pidf+xml\r\n",
            Some(_) => {
                "Accept: multipart/related, application/rlmi+xml, application/pidf+xml\r\n\
                 Supported: eventlist\r\nRequire: recipient-list-subscribe\r\nContent-Disposition: recipient-list\r\n"
            }
        };
        let body = entries.map_or(Body::Empty, |entries| {
            let list = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                 <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>{entries}</list></resource-lists>"
            );
            Body::Document("application/resource-lists+xml", list)
        });
        let draft = Draft {
            method: "SUBSCRIBE",
            from: format!("<{}>;tag={}", self.address, self.run.unique()),
            to: format!("<{uri}>"),
            uri,
            call_id: self.run.unique(),
            extra: format!("{contact}Event: presence\r\nExpires: {EXPIRES}\r\n{lines}"),
            body,
            answered_challenge: false,
        };
        self.send(state, draft, Purpose::Subscribe, now);
    }

    pub(super) fn subscribed(&self, response: &Response) {
        let status = response.status();
        if !status.is_success() {
            self.run
                .error(format!("SUBSCRIBE: {} {}", status.code(), response.reason()));
        }
    }

    /// Takes a NOTIFY for what it shows.
    pub(super) fn notified(&self, request: &Request) {
        let Some(population) = &self.run.population else {
            return;
        };
        let counters = &population.counters;
        let measuring = self.run.is_measuring();
        if measuring {
            counters.notifications.fetch_add(1, Ordering::Relaxed);
        }
        if population.unit == Unit::Notification {
            self.run.unit_counted();
        }
        let standing = request.headers().get(&HeaderName::SubscriptionState);
        if standing.is_some_and(|standing| standing.starts_with("terminated")) {
            self.run.error("subscription ended");
        }
        let mut state = self.state.lock();
        let own = &mut state.presence;
        for mark in population.marks(request.body()) {
            match population.learn(self.index, &mut own.known, mark) {
                Learned::Nothing => continue,
                Learned::Older => {
                    counters.older.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                // It may have been published long before this user came.
                Learned::First => own.unknown = own.unknown.saturating_sub(1),
                Learned::Newer { skipped } if measuring => {
                    counters
                        .conflated
                        .fetch_add(u64::from(skipped), Ordering::Relaxed);
                    self.run.part_done(population.due(mark));
                }
                Learned::Newer { .. } => {}
            }
            if measuring {
                counters.learned.fetch_add(1, Ordering::Relaxed);
            }
        }
        if own.unknown == 0
            && population.unit == Unit::User
            && let Some(since) = own.wanted.take()
        {
            self.run.unit_done(since);
        }
    }

    /// The address of another user of this run.
    fn address_of(&self, user: usize) -> String {
        let prefix = self.user.trim_end_matches(|digit: char| digit.is_ascii_digit());
        format!("sip:{prefix}{user}@{}", self.run.domain)
    }
}

/// A document as clients publish it. With each one the state changes.
fn document(address: &str, serial: u32, mark: &str) -> String {
    let activity = match serial % 2 {
        0 => "<rpid:away/>",
        _ => "<rpid:busy/>",
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"{address}\">\n\
         <tuple id=\"t1\"><status><basic>open</basic></status><contact priority=\"0.8\">{address}</contact></tuple>\n\
         <note>{mark}</note>\n\
         <dm:person id=\"p1\"><rpid:activities>{activity}</rpid:activities></dm:person>\n</presence>\n"
    )
}
