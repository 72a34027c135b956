//! PUBLISH: RFC 3903.

use std::time::Duration;

use rpc::presence::{
    Availability, Bound, KeptFormat, Lifetime, PresenceNews, PublicationContent, Publish, PublishOne, Source,
    StateInput, category,
};
use sip_types::{HeaderName, Response};
use topology::Partition;

use super::rig::{Client, Rig};

const AMY: &str = "sip:amy@example.test";
const PIDF: &str = "Content-Type: application/pidf+xml";

fn document(basic: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{AMY}\">\
         <tuple id=\"t\"><status><basic>{basic}</basic></status></tuple></presence>"
    )
}

async fn publish(client: &mut Client, lines: &str, body: &str) -> Response {
    let lines = format!("Event: presence\n{lines}");
    client.call("PUBLISH", AMY, &lines, body).await
}

#[track_caller]
fn tag(answer: &Response) -> String {
    assert_eq!(answer.status().code(), 200, "{answer}");
    answer.headers().get(&HeaderName::SipEtag).unwrap().to_string()
}

fn only(mut published: Vec<Publish>) -> PublishOne {
    assert_eq!(published.len(), 1);
    let mut publish = published.remove(0);
    assert_eq!(publish.changes.len(), 1);
    publish.changes.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_document_is_published_modified_refreshed_and_removed() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let initial = publish(&mut amy, &format!("Expires: 600\n{PIDF}"), &document("open")).await;
    assert_eq!(
        initial.headers().get(&HeaderName::Expires).unwrap().as_str(),
        "600"
    );
    let first = tag(&initial);
    let PublishOne::Set {
        key,
        known,
        lifetime,
        content,
        kept,
    } = only(rig.owner.take_published())
    else {
        panic!("not set");
    };
    assert_eq!((&*key.category, key.container), (category::PIDF, 2));
    assert_eq!(known, None);
    let seconds = Duration::from_secs(600);
    assert_eq!(
        lifetime,
        Lifetime {
            bound: Bound::Endpoint,
            expires: Some(seconds)
        }
    );
    let states = [StateInput::new(Source::Machine, Availability::AVAILABLE)];
    let PublicationContent::Document { states: told, .. } = content else {
        panic!("{content:?}");
    };
    assert_eq!(*told, states);
    assert_eq!(kept.unwrap().format, KeptFormat::Pidf);

    let lines = format!("SIP-If-Match: {first}\n{PIDF}");
    let second = tag(&publish(&mut amy, &lines, &document("closed")).await);
    let third = tag(&publish(&mut amy, &format!("SIP-If-Match: {second}\nExpires: 700"), "").await);
    let last = publish(&mut amy, &format!("SIP-If-Match: {third}\nExpires: 0"), "").await;
    assert_eq!(last.headers().get(&HeaderName::Expires).unwrap().as_str(), "0");
    assert_eq!(
        std::collections::BTreeSet::from([&first, &second, &third]).len(),
        3
    );
    let changes: Vec<PublishOne> = rig
        .owner
        .take_published()
        .into_iter()
        .flat_map(|publish| publish.changes)
        .collect();
    assert!(
        matches!(
            changes.as_slice(),
            [
                PublishOne::Set { known: Some(1), .. },
                PublishOne::Refresh { known: 2, .. },
                PublishOne::Remove { known: Some(3), .. }
            ]
        ),
        "{changes:?}"
    );
    for result in ["initial", "modified", "refreshed", "removed"] {
        rig.counted(&format!(
            "portico_presence_publishes_total{{result=\"{result}\"}} 1"
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_not_current_is_412() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let first = tag(&publish(&mut amy, PIDF, &document("open")).await);
    let lines = format!("SIP-If-Match: {first}\n{PIDF}");
    tag(&publish(&mut amy, &lines, &document("closed")).await);
    for stale in [first.as_str(), "from-another-server", "0000000000000000"] {
        for expires in ["600", "0"] {
            let lines = format!("SIP-If-Match: {stale}\nExpires: {expires}\n{PIDF}");
            let answer = publish(&mut amy, &lines, "").await;
            assert_eq!(answer.status().code(), 412, "{stale} {expires}");
        }
        let lines = format!("SIP-If-Match: {stale}\n{PIDF}");
        let answer = publish(&mut amy, &lines, &document("open")).await;
        assert_eq!(answer.status().code(), 412, "{stale}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_counts_on_another_connection_of_the_client() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client_at("amy", "contact:amy@192.0.2.1:40000").await;
    let first = tag(&publish(&mut amy, PIDF, &document("open")).await);
    drop(amy);
    let mut amy = rig.client_at("amy", "contact:amy@192.0.2.1:40001").await;
    let lines = format!("SIP-If-Match: {first}");
    let second = tag(&publish(&mut amy, &lines, "").await);
    assert_eq!(first[..8], second[..8], "the same publication");
    let published = rig.owner.take_published();
    let endpoints: Vec<_> = published
        .iter()
        .map(|publish| publish.endpoint.clone().unwrap().to_string())
        .collect();
    assert_eq!(
        endpoints,
        ["contact:amy@192.0.2.1:40000", "contact:amy@192.0.2.1:40001"],
        "and it ends with the endpoint that speaks for it now"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_is_refused_with_its_reason() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut amy = rig.client("amy").await;
    let open = document("open");
    let foreign = open.replace("amy", "bob");
    let half = &open[..open.len() / 2];
    for (lines, body, status) in [
        (
            "Expires: 59\nContent-Type: application/pidf+xml",
            open.as_str(),
            423,
        ),
        ("Content-Type: application/xpidf+xml", "<presence/>", 415),
        (
            "Content-Type: application/pidf+xml\nContent-Encoding: br",
            &open,
            415,
        ),
        (PIDF, half, 400),
        (PIDF, "<!DOCTYPE x [<!ENTITY a 'b'>]><presence/>", 400),
        (PIDF, "", 400),
        (PIDF, &foreign, 403),
        (
            "SIP-If-Match: a b\nContent-Type: application/pidf+xml",
            &open,
            400,
        ),
    ] {
        let answer = publish(&mut amy, lines, body).await;
        assert_eq!(answer.status().code(), status, "{lines} {body}");
        match status {
            423 => assert_eq!(
                answer.headers().get(&HeaderName::MinExpires).unwrap().as_str(),
                "60"
            ),
            400 => assert_ne!(answer.reason(), "Bad Request", "no reason for {body}"),
            415 => assert!(
                answer.headers().has(&HeaderName::Accept)
                    || answer.headers().has(&HeaderName::AcceptEncoding)
            ),
            _ => {}
        }
    }
    assert!(rig.owner.take_published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_ones_own_presence_is_published_and_only_that_event() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut amy = rig.client("amy").await;
    let lines = format!("Event: presence\n{PIDF}");
    for uri in ["sip:bob@example.test", "sip:example.test"] {
        let answer = amy.call("PUBLISH", uri, &lines, document("open")).await;
        assert_eq!(answer.status().code(), 403, "{uri}");
    }
    for event in ["Event: dialog", "Event: presence.winfo", ""] {
        let lines = format!("{event}\n{PIDF}");
        let answer = amy.call("PUBLISH", AMY, &lines, document("open")).await;
        assert_eq!(answer.status().code(), 489, "{event}");
        assert_eq!(
            answer.headers().get(&HeaderName::AllowEvents).unwrap().as_str(),
            "presence"
        );
    }
    assert!(rig.owner.take_published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_away_is_503_with_a_time_to_come_again() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    rig.owner.set_away(true);
    let answer = publish(&mut amy, PIDF, &document("open")).await;
    assert_eq!(answer.status().code(), 503);
    assert!(answer.headers().has(&HeaderName::RetryAfter));
}

#[tokio::test(start_paused = true)]
async fn the_next_owner_is_told_what_stands_and_the_tag_of_the_client_counts_there() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let first = tag(&publish(&mut amy, &format!("Expires: 600\n{PIDF}"), &document("open")).await);
    let lines = format!("SIP-If-Match: {first}\nExpires: 600\n{PIDF}");
    let second = tag(&publish(&mut amy, &lines, &document("closed")).await);
    let PublishOne::Set { content: before, .. } = rig.owner.take_published().remove(1).changes.remove(0)
    else {
        panic!("not set");
    };
    rig.owner.lose_publications();
    tokio::time::sleep(Duration::from_secs(100)).await;
    rig.owner
        .tell(PresenceNews::Lost(Partition::of_user("amy@example.test")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let PublishOne::Set {
        known,
        lifetime,
        content,
        ..
    } = only(rig.owner.take_published())
    else {
        panic!("not set");
    };
    assert_eq!((known, &content), (None, &before));
    let left = lifetime.expires.unwrap();
    assert!(
        left > Duration::from_secs(490) && left <= Duration::from_secs(500),
        "{left:?}"
    );

    let refresh = publish(&mut amy, &format!("SIP-If-Match: {second}\nExpires: 700"), "").await;
    let third = tag(&refresh);
    let removed = publish(&mut amy, &format!("SIP-If-Match: {third}\nExpires: 0"), "").await;
    assert_eq!(removed.status().code(), 200);
    rig.owner.take_published();
    rig.owner
        .tell(PresenceNews::Lost(Partition::of_user("amy@example.test")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        rig.owner.take_published(),
        [],
        "what was taken back is not said again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_faster_than_what_its_front_end_tells_the_next_owner_is_no_conflict() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let mut last = tag(&publish(&mut amy, &format!("Expires: 600\n{PIDF}"), &document("open")).await);
    for body in ["", &document("closed")] {
        rig.owner.lose_publications();
        let lines = format!("SIP-If-Match: {last}\nExpires: 600\n{PIDF}");
        last = tag(&publish(&mut amy, &lines, body).await);
    }
    rig.owner.lose_publications();
    let removed = publish(&mut amy, &format!("SIP-If-Match: {last}\nExpires: 0"), "").await;
    assert_eq!(removed.status().code(), 200);
    let stale = publish(&mut amy, &format!("SIP-If-Match: {last}\nExpires: 600"), "").await;
    assert_eq!(stale.status().code(), 412, "what was taken back does not stand");
}
