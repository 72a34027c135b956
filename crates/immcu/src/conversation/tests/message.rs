//! Page mode: copies, order, duplicates, bounds.

use std::time::Duration;

use rpc::FailureReason;

use crate::conversation::testing::{PATIENCE, Script, text};
use crate::effect::Event;
use crate::limits::Limits;

#[test]
fn every_page_endpoint_gets_a_copy_in_one_delivery_per_front_end() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1", "p2@fe2", "p3@fe1"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    assert_eq!(script.delivering(), ["m1 -> p1 p3", "m1 -> p2"]);
    assert_eq!(answer.answer(), None, "nobody accepted yet");
    script.answer_delivery(Ok(()));
    assert_eq!(answer.answer(), Some(Ok(())));
    script.answer_delivery(Err(FailureReason::Timeout));
    assert!(script.conversation.items.is_empty());
}

#[test]
fn a_message_fails_only_when_every_way_failed_and_the_most_telling_reason_wins() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1", "p2@fe2", "p3@fe3"]);
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    script.answer_delivery(Err(FailureReason::Timeout));
    script.answer_delivery(Err(FailureReason::UnsupportedContent));
    assert_eq!(answer.answer(), None);
    script.answer_delivery(Err(FailureReason::Unavailable));
    assert_eq!(answer.answer(), Some(Err(FailureReason::UnsupportedContent)));
}

#[test]
fn somebody_signed_in_nowhere_is_unavailable() {
    let mut script = Script::between("alice", "bob");
    let mut answer = script.submit(&text("alice/p", "bob", "m1"));
    assert_eq!(answer.answer(), Some(Err(FailureReason::Unavailable)));
    assert!(script.conversation.is_idle(), "nothing of it is kept");
}

#[test]
fn an_endpoint_gets_one_message_at_a_time_in_order_while_others_go_on() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1@fe1", "p2@fe2"]);
    for id in ["m1", "m2", "m3"] {
        script.submit(&text("alice/p", "bob", id));
    }
    assert_eq!(script.delivering(), ["m1 -> p1", "m1 -> p2"]);
    script.answer_delivery_to("p2", Ok(()));
    script.answer_delivery_to("p2", Ok(()));
    assert_eq!(script.delivering(), ["m1 -> p1", "m3 -> p2"]);
    script.answer_delivery_to("p1", Ok(()));
    assert_eq!(script.delivering(), ["m3 -> p2", "m2 -> p1"]);
}

#[test]
fn messages_of_both_directions_do_not_wait_for_each_other() {
    let mut script = Script::between("alice", "bob")
        .signed_in("bob", &["p1@fe1"])
        .signed_in("alice", &["p9@fe2"]);
    script.submit(&text("alice/p9", "bob", "m1"));
    script.submit(&text("bob/p1", "alice", "m2"));
    assert_eq!(script.delivering(), ["m1 -> p1", "m2 -> p9"]);
}

#[test]
fn a_slow_lookup_holds_later_messages_back_so_that_the_order_stays() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    script.hold = Some(Default::default());
    script.submit(&text("alice/p", "bob", "m1"));
    script.submit(&text("alice/p", "bob", "m2"));
    let mut held = script.hold.take().unwrap();
    let first = held.pop_front().unwrap();
    script.look_up(held.pop_front().unwrap());
    assert!(script.delivering().is_empty());
    script.look_up(first);
    assert_eq!(script.delivering(), ["m1 -> p1"]);
    script.answer_delivery(Ok(()));
    assert_eq!(script.delivering(), ["m2 -> p1"]);
}

#[test]
fn a_refused_message_does_not_hold_later_ones_back() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    script.hold = Some(Default::default());
    let mut refused = script.submit(&text("alice/p", "bob", "m1"));
    script.submit(&text("alice/p", "bob", "m2"));
    let mut held = script.hold.take().unwrap();
    held.pop_front();
    script.look_up(held.pop_front().unwrap());
    let first = crate::conversation::ItemId(1);
    script.feed(|conversation, turn| conversation.prepared(first, Err(FailureReason::Forbidden), turn));
    assert_eq!(refused.answer(), Some(Err(FailureReason::Forbidden)));
    assert_eq!(script.delivering(), ["m2 -> p1"]);
}

#[test]
fn a_duplicate_in_flight_gets_the_outcome_and_no_early_success() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    let message = text("alice/p", "bob", "m1");
    let mut first = script.submit(&message);
    let mut second = script.submit(&message);
    assert_eq!(script.deliveries.len(), 1);
    assert_eq!(second.answer(), None);
    script.answer_delivery(Err(FailureReason::Busy));
    assert_eq!(first.answer(), Some(Err(FailureReason::Busy)));
    assert_eq!(second.answer(), Some(Err(FailureReason::Busy)));
}

#[test]
fn a_duplicate_of_a_finished_message_gets_the_recorded_outcome() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    let message = text("alice/p", "bob", "m1");
    script.submit(&message);
    script.answer_delivery(Ok(()));
    let mut again = script.submit(&message);
    assert_eq!(again.answer(), Some(Ok(())));
    assert!(script.deliveries.is_empty());
    assert!(script.events.contains(&Event::Duplicate));
}

#[test]
fn a_message_that_reached_nobody_may_be_tried_again_under_its_id() {
    let mut script = Script::between("alice", "bob");
    let message = text("alice/p", "bob", "m1");
    assert_eq!(
        script.submit(&message).answer(),
        Some(Err(FailureReason::Unavailable))
    );
    script.sign_in("bob", "p1");
    let mut again = script.submit(&message);
    script.answer_delivery(Ok(()));
    assert_eq!(again.answer(), Some(Ok(())));
}

#[test]
fn a_full_queue_refuses_and_later_takes_messages_again() {
    let limits = Limits {
        queue: 2,
        ..Limits::default()
    };
    let mut script = Script::with_limits("alice", "bob", limits).signed_in("bob", &["p1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.submit(&text("alice/p", "bob", "m2"));
    let mut refused = script.submit(&text("alice/p", "bob", "m3"));
    assert_eq!(refused.answer(), Some(Err(FailureReason::Overloaded)));
    script.answer_delivery(Ok(()));
    let mut taken = script.submit(&text("alice/p", "bob", "m3"));
    assert_eq!(taken.answer(), None);
}

#[test]
fn a_sender_is_told_in_time_and_what_was_not_sent_is_not_sent_later() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    let mut first = script.submit(&text("alice/p", "bob", "m1"));
    let mut second = script.submit(&text("alice/p", "bob", "m2"));
    script.wait(PATIENCE);
    assert_eq!(first.answer(), Some(Err(FailureReason::Timeout)));
    assert_eq!(second.answer(), Some(Err(FailureReason::Timeout)));
    // The endpoint answers the first one at last.
    script.answer_delivery(Ok(()));
    assert!(script.delivering().is_empty(), "the second was withdrawn");
    let mut again = script.submit(&text("alice/p", "bob", "m1"));
    assert_eq!(
        again.answer(),
        Some(Ok(())),
        "the record tells what became of it in the end"
    );
}

#[test]
fn a_front_end_that_never_answers_does_not_block_its_endpoint_for_ever() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.deliveries.clear();
    script.wait(PATIENCE + Duration::from_secs(6));
    script.submit(&text("alice/p", "bob", "m2"));
    assert_eq!(script.delivering(), ["m2 -> p1"]);
    assert!(script.events.contains(&Event::Lost));
}

#[test]
fn notes_to_self_go_to_every_other_endpoint() {
    let mut script = Script::between("alice", "alice").signed_in("alice", &["p1", "p2"]);
    script.submit(&text("alice/p1", "alice", "m1"));
    assert_eq!(script.delivering(), ["m1 -> p2"]);
}

#[test]
fn notes_to_self_with_one_endpoint_reach_nobody() {
    let mut script = Script::between("alice", "alice").signed_in("alice", &["p1"]);
    let mut answer = script.submit(&text("alice/p1", "alice", "m1"));
    assert_eq!(answer.answer(), Some(Err(FailureReason::Unavailable)));
}

#[test]
fn a_conversation_with_nothing_left_to_remember_may_be_dropped() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.answer_delivery(Ok(()));
    assert!(script.conversation.next_timeout().is_some());
    script.wait(Duration::from_secs(601));
    assert!(script.conversation.is_idle());
    assert_eq!(script.conversation.next_timeout(), None);
}

#[test]
fn the_first_endpoint_to_accept_answers_the_sender_while_a_slow_one_is_waited_for() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1", "p2"]);
    let mut first = script.submit(&text("alice/p", "bob", "m1"));
    script.submit(&text("alice/p", "bob", "m2"));
    let ticket = script.deliveries[0].ticket;
    script.feed(|conversation, turn| conversation.target_delivered(ticket, (1, Ok(())), turn));
    assert_eq!(first.answer(), Some(Ok(())));
    assert_eq!(
        script.delivering(),
        ["m1 -> p1 p2", "m2 -> p2"],
        "its lane goes on"
    );
    script.feed(|conversation, turn| {
        conversation.target_delivered(ticket, (1, Err(FailureReason::Busy)), turn)
    });
    script.answer_delivery(Ok(()));
    assert_eq!(
        script.delivering(),
        ["m2 -> p2", "m2 -> p1"],
        "the answer repeats what was known"
    );
}

#[test]
fn a_front_end_that_vanishes_after_some_reports_is_asked_again_for_the_rest_only() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1", "p2"]);
    script.submit(&text("alice/p", "bob", "m1"));
    let ticket = script.deliveries[0].ticket;
    script.feed(|conversation, turn| conversation.target_delivered(ticket, (0, Ok(())), turn));
    script.lose_front_end();
    script.wait(Duration::from_secs(2));
    assert_eq!(script.delivering(), ["m1 -> p2"]);
}
