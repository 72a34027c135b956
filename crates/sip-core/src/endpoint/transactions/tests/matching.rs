//! Which message belongs to what: peers without branches, equal identifiers, broken messages.

use super::*;
use crate::testing::response;

/// What a Lync-family client sends: no branch.
fn lync(method: &str, uri: &str, to_tag: &str, cseq: u32) -> Message {
    Message::Request(request(&format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/tls 127.0.0.1:38220\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.test>;tag=1714636915;epid=085e0bd8031c\r\nTo: <sip:bob@example.test>{to_tag}\r\n\
         Call-ID: 6B8Bg4567i327Bm\r\nCSeq: {cseq} {method}\r\n\r\n"
    )))
}

const BOB: &str = "sip:bob@example.test";
const TAG: &str = ";tag=answer";

fn accept(transactions: &mut Transactions, message: Message, now: Instant) -> (ServerKey, Request) {
    match transactions.receive(message, now) {
        Received::Request(key, request) => (key, request),
        other => panic!("not a request: {other:?}"),
    }
}

fn answer(
    transactions: &mut Transactions,
    key: &ServerKey,
    request: &Request,
    status: StatusCode,
    now: Instant,
) {
    let response = request.reply(status).to_tag("answer").build();
    transactions.respond(key, &response, now).unwrap();
}

#[test]
fn requests_without_branch_are_told_apart_by_their_number() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    let (first, _) = accept(&mut flow, lync("MESSAGE", BOB, TAG, 2), now);
    let (second, _) = accept(&mut flow, lync("MESSAGE", BOB, TAG, 3), now);
    assert_ne!(first, second);
    assert!(matches!(
        flow.receive(lync("MESSAGE", BOB, TAG, 2), now),
        Received::Absorbed
    ));
    accept(&mut flow, lync("INFO", BOB, TAG, 3), now);
}

#[test]
fn the_ack_of_a_refused_invite_without_branch_is_absorbed() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    let (key, invite) = accept(&mut flow, lync("INVITE", BOB, "", 1), now);
    answer(&mut flow, &key, &invite, StatusCode::UNAUTHORIZED, now);
    let stranger = lync("ACK", BOB, ";tag=stranger", 1);
    assert!(
        matches!(flow.receive(stranger, now), Received::Ack(_)),
        "another tag is another response"
    );
    assert!(matches!(
        flow.receive(lync("ACK", BOB, TAG, 1), now),
        Received::Absorbed
    ));
    assert!(flow.is_idle());
}

#[test]
fn the_ack_of_a_refused_re_invite_without_branch_is_absorbed() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    let (key, invite) = accept(&mut flow, lync("INVITE", BOB, TAG, 5), now);
    answer(&mut flow, &key, &invite, StatusCode::NOT_ACCEPTABLE_HERE, now);
    assert!(matches!(
        flow.receive(lync("ACK", BOB, TAG, 5), now),
        Received::Absorbed
    ));
    assert!(flow.is_idle());
}

#[test]
fn the_ack_of_an_accepted_invite_without_branch_goes_to_its_dialog() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    let (key, invite) = accept(&mut flow, lync("INVITE", BOB, "", 1), now);
    answer(&mut flow, &key, &invite, StatusCode::OK, now);
    for uri in [BOB, "sip:bob@example.test;opaque=user:epid:x;gruu"] {
        assert!(
            matches!(flow.receive(lync("ACK", uri, TAG, 1), now), Received::Ack(_)),
            "{uri}"
        );
    }
    assert!(
        matches!(flow.receive(lync("INVITE", BOB, "", 1), now), Received::Absorbed),
        "timer L still runs"
    );
}

#[test]
fn an_ack_before_any_answer_is_dropped() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    accept(&mut flow, lync("INVITE", BOB, "", 1), now);
    assert!(matches!(
        flow.receive(lync("ACK", BOB, "", 1), now),
        Received::Absorbed
    ));
    assert_eq!(flow.pending(), 1);
}

#[test]
fn a_cancel_without_branch_finds_its_invite() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    let (key, _) = accept(&mut flow, lync("INVITE", BOB, "", 1), now);
    let Received::Cancel { invite, .. } = flow.receive(lync("CANCEL", BOB, "", 1), now) else {
        panic!("no CANCEL")
    };
    assert_eq!(invite, key);
    assert!(
        matches!(flow.receive(lync("CANCEL", BOB, "", 1), now), Received::Absorbed),
        "the same again"
    );
    assert!(
        matches!(
            flow.receive(lync("CANCEL", BOB, "", 2), now),
            Received::Rejected(_)
        ),
        "another number"
    );
}

#[test]
fn two_clients_with_equal_identifiers_do_not_meet() {
    let now = Instant::now();
    let (mut one, mut two) = (Transactions::new(1), Transactions::new(2));
    let (first, first_request) = accept(&mut one, lync("MESSAGE", BOB, "", 1), now);
    let (second, second_request) = accept(&mut two, lync("MESSAGE", BOB, "", 1), now);
    answer(&mut one, &first, &first_request, StatusCode::NOT_FOUND, now);
    assert_eq!((one.pending(), two.pending()), (0, 1));
    answer(&mut two, &second, &second_request, StatusCode::OK, now);
}

#[test]
fn a_late_answer_does_not_reach_a_newer_request_with_the_same_fields() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    let (old, request) = accept(&mut flow, lync("MESSAGE", BOB, "", 1), now);
    answer(&mut flow, &old, &request, StatusCode::OK, now);
    let (new, _) = accept(&mut flow, lync("MESSAGE", BOB, "", 1), now);
    let late = request.reply(StatusCode::NOT_FOUND).build();
    assert_eq!(flow.respond(&old, &late, now), Err(RespondError::AlreadyAnswered));
    answer(&mut flow, &new, &request, StatusCode::OK, now);
}

#[test]
fn a_request_that_can_not_be_matched_is_refused_and_an_ack_is_dropped() {
    let (mut flow, now) = (Transactions::new(1), Instant::now());
    let broken = |method: &str| {
        Message::Request(request(&format!(
            "{method} {BOB} SIP/2.0\r\nFrom: <sip:a@b>\r\nCSeq: 1 {method}\r\n\r\n"
        )))
    };
    let Received::Rejected(response) = flow.receive(broken("MESSAGE"), now) else {
        panic!("not rejected")
    };
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(matches!(flow.receive(broken("ACK"), now), Received::Absorbed));
}

#[test]
fn a_response_is_matched_by_our_branch_and_the_method() {
    let mut pair = pair();
    let message = pair.alice.request(Method::Message);
    let now = pair.now;
    pair.alice.transactions.start(&message, now).unwrap();
    let reply = |from: &str, to: &str| {
        let text = message
            .reply(StatusCode::OK)
            .build()
            .to_string()
            .replace(from, to);
        Message::Response(response(&text))
    };
    let strays = [
        ("z9hG4bK", "z9hG4bKx"),
        ("1 MESSAGE", "1 INVITE"),
        ("CSeq", "X-CSeq"),
        ("Via", "X-Via"),
    ];
    for (from, to) in strays {
        assert!(
            matches!(
                pair.alice.transactions.receive(reply(from, to), now),
                Received::Stray(_)
            ),
            "{from}"
        );
    }
    // A peer may write the rest of our Via as it likes.
    let rewritten = reply(
        "SIP/2.0/TLS alice.example.test",
        "SIP/2.0/tls other.example.test:5061",
    );
    assert!(matches!(
        pair.alice.transactions.receive(rewritten, now),
        Received::Response { .. }
    ));
    assert!(pair.alice.transactions.is_idle());
}
