//! The archive before and after delivery.

use rpc::FailureReason;

use crate::archive::{ArchiveMode, Disposition};
use crate::conversation::testing::{PATIENCE, Script, text};
use crate::effect::{Appended, Event};

fn script(mode: ArchiveMode) -> Script {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["s0"])
        .signed_in("bob", &["p1@fe1", "p2@fe2"]);
    script.mode = mode;
    script
}

#[test]
fn nothing_is_delivered_before_its_record_is_committed() {
    let mut script = script(ArchiveMode::Required);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    assert!(script.delivering().is_empty());
    script.archive(Appended::Committed);
    assert_eq!(script.delivering().len(), 2);
    script.answer_delivery(Ok(()));
    assert_eq!(said.answer(), Some(Ok(())));
    assert!(
        script.outcomes.is_empty(),
        "the outcome is known when every endpoint answered"
    );
    script.answer_delivery(Err(FailureReason::Timeout));
    let outcome = &script.outcomes[0];
    assert_eq!(outcome.disposition, Disposition::Accepted);
    let said: Vec<_> = outcome
        .endpoints
        .iter()
        .map(|(endpoint, said)| (endpoint.as_str(), *said))
        .collect();
    assert_eq!(said, [("p1", Ok(())), ("p2", Err(FailureReason::Timeout))]);
}

#[test]
fn a_message_the_archive_refuses_is_not_delivered_and_its_sender_is_told() {
    let mut script = script(ArchiveMode::Required);
    let mut refused = script.submit(&text("alice/p", "bob", "m1"));
    let mut next = script.submit(&text("alice/p", "bob", "m2"));
    script.archive(Appended::Refused);
    assert_eq!(refused.answer(), Some(Err(FailureReason::ArchiveUnavailable)));
    assert!(script.delivering().is_empty());
    assert!(script.outcomes.is_empty(), "there is no first record to refer to");
    script.archive(Appended::Committed);
    script.answer_delivery(Ok(()));
    assert_eq!(next.answer(), Some(Ok(())));
}

#[test]
fn records_are_appended_one_at_a_time_in_the_order_of_the_conversation() {
    let mut script = script(ArchiveMode::Required);
    for id in ["m1", "m2", "m3"] {
        script.submit(&text("alice/p", "bob", id));
    }
    for id in ["m1", "m2", "m3"] {
        assert_eq!(script.appends.len(), 1);
        assert_eq!(
            script.archive(Appended::Committed),
            crate::conversation::testing::message_id(id)
        );
    }
}

#[test]
fn with_best_effort_a_message_is_delivered_without_its_record_and_the_gap_is_counted() {
    let mut script = script(ArchiveMode::BestEffort);
    script.submit(&text("alice/p", "bob", "m1"));
    script.archive(Appended::Refused);
    assert_eq!(script.delivering().len(), 2);
    assert!(script.events.contains(&Event::ArchiveGap));
    script.answer_delivery(Ok(()));
    script.answer_delivery(Ok(()));
    assert!(script.outcomes.is_empty());
}

#[test]
fn what_nobody_can_receive_is_not_archived() {
    let mut script = script(ArchiveMode::Required);
    script.sign_out("bob", "p1");
    script.sign_out("bob", "p2");
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    assert_eq!(said.answer(), Some(Err(FailureReason::Unavailable)));
    assert!(script.appends.is_empty());
}

#[test]
fn a_message_everybody_refused_has_that_outcome_in_the_archive() {
    let mut script = script(ArchiveMode::Required);
    script.submit(&text("alice/p", "bob", "m1"));
    script.archive(Appended::Committed);
    script.answer_delivery(Err(FailureReason::Busy));
    script.answer_delivery(Err(FailureReason::Timeout));
    assert_eq!(
        script.outcomes[0].disposition,
        Disposition::Failed(FailureReason::Busy)
    );
}

#[test]
fn a_first_text_is_archived_before_it_is_shown_and_counts_once() {
    let mut script = script(ArchiveMode::Required);
    script.sign_in("bob", "s1");
    script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    assert!(script.ringing().is_empty());
    script.archive(Appended::Committed);
    assert!(script.rings[0].1.first_text.is_some());
    script.pick_up("s1", true);
    script.answer_delivery(Ok(()));
    script.answer_delivery(Ok(()));
    assert_eq!(script.outcomes.len(), 1);
    assert_eq!(script.outcomes[0].disposition, Disposition::Accepted);
    assert_eq!(script.outcomes[0].endpoints.len(), 3);
    assert!(script.appends.is_empty());
}

#[test]
fn a_first_text_that_was_not_taken_is_withdrawn_from_the_archive() {
    let mut script = script(ArchiveMode::Required);
    script.sign_in("bob", "s1");
    script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    script.archive(Appended::Committed);
    script.pick_up("s1", false);
    assert_eq!(script.outcomes[0].disposition, Disposition::Withdrawn);
}

#[test]
fn a_first_text_the_archive_refuses_is_not_shown_and_the_session_opens_without_it() {
    let mut script = script(ArchiveMode::Required);
    script.sign_in("bob", "s1");
    script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    script.archive(Appended::Refused);
    assert!(script.rings[0].1.first_text.is_none());
    script.pick_up("s1", false);
    assert!(script.outcomes.is_empty());
}

#[test]
fn a_withdrawn_first_text_is_told_to_the_archive_however_the_open_ends() {
    for end in ["cancel", "refuse", "overdue"] {
        let mut script = script(ArchiveMode::Required);
        script.sign_in("bob", "s1");
        script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
        script.archive(Appended::Committed);
        match end {
            "cancel" => script.cancel(1),
            "refuse" => script.hang_up("s1", FailureReason::Declined),
            _ => script.wait(PATIENCE),
        }
        let dispositions: Vec<_> = script
            .outcomes
            .iter()
            .map(|outcome| outcome.disposition)
            .collect();
        assert_eq!(dispositions, [Disposition::Withdrawn], "{end}");
    }
}

#[test]
fn a_record_of_unknown_fate_gets_an_outcome_in_case_it_is_there() {
    let mut script = script(ArchiveMode::Required);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    script.archive(Appended::Unknown);
    assert_eq!(said.answer(), Some(Err(FailureReason::ArchiveUnavailable)));
    assert!(script.delivering().is_empty());
    assert_eq!(
        script.outcomes[0].disposition,
        Disposition::Failed(FailureReason::ArchiveUnavailable)
    );
}

#[test]
fn a_record_that_is_committed_after_its_sender_was_told_gets_its_outcome() {
    let mut script = script(ArchiveMode::Required);
    let mut said = script.submit(&text("alice/p", "bob", "m1"));
    script.wait(PATIENCE);
    assert_eq!(said.answer(), Some(Err(FailureReason::Timeout)));
    script.archive(Appended::Committed);
    assert!(script.delivering().is_empty());
    assert_eq!(
        script.outcomes[0].disposition,
        Disposition::Failed(FailureReason::Timeout)
    );
}

#[test]
fn a_first_text_that_is_committed_after_its_open_was_cancelled_is_withdrawn() {
    let mut script = script(ArchiveMode::Required);
    script.sign_in("bob", "s1");
    script.open(1, "alice/s0", "bob", Some(&text("alice/s0", "bob", "first")));
    script.cancel(1);
    script.archive(Appended::Committed);
    assert_eq!(script.outcomes[0].disposition, Disposition::Withdrawn);
}
