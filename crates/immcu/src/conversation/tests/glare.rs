//! Both sides begin at once.

use rpc::{FailureReason, LegId, Opened};

use crate::conversation::testing::{PATIENCE, Script, text};

const NOT_TAKEN: Option<Result<Opened, FailureReason>> = Some(Ok(Opened {
    first_text_taken: false,
}));

fn script() -> Script {
    Script::between("alice", "bob")
        .signed_in("alice", &["s1", "s2"])
        .signed_in("bob", &["s3", "s4"])
}

#[test]
fn two_opens_that_cross_become_one_session_and_nobody_rings_on() {
    let mut script = script();
    let mut one = script.open(1, "alice/s1", "bob", Some(&text("alice/s1", "bob", "hello")));
    assert_eq!(script.ringing(), ["s3", "s4"]);
    let mut other = script.open(2, "bob/s3", "alice", Some(&text("bob/s3", "alice", "hi")));
    assert_eq!(one.answer(), NOT_TAKEN);
    assert_eq!(other.answer(), NOT_TAKEN);
    assert!(script.ringing().is_empty());
    assert!(
        script.delivering().is_empty(),
        "both first texts are said again as messages"
    );
    script.submit_in(&text("alice/s1", "bob", "m1"), Some(LegId(1)), PATIENCE);
    script.submit_in(&text("bob/s3", "alice", "m2"), Some(LegId(2)), PATIENCE);
    assert_eq!(script.delivering(), ["m1 -> s3:leg", "m2 -> s1:leg"]);
}

#[test]
fn two_opens_that_are_looked_up_at_the_same_time_meet_as_well() {
    let mut script = script();
    script.hold = Some(Default::default());
    let mut one = script.open(1, "alice/s1", "bob", None);
    let mut other = script.open(2, "bob/s3", "alice", None);
    let mut held = script.hold.take().unwrap();
    let first = held.pop_front().unwrap();
    script.look_up(held.pop_front().unwrap());
    assert_eq!(script.ringing(), ["s1", "s2"]);
    script.look_up(first);
    assert_eq!((one.answer(), other.answer()), (NOT_TAKEN, NOT_TAKEN));
    assert!(script.ringing().is_empty());
}

#[test]
fn an_endpoint_that_did_not_ring_can_meet_the_callers_open_too() {
    let mut script = script();
    let mut one = script.open(1, "alice/s1", "bob", None);
    script.sign_in("bob", "p9");
    let mut other = script.open(2, "bob/p9", "alice", None);
    assert_eq!((one.answer(), other.answer()), (NOT_TAKEN, NOT_TAKEN));
    assert!(script.ringing().is_empty());
}

#[test]
fn messages_that_rang_go_into_the_session_their_recipient_opens() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["p1"])
        .signed_in("bob", &["s3", "s4"]);
    let mut said = script.submit(&text("alice/p1", "bob", "m1"));
    assert_eq!(script.ringing(), ["s3", "s4"]);
    let mut open = script.open(2, "bob/s4", "alice", None);
    assert_eq!(open.answer(), NOT_TAKEN);
    assert!(script.ringing().is_empty());
    assert_eq!(script.delivering(), ["m1 -> s4:leg"]);
    script.answer_delivery(Ok(()));
    assert_eq!(said.answer(), Some(Ok(())));
}

#[test]
fn a_recipient_that_opens_while_it_rings_for_a_message_rings_the_senders_session_endpoints() {
    let mut script = script();
    script.submit(&text("alice/p1", "bob", "m1"));
    let mut open = script.open(2, "bob/s3", "alice", None);
    assert_eq!(script.ringing(), ["s3", "s4", "s1", "s2"]);
    script.pick_up("s1", false);
    assert_eq!(open.answer(), NOT_TAKEN);
    assert!(script.ringing().is_empty());
    assert_eq!(script.delivering(), ["m1 -> s3:leg"]);
}

#[test]
fn a_second_device_of_oneself_meets_the_first_ones_open() {
    let mut script = Script::between("alice", "alice").signed_in("alice", &["s1", "s2"]);
    let mut one = script.open(1, "alice/s1", "alice", None);
    assert_eq!(script.ringing(), ["s2"]);
    let mut other = script.open(2, "alice/s2", "alice", None);
    assert_eq!((one.answer(), other.answer()), (NOT_TAKEN, NOT_TAKEN));
    script.submit_in(&text("alice/s1", "alice", "m1"), Some(LegId(1)), PATIENCE);
    script.submit_in(&text("alice/s2", "alice", "m2"), Some(LegId(2)), PATIENCE);
    assert_eq!(script.delivering(), ["m1 -> s2:leg", "m2 -> s1:leg"]);
}
