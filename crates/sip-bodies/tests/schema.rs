//! What this crate prints is valid by the schemas in `schemas/`; `xmllint` (Debian: libxml2-utils) is the judge.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop the test"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use sip_bodies::lang_text::LangText;
use sip_bodies::pidf::{
    Activity, Basic, Cipid, Contact, Device, Kept, Person, Presence, Priority, Tuple, UserInput,
};
use sip_bodies::resource_lists::{Entry, List, Member, ResourceLists};
use sip_bodies::rlmi::{Instance, Resource, ResourceList};
use sip_bodies::watcherinfo::{Watcher, WatcherEvent, WatcherInfo, WatcherList, WatcherStatus};

const LIKE_BARESIP: &str = include_str!("documents/like_baresip.xml");
const LIKE_LINPHONE: &str = include_str!("documents/like_linphone.xml");
const RICH: &str = include_str!("documents/rich.xml");
const TIME: &str = "2026-11-21T08:12:01Z";

/// Nothing, or what is wrong with the document.
fn judge(document: &[u8]) -> Result<(), String> {
    let mut xmllint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas/all.xsd"))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint is needed: `make services` installs it (Debian: libxml2-utils)");
    let mut stdin = xmllint.stdin.take().unwrap();
    stdin.write_all(document).unwrap();
    drop(stdin);
    let output = xmllint.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => Ok(()),
        // 3: not valid. Anything else is xmllint's own trouble, such as a schema it can not read.
        Some(3) => Err(said),
        other => panic!("xmllint ended with {other:?}: {said}"),
    }
}

fn assert_valid(document: &[u8]) {
    if let Err(said) = judge(document) {
        panic!("{said}\n{}", String::from_utf8_lossy(document));
    }
}

fn parsed(document: &str) -> Presence {
    Presence::parse(document.as_bytes()).unwrap()
}

fn text(lang: &str, text: &str) -> LangText {
    LangText {
        lang: Some(lang.to_owned()),
        text: text.to_owned(),
    }
}

#[test]
fn the_judge_finds_what_is_wrong() {
    let presence = |inner: &str| {
        format!(
            "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
             xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' entity='sip:a@b'>{inner}</presence>"
        )
    };
    assert_valid(presence("<tuple id='a'><status/></tuple>").as_bytes());
    for inner in [
        "<tuple id='a'><status/></tuple><tuple id='a'><status/></tuple>",
        "<tuple id='a'><status/></tuple><dm:person id='a'/>",
        "<tuple id='1'><status/></tuple>",
        "<tuple id='a'/>",
        "<tuple id='a'><status/><note/><contact>sip:a@b</contact></tuple>",
        "<dm:person/>",
        "<dm:person id='p'><dm:note/><rpid:activities/></dm:person>",
        "<dm:person id='p'><rpid:activities><rpid:lunch/></rpid:activities></dm:person>",
        "<dm:person id='p'/><tuple id='a'><status/></tuple>",
        "<dm:device id='d'/>",
    ] {
        let document = presence(inner);
        assert!(judge(document.as_bytes()).is_err(), "{document}");
    }
}

#[test]
fn typed_presence_is_valid() {
    let mut presence = Presence::new("sip:bob@example.test");
    let user_input = UserInput {
        is_idle: true,
        idle_threshold: Some(300),
        last_input: Some(TIME.to_owned()),
    };
    let contact = Contact {
        uri: "sip:bob@example.test".to_owned(),
        priority: Some(Priority::from_thousandths(505)),
    };
    presence.tuples.push(Kept::new(Tuple {
        contact: Some(contact),
        user_input: Some(user_input.clone()),
        notes: vec![text("en", "At the desk"), text("de-AT", "Am Tisch")],
        timestamp: Some(TIME.to_owned()),
        ..Tuple::new("t1", Basic::Open)
    }));
    presence.tuples.push(Kept::new(Tuple {
        basic: None,
        ..Tuple::new("t2", Basic::Closed)
    }));
    presence.notes.push(LangText::new("<&>\"'\r\n"));
    presence.persons.push(Kept::new(Person {
        id: Some("p1".to_owned()),
        activities: all_activities(),
        user_input: Some(user_input.clone()),
        notes: vec![text("not a language", "x")],
        cipid: Cipid {
            card: Some("http://example.test/card".to_owned()),
            display_name: Some("Bob".to_owned()),
            homepage: Some("http://example.test/".to_owned()),
            icon: Some("http://example.test/icon".to_owned()),
            map: Some("http://example.test/map".to_owned()),
            sound: Some("http://example.test/sound".to_owned()),
        },
        timestamp: Some(TIME.to_owned()),
    }));
    presence.persons.push(Kept::new(Person {
        id: Some("p2".to_owned()),
        activities: vec![Activity::Unknown],
        ..Person::default()
    }));
    presence.devices.push(Kept::new(Device {
        id: Some("d1".to_owned()),
        device_id: Some("urn:uuid:48662e19-5fbf-43fc-a2fd-d23002787599".to_owned()),
        user_input: Some(user_input),
        notes: vec![LangText::new("here")],
        timestamp: Some(TIME.to_owned()),
    }));
    assert_valid(&presence.print());
    assert_valid(&Presence::new("sip:bob@example.test").print());
}

fn all_activities() -> Vec<Activity> {
    vec![
        Activity::Appointment,
        Activity::Away,
        Activity::Breakfast,
        Activity::Busy,
        Activity::Dinner,
        Activity::Holiday,
        Activity::InTransit,
        Activity::LookingForWork,
        Activity::Meal,
        Activity::Meeting,
        Activity::OnThePhone,
        Activity::Performance,
        Activity::PermanentAbsence,
        Activity::Playing,
        Activity::Presentation,
        Activity::Shopping,
        Activity::Sleeping,
        Activity::Spectator,
        Activity::Steering,
        Activity::Travel,
        Activity::Tv,
        Activity::Vacation,
        Activity::Working,
        Activity::Worship,
        Activity::Other("something else".to_owned()),
        Activity::Unknown,
    ]
}

#[test]
fn kept_publications_are_valid_alone_and_together() {
    let mut all = Presence::new("sip:alice@example.test");
    for document in [LIKE_BARESIP, LIKE_LINPHONE, RICH, LIKE_BARESIP, RICH] {
        let mut one = parsed(document);
        assert_valid(&one.print());
        all.tuples.append(&mut one.tuples);
        all.notes.append(&mut one.notes);
        all.persons.append(&mut one.persons);
        all.devices.append(&mut one.devices);
        all.others.append(&mut one.others);
    }
    assert!(judge(&all.print()).is_err(), "the same ids twice");
    all.unify_ids().unwrap();
    assert_valid(&all.print());
}

#[test]
fn publications_in_disorder_are_valid_when_they_leave() {
    let mut presence = parsed(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
         xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' entity='sip:a@b'><x xmlns=''/><odd/><y xmlns='urn:y'/>\
         <dm:person><dm:note>n</dm:note><dm:odd/><rpid:activities/></dm:person><note>n</note>\
         <tuple id='1'>text<timestamp>2026-11-21T08:12:01Z</timestamp><note/><contact>sip:a@b</contact><odd/>\
         <rpid:class>c</rpid:class><status/></tuple></presence>",
    );
    presence.unify_ids().unwrap();
    assert_valid(&presence.print());
}

#[test]
fn resource_list_meta_information_is_valid() {
    let resource = |uri: &str, instance: Instance| Resource {
        uri: uri.to_owned(),
        names: vec![LangText::new("Somebody"), text("de", "Jemand")],
        instances: vec![instance],
    };
    let list = |full_state| ResourceList {
        uri: "sip:friends@example.test".to_owned(),
        version: u32::MAX,
        full_state,
        cid: Some("outer@example.test".to_owned()),
        names: vec![text("en", "Friends")],
        resources: vec![
            resource("sip:bob@example.test", Instance::active("1", "bob@example.test")),
            resource("sip:ed@example.test", Instance::pending("2")),
            resource("sip:dave@example.test", Instance::terminated("3", "rejected")),
        ],
    };
    assert_valid(&list(true).print().unwrap());
    assert_valid(&list(false).print().unwrap());
}

#[test]
fn resource_lists_are_valid() {
    let inner = List {
        name: Some("inner".to_owned()),
        display_name: Some(text("en", "Inner")),
        members: vec![Member::External("http://example.test/list".to_owned())],
    };
    let entry = Entry {
        uri: "sip:bob@example.test".to_owned(),
        display_name: Some(LangText::new("Bob")),
    };
    let outer = List {
        members: vec![
            Member::Entry(entry),
            Member::List(inner),
            Member::EntryRef("users/x".to_owned()),
        ],
        ..List::default()
    };
    assert_valid(
        &ResourceLists {
            lists: vec![outer, List::default()],
        }
        .print(),
    );
    assert_valid(&ResourceLists::of(["sip:a@b".to_owned()]).print());
    assert_valid(&ResourceLists::default().print());
}

#[test]
fn watcher_information_is_valid() {
    let watcher = |status, event, expiration| Watcher {
        id: "77a".to_owned(),
        uri: "sip:bob@example.test".to_owned(),
        display_name: Some("Bob \"B\" <b>".to_owned()),
        status,
        event,
        expiration,
        duration_subscribed: expiration,
    };
    let list = WatcherList {
        resource: "sip:alice@example.test".to_owned(),
        package: "presence".to_owned(),
        watchers: vec![
            watcher(WatcherStatus::Pending, WatcherEvent::Subscribe, Some(u64::MAX)),
            watcher(WatcherStatus::Active, WatcherEvent::Approved, None),
            watcher(WatcherStatus::Waiting, WatcherEvent::Timeout, None),
            watcher(WatcherStatus::Waiting, WatcherEvent::GiveUp, None),
            watcher(WatcherStatus::Terminated, WatcherEvent::Deactivated, None),
            watcher(WatcherStatus::Terminated, WatcherEvent::Probation, None),
            watcher(WatcherStatus::Terminated, WatcherEvent::Rejected, None),
            watcher(WatcherStatus::Terminated, WatcherEvent::NoResource, None),
        ],
    };
    for (is_full, lists) in [(true, vec![list.clone(), list]), (false, vec![])] {
        let info = WatcherInfo {
            version: 3,
            is_full,
            lists,
        };
        assert_valid(&info.print());
    }
}
