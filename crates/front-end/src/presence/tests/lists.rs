//! Subscriptions to lists: RFC 4662, RFC 5367.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use rpc::presence::Availability;
use sip_bodies::multipart;
use sip_bodies::rlmi::{InstanceState, ResourceList};
use sip_types::{HeaderName, Request};

use super::owner::aor;
use super::rig::{Client, Dialog, Rig, header, standing};
use crate::dialect::encoding;

const SECOND: Duration = Duration::from_secs(1);
const LISTS: &str = "sip:lists@example.test";

const LINES: &str = "Require: recipient-list-subscribe\nSupported: eventlist\nExpires: 600\n\
     Accept: application/pidf+xml\nAccept: application/rlmi+xml\nAccept: multipart/related\n\
     Content-Type: application/resource-lists+xml\nContent-Disposition: recipient-list";

fn body(uris: &[&str]) -> String {
    let entries: String = uris.iter().map(|uri| format!("<entry uri=\"{uri}\"/>")).collect();
    format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\
         <list>{entries}</list></resource-lists>"
    )
}

async fn subscribe(client: &mut Client, uris: &[&str]) -> Dialog {
    client.subscribe_with(LISTS, "presence", LINES, body(uris)).await
}

/// What a NOTIFY about a list says.
struct Told {
    list: ResourceList,
    parts: Vec<multipart::Part>,
}

impl Told {
    fn of(notify: &Request) -> Self {
        assert_eq!(header(notify, HeaderName::Require), "eventlist");
        let content_type = header(notify, HeaderName::ContentType);
        let coding = header(notify, HeaderName::ContentEncoding);
        let body = encoding::decode(&coding, notify.body()).unwrap();
        let parts = multipart::parts(&content_type, &body).unwrap();
        let list = ResourceList::parse(&parts[0].body).unwrap();
        Told { list, parts }
    }

    /// `user: state` for each resource, with the availability of the active ones.
    fn states(&self) -> Vec<String> {
        let resources = self.list.resources.iter();
        resources
            .map(|resource| {
                let uri = resource.uri.trim_start_matches("sip:").split('@').next().unwrap();
                let state = match resource.instances.as_slice() {
                    [] => "unknown".to_owned(),
                    [one] if one.state == InstanceState::Active => self.document(&resource.uri),
                    [one] => one.reason.clone().unwrap(),
                    more => panic!("{more:?}"),
                };
                format!("{uri}: {state}")
            })
            .collect()
    }

    fn document(&self, uri: &str) -> String {
        let is_it = |part: &&multipart::Part| {
            let text = std::str::from_utf8(&part.body).unwrap();
            text.contains(&format!("entity=\"{uri}\""))
        };
        let part = self
            .parts
            .iter()
            .find(is_it)
            .expect("a part of an active resource");
        let text = std::str::from_utf8(&part.body).unwrap();
        if text.contains("<basic>open") {
            "open"
        } else {
            "closed"
        }
        .to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_is_told_in_full_and_then_what_changes() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    rig.owner.set("amy", Availability::AVAILABLE);
    let mut bob = rig.client("bob").await;
    let uris = ["sip:amy@example.test", "sip:carol@example.test"];
    let mut dialog = subscribe(&mut bob, &uris).await;
    let first = bob.notify().await;
    let told = Told::of(&first);
    assert_eq!(told.states(), ["amy: open", "carol: closed"]);
    assert_eq!(told.list.uri, LISTS, "the URI that was subscribed to");
    assert!(told.list.full_state);
    assert_eq!(told.list.version, 0);
    let content_type = header(&first, HeaderName::ContentType);
    assert!(content_type.starts_with("multipart/related;"), "{content_type}");
    assert!(content_type.contains(";boundary=") && !content_type.contains("boundary=\""));
    rig.owner.set("carol", Availability::BUSY);
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["carol: open"]);
    assert_eq!((told.list.full_state, told.list.version), (false, 1));
    assert_eq!(bob.again(&mut dialog, 600, "").await.status().code(), 200);
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["amy: open", "carol: open"]);
    assert_eq!((told.list.full_state, told.list.version), (true, 2));
    assert_eq!(bob.again(&mut dialog, 0, "").await.status().code(), 200);
    let last = bob.notify().await;
    assert_eq!(standing(&last), "terminated;reason=timeout");
    rig.pass(SECOND).await;
    assert!(
        rig.owner
            .take_reported()
            .contains("bob watches carol: Terminated")
    );
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_list_are_collected_for_a_moment() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    let mut bob = rig.client("bob").await;
    subscribe(&mut bob, &["sip:amy@example.test", "sip:carol@example.test"]).await;
    bob.notify().await;
    rig.pass(10 * SECOND).await;
    rig.owner.set("amy", Availability::BUSY);
    rig.pass(SECOND / 10).await;
    rig.owner.set("carol", Availability::BUSY);
    rig.owner.set("amy", Availability::OFFLINE);
    let told = Told::of(&bob.notify().await);
    // Amy is again what the client was told.
    assert_eq!(told.states(), ["carol: open"]);
    bob.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn doubles_strangers_and_oneself_have_their_place_in_a_list() {
    let rig = Rig::new(&["amy", "bob"]).await;
    rig.owner.set("bob", Availability::AVAILABLE);
    let mut bob = rig.client("bob").await;
    let uris = [
        "sip:amy@example.test",
        "sip:AMY@example.test",
        "pres:amy@example.test",
        "sip:nobody@example.test",
        "sip:x@elsewhere.test",
        "tel:+4930123456",
        "sip:bob@example.test",
    ];
    subscribe(&mut bob, &uris).await;
    let told = Told::of(&bob.notify().await);
    assert_eq!(
        told.states(),
        [
            "amy: closed",
            "nobody: noresource",
            "x: noresource",
            "tel:+4930123456: noresource",
            "bob: open"
        ]
    );
    assert_eq!(rig.owner.take_followed(), ["amy", "bob", "nobody"]);
    rig.pass(SECOND).await;
    assert_eq!(rig.owner.take_reported().len(), 1, "amy, and not nobody");
}

#[tokio::test(start_paused = true)]
async fn who_did_not_exist_is_asked_for_again_at_a_refresh() {
    let rig = Rig::new(&["bob"]).await;
    let mut bob = rig.client("bob").await;
    let mut dialog = subscribe(&mut bob, &["sip:amy@example.test"]).await;
    assert_eq!(Told::of(&bob.notify().await).states(), ["amy: noresource"]);
    rig.owner.hang_up();
    rig.owner.set("amy", Availability::AVAILABLE);
    rig.pass(5 * SECOND).await;
    assert_eq!(Told::of(&bob.notify().await).states(), ["amy: open"]);
    rig.owner.forget("amy");
    rig.owner.hang_up();
    assert_eq!(Told::of(&bob.notify().await).states(), ["amy: noresource"]);
    rig.pass(5 * SECOND).await;
    rig.owner.take_followed();
    bob.again(&mut dialog, 600, "").await;
    assert_eq!(Told::of(&bob.notify().await).states(), ["amy: noresource"]);
    rig.settle().await;
    assert_eq!(rig.owner.take_followed(), ["amy"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_takes_who_speaks_event_lists() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let lines = format!("Event: presence\n{}", LINES.replace("Supported: eventlist\n", ""));
    let answer = bob
        .call("SUBSCRIBE", LISTS, &lines, body(&["sip:amy@example.test"]))
        .await;
    assert_eq!(answer.status().code(), 421);
    assert_eq!(
        answer.headers().get(&HeaderName::Require).unwrap().as_str(),
        "eventlist"
    );
    let answer = bob
        .call("SUBSCRIBE", "sip:contacts@example.test", "Event: presence", "")
        .await;
    assert_eq!(answer.status().code(), 421);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_none_is_refused_with_what_is_wrong() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let lines = format!("Event: presence\n{LINES}");
    let many: Vec<String> = (0..1_001).map(|n| format!("sip:u{n}@example.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (list, status, reason) in [
        (String::new(), 400, "A recipient list is missing"),
        (body(&[]), 400, "The recipient list is empty"),
        ("<nonsense".to_owned(), 400, "malformed"),
        (body(&many), 400, "too much"),
    ] {
        let answer = bob.call("SUBSCRIBE", LISTS, &lines, list).await;
        assert_eq!(answer.status().code(), status, "{reason}");
        assert!(
            answer.reason().contains(reason),
            "{} is not {reason}",
            answer.reason()
        );
    }
    let other = "Event: presence\nContent-Type: application/simple-filter+xml";
    let answer = bob.call("SUBSCRIBE", LISTS, other, "<filter-set/>").await;
    assert_eq!(answer.status().code(), 415);
    assert_eq!(
        answer.headers().get(&HeaderName::Accept).unwrap().as_str(),
        "application/resource-lists+xml"
    );
}

#[tokio::test(start_paused = true)]
async fn deflated_lists_are_read_and_deflated_states_sent_to_who_takes_them() {
    let rig = Rig::new(&["bob"]).await;
    let users: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    for user in &users {
        rig.owner.set(user, Availability::BUSY);
    }
    rig.settle().await;
    let uris: Vec<String> = users
        .iter()
        .map(|user| format!("sip:{user}@example.test"))
        .collect();
    let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
    let plain = body(&uris);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain.as_bytes()).unwrap();
    let deflated = encoder.finish().unwrap();
    let mut bob = rig.client("bob").await;
    let lines = format!("{LINES}\nContent-Encoding: deflate\nAccept-Encoding: deflate");
    bob.subscribe_with(LISTS, "presence", &lines, &deflated).await;
    let notify = bob.notify().await;
    assert_eq!(header(&notify, HeaderName::ContentEncoding), "deflate");
    let body = encoding::decode("deflate", notify.body()).unwrap();
    assert!(notify.body().len() * 5 < body.len());
    let content_type = header(&notify, HeaderName::ContentType);
    let boundary = content_type.split("boundary=").nth(1).unwrap();
    let parts = body
        .windows(boundary.len())
        .filter(|part| *part == boundary.as_bytes());
    assert_eq!(parts.count(), 1 + users.len() + 1);
    let lines = format!("{LINES}\nContent-Encoding: deflate");
    let rubbish = Bytes::from_static(b"rubbish");
    let lines = format!("Event: presence\n{lines}");
    assert_eq!(
        bob.call("SUBSCRIBE", LISTS, &lines, &rubbish)
            .await
            .status()
            .code(),
        400
    );
}

/// liblinphone 5.1 passes over notifications of `presence`, and finds no part by `Content-ID`.
#[tokio::test(start_paused = true)]
async fn lists_are_told_to_linphone_as_it_understands_them() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let list = body(&["sip:amy@example.test"]);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(list.as_bytes()).unwrap();
    let deflated = Bytes::from(encoder.finish().unwrap());
    let plain = Bytes::from(list);
    // By its name, or by what it sends where its application gave it none.
    let named = format!("{LINES}\nUser-Agent: LinphoneAndroid/5.2.5 (Phone) LinphoneSDK/5.3");
    let nameless = format!("{LINES}\nContent-Encoding: deflate\nUser-Agent: Unknown");
    for (lines, list, is_linphone) in [
        (named.as_str(), &plain, true),
        (nameless.as_str(), &deflated, true),
        (LINES, &plain, false),
    ] {
        let mut bob = rig.client("bob").await;
        bob.subscribe_with(LISTS, "presence", lines, list).await;
        let notify = bob.notify().await;
        let (event, id) = match is_linphone {
            true => ("Presence", "\r\nContent-Id: 0.0@"),
            false => ("presence", "\r\nContent-ID: <0.0@"),
        };
        assert_eq!(header(&notify, HeaderName::Event), event);
        let text = std::str::from_utf8(notify.body()).unwrap();
        assert!(text.contains(id), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_contact_list_is_a_list_and_follows_its_changes() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    rig.owner.set_contacts("bob", &["amy"]);
    let mut bob = rig.client("bob").await;
    let uri = "sip:contacts@example.test";
    let lines = "Supported: eventlist\nExpires: 600";
    bob.subscribe_with(uri, "presence", lines, "").await;
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["amy: closed"]);
    assert_eq!(told.list.uri, uri);
    assert_eq!(told.list.resources[0].names[0].text, "AMY");
    rig.owner.set_contacts("bob", &["amy", "carol"]);
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["carol: closed"]);
    assert!(!told.list.full_state);
    rig.owner.set_contacts("bob", &["carol"]);
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["carol: closed"]);
    assert!(told.list.full_state, "only a full list says who is gone");
    rig.pass(SECOND).await;
    assert!(rig.owner.take_reported().contains("bob watches amy: Terminated"));
}

#[tokio::test(start_paused = true)]
async fn a_list_without_members_is_never_written() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let lines = "Supported: eventlist\nExpires: 600";
    bob.subscribe_with("sip:contacts@example.test", "presence", lines, "")
        .await;
    let notify = bob.notify().await;
    assert!(notify.body().is_empty(), "{notify}");
    assert!(standing(&notify).starts_with("active"));
    rig.owner.set_contacts("bob", &["amy"]);
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["amy: closed"]);
    assert_eq!((told.list.full_state, told.list.version), (true, 0));
    rig.owner.set_contacts("bob", &[]);
    assert!(bob.notify().await.body().is_empty());
    assert_eq!(rig.owner.document("amy").presentity, aor("amy"));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_known_yet_has_no_state_and_gets_it_later() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    rig.owner.set_away(true);
    subscribe(&mut bob, &["sip:amy@example.test"]).await;
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["amy: unknown"]);
    rig.owner.set_away(false);
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["amy: closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_too_large_for_one_notification_comes_in_several() {
    let rig = Rig::new(&["bob"]).await;
    let users: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    for user in &users {
        rig.owner.change(user, |view| {
            let mut card = rpc::presence::ContactCard::clone(&view.card);
            card.url = Some("x".repeat(20_000));
            view.card = card.into();
        });
    }
    rig.settle().await;
    let uris: Vec<String> = users
        .iter()
        .map(|user| format!("sip:{user}@example.test"))
        .collect();
    let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
    let mut bob = rig.client("bob").await;
    subscribe(&mut bob, &uris).await;
    let mut known = std::collections::BTreeSet::new();
    for number in 0..3 {
        let told = Told::of(&bob.notify().await);
        assert_eq!(told.list.full_state, number == 0);
        let active = told.list.resources.iter().filter(|r| !r.instances.is_empty());
        known.extend(active.map(|resource| resource.uri.clone()));
        if known.len() == users.len() {
            break;
        }
    }
    assert_eq!(known.len(), users.len());
    bob.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_group_are_shown_in_its_place_and_change_with_it() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    rig.owner.set_contacts("bob", &["amy", "sales"]);
    rig.owner.set_members("bob", Some(&["amy", "carol"]));
    let mut bob = rig.client("bob").await;
    let lines = "Supported: eventlist\nExpires: 600";
    bob.subscribe_with("sip:contacts@example.test", "presence", lines, "")
        .await;
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["amy: closed", "carol: closed"]);
    rig.owner.set_members("bob", Some(&["amy"]));
    let told = Told::of(&bob.notify().await);
    assert_eq!(told.states(), ["amy: closed"]);
    rig.owner.set_members("bob", None);
    let told = Told::of(&bob.notify().await);
    assert!(
        told.list
            .resources
            .iter()
            .any(|one| one.uri == "sip:sales@example.test")
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_looked_up_when_a_group_changes_is_looked_up_later() {
    let rig = Rig::new(&["amy", "bob"]).await;
    rig.owner.set_contacts("bob", &["sales"]);
    rig.owner.set_members("bob", Some(&["amy"]));
    let mut bob = rig.client("bob").await;
    let lines = "Supported: eventlist\nExpires: 600";
    bob.subscribe_with("sip:contacts@example.test", "presence", lines, "")
        .await;
    assert_eq!(Told::of(&bob.notify().await).states(), ["amy: closed"]);
    rig.owner.set_away(true);
    rig.owner.set_members("bob", Some(&["amy", "bob"]));
    bob.hears_nothing(5 * SECOND).await;
    rig.owner.set_away(false);
    let told = Told::of(&bob.notify().await);
    assert!(
        told.list
            .resources
            .iter()
            .any(|one| one.uri == "sip:bob@example.test")
    );
}
