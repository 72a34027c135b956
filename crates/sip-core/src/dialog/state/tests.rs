use std::collections::HashMap;

use super::*;
use crate::testing::{request, response};

const INVITE: &str = "INVITE sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/tls 127.0.0.1:38220\r\n\
    Record-Route: <sip:p2.example.test;lr>\r\nRecord-Route: <sip:p1.example.test;lr>, <sip:p0.example.test;lr>;x=1\r\n\
    From: <sip:alice@example.test>;tag=a;epid=085e0bd8031c\r\nTo: \"Bob\" <sip:bob@example.test>\r\n\
    Call-ID: 6B8B\r\nCSeq: 7 INVITE\r\nContact: <sip:alice@192.0.2.1:5061;transport=tls>;+sip.instance=\"<urn:x>\"\r\n\r\n";

const OK: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/tls 127.0.0.1:38220\r\nRecord-Route: <sip:p2.example.test;lr>\r\n\
    Record-Route: <sip:p1.example.test;lr>\r\nFrom: <sip:alice@example.test>;tag=a;epid=085e0bd8031c\r\n\
    To: \"Bob\" <sip:bob@example.test>;tag=b\r\nCall-ID: 6B8B\r\nCSeq: 7 INVITE\r\n\
    Contact: <sip:bob@example.test;opaque=user:epid:x;gruu>\r\n\r\n";

fn uas() -> Dialog {
    Dialog::uas(&request(INVITE), &response(OK)).unwrap()
}

fn uac() -> Dialog {
    Dialog::uac(&request(INVITE), &response(OK)).unwrap()
}

fn via() -> Via {
    Via::new("TLS", "pool.example.test", None, "z9hG4bKours")
}

fn routes(request: &Request) -> Vec<SipStr> {
    request.headers().get_all(&HeaderName::Route).collect()
}

fn in_dialog(method: &str, number: u32, extra: &str) -> Request {
    request(&format!(
        "{method} sip:x SIP/2.0\r\nCSeq: {number} {method}\r\n{extra}\r\n"
    ))
}

// === making ===

#[test]
fn the_answering_end_sees_itself_in_to_and_the_other_in_from() {
    let mut dialog = uas();
    assert_eq!(dialog.state(), DialogState::Confirmed);
    let id = dialog.id();
    assert_eq!(
        (id.call_id.as_str(), id.local_tag.as_str(), id.remote_tag.as_str()),
        ("6B8B", "b", "a")
    );
    let bye = dialog.request(Method::Bye, &via()).build();
    assert_eq!(bye.uri(), "sip:alice@192.0.2.1:5061;transport=tls");
    assert_eq!(
        bye.headers().get(&HeaderName::From).unwrap(),
        "\"Bob\" <sip:bob@example.test>;tag=b"
    );
    let to = bye.headers().get(&HeaderName::To).unwrap();
    assert_eq!(
        to, "<sip:alice@example.test>;tag=a;epid=085e0bd8031c",
        "epid goes back to its client"
    );
    assert_eq!(bye.call_id().unwrap(), "6B8B");
    assert_eq!(bye.cseq().unwrap(), CSeq::new(1, Method::Bye));
    assert_eq!(bye.headers().get(&HeaderName::MaxForwards).unwrap(), "70");
    assert_eq!(
        routes(&bye),
        [
            "<sip:p2.example.test;lr>",
            "<sip:p1.example.test;lr>",
            "<sip:p0.example.test;lr>;x=1"
        ],
        "in the order of the request"
    );
    bye.validate().unwrap();
}

#[test]
fn the_calling_end_sees_itself_in_from_and_the_routes_reversed() {
    let mut dialog = uac();
    let id = dialog.id();
    assert_eq!((id.local_tag.as_str(), id.remote_tag.as_str()), ("a", "b"));
    let message = dialog.request(Method::Message, &via()).build();
    assert_eq!(message.uri(), "sip:bob@example.test;opaque=user:epid:x;gruu");
    assert_eq!(message.from().unwrap().tag().unwrap(), "a");
    assert_eq!(message.to().unwrap().tag().unwrap(), "b");
    assert_eq!(message.cseq().unwrap(), CSeq::new(8, Method::Message));
    assert_eq!(
        routes(&message),
        ["<sip:p1.example.test;lr>", "<sip:p2.example.test;lr>"]
    );
    assert_eq!(message.top_via().unwrap().branch().unwrap(), "z9hG4bKours");
}

#[test]
fn the_ack_has_the_number_of_its_invite_and_numbers_go_on_from_there() {
    let mut dialog = uac();
    let ack = dialog.ack(7, &via()).build();
    assert_eq!(ack.cseq().unwrap(), CSeq::new(7, Method::Ack));
    assert_eq!(ack.uri(), "sip:bob@example.test;opaque=user:epid:x;gruu");
    assert_eq!(routes(&ack).len(), 2);
    let numbers = [Method::Message, Method::Info, Method::Bye]
        .map(|method| dialog.request(method, &via()).build().cseq().unwrap().number);
    assert_eq!(numbers, [8, 9, 10]);
    assert_eq!(dialog.local_cseq(), Some(10));
}

#[test]
fn what_makes_no_dialog_is_refused() {
    let without = |text: &str, name: &str| text.replace(name, &format!("X-{name}"));
    let status = |line: &str| response(&OK.replace("200 OK", line));
    assert_eq!(
        Dialog::uac(&request(INVITE), &status("486 Busy Here")).unwrap_err(),
        DialogError::Status(StatusCode::BUSY_HERE)
    );
    assert_eq!(
        Dialog::uac(&request(INVITE), &status("100 Trying")).unwrap_err(),
        DialogError::Status(StatusCode::TRYING)
    );
    let no_contact = response(&without(OK, "Contact"));
    assert_eq!(
        Dialog::uac(&request(INVITE), &no_contact).unwrap_err(),
        DialogError::NoContact
    );
    let untagged = response(&OK.replace(";tag=b", ""));
    assert_eq!(
        Dialog::uas(&request(INVITE), &untagged).unwrap_err(),
        DialogError::NoLocalTag
    );
    let anonymous = request(&INVITE.replace(";tag=a", ""));
    assert_eq!(
        Dialog::uac(&anonymous, &response(OK)).unwrap_err(),
        DialogError::NoLocalTag
    );
    let no_call_id = request(&without(INVITE, "Call-ID"));
    assert!(matches!(
        Dialog::uas(&no_call_id, &response(OK)),
        Err(DialogError::Header(_))
    ));
    let bad_route = request(&INVITE.replace("<sip:p2", "sip:p2<"));
    assert!(matches!(
        Dialog::uas(&bad_route, &response(OK)),
        Err(DialogError::Header(_))
    ));
}

#[test]
fn a_peer_without_a_tag_is_tolerated() {
    let mut dialog = Dialog::uas(&request(&INVITE.replace(";tag=a", "")), &response(OK)).unwrap();
    assert_eq!(dialog.id().remote_tag, "");
    let bye = dialog.request(Method::Bye, &via()).build();
    assert_eq!(bye.to().unwrap().tag(), None);
    let old = Dialog::uac(&request(INVITE), &response(&OK.replace(";tag=b", ""))).unwrap();
    assert_eq!(old.id().remote_tag, "");
}

// === matching ===

#[test]
fn messages_of_both_directions_find_the_dialog() {
    let mut bobs = uas();
    let mut alices = uac();
    let by_id: HashMap<DialogId, &str> = HashMap::from([
        (bobs.id().clone(), "bob's end"),
        (alices.id().clone(), "alice's end"),
    ]);
    let from_bob = bobs.request(Method::Message, &via()).build();
    assert_eq!(
        by_id.get(&DialogId::of_request(&from_bob).unwrap()),
        Some(&"alice's end")
    );
    let from_alice = alices.request(Method::Message, &via()).build();
    assert_eq!(
        by_id.get(&DialogId::of_request(&from_alice).unwrap()),
        Some(&"bob's end")
    );
    let answer = from_alice.reply(StatusCode::OK).build();
    assert_eq!(
        by_id.get(&DialogId::of_response(&answer).unwrap()),
        Some(&"alice's end")
    );
    let stranger = request(
        &in_dialog(
            "BYE",
            1,
            "Call-ID: 6B8B\r\nFrom: <sip:m@x>;tag=m\r\nTo: <sip:b@x>;tag=b\r\n",
        )
        .to_string(),
    );
    assert_eq!(by_id.get(&DialogId::of_request(&stranger).unwrap()), None);
}

// === order ===

#[test]
fn a_lower_number_is_out_of_order() {
    let mut dialog = uas();
    assert_eq!(
        dialog.receive_request(&in_dialog("MESSAGE", 6, "")),
        Err(OutOfOrder {
            number: 6,
            highest: 7
        })
    );
    assert_eq!(
        dialog.receive_request(&in_dialog("MESSAGE", 20, "")),
        Ok(()),
        "gaps are allowed"
    );
    assert_eq!(dialog.receive_request(&in_dialog("MESSAGE", 20, "")), Ok(()));
    assert!(dialog.receive_request(&in_dialog("MESSAGE", 19, "")).is_err());
    assert_eq!(
        dialog.receive_request(&in_dialog("ACK", 7, "")),
        Ok(()),
        "it has the number of its INVITE"
    );
    assert!(dialog.receive_request(&in_dialog("BYE", 8, "")).is_err());
    assert_eq!(dialog.receive_request(&in_dialog("BYE", 21, "")), Ok(()));
}

#[test]
fn the_first_number_of_the_called_end_is_free() {
    let mut dialog = uac();
    assert_eq!(dialog.receive_request(&in_dialog("MESSAGE", 0, "")), Ok(()));
    assert_eq!(dialog.receive_request(&in_dialog("MESSAGE", 5, "")), Ok(()));
    assert!(dialog.receive_request(&in_dialog("MESSAGE", 4, "")).is_err());
}

// === target ===

#[test]
fn the_target_follows_requests_that_refresh_it() {
    let mut dialog = uas();
    let contact = "Contact: <sip:alice@198.51.100.9>\r\n";
    dialog.receive_request(&in_dialog("MESSAGE", 8, contact)).unwrap();
    assert_eq!(
        dialog.remote_target(),
        "sip:alice@192.0.2.1:5061;transport=tls",
        "MESSAGE does not"
    );
    dialog.receive_request(&in_dialog("UPDATE", 9, contact)).unwrap();
    assert_eq!(dialog.remote_target(), "sip:alice@198.51.100.9");
    dialog.receive_request(&in_dialog("INVITE", 10, "")).unwrap();
    dialog
        .receive_request(&in_dialog("INVITE", 11, "Contact: *\r\n"))
        .unwrap();
    assert_eq!(
        dialog.remote_target(),
        "sip:alice@198.51.100.9",
        "nothing to follow"
    );
    assert!(
        dialog
            .receive_request(&in_dialog("INVITE", 1, "Contact: <sip:mallory@x>\r\n"))
            .is_err()
    );
    assert_eq!(
        dialog.remote_target(),
        "sip:alice@198.51.100.9",
        "an old request changes nothing"
    );
}

#[test]
fn a_2xx_confirms_an_early_dialog_with_its_own_routes() {
    let ringing = response(
        &OK.replace("200 OK", "180 Ringing")
            .replace("bob@example.test;opaque", "early@x;opaque"),
    );
    let mut dialog = Dialog::uac(&request(INVITE), &ringing).unwrap();
    assert_eq!(dialog.state(), DialogState::Early);
    dialog.receive_response(&response(&OK.replace("200 OK", "183 Session Progress")));
    assert_eq!(dialog.state(), DialogState::Early);
    dialog.receive_response(&response(&OK.replace("p2.example", "p9.example")));
    assert_eq!(dialog.state(), DialogState::Confirmed);
    let routes: Vec<_> = dialog.route_set().iter().map(SipStr::as_str).collect();
    assert_eq!(routes, ["<sip:p1.example.test;lr>", "<sip:p9.example.test;lr>"]);
    assert_eq!(
        dialog.remote_target(),
        "sip:bob@example.test;opaque=user:epid:x;gruu"
    );
    // A later 2xx may move the target but not the routes.
    dialog.receive_response(&response(
        &OK.replace("bob@example.test;opaque", "new@example.test;opaque"),
    ));
    assert_eq!(
        dialog.remote_target(),
        "sip:new@example.test;opaque=user:epid:x;gruu"
    );
    assert_eq!(dialog.route_set().iter().count(), 2);
}

#[test]
fn an_early_dialog_of_ours_is_confirmed_by_our_answer() {
    let ringing = response(&OK.replace("200 OK", "180 Ringing"));
    let mut dialog = Dialog::uas(&request(INVITE), &ringing).unwrap();
    assert_eq!(dialog.state(), DialogState::Early);
    dialog.confirm();
    assert_eq!(dialog.state(), DialogState::Confirmed);
}

#[test]
fn only_481_and_408_end_a_dialog() {
    assert!(Dialog::is_ended_by(
        StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
    ));
    assert!(Dialog::is_ended_by(StatusCode::REQUEST_TIMEOUT));
    assert!(!Dialog::is_ended_by(StatusCode::BUSY_HERE));
}

// === routing ===

#[test]
fn a_strict_router_gets_its_own_uri_and_the_target_comes_last() {
    let strict = response(&OK.replace("<sip:p1.example.test;lr>", "<sip:p1.example.test?x=1>"));
    let mut dialog = Dialog::uac(&request(INVITE), &strict).unwrap();
    let bye = dialog.request(Method::Bye, &via()).build();
    assert_eq!(bye.uri(), "sip:p1.example.test", "without headers");
    assert_eq!(
        routes(&bye),
        [
            "<sip:p2.example.test;lr>",
            "<sip:bob@example.test;opaque=user:epid:x;gruu>"
        ]
    );
}

#[test]
fn without_record_route_requests_go_straight_to_the_target() {
    let mut dialog = Dialog::uac(
        &request(INVITE),
        &response(&OK.replace("Record-Route", "X-Record-Route")),
    )
    .unwrap();
    assert!(dialog.route_set().is_empty());
    let bye = dialog.request(Method::Bye, &via()).build();
    assert_eq!(bye.uri(), "sip:bob@example.test;opaque=user:epid:x;gruu");
    assert!(routes(&bye).is_empty());
}

#[test]
fn a_dialog_keeps_nothing_of_its_messages() {
    let invite = request(INVITE);
    let dialog = Dialog::uas(&invite, &response(OK)).unwrap();
    let head = invite.head().as_ptr_range();
    let parts = [
        &dialog.id.call_id,
        &dialog.id.remote_tag,
        &dialog.remote,
        &dialog.remote_target,
    ];
    for part in parts.into_iter().chain(dialog.route_set.iter()) {
        assert!(!head.contains(&part.bytes().as_ptr()), "{part}");
    }
}
