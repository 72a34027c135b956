//! Subscriptions to one user: RFC 3856, RFC 6665.

use std::time::Duration;

use rpc::presence::{Availability, PresenceNews};
use sip_types::HeaderName;
use tokio_util::sync::CancellationToken;
use topology::Partition;

use super::owner::aor;
use super::rig::{Rig, header, standing, text};
use crate::presence::following::LINGER;
use crate::presence::watching::SUBSCRIPTIONS;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_at_once_and_then_what_changes() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    let first = bob.notify().await;
    assert_eq!(standing(&first), "active;expires=600");
    assert_eq!(header(&first, HeaderName::Event), "presence");
    assert_eq!(header(&first, HeaderName::ContentType), "application/pidf+xml");
    assert!(!header(&first, HeaderName::Contact).is_empty());
    assert!(text(&first).contains("<basic>closed</basic>"), "{first}");
    assert!(
        text(&first).contains("entity=\"sip:amy@example.test\""),
        "{first}"
    );
    rig.owner.set("amy", Availability::BUSY);
    let second = bob.notify().await;
    assert!(text(&second).contains("<basic>open</basic>"), "{second}");
    assert!(text(&second).contains("<rpid:busy/>"), "{second}");
    rig.settle().await;
    rig.counted(r#"portico_presence_notifications_total{event="presence",result="answered"} 2"#);
    rig.counted(r#"portico_presence_subscription_active{event="presence"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn the_id_of_event_comes_back_and_is_part_of_the_subscription() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let uri = "sip:amy@example.test";
    let mut dialog = bob.subscribe_with(uri, "presence;id=7", "", "").await;
    let first = bob.notify().await;
    assert_eq!(header(&first, HeaderName::Event), "presence;id=7");
    assert_eq!(standing(&first), "active;expires=3600", "the default of RFC 3856");
    dialog.event("presence;id=8");
    let answer = bob.again(&mut dialog, 600, "").await;
    assert_eq!(answer.status().code(), 481);
}

#[tokio::test(start_paused = true)]
async fn nobody_of_that_name_is_404_and_may_come_into_being() {
    let rig = Rig::new(&["bob"]).await;
    let mut bob = rig.client("bob").await;
    let answer = bob
        .call("SUBSCRIBE", "sip:nobody@example.test", "Event: presence", "")
        .await;
    assert_eq!(answer.status().code(), 404);
    rig.counted(r#"portico_presence_subscription_active{event="presence"} 0"#);
    rig.counted(r#"portico_presence_subscriptions_refused_total{reason="no_such_user"} 1"#);
    rig.owner.set("nobody", Availability::AVAILABLE);
    bob.subscribe("nobody").await;
    assert!(text(&bob.notify().await).contains("open"));
}

#[tokio::test(start_paused = true)]
async fn a_presentity_is_followed_once_however_many_watch_and_left_after_the_last() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    let (mut bob, mut carol) = (rig.client("bob").await, rig.client("carol").await);
    let mut dialogs = Vec::new();
    for client in [&mut bob, &mut carol] {
        dialogs.push(client.subscribe("amy").await);
        client.notify().await;
    }
    assert_eq!(rig.owner.take_followed(), ["amy"]);
    for (client, dialog) in [&mut bob, &mut carol].into_iter().zip(&mut dialogs) {
        assert_eq!(rig.owner.take_unfollowed(), []);
        assert_eq!(client.again(dialog, 0, "").await.status().code(), 200);
        client.notify().await;
        rig.pass(LINGER / 2).await;
    }
    assert_eq!(rig.owner.take_unfollowed(), [], "watchers may come back");
    rig.pass(LINGER).await;
    assert_eq!(rig.owner.take_unfollowed(), [aor("amy")]);
    rig.counted("portico_presence_followed 0");
    bob.subscribe("amy").await;
    assert_eq!(rig.owner.take_followed(), ["amy"], "and is followed again");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_takes_its_time_is_asked_once_for_all_who_wait() {
    let rig = Rig::new(&["amy", "bob", "carol", "dave"]).await;
    rig.owner.take_time(SECOND);
    let mut clients = Vec::new();
    for user in ["bob", "carol", "dave"] {
        clients.push(rig.client(user).await);
    }
    let subscribe = clients.iter_mut().zip(0..).map(|(client, place)| async move {
        tokio::time::sleep(place * SECOND / 4).await;
        client.subscribe("amy").await;
        client.notify().await
    });
    futures_util::future::join_all(subscribe).await;
    assert_eq!(rig.owner.take_followed(), ["amy"]);

    // Who fails is asked for again, and then once.
    rig.owner.set_away(true);
    let mut dave = clients.pop().unwrap();
    let late = async {
        rig.pass(3 * SECOND).await;
        rig.owner.set_away(false);
    };
    let (_, ()) = tokio::join!(dave.subscribe("carol"), late);
    assert_eq!(rig.owner.take_followed(), ["carol"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_nobody_serves_is_489_with_those_that_are() {
    let rig = Rig::new(&["bob"]).await;
    let mut bob = rig.client("bob").await;
    let uri = "sip:bob@example.test";
    for event in ["Event: reg", "Event: presence.winfo.winfo", ""] {
        let answer = bob.call("SUBSCRIBE", uri, event, "").await;
        assert_eq!(answer.status().code(), 489, "{event}");
        let allowed = answer.headers().get(&HeaderName::AllowEvents).unwrap();
        assert_eq!(allowed.as_str(), "presence,presence.winfo");
    }
    let answer = bob.call("SUBSCRIBE", uri, "Event: a b", "").await;
    assert_eq!(answer.status().code(), 400);
}

#[tokio::test(start_paused = true)]
async fn too_brief_is_423_with_the_least_and_too_long_is_granted_less() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let uri = "sip:amy@example.test";
    let answer = bob
        .call("SUBSCRIBE", uri, "Event: presence\nExpires: 59", "")
        .await;
    assert_eq!(answer.status().code(), 423);
    assert_eq!(
        answer.headers().get(&HeaderName::MinExpires).unwrap().as_str(),
        "60"
    );
    bob.subscribe_with(uri, "presence", "Expires: 60", "").await;
    assert_eq!(standing(&bob.notify().await), "active;expires=60");
    bob.subscribe_with("sip:bob@example.test", "presence", "Expires: 999999", "")
        .await;
    assert_eq!(standing(&bob.notify().await), "active;expires=43200");
}

#[tokio::test(start_paused = true)]
async fn an_absent_accept_means_pidf_and_one_that_names_nothing_we_have_is_406() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let uri = "sip:amy@example.test";
    let accepts = |types: &str| format!("Event: presence\nExpires: 0\nAccept: {types}");
    let answer = bob
        .call(
            "SUBSCRIBE",
            uri,
            &accepts("application/xpidf+xml, text/plain"),
            "",
        )
        .await;
    assert_eq!(answer.status().code(), 406);
    for good in [
        "application/xpidf+xml, application/pidf+xml",
        "application/*",
        "*/*;q=0.1",
    ] {
        let answer = bob.call("SUBSCRIBE", uri, &accepts(good), "").await;
        assert_eq!(answer.status().code(), 200, "{good}");
        bob.notify().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_prolongs_and_is_told_everything_at_once() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let mut dialog = bob.subscribe("amy").await;
    let first = bob.notify().await;
    rig.pass(500 * SECOND).await;
    let answer = bob.again(&mut dialog, 600, "").await;
    assert_eq!(answer.status().code(), 200);
    assert_eq!(
        answer.headers().get(&HeaderName::Expires).unwrap().as_str(),
        "600"
    );
    assert!(answer.headers().has(&HeaderName::Contact));
    let again = bob.notify().await;
    assert_eq!(standing(&again), "active;expires=600");
    assert_eq!(text(&again), text(&first));
    // Something waits for its pace, and does not any longer.
    rig.owner.set("amy", Availability::BUSY);
    rig.settle().await;
    bob.again(&mut dialog, 600, "").await;
    let soon = bob.next_within(Duration::from_millis(10)).await;
    assert!(soon.is_some_and(|soon| soon.to_string().contains("busy")));
    rig.pass(590 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn an_unsubscribe_ends_with_the_last_state_and_later_requests_are_481() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let mut dialog = bob.subscribe("amy").await;
    bob.notify().await;
    let answer = bob.again(&mut dialog, 0, "").await;
    assert_eq!(answer.status().code(), 200);
    assert_eq!(answer.headers().get(&HeaderName::Expires).unwrap().as_str(), "0");
    let last = bob.notify().await;
    assert_eq!(standing(&last), "terminated;reason=timeout");
    assert!(text(&last).contains("<basic>closed</basic>"));
    assert_eq!(bob.again(&mut dialog, 600, "").await.status().code(), 481);
    rig.owner.set("amy", Availability::BUSY);
    bob.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn an_older_request_in_a_dialog_is_500_and_changes_nothing() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let mut dialog = bob.subscribe("amy").await;
    bob.notify().await;
    bob.again(&mut dialog, 600, "").await;
    bob.notify().await;
    dialog.rewind(2);
    assert_eq!(bob.again(&mut dialog, 0, "").await.status().code(), 500);
    rig.owner.set("amy", Availability::BUSY);
    assert!(text(&bob.notify().await).contains("busy"));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_is_one_notification_and_no_subscription() {
    let rig = Rig::new(&["amy", "bob"]).await;
    rig.owner.set("amy", Availability::AWAY);
    let mut bob = rig.client("bob").await;
    bob.subscribe_with("sip:amy@example.test", "presence", "Expires: 0", "")
        .await;
    let only = bob.notify().await;
    assert_eq!(standing(&only), "terminated;reason=timeout");
    assert!(text(&only).contains("<rpid:away/>"), "{only}");
    rig.counted(r#"portico_presence_subscription_active{event="presence"} 0"#);
    rig.owner.set("amy", Availability::BUSY);
    bob.hears_nothing(5 * SECOND).await;
    assert!(rig.owner.take_reported().is_empty(), "a look is no watcher");
}

#[tokio::test(start_paused = true)]
async fn the_newest_state_replaces_what_waits_and_the_pace_is_a_second() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    rig.pass(2 * SECOND).await;
    let began = tokio::time::Instant::now();
    rig.owner.set("amy", Availability::BUSY);
    bob.notify().await;
    assert!(began.elapsed() < SECOND / 10, "the first change is told at once");
    for availability in [
        Availability::AWAY,
        Availability::AVAILABLE,
        Availability::DO_NOT_DISTURB,
    ] {
        rig.owner.set("amy", availability);
        rig.pass(SECOND / 10).await;
    }
    let next = bob.notify().await;
    assert!(began.elapsed() >= SECOND && began.elapsed() < 2 * SECOND);
    assert!(text(&next).contains("Do not disturb"), "{next}");
    bob.hears_nothing(5 * SECOND).await;
    rig.counted("portico_presence_conflated_total 2");
}

#[tokio::test(start_paused = true)]
async fn one_notification_of_a_dialog_is_under_way_at_a_time() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    let first = bob.unanswered().await;
    rig.owner.set("amy", Availability::BUSY);
    bob.hears_nothing(10 * SECOND).await;
    rig.owner.set("amy", Availability::AWAY);
    bob.hears_nothing(10 * SECOND).await;
    bob.answer(&first, 200).await;
    assert!(text(&bob.notify().await).contains("<rpid:away/>"));
    bob.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn what_looks_the_same_to_a_watcher_is_not_told() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    rig.owner
        .change("amy", |view| view.location = Some("Office".to_owned()));
    bob.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_forgot_or_does_not_answer_is_told_no_more() {
    for (status, waits) in [(481, SECOND), (404, SECOND), (0, 33 * SECOND)] {
        let rig = Rig::new(&["amy", "bob"]).await;
        let mut bob = rig.client("bob").await;
        bob.subscribe("amy").await;
        let notify = bob.unanswered().await;
        if status > 0 {
            bob.answer(&notify, status).await;
        }
        rig.pass(waits).await;
        rig.counted(r#"portico_presence_subscription_active{event="presence"} 0"#);
        rig.counted(r#"portico_presence_notifications_total{event="presence",result="failed"} 1"#);
        rig.owner.set("amy", Availability::BUSY);
        bob.hears_nothing(5 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_moment_does_not_end_a_subscription() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    let notify = bob.unanswered().await;
    bob.answer(&notify, 500).await;
    rig.owner.set("amy", Availability::BUSY);
    assert!(text(&bob.notify().await).contains("busy"));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_not_refreshed_ends_with_timeout() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    bob.hears_nothing(590 * SECOND).await;
    assert_eq!(standing(&bob.notify().await), "terminated;reason=timeout");
    rig.counted(r#"portico_presence_subscription_active{event="presence"} 0"#);
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_of_the_same_client_replaces_the_former() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let mut former = bob.subscribe("amy").await;
    bob.notify().await;
    let lines = "Event: presence\nExpires: 600";
    let request = bob.request("SUBSCRIBE", "sip:amy@example.test", lines, b"");
    bob.send(&request).await;
    assert_eq!(
        standing(&bob.notify().await),
        "terminated;reason=rejected",
        "it is not to be tried again"
    );
    assert_eq!(bob.response().await.status().code(), 200);
    assert_eq!(standing(&bob.notify().await), "active;expires=600");
    assert_eq!(bob.again(&mut former, 600, "").await.status().code(), 481);
    rig.counted(r#"portico_presence_subscription_active{event="presence"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn one_subscription_more_than_an_endpoint_may_have_is_503() {
    let rig = Rig::new(&["bob"]).await;
    let names: Vec<String> = (0..=SUBSCRIPTIONS).map(|n| format!("user{n}")).collect();
    for name in &names {
        rig.owner.set(name, Availability::OFFLINE);
    }
    rig.settle().await;
    let mut bob = rig.client("bob").await;
    for name in &names[..SUBSCRIPTIONS] {
        bob.subscribe(name).await;
        bob.notify().await;
    }
    let uri = format!("sip:{}@example.test", names[SUBSCRIPTIONS]);
    let answer = bob.call("SUBSCRIBE", &uri, "Event: presence", "").await;
    assert_eq!(answer.status().code(), 503);
    assert!(answer.headers().has(&HeaderName::RetryAfter));
}

#[tokio::test(start_paused = true)]
async fn subscriptions_end_with_their_connection() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    rig.pass(SECOND).await;
    rig.owner.take_reported();
    drop(bob);
    rig.pass(SECOND).await;
    rig.counted(r#"portico_presence_subscription_active{event="presence"} 0"#);
    let reported = rig.owner.take_reported();
    assert!(reported.contains("bob watches amy: Terminated"), "{reported:?}");
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_on_a_connection_sees_nothing_of_whoever_was_there() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut client = rig.client("bob").await;
    let mut dialog = client.subscribe("amy").await;
    client.notify().await;
    rig.sign_in_as("carol");
    rig.owner.set("amy", Availability::BUSY);
    client.hears_nothing(5 * SECOND).await;
    client.become_user("carol");
    assert_eq!(client.again(&mut dialog, 600, "").await.status().code(), 481);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_subscriptions_so_that_they_begin_again_elsewhere() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    let front_end = rig.front_end.clone();
    tokio::spawn(async move {
        let never = CancellationToken::new();
        front_end.move_clients(SECOND, usize::MAX, &never).await;
    });
    assert_eq!(standing(&bob.notify().await), "terminated;reason=deactivated");
}

#[tokio::test(start_paused = true)]
async fn an_older_document_is_never_shown() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let old = rig.owner.document("amy");
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    rig.owner.set("amy", Availability::BUSY);
    bob.notify().await;
    rig.owner.tell(PresenceNews::Document(old));
    bob.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_partition_is_followed_and_reported_again_and_nothing_flickers() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    rig.pass(SECOND).await;
    rig.owner.take_followed();
    rig.owner.take_reported();
    let elsewhere = Partition::of_user("zoe@example.test");
    rig.owner.tell(PresenceNews::Lost(elsewhere));
    rig.pass(SECOND).await;
    assert!(rig.owner.take_followed().is_empty());
    rig.owner
        .tell(PresenceNews::Lost(Partition::of_user("amy@example.test")));
    rig.pass(SECOND).await;
    assert_eq!(rig.owner.take_followed(), ["amy"]);
    assert!(rig.owner.take_reported().contains("bob watches amy: Active"));
    bob.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_news_end_they_are_heard_again_and_what_was_missed_is_told() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    rig.owner.set_away(true);
    rig.owner.hang_up();
    bob.hears_nothing(30 * SECOND).await;
    rig.owner.set("amy", Availability::BUSY);
    rig.owner.set_away(false);
    assert!(text(&bob.notify().await).contains("busy"));
    assert_eq!(rig.owner.streams(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_away_for_a_moment_delays_and_for_long_refuses() {
    let rig = Rig::new(&["amy", "bob"]).await;
    rig.owner.set_away(true);
    let mut bob = rig.client("bob").await;
    let answer = bob
        .call("SUBSCRIBE", "sip:amy@example.test", "Event: presence", "")
        .await;
    assert_eq!(answer.status().code(), 503);
    assert!(answer.headers().has(&HeaderName::RetryAfter));
    let owner = std::sync::Arc::clone(&rig.owner);
    tokio::spawn(async move {
        tokio::time::sleep(3 * SECOND).await;
        owner.set_away(false);
    });
    bob.subscribe("amy").await;
    bob.notify().await;
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_reported_once_for_all_endpoints_of_a_watcher() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut one = rig.client_at("bob", "urn:uuid:one").await;
    let mut two = rig.client_at("bob", "urn:uuid:two").await;
    let mut amy = rig.client("amy").await;
    let mut dialogs = Vec::new();
    for client in [&mut one, &mut two] {
        dialogs.push(client.subscribe("amy").await);
        client.notify().await;
    }
    amy.subscribe("amy").await;
    amy.notify().await;
    rig.pass(SECOND).await;
    let reported = rig.owner.take_reported();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported.contains("bob watches amy: Active"));
    one.again(&mut dialogs[0], 0, "").await;
    rig.pass(SECOND).await;
    assert!(rig.owner.take_reported().is_empty());
    // What could not be told is told later.
    rig.owner.set_away(true);
    two.again(&mut dialogs[1], 0, "").await;
    rig.pass(5 * SECOND).await;
    rig.owner.set_away(false);
    rig.pass(5 * SECOND).await;
    assert!(rig.owner.take_reported().contains("bob watches amy: Terminated"));
}

#[tokio::test(start_paused = true)]
async fn the_blocked_see_somebody_who_is_offline() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    rig.owner.set("amy", Availability::AVAILABLE);
    let (mut bob, mut carol) = (rig.client("bob").await, rig.client("carol").await);
    for client in [&mut bob, &mut carol] {
        client.subscribe("amy").await;
        assert!(text(&client.notify().await).contains("open"));
    }
    rig.owner.block("amy", "bob");
    assert!(text(&bob.notify().await).contains("closed"));
    carol.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_that_is_deleted_is_no_resource_any_more() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe("amy").await;
    bob.notify().await;
    rig.owner.forget("amy");
    rig.owner
        .tell(PresenceNews::Lost(Partition::of_user("amy@example.test")));
    assert_eq!(standing(&bob.notify().await), "terminated;reason=noresource");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_without_contact_is_malformed() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    let request = bob.request("SUBSCRIBE", "sip:amy@example.test", "Event: presence", b"");
    let request = String::from_utf8(request).unwrap();
    let lines = request.split_inclusive("\r\n");
    let request: String = lines.filter(|line| !line.starts_with("Contact")).collect();
    bob.send(request.as_bytes()).await;
    assert_eq!(bob.response().await.status().code(), 400);
}
