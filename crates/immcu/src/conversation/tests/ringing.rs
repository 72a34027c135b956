//! Messages that ring: who is invited, who gets the session, what waits.

use std::time::Duration;

use rpc::FailureReason;

use crate::conversation::testing::{PATIENCE, Script, text};
use crate::effect::Tell;

#[test]
fn all_session_endpoints_ring_and_the_first_to_answer_takes_the_session() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1@fe1", "s2@fe2"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    assert_eq!(script.ringing(), ["s1", "s2"]);
    assert!(script.rings.iter().all(|(_, ring)| ring.first_text.is_some()));
    script.pick_up("s2", false);
    assert!(script.ringing().is_empty());
    assert!(
        matches!(script.tells.pop_front(), Some((member, Tell::StopRinging(_))) if member.as_str() == "fe1")
    );
    assert_eq!(script.delivering(), ["m1 -> s2:leg"]);
    script.answer_delivery(Ok(()));
    assert_eq!(answer.answer(), Some(Ok(())));
}

#[test]
fn a_first_text_taken_from_the_invitation_is_not_sent_again() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1"]);
    let mut first = script.submit(&text("alice/p", "bob", "m1"));
    let mut second = script.submit(&text("alice/p", "bob", "m2"));
    script.pick_up("s1", true);
    assert_eq!(first.answer(), Some(Ok(())));
    assert_eq!(script.delivering(), ["m2 -> s1:leg"]);
    script.answer_delivery(Ok(()));
    assert_eq!(second.answer(), Some(Ok(())));
}

#[test]
fn what_waited_goes_into_the_session_in_order() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1"]);
    for id in ["m1", "m2", "m3"] {
        script.submit(&text("alice/p", "bob", id));
    }
    assert_eq!(script.ringing(), ["s1"], "the second message does not ring again");
    script.pick_up("s1", false);
    for id in ["m1", "m2", "m3"] {
        assert_eq!(script.delivering(), [format!("{id} -> s1:leg")]);
        script.answer_delivery(Ok(()));
    }
}

#[test]
fn page_endpoints_get_their_copies_while_others_ring_and_do_not_compete() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "p1"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    assert_eq!(script.delivering(), ["m1 -> p1"]);
    script.answer_delivery(Ok(()));
    assert_eq!(answer.answer(), Some(Ok(())));
    assert_eq!(script.ringing(), ["s1"], "the ringing goes on");
    script.pick_up("s1", false);
    assert_eq!(script.delivering(), ["m1 -> s1:leg"]);
}

#[test]
fn once_there_is_a_session_nobody_else_rings() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "s2", "p1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.pick_up("s1", true);
    script.answer_delivery(Ok(()));
    script.submit(&text("alice/p", "bob", "m2"));
    assert!(script.ringing().is_empty());
    assert_eq!(script.delivering(), ["m2 -> s1:leg p1"]);
}

#[test]
fn one_busy_endpoint_leaves_the_others_ringing_and_a_decline_stops_them() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "s2", "s3"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    script.hang_up("s1", FailureReason::Busy);
    assert_eq!(script.ringing(), ["s2", "s3"]);
    assert_eq!(answer.answer(), None);
    script.hang_up("s2", FailureReason::Declined);
    assert!(script.ringing().is_empty());
    assert_eq!(answer.answer(), Some(Err(FailureReason::Declined)));
}

#[test]
fn when_all_endpoints_fail_the_most_telling_reason_wins() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "s2"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    script.hang_up("s1", FailureReason::Busy);
    script.hang_up("s2", FailureReason::Timeout);
    assert_eq!(answer.answer(), Some(Err(FailureReason::Busy)));
    script.submit(&text("alice/p", "bob", "m2"));
    assert_eq!(script.ringing(), ["s1", "s2"], "the next message rings again");
}

#[test]
fn ringing_ends_before_the_sender_stops_waiting() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "s2"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    script.hang_up("s1", FailureReason::Busy);
    script.wait(PATIENCE - Duration::from_secs(1));
    assert!(script.ringing().is_empty());
    assert_eq!(
        answer.answer(),
        Some(Err(FailureReason::Busy)),
        "better than a bare timeout"
    );
}

#[test]
fn ringing_goes_on_for_a_message_that_joined_it() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1"]);
    let mut first = script.submit(&text("alice/p", "bob", "m1"));
    script.wait(Duration::from_secs(20));
    let mut second = script.submit(&text("alice/p", "bob", "m2"));
    script.wait(Duration::from_secs(15));
    assert_eq!(first.answer(), Some(Err(FailureReason::Timeout)));
    assert_eq!(script.ringing(), ["s1"]);
    script.pick_up("s1", false);
    assert_eq!(
        script.delivering(),
        ["m2 -> s1:leg"],
        "the first is not sent after its sender was told"
    );
    script.answer_delivery(Ok(()));
    assert_eq!(second.answer(), Some(Ok(())));
}

#[test]
fn an_answer_that_crosses_with_the_stop_changes_nothing() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "s2"]);
    script.submit(&text("alice/p", "bob", "m1"));
    let (side, late) = script
        .rings
        .iter()
        .find(|(_, ring)| ring.address.endpoint.as_str() == "s1")
        .cloned()
        .unwrap();
    let winner = script.pick_up("s2", true);
    let answer = rpc::RingAnswer {
        first_text_taken: true,
    };
    script.feed(|conversation, turn| conversation.rung(side, late.leg, Ok(Ok(answer)), turn));
    assert_eq!(
        script.conversation.party(side).leg.as_ref().map(|leg| leg.id),
        Some(winner)
    );
}

#[test]
fn a_leg_that_ends_before_its_answer_arrives_is_no_session() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    let leg = script.rings[0].1.leg;
    script.leave(leg);
    script.pick_up("s1", false);
    assert_eq!(answer.answer(), Some(Err(FailureReason::Unavailable)));
    assert!(script.conversation.gauges().legs == 0 && script.bound.is_empty());
}

#[test]
fn notes_to_self_ring_the_other_endpoints_only() {
    let mut script = Script::between("alice", "alice").signed_in("alice", &["s1", "s2", "p1"]);
    script.submit(&text("alice/s1", "alice", "m1"));
    assert_eq!(script.ringing(), ["s2"]);
    assert_eq!(script.delivering(), ["m1 -> p1"]);
}
