//! Sessions: opening, replacing, ending.

use std::time::Duration;

use rpc::{FailureReason, LegId, Opened};

use crate::conversation::testing::{PATIENCE, Script, text};

const TAKEN: Option<Result<Opened, FailureReason>> = Some(Ok(Opened {
    first_text_taken: true,
}));
const NOT_TAKEN: Option<Result<Opened, FailureReason>> = Some(Ok(Opened {
    first_text_taken: false,
}));

fn both_session(callee: &[&str]) -> Script {
    Script::between("alice", "bob")
        .signed_in("alice", &["s0"])
        .signed_in("bob", callee)
}

#[test]
fn somebody_signed_in_nowhere_cannot_be_called() {
    let mut script = both_session(&[]);
    let mut open = script.open(1, "alice/s0", "bob", None);
    assert_eq!(open.answer(), Some(Err(FailureReason::Unavailable)));
    assert!(script.bound.is_empty());
}

#[test]
fn a_caller_that_is_not_registered_gets_no_session() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1"]);
    let mut open = script.open(1, "alice/s0", "bob", None);
    assert_eq!(open.answer(), Some(Err(FailureReason::Unavailable)));
    assert!(script.ringing().is_empty());
}

#[test]
fn a_callee_with_page_endpoints_only_is_opened_at_once_and_gets_messages_as_pages() {
    let mut script = both_session(&["p1"]);
    let mut open = script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    assert_eq!(open.answer(), NOT_TAKEN);
    assert!(
        script.delivering().is_empty(),
        "a first text that is not taken is no message"
    );
    let mut said = script.submit_in(&text("alice/s0", "bob", "m1"), Some(LegId(1)), PATIENCE);
    assert_eq!(script.delivering(), ["m1 -> p1"]);
    script.answer_delivery(Ok(()));
    assert_eq!(said.answer(), Some(Ok(())));
    script.submit(&text("bob/p1", "alice", "m2"));
    assert_eq!(
        script.delivering(),
        ["m2 -> s0:leg"],
        "the answer goes into the session"
    );
}

#[test]
fn the_first_endpoint_to_answer_is_connected_with_the_caller() {
    let mut script = both_session(&["s1@fe1", "s2@fe2"]);
    let mut open = script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    assert_eq!(open.answer(), None);
    let leg = script.pick_up("s2", false);
    assert!(script.ringing().is_empty());
    assert_eq!(open.answer(), NOT_TAKEN);
    script.submit_in(&text("alice/s0", "bob", "m1"), Some(LegId(1)), PATIENCE);
    script.submit_in(&text("bob/s2", "alice", "m2"), Some(leg), PATIENCE);
    assert_eq!(script.delivering(), ["m1 -> s2:leg", "m2 -> s0:leg"]);
}

#[test]
fn a_first_text_that_was_taken_is_one_message_with_copies_and_a_known_id() {
    let mut script = both_session(&["s1", "p1"]);
    let first = text("alice/s0", "bob", "first");
    let mut open = script.open(1, "alice/s0", "bob", Some(&first));
    assert!(script.delivering().is_empty(), "no copy before it counts");
    script.pick_up("s1", true);
    assert_eq!(open.answer(), TAKEN);
    assert_eq!(script.delivering(), ["first -> p1"]);
    let mut again = script.submit(&first);
    assert_eq!(again.answer(), Some(Ok(())));
    assert_eq!(script.deliveries.len(), 1);
}

#[test]
fn a_first_text_that_was_not_taken_appears_once_when_the_caller_says_it_again() {
    let mut script = both_session(&["s1", "p1"]);
    script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    script.pick_up("s1", false);
    assert!(script.delivering().is_empty());
    script.submit_in(&text("alice/s0", "bob", "said-again"), Some(LegId(1)), PATIENCE);
    assert_eq!(script.delivering(), ["said-again -> s1:leg p1"]);
}

#[test]
fn a_repeated_open_joins_and_later_gets_the_same_answer() {
    let mut script = both_session(&["s1"]);
    let mut first = script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    let mut second = script.open(1, "alice/s0", "bob", None);
    assert_eq!(script.ringing(), ["s1"]);
    script.pick_up("s1", true);
    assert_eq!((first.answer(), second.answer()), (TAKEN, TAKEN));
    assert_eq!(script.open(1, "alice/s0", "bob", None).answer(), TAKEN);
}

#[test]
fn a_cancelled_open_stops_everybody() {
    let mut script = both_session(&["s1", "s2"]);
    let mut open = script.open(1, "alice/s0", "bob", None);
    script.cancel(1);
    assert_eq!(open.answer(), Some(Err(FailureReason::Cancelled)));
    assert!(script.ringing().is_empty() && script.bound.is_empty());
    script.cancel(1);
}

#[test]
fn an_open_can_be_cancelled_while_it_is_looked_up() {
    let mut script = both_session(&["s1"]);
    script.hold = Some(Default::default());
    let mut open = script.open(1, "alice/s0", "bob", None);
    script.cancel(1);
    assert_eq!(open.answer(), Some(Err(FailureReason::Cancelled)));
    let held = script.hold.take().unwrap().pop_front().unwrap();
    script.look_up(held);
    assert!(script.ringing().is_empty());
}

#[test]
fn a_message_that_joined_keeps_the_endpoints_ringing_when_the_open_is_cancelled() {
    let mut script = both_session(&["s1"]);
    script.open(1, "alice/s0", "bob", None);
    let mut said = script.submit(&text("alice/p9", "bob", "m1"));
    assert_eq!(script.ringing(), ["s1"]);
    script.cancel(1);
    assert_eq!(script.ringing(), ["s1"]);
    script.pick_up("s1", false);
    script.answer_delivery(Ok(()));
    assert_eq!(said.answer(), Some(Ok(())));
}

#[test]
fn an_invitation_with_the_text_of_a_cancelled_open_is_replaced_by_one_without() {
    let mut script = both_session(&["s1"]);
    script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    script.submit(&text("alice/p9", "bob", "m1"));
    let before = script.rings[0].1.leg;
    script.cancel(1);
    let (_, ring) = &script.rings[0];
    assert_ne!(ring.leg, before);
    assert_eq!(
        ring.first_text.as_ref().unwrap().id,
        crate::conversation::testing::message_id("m1")
    );
}

#[test]
fn a_refused_open_tells_the_most_telling_reason() {
    let mut script = both_session(&["s1", "s2"]);
    let mut open = script.open(1, "alice/s0", "bob", None);
    script.hang_up("s1", FailureReason::Busy);
    script.hang_up("s2", FailureReason::Unavailable);
    assert_eq!(open.answer(), Some(Err(FailureReason::Busy)));
}

#[test]
fn with_page_endpoints_silence_opens_in_page_mode_and_a_refusal_does_not() {
    let mut script = both_session(&["s1", "p1"]);
    let mut silent = script.open(1, "alice/s0", "bob", None);
    script.hang_up("s1", FailureReason::EndpointFailed);
    assert_eq!(silent.answer(), NOT_TAKEN);
    script.leave(LegId(1));

    let mut overdue = script.open(2, "alice/s0", "bob", None);
    script.wait(PATIENCE);
    assert_eq!(overdue.answer(), NOT_TAKEN);
    assert!(script.ringing().is_empty());
    script.leave(LegId(2));

    let mut declined = script.open(3, "alice/s0", "bob", None);
    script.hang_up("s1", FailureReason::Declined);
    assert_eq!(declined.answer(), Some(Err(FailureReason::Declined)));
}

#[test]
fn an_open_nobody_answers_fails_in_time() {
    let mut script = both_session(&["s1"]);
    let mut open = script.open(1, "alice/s0", "bob", None);
    script.wait(PATIENCE);
    assert_eq!(open.answer(), Some(Err(FailureReason::Timeout)));
    assert!(script.ringing().is_empty() && script.bound.is_empty());
}

#[test]
fn a_second_open_replaces_the_callers_leg_and_keeps_the_others() {
    let mut script = both_session(&["s1"]);
    script.open(1, "alice/s0", "bob", None);
    let callee = script.pick_up("s1", false);
    script.ended_legs();
    let mut second = script.open(2, "alice/s0", "bob", None);
    assert_eq!(second.answer(), NOT_TAKEN);
    assert_eq!(script.ended_legs(), [LegId(1)]);
    script.submit_in(&text("bob/s1", "alice", "m1"), Some(callee), PATIENCE);
    assert_eq!(script.delivering(), ["m1 -> s0:leg"]);
    assert!(matches!(
        script.deliveries[0].deliver.targets[0].path,
        rpc::Path::Leg(LegId(2))
    ));
}

#[test]
fn of_two_opens_of_one_side_the_newest_gets_the_session() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["s0", "s9"])
        .signed_in("bob", &["s1"]);
    let mut older = script.open(1, "alice/s0", "bob", None);
    let mut newer = script.open(2, "alice/s9", "bob", None);
    assert_eq!(script.ringing(), ["s1"]);
    script.pick_up("s1", false);
    assert_eq!(older.answer(), Some(Err(FailureReason::Cancelled)));
    assert_eq!(newer.answer(), NOT_TAKEN);
}

#[test]
fn the_older_open_whose_first_text_was_taken_is_told_so() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["s0", "s9"])
        .signed_in("bob", &["s1"]);
    let mut older = script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    let mut newer = script.open(2, "alice/s9", "bob", Some(&text("alice/s9", "bob", "other")));
    script.pick_up("s1", true);
    assert_eq!(older.answer(), TAKEN);
    assert_eq!(newer.answer(), NOT_TAKEN);
    assert_eq!(script.ended_legs(), [LegId(1)]);
}

#[test]
fn when_one_side_leaves_the_other_sides_leg_is_ended() {
    let mut script = both_session(&["s1"]);
    script.open(1, "alice/s0", "bob", None);
    let callee = script.pick_up("s1", false);
    script.leave(LegId(1));
    assert_eq!(script.ended_legs(), [callee]);
    assert!(script.bound.is_empty());
    script.leave(LegId(1));
    script.leave(callee);
    assert!(script.ended_legs().is_empty());
}

#[test]
fn what_was_said_before_leaving_is_delivered_before_the_session_ends() {
    let mut script = both_session(&["s1"]);
    script.open(1, "alice/s0", "bob", None);
    let callee = script.pick_up("s1", false);
    let mut said = script.submit_in(&text("alice/s0", "bob", "m1"), Some(LegId(1)), PATIENCE);
    let mut also = script.submit_in(&text("alice/s0", "bob", "m2"), Some(LegId(1)), PATIENCE);
    script.leave(LegId(1));
    assert!(script.ended_legs().is_empty());
    script.answer_delivery(Ok(()));
    assert!(script.ended_legs().is_empty());
    script.answer_delivery(Ok(()));
    assert_eq!(script.ended_legs(), [callee]);
    assert_eq!((said.answer(), also.answer()), (Some(Ok(())), Some(Ok(()))));
}

#[test]
fn a_message_in_flight_to_a_leg_that_left_rings_again_once() {
    let mut script = both_session(&["s1"]);
    script.open(1, "alice/s0", "bob", None);
    let callee = script.pick_up("s1", false);
    let mut said = script.submit_in(&text("bob/s1", "alice", "m1"), Some(callee), PATIENCE);
    let mut next = script.submit_in(&text("bob/s1", "alice", "m2"), Some(callee), PATIENCE);
    script.leave(LegId(1));
    assert!(script.ringing().is_empty(), "what is in flight is waited for");
    script.answer_delivery(Err(FailureReason::NoSession));
    assert_eq!(script.ringing(), ["s0"]);
    assert!(
        script.ended_legs().is_empty(),
        "the sender's leg waits for its answer"
    );
    script.pick_up("s0", false);
    script.answer_delivery(Ok(()));
    assert_eq!(said.answer(), Some(Ok(())));
    assert_eq!(script.delivering(), ["m2 -> s0:leg"], "in order");
    script.answer_delivery(Err(FailureReason::NoSession));
    script.hang_up("s0", FailureReason::Unavailable);
    assert_eq!(next.answer(), Some(Err(FailureReason::Unavailable)));
    assert_eq!(script.ended_legs(), [callee]);
}

#[test]
fn a_session_endpoint_that_answers_no_session_is_rung_again_by_the_same_message() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.pick_up("s1", true);
    let mut said = script.submit(&text("alice/p", "bob", "m2"));
    script.answer_delivery(Err(FailureReason::NoSession));
    assert_eq!(script.ringing(), ["s1"]);
    script.pick_up("s1", true);
    assert_eq!(said.answer(), Some(Ok(())));
}

#[test]
fn a_page_endpoint_that_held_the_session_gets_a_copy_when_the_session_is_gone() {
    let mut script = Script::between("alice", "bob")
        .signed_in("bob", &["p1", "p2"])
        .signed_in("alice", &["p9"]);
    script.open(1, "bob/p1", "alice", None);
    let mut said = script.submit(&text("alice/p9", "bob", "m1"));
    assert_eq!(script.delivering(), ["m1 -> p1:leg p2"]);
    let delivering = script.deliveries.pop_front().unwrap();
    let outcomes = vec![Err(FailureReason::NoSession), Err(FailureReason::Timeout)];
    script.feed(|conversation, turn| conversation.delivered(delivering.ticket, Ok(outcomes), turn));
    assert_eq!(script.delivering(), ["m1 -> p1"]);
    script.answer_delivery(Ok(()));
    assert_eq!(said.answer(), Some(Ok(())));
}

#[test]
fn the_session_of_a_page_mode_sender_ends_when_it_is_idle() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    let leg = script.pick_up("s1", true);
    script.wait(Duration::from_secs(500));
    script.submit(&text("alice/p", "bob", "m2"));
    script.answer_delivery(Ok(()));
    script.wait(Duration::from_secs(500));
    assert!(script.ended_legs().is_empty(), "it was used in between");
    script.wait(Duration::from_secs(101));
    assert_eq!(script.ended_legs(), [leg]);
    assert!(script.bound.is_empty());
}

#[test]
fn a_session_between_two_endpoints_does_not_end_by_itself() {
    let mut script = both_session(&["s1"]);
    script.open(1, "alice/s0", "bob", None);
    script.pick_up("s1", false);
    script.wait(Duration::from_secs(7_200));
    assert!(script.ended_legs().is_empty());
    assert!(!script.conversation.is_idle());
}

#[test]
fn a_newer_registration_of_the_same_endpoint_is_used_for_its_session() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1@fe1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.pick_up("s1", true);
    script.sign_in_with_epoch("bob", "s1@fe1", 77);
    script.submit(&text("alice/p", "bob", "m2"));
    assert_eq!(script.deliveries[0].deliver.targets[0].address.epoch.0, 77);
}
