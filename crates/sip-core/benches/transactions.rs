//! What a transaction costs beside parsing and printing its messages: `cargo bench -p sip-core`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark stops where its assumptions fail"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use divan::Bencher;
use sip_core::{Received, Transactions};
use sip_types::{Message, Request, Response, StatusCode};

fn main() {
    divan::main();
}

/// A request as clients send it; `via` with or without a branch.
fn request(method: &str, via: &str) -> Message {
    let head = format!(
        "{method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/TLS {via}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.test>;tag=1714636915;epid=085e0bd8031c\r\nTo: <sip:bob@example.test>\r\n\
         Call-ID: 6B8Bg4567i327Bm9A4Dt6B8Bv64A1x\r\nCSeq: 2 {method}\r\nUser-Agent: bench\r\n\
         Contact: <sip:alice@192.0.2.1:38220;transport=tls>\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(head), Bytes::new()).expect("a valid request")
}

fn reply(message: &Message, status: StatusCode) -> Response {
    match message {
        Message::Request(request) => request.reply(status).to_tag("a48s").build(),
        Message::Response(_) => unreachable!("requests only"),
    }
}

const WITH_BRANCH: &str = "192.0.2.1:38220;branch=z9hG4bKA4B1C2D3E4F5;rport";
const WITHOUT_BRANCH: &str = "192.0.2.1:38220";

/// A request arrives and is answered.
#[divan::bench(args = [WITH_BRANCH, WITHOUT_BRANCH])]
fn server_non_invite(bencher: Bencher<'_, '_>, via: &str) {
    let message = request("MESSAGE", via);
    let ok = reply(&message, StatusCode::OK);
    let mut flow = Transactions::new(1);
    let now = Instant::now();
    bencher.counter(1_usize).bench_local(|| {
        let Received::Request(key, _) = flow.receive(message.clone(), now) else {
            panic!("not new")
        };
        flow.respond(&key, &ok, now)
    });
}

/// The same while 200 others wait for their answers.
#[divan::bench]
fn server_non_invite_on_a_busy_flow(bencher: Bencher<'_, '_>) {
    let message = request("MESSAGE", WITH_BRANCH);
    let ok = reply(&message, StatusCode::OK);
    let mut flow = Transactions::new(1);
    let now = Instant::now();
    for number in 0..200 {
        flow.receive(
            request("MESSAGE", &format!("192.0.2.1;branch=z9hG4bK{number}")),
            now,
        );
    }
    bencher.counter(1_usize).bench_local(|| {
        let Received::Request(key, _) = flow.receive(message.clone(), now) else {
            panic!("not new")
        };
        flow.respond(&key, &ok, now)
    });
}

/// An INVITE arrives, is refused, and the ACK comes.
#[divan::bench(args = [WITH_BRANCH, WITHOUT_BRANCH])]
fn server_invite_refused(bencher: Bencher<'_, '_>, via: &str) {
    let invite = request("INVITE", via);
    let busy = reply(&invite, StatusCode::BUSY_HERE);
    let ack = request("ACK", via).to_string().replace(
        "To: <sip:bob@example.test>",
        "To: <sip:bob@example.test>;tag=a48s",
    );
    let ack = Message::parse(Bytes::from(ack), Bytes::new()).expect("a valid request");
    let mut flow = Transactions::new(1);
    let now = Instant::now();
    bencher.counter(1_usize).bench_local(|| {
        let Received::Request(key, _) = flow.receive(invite.clone(), now) else {
            panic!("not new")
        };
        flow.respond(&key, &busy, now).expect("the first answer");
        flow.receive(ack.clone(), now)
    });
}

/// An INVITE arrives and is accepted; Timer L ends it.
#[divan::bench]
fn server_invite_accepted(bencher: Bencher<'_, '_>) {
    let invite = request("INVITE", WITH_BRANCH);
    let ok = reply(&invite, StatusCode::OK);
    let mut flow = Transactions::new(1);
    let mut now = Instant::now();
    bencher.counter(1_usize).bench_local(|| {
        let Received::Request(key, _) = flow.receive(invite.clone(), now) else {
            panic!("not new")
        };
        flow.respond(&key, &ok, now).expect("the first answer");
        now += Duration::from_secs(32);
        flow.handle_timeout(now)
    });
}

/// We send a request and its answer arrives.
#[divan::bench]
fn client_non_invite(bencher: Bencher<'_, '_>) {
    let message = request("MESSAGE", WITH_BRANCH);
    let ok = Message::Response(reply(&message, StatusCode::OK));
    let request: Request = match message {
        Message::Request(request) => request,
        Message::Response(_) => unreachable!("requests only"),
    };
    let mut flow = Transactions::new(1);
    let now = Instant::now();
    bencher.counter(1_usize).bench_local(|| {
        flow.start(&request, now).expect("a free branch");
        flow.receive(ok.clone(), now)
    });
}

/// What every request of ours needs first.
#[divan::bench]
fn next_branch(bencher: Bencher<'_, '_>) {
    let mut flow = Transactions::new(1);
    bencher.counter(1_usize).bench_local(|| flow.next_branch());
}
