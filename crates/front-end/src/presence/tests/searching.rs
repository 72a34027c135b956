//! Searches for people.

use std::time::Duration;

use sip_bodies::lync::soap::{DirectoryEntry, SearchTerm, SoapAnswer, SoapRequest};
use sip_types::{HeaderName, Response};

use super::rig::{Client, Rig};

const DOMAIN: &str = "sip:example.test";

async fn search_at(client: &mut Client, uri: &str, terms: &[(&str, &str)], most: Option<u32>) -> Response {
    let terms = terms.iter().map(|(attribute, value)| SearchTerm {
        attribute: (*attribute).to_owned(),
        value: (*value).to_owned(),
    });
    let document = SoapRequest::DirectorySearch {
        max_results: most,
        terms: terms.collect(),
    };
    let lines = "Content-Type: application/SOAP+xml";
    client.call("SERVICE", uri, lines, document.print()).await
}

async fn search(client: &mut Client, terms: &[(&str, &str)], most: Option<u32>) -> Response {
    search_at(client, DOMAIN, terms, most).await
}

fn found(answer: &Response) -> (Vec<DirectoryEntry>, bool) {
    assert_eq!(answer.status().code(), 200, "{answer}");
    match SoapAnswer::parse(answer.body()) {
        Ok(SoapAnswer::Found {
            more_available,
            entries,
        }) => (entries, more_available),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_told_with_address_name_and_mail() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let bob = DirectoryEntry {
        uri: "sip:bob@example.test".to_owned(),
        display_name: "bob \"<&>\"".to_owned(),
        email: "bob@example.test".to_owned(),
        ..DirectoryEntry::default()
    };
    let answer = search(&mut amy, &[("givenName", "bob")], Some(2)).await;
    assert_eq!(found(&answer), (vec![bob.clone(), bob.clone()], true));
    for most in [None, Some(0), Some(100), Some(5_000)] {
        let answer = search(&mut amy, &[("mail", "bob")], most).await;
        assert_eq!(found(&answer).0.len(), 100, "{most:?}");
    }
    // Whoever is asked, the directory is the same.
    let answer = search_at(&mut amy, "sip:amy@example.test", &[("sn", "bob")], Some(1)).await;
    assert_eq!(found(&answer).0, [bob]);
    rig.counted("portico_presence_services_total{operation=\"search\",result=\"done\"} 6");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_an_answer() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    for terms in [&[("sn", "nobody")][..], &[("sn", "bob"), ("company", "Example")]] {
        let answer = search(&mut amy, terms, Some(100)).await;
        assert_eq!(found(&answer), (Vec::new(), false), "{terms:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_that_fails_says_how_it_may_be_repeated() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let away = search(&mut amy, &[("sn", "away")], None).await;
    assert_eq!(away.status().code(), 503);
    let slow = search(&mut amy, &[("sn", "slow")], None).await;
    assert_eq!(slow.status().code(), 503);
    assert_eq!(slow.headers().get(&HeaderName::RetryAfter).as_deref(), Some("7"));
    let lines = "Content-Type: application/SOAP+xml";
    let wrong = amy
        .call("SERVICE", DOMAIN, lines, "<directorySearch xmlns='urn:x'/>")
        .await;
    assert!([400, 415].contains(&wrong.status().code()), "{wrong}");
    rig.counted("portico_presence_services_total{operation=\"search\",result=\"refused\"} 2");
}

#[tokio::test(start_paused = true)]
async fn a_connection_searches_ten_times_at_once_and_then_once_a_second() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let term = [("sn", "bob")];
    for _ in 0..10 {
        found(&search(&mut amy, &term, Some(1)).await);
    }
    let refused = search(&mut amy, &term, Some(1)).await;
    assert_eq!(refused.status().code(), 503);
    assert!(
        refused.headers().get(&HeaderName::RetryAfter).is_some(),
        "{refused}"
    );
    rig.pass(Duration::from_secs(1)).await;
    found(&search(&mut amy, &term, Some(1)).await);
    assert_eq!(search(&mut amy, &term, Some(1)).await.status().code(), 503);
    rig.counted("portico_sip_refusals_total{reason=\"search_rate\"} 2");
}
