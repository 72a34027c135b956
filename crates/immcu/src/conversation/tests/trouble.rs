//! Front ends that moved, vanished, or answer nonsense.

use std::time::Duration;

use rpc::FailureReason;

use crate::conversation::testing::{Script, text};
use crate::effect::{CallError, Event};

#[test]
fn a_registration_that_moved_is_looked_up_once_and_tried_where_it_is_now() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1"]);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    script.sign_in_with_epoch("bob", "p1@fe2", 99);
    script.answer_delivery(Err(FailureReason::NotOwner));
    assert_eq!(script.deliveries[0].member.as_str(), "fe2");
    assert_eq!(script.deliveries[0].deliver.targets[0].address.epoch.0, 99);
    script.answer_delivery(Err(FailureReason::NotOwner));
    assert_eq!(
        said.answer(),
        Some(Err(FailureReason::Unavailable)),
        "not a third time"
    );
}

#[test]
fn a_registration_that_did_not_move_is_gone() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1"]);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    script.answer_delivery(Err(FailureReason::NotOwner));
    assert_eq!(said.answer(), Some(Err(FailureReason::Unavailable)));
}

#[test]
fn the_message_behind_waits_while_a_registration_is_looked_up() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.hold = Some(Default::default());
    script.answer_delivery(Err(FailureReason::NotOwner));
    let lookup = script.hold.take().unwrap().pop_front().unwrap();
    script.submit(&text("alice/p", "bob", "m2"));
    assert!(script.delivering().is_empty());
    script.sign_in_with_epoch("bob", "p1@fe2", 99);
    script.look_up(lookup);
    assert_eq!(script.delivering(), ["m1 -> p1"]);
    script.answer_delivery(Ok(()));
    assert_eq!(script.delivering(), ["m2 -> p1"]);
}

#[test]
fn a_session_whose_endpoint_reconnected_elsewhere_is_rung_again() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1@fe1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.pick_up("s1", true);
    let mut said = script.submit(&text("alice/p", "bob", "m2"));
    script.sign_in_with_epoch("bob", "s1@fe2", 99);
    script.answer_delivery(Err(FailureReason::NotOwner));
    assert_eq!(
        script.deliveries[0].member.as_str(),
        "fe2",
        "asked where it is now"
    );
    script.answer_delivery(Err(FailureReason::NoSession));
    // The message was looked up before the move: its invitation meets the old front end first.
    script.hang_up("s1", FailureReason::NotOwner);
    assert_eq!(script.rings[0].1.address.member.as_str(), "fe2");
    script.pick_up("s1", true);
    assert_eq!(said.answer(), Some(Ok(())));
}

#[test]
fn a_client_that_came_back_under_another_name_rings_too() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1@fe1"]);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    script.sign_out("bob", "s1");
    script.sign_in_with_epoch("bob", "s2@fe1", 50);
    script.hang_up("s1", FailureReason::NotOwner);
    assert_eq!(script.ringing(), ["s2"]);
    script.pick_up("s2", true);
    assert_eq!(said.answer(), Some(Ok(())));
}

#[test]
fn a_front_end_that_cannot_be_reached_is_tried_three_times_with_the_same_message() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1"]);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    script.lose_front_end();
    script.wait(Duration::from_millis(1_999));
    assert!(script.delivering().is_empty());
    script.wait(Duration::from_millis(1));
    assert_eq!(script.delivering(), ["m1 -> p1"]);
    script.lose_front_end();
    script.wait(Duration::from_secs(4));
    assert_eq!(script.delivering(), ["m1 -> p1"]);
    script.lose_front_end();
    assert_eq!(said.answer(), Some(Err(FailureReason::Unavailable)));
    assert_eq!(
        script
            .events
            .iter()
            .filter(|event| **event == Event::Retried)
            .count(),
        2
    );
}

#[test]
fn a_retry_that_would_come_too_late_is_not_made() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1"]);
    let mut said = script.submit_in(&text("alice/p", "bob", "m1"), None, Duration::from_secs(2));
    script.lose_front_end();
    assert_eq!(said.answer(), Some(Err(FailureReason::Unavailable)));
}

#[test]
fn a_front_end_that_is_away_while_ringing_is_tried_again_and_others_ring_on() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1@fe1", "s2@fe2"]);
    script.submit(&text("alice/p", "bob", "m1"));
    for _ in 0..3 {
        let (side, ring) = script
            .rings
            .iter()
            .find(|(_, ring)| ring.address.endpoint.as_str() == "s1")
            .cloned()
            .unwrap();
        script.rings.retain(|(_, other)| other.leg != ring.leg);
        script.feed(|conversation, turn| {
            conversation.rung(side, ring.leg, Err(CallError::Unreachable), turn);
        });
        script.wait(Duration::from_secs(4));
    }
    assert_eq!(script.ringing(), ["s2"]);
}

#[test]
fn a_front_end_that_forgets_a_target_has_not_delivered_to_it() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1", "p2"]);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    let delivering = script.deliveries.pop_front().unwrap();
    let outcomes = vec![Err(FailureReason::Timeout)];
    script.feed(|conversation, turn| conversation.delivered(delivering.ticket, Ok(outcomes), turn));
    assert_eq!(said.answer(), Some(Err(FailureReason::Internal)));
}

#[test]
fn a_front_end_with_a_defect_is_not_asked_again() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    let ticket = script.deliveries.pop_front().unwrap().ticket;
    script.feed(|conversation, turn| conversation.delivered(ticket, Err(CallError::Failed), turn));
    assert_eq!(said.answer(), Some(Err(FailureReason::EndpointFailed)));
}
