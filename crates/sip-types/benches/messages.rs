//! What the hot path costs: parsing a message and finding what routing needs, answering, printing.
//!
//! `cargo bench -p sip-types`. The goal for a 1 KB MESSAGE with its Via branch, tags, Call-ID and CSeq is 0.7 us.

#![expect(clippy::panic, reason = "a benchmark with a wrong input must stop")]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use sip_types::{AddressOfRecord, HeaderName, Message, Method, Request, StatusCode, Uri, typed};

fn main() {
    divan::main();
}

/// A page-mode message as a stock client sends it, signed in: 1 KB with its body.
const MESSAGE: &str = "MESSAGE sip:bob@example.test SIP/2.0\r\n\
    Via: SIP/2.0/TLS 192.0.2.10:38220;branch=z9hG4bKDC46229A765899DBA5BD;rport;alias\r\n\
    Max-Forwards: 70\r\n\
    From: \"Alice Example\" <sip:alice@example.test>;tag=408663310;epid=b34afb6ebb23\r\n\
    To: <sip:bob@example.test>\r\n\
    Call-ID: EBB7g1050a4CA2iB293m5580tBBB5bFFC8x0833x\r\n\
    CSeq: 21 MESSAGE\r\n\
    Contact: <sip:alice@192.0.2.10:38220;transport=tls;ob>;+sip.instance=\"<urn:uuid:085e0bd8-031c-5a0d-8d9a>\"\r\n\
    User-Agent: Linphone-Desktop/5.2.4 (alice) debian/12 Qt/5.15.8 LinphoneSDK/5.3.26\r\n\
    Supported: replaces, outbound, gruu, path\r\n\
    Date: Sat, 21 Nov 2026 08:07:37 GMT\r\n\
    Authorization: Digest realm=\"example.test\", nonce=\"5f2c7a0b9d3e4f60718293a4b5c6d7e8\", algorithm=MD5, \
    username=\"alice\", uri=\"sip:bob@example.test\", response=\"6629fae49393a05397450978507c4ef1\", \
    cnonce=\"0a4f113b\", nc=00000007, qop=auth\r\n\
    Content-Type: text/plain;charset=UTF-8\r\n\
    Content-Length: ";

const NOTIFY: &str = "NOTIFY sip:alice@192.0.2.10:38220;transport=tls SIP/2.0\r\n\
    Via: SIP/2.0/TLS fe1.example.test:5061;branch=z9hG4bK5f2c7a0b9d3e\r\n\
    Max-Forwards: 70\r\n\
    From: <sip:bob@example.test>;tag=9fxced76sl\r\n\
    To: <sip:alice@example.test>;tag=408663310\r\n\
    Call-ID: 3848276298220188511@192.0.2.10\r\n\
    CSeq: 4 NOTIFY\r\n\
    Contact: <sip:fe1.example.test:5061;transport=tls>\r\n\
    Event: presence\r\n\
    Subscription-State: active;expires=3599\r\n\
    Content-Type: application/pidf+xml\r\n\
    Content-Length: ";

fn text(name: &str) -> &'static str {
    if name == "message" { MESSAGE } else { NOTIFY }
}

/// Head and body, as the transport hands them over.
fn pieces(head: &str, total: usize) -> (Bytes, Bytes) {
    let body = "x".repeat(total.saturating_sub(head.len() + 7));
    (
        Bytes::from(format!("{head}{}\r\n\r\n", body.len())),
        Bytes::from(body),
    )
}

fn request(head: &str) -> Request {
    let (head, body) = pieces(head, 1024);
    match Message::parse(head, body) {
        Ok(Message::Request(request)) => request,
        other => panic!("a request, not {other:?}"),
    }
}

#[divan::bench(args = ["message", "notify"], sample_size = 100)]
fn parse(bencher: Bencher<'_, '_>, name: &str) {
    let (head, body) = pieces(text(name), 1024);
    bencher
        .counter(BytesCount::new(head.len() + body.len()))
        .bench(|| Message::parse(black_box(head.clone()), body.clone()));
}

/// Parsing, and what the transaction and dialog layers look at.
#[divan::bench(args = ["message", "notify"], sample_size = 100)]
fn parse_and_route(bencher: Bencher<'_, '_>, name: &str) {
    let (head, body) = pieces(text(name), 1024);
    bencher
        .counter(BytesCount::new(head.len() + body.len()))
        .bench(|| {
            let Ok(Message::Request(request)) = Message::parse(black_box(head.clone()), body.clone()) else {
                return None;
            };
            let headers = request.headers();
            let tags = (headers.from_tag(), headers.to_tag());
            Some((
                headers.branch()?,
                tags,
                request.call_id().ok()?,
                request.cseq().ok()?,
            ))
        });
}

/// The same through the typed headers: every value is checked whole.
#[divan::bench(args = ["message", "notify"], sample_size = 100)]
fn parse_and_route_typed(bencher: Bencher<'_, '_>, name: &str) {
    let (head, body) = pieces(text(name), 1024);
    bencher
        .counter(BytesCount::new(head.len() + body.len()))
        .bench(|| {
            let Ok(Message::Request(request)) = Message::parse(black_box(head.clone()), body.clone()) else {
                return None;
            };
            let branch = request.top_via().ok()?.transaction_branch()?;
            let (from, to) = (request.from().ok()?.tag()?, request.to().ok()?.tag());
            Some((branch, from, to, request.call_id().ok()?, request.cseq().ok()?))
        });
}

#[divan::bench(args = ["message", "notify"], sample_size = 100)]
fn validate(bencher: Bencher<'_, '_>, name: &str) {
    let request = request(text(name));
    bencher.bench(|| black_box(&request).validate());
}

#[divan::bench(sample_size = 100)]
fn reply(bencher: Bencher<'_, '_>) {
    let request = request(MESSAGE);
    bencher.bench(|| {
        black_box(&request)
            .reply(StatusCode::OK)
            .to_tag("a1b2c3d4")
            .build()
    });
}

#[divan::bench(sample_size = 100)]
fn sign(bencher: Bencher<'_, '_>) {
    let reply = request(MESSAGE).reply(StatusCode::OK).to_tag("a1b2c3d4").build();
    let value =
        "NTLM rspauth=\"010000007C9A546C6F01BCAA64000000\", srand=\"D880A7D0\", snum=\"1\", qop=\"auth\"";
    bencher.bench(|| {
        black_box(&reply)
            .clone()
            .with_header(HeaderName::AuthenticationInfo, value)
    });
}

#[divan::bench(sample_size = 100)]
fn build_notify(bencher: Bencher<'_, '_>) {
    let body = Bytes::from("x".repeat(600));
    bencher.bench(|| {
        Request::builder(Method::Notify, "sip:alice@192.0.2.10:38220;transport=tls")
            .typed(&typed::Via::new(
                "TLS",
                "fe1.example.test",
                Some(5061),
                "z9hG4bK5f2c7a0b9d3e",
            ))
            .header(HeaderName::MaxForwards, 70)
            .header(HeaderName::From, "<sip:bob@example.test>;tag=9fxced76sl")
            .header(HeaderName::To, "<sip:alice@example.test>;tag=408663310")
            .header(HeaderName::CallId, "3848276298220188511@192.0.2.10")
            .typed(&typed::CSeq::new(4, Method::Notify))
            .header(HeaderName::Contact, "<sip:fe1.example.test:5061;transport=tls>")
            .header(HeaderName::Event, "presence")
            .typed(&typed::SubscriptionState::active(3599))
            .body("application/pidf+xml", body.clone())
            .build()
    });
}

/// Printing is writing two slices; this is the copy a test or a log makes.
#[divan::bench(sample_size = 100)]
fn print(bencher: Bencher<'_, '_>) {
    let message = Message::from(request(MESSAGE));
    bencher.bench(|| [black_box(&message).head().as_ref(), message.body().as_ref()].concat());
}

#[divan::bench(sample_size = 100)]
fn authorization(bencher: Bencher<'_, '_>) {
    let request = request(MESSAGE);
    bencher.bench(|| black_box(&request).headers().one::<typed::Authorization>());
}

#[divan::bench(sample_size = 100)]
fn address_of_record(bencher: Bencher<'_, '_>) {
    let uri: Uri = "sip:Alice@example.test;opaque=user:epid:CF4L2AMcWg2NmvFJquaVSgAA;gruu"
        .parse()
        .unwrap_or_else(|error| panic!("{error}"));
    bencher.bench(|| -> Option<AddressOfRecord> { black_box(&uri).aor() });
}
