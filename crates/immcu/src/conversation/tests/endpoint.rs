//! Messages and sessions for one endpoint only: its GRUU was used (RFC 5627 section 5.1).

use std::sync::Arc;

use rpc::{EndpointId, FailureReason, InstantMessage, LegId, Open, Opened};
use tokio::sync::oneshot;

use crate::conversation::testing::{PATIENCE, Script, aor, receipt, text};

fn only(message: &InstantMessage, endpoint: &str) -> Arc<InstantMessage> {
    let mut message = message.clone();
    message.to_endpoint = Some(EndpointId::new(endpoint));
    Arc::new(message)
}

fn call(script: &mut Script, leg: u128, endpoint: &str) -> oneshot::Receiver<Result<Opened, FailureReason>> {
    let (reply, answer) = oneshot::channel();
    let open = Open {
        leg: LegId(leg),
        from: aor("alice"),
        from_display: "alice".to_owned(),
        from_endpoint: EndpointId::new("s0"),
        to: aor("bob"),
        to_endpoint: Some(EndpointId::new(endpoint)),
        first_text: None,
        patience: PATIENCE,
    };
    script.feed(|conversation, turn| conversation.open(open, reply, turn));
    answer
}

#[test]
fn a_message_for_one_endpoint_goes_to_no_other() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1", "p2", "s1"]);
    script.submit(&only(&text("alice/p", "bob", "m1"), "p2"));
    assert_eq!(script.delivering(), ["m1 -> p2"]);
    assert!(script.ringing().is_empty());
}

#[test]
fn an_endpoint_that_is_not_there_is_unavailable_whoever_else_is() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["p1", "s1"]);
    let mut said = script.submit(&only(&text("alice/p", "bob", "m1"), "p2"));
    assert_eq!(said.answer(), Some(Err(FailureReason::Unavailable)));
}

#[test]
fn the_session_is_used_if_the_endpoint_holds_it_and_not_otherwise() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "s2"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.pick_up("s1", true);
    script.submit(&only(&text("alice/p", "bob", "m2"), "s1"));
    script.submit(&only(&text("alice/p", "bob", "m3"), "s2"));
    assert_eq!(script.delivering(), ["m2 -> s1:leg", "m3 -> s2"]);
}

#[test]
fn a_message_for_the_holder_of_a_session_does_not_follow_the_session_to_another() {
    let mut script = Script::between("alice", "bob")
        .signed_in("bob", &["s1", "s2"])
        .signed_in("alice", &["p9"]);
    script.submit(&text("alice/p9", "bob", "m1"));
    script.pick_up("s1", true);
    script.submit(&only(&text("alice/p9", "bob", "m2"), "s1"));
    script.submit(&only(&text("alice/p9", "bob", "m3"), "s1"));
    script.open(5, "bob/s2", "alice", None);
    script.answer_delivery(Ok(()));
    assert_eq!(script.delivering(), ["m3 -> s1"]);
}

#[test]
fn only_the_endpoint_that_was_called_rings() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["s0"])
        .signed_in("bob", &["s1", "s2"]);
    call(&mut script, 1, "s2");
    assert_eq!(script.ringing(), ["s2"]);
    script.sign_in_with_epoch("bob", "s3", 50);
    script.hang_up("s2", FailureReason::NotOwner);
    assert!(script.ringing().is_empty(), "who came later was not called");
}

#[test]
fn calling_one_endpoint_moves_the_session_there() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["s0"])
        .signed_in("bob", &["s1", "s2"]);
    script.open(1, "alice/s0", "bob", None);
    let before = script.pick_up("s1", false);
    let mut again = call(&mut script, 2, "s1");
    assert!(again.try_recv().unwrap().is_ok(), "it has the session");
    script.ended_legs();
    let mut other = call(&mut script, 3, "s2");
    assert_eq!(script.ringing(), ["s2"]);
    script.pick_up("s2", false);
    assert!(other.try_recv().unwrap().is_ok());
    assert_eq!(script.ended_legs(), [before, LegId(2)]);
}

#[test]
fn a_receipt_goes_where_its_message_came_from_whatever_address_it_has() {
    let mut script = Script::between("alice", "bob")
        .signed_in("alice", &["p1", "p2", "s1"])
        .signed_in("bob", &["p3"]);
    script.submit(&text("alice/p1", "bob", "m1"));
    script.submit(&only(&receipt("bob/p3", "alice", "m1"), "p2"));
    assert_eq!(script.delivering(), ["m1 -> p3", "receipt-m1-bob/p3 -> p1"]);
    script.submit(&text("alice/s1", "bob", "m2"));
    let mut told = script.submit(&only(&receipt("bob/p3", "alice", "m2"), "s1"));
    assert_eq!(
        told.answer(),
        Some(Err(FailureReason::Unavailable)),
        "a receipt is no page for a session endpoint"
    );
}

#[test]
fn a_page_for_an_endpoint_that_rings_with_an_earlier_text_waits_for_its_answer() {
    let mut script = Script::between("alice", "bob").signed_in("bob", &["s1", "s2"]);
    script.submit(&text("alice/p", "bob", "m1"));
    script.submit(&only(&text("alice/p", "bob", "m2"), "s2"));
    assert!(script.delivering().is_empty());
    script.hang_up("s2", FailureReason::Busy);
    assert_eq!(script.delivering(), ["m2 -> s2"]);
}
