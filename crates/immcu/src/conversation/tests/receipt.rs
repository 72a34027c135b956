//! Receipts: paired, past every queue, to one endpoint.

use rpc::{FailureReason, LegId};

use crate::conversation::testing::{Script, receipt, text};

#[test]
fn a_receipt_comes_back_before_the_message_it_is_about_is_answered() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["p1", "p2"])
        .signed_in("bob", &["p3"]);
    let mut said = script.submit(&text("alice/p1", "bob", "m1"));
    let mut told = script.submit(&receipt("bob/p3", "alice", "m1"));
    assert_eq!(
        script.delivering(),
        ["m1 -> p3", "receipt-m1-bob/p3 -> p1"],
        "only where it came from"
    );
    script.answer_delivery_to("p1", Ok(()));
    assert_eq!(told.answer(), Some(Ok(())));
    assert_eq!(said.answer(), None);
}

#[test]
fn a_receipt_does_not_wait_behind_messages_for_the_same_endpoint() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["p1"])
        .signed_in("bob", &["p3"]);
    script.submit(&text("alice/p1", "bob", "m1"));
    script.submit(&text("bob/p3", "alice", "m2"));
    script.submit(&receipt("bob/p3", "alice", "m1"));
    assert_eq!(
        script.delivering(),
        ["m1 -> p3", "m2 -> p1", "receipt-m1-bob/p3 -> p1"]
    );
}

#[test]
fn a_receipt_about_nothing_known_is_refused() {
    let mut script = Script::between("alice", "bob").signed_in("alice", &["p1"]);
    let mut told = script.submit(&receipt("bob/p3", "alice", "never"));
    assert_eq!(told.answer(), Some(Err(FailureReason::UnknownMessage)));
}

#[test]
fn nobody_gets_a_receipt_about_a_message_of_their_own_side() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["p1"])
        .signed_in("bob", &["p3"]);
    script.submit(&text("alice/p1", "bob", "m1"));
    let mut told = script.submit(&receipt("alice/p1", "bob", "m1"));
    assert_eq!(told.answer(), Some(Err(FailureReason::UnknownMessage)));
}

#[test]
fn a_receipt_goes_into_the_session_of_its_endpoint_and_outside_when_that_is_gone() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["p1"])
        .signed_in("bob", &["p3"]);
    script.open(1, "alice/p1", "bob", None);
    script.submit_in(
        &text("alice/p1", "bob", "m1"),
        Some(LegId(1)),
        crate::conversation::testing::PATIENCE,
    );
    script.answer_delivery(Ok(()));
    let mut told = script.submit(&receipt("bob/p3", "alice", "m1"));
    assert_eq!(script.delivering(), ["receipt-m1-bob/p3 -> p1:leg"]);
    script.answer_delivery(Err(FailureReason::NoSession));
    assert_eq!(script.delivering(), ["receipt-m1-bob/p3 -> p1"]);
    script.answer_delivery(Ok(()));
    assert_eq!(told.answer(), Some(Ok(())));
}

#[test]
fn a_receipt_never_rings() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["s1"])
        .signed_in("bob", &["p3"]);
    script.submit(&text("alice/s1", "bob", "m1"));
    let mut told = script.submit(&receipt("bob/p3", "alice", "m1"));
    assert_eq!(told.answer(), Some(Err(FailureReason::Unavailable)));
    assert!(script.ringing().is_empty());
}

#[test]
fn a_receipt_is_not_archived() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["p1"])
        .signed_in("bob", &["p3"]);
    script.mode = crate::archive::ArchiveMode::Required;
    script.submit(&text("alice/p1", "bob", "m1"));
    script.archive(crate::effect::Appended::Committed);
    script.submit(&receipt("bob/p3", "alice", "m1"));
    assert!(script.appends.is_empty());
    script.answer_delivery_to("p1", Ok(()));
    assert!(script.outcomes.is_empty());
}
