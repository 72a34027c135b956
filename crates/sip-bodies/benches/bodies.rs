//! What reading a body costs where the server looks into it: offers, wrapped messages, receipts, typing, presence; and
//! what writing one costs that goes to every watcher.
//!
//! `cargo bench -p sip-bodies`. Each input has the shape of what a stock client sends.

#![expect(clippy::panic, reason = "a benchmark with a wrong input must stop")]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use sip_bodies::cpim::{Cpim, Disposition};
use sip_bodies::imdn::Imdn;
use sip_bodies::is_composing::IsComposing;
use sip_bodies::lync::categories::{Categories, Category, CategoryInstance};
use sip_bodies::lync::publish::Publish;
use sip_bodies::lync::state::{Activity, State, StateKind};
use sip_bodies::ms_text_format::MsTextFormat;
use sip_bodies::multipart::{Related, RelatedPart, RelatedStyle};
use sip_bodies::pidf::Presence;
use sip_bodies::sdp::{ACCEPT_TYPES, ImSession, SessionDescription};
use std::net::{IpAddr, Ipv4Addr};

fn main() {
    divan::main();
}

/// The offer of a Lync-family client.
const OFFER: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=message 5061 sip null\r\na=accept-types:text/plain text/html image/gif application/im-iscomposing+xml \
    application/ms-imdn+xml text/x-msmsgsinvite\r\n";

/// A message that asks for receipts, as Linphone wraps it.
const CPIM: &str = "From: <sip:alice@example.test>\r\nTo: <sip:bob@example.test>\r\n\
    DateTime: 2026-07-25T10:05:42Z\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: QZdWGtW3ck\r\n\
    imdn.Disposition-Notification: positive-delivery, negative-delivery, display\r\n\r\n\
    Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 23\r\n\r\nLunch at one, as usual?";

/// The receipt Linphone sends when that was read.
const IMDN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\" ?>\n\
    <imdn xmlns=\"urn:ietf:params:xml:ns:imdn\" xmlns:linphoneimdn=\"http://www.linphone.org/xsds/imdn.xsd\">\n\n  \
    <message-id>QZdWGtW3ck</message-id>\n  <datetime>2026-07-25T10:05:42Z</datetime>\n  \
    <recipient-uri>sip:bob@example.test</recipient-uri>\n\n  <display-notification>\n    <status>\n      \
    <displayed/>\n    </status>\n  </display-notification>\n</imdn>\n";

const IS_COMPOSING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\" ?>\n\
    <isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\n\n  <state>active</state>\n  \
    <contenttype>text/plain</contenttype>\n  <refresh>60</refresh>\n\n</isComposing>\n";

/// A publication in the shape Linphone sends, 1 KB.
const PIDF: &str = include_str!("../tests/documents/like_linphone.xml");

/// The first text of a session, in the header field of a Lync-family INVITE.
const MS_TEXT_FORMAT: &str = "text/plain; charset=UTF-8;msgr=WAAtAE0ATQBTAC0ASQBNAC0ARgBvAHIAbQBhAHQAOgAgAEYATgA9AE0\
    AUwAlADIAMABTAGgAZQBsAGwAJQAyADAARABsAGcAOwAgAEUARgA9ADsAIABDAE8APQAwADsAIABDAFMAPQAwADsAIABQAEYAPQAwAA0ACgANAA\
    oA;ms-body=THVuY2ggYXQgb25lLCBhcyB1c3VhbD8=";

/// What a Lync-family client publishes of its device and its user when it signs in.
const PUBLISH: &str = "<publish xmlns=\"http://schemas.microsoft.com/2006/09/sip/rich-presence\">\
    <publications uri=\"sip:alice@example.test\">\
    <publication categoryName=\"device\" instance=\"3572342876\" container=\"2\" version=\"0\" expireType=\"endpoint\">\
    <device xmlns=\"http://schemas.microsoft.com/2006/09/sip/device\" endpointId=\"C707E38E-1E10-5413-94D9-ECAC260A0269\">\
    <capabilities preferred=\"false\" uri=\"sip:alice@example.test\"><text capture=\"true\" render=\"true\" publish=\"false\"/>\
    <gifInk capture=\"false\" render=\"true\" publish=\"false\"/><isfInk capture=\"false\" render=\"true\" publish=\"false\"/>\
    </capabilities><timezone>00:00:00+01:00</timezone><machineName>desk</machineName></device></publication>\
    <publication categoryName=\"state\" instance=\"993308598\" container=\"2\" version=\"0\" expireType=\"endpoint\">\
    <state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" manual=\"false\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"machineState\">\
    <availability>3500</availability><endpointLocation/></state></publication>\
    <publication categoryName=\"state\" instance=\"993308598\" container=\"3\" version=\"0\" expireType=\"endpoint\">\
    <state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" manual=\"false\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"machineState\">\
    <availability>3500</availability><endpointLocation/></state></publication></publications></publish>";

/// Stops a benchmark whose input is not what it should be.
fn right<T, E: std::fmt::Display>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

fn ours() -> ImSession<'static> {
    ImSession {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        session_id: 7,
        port: 5061,
        uri: Some("sip:bob@example.test"),
        accept_types: ACCEPT_TYPES,
    }
}

#[divan::bench(sample_size = 100)]
fn sdp_parse(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(OFFER))
        .bench(|| right(SessionDescription::parse(black_box(OFFER).as_bytes())));
}

#[divan::bench(sample_size = 100)]
fn sdp_answer(bencher: Bencher<'_, '_>) {
    let (ours, offer) = (ours(), right(SessionDescription::parse(OFFER.as_bytes())));
    bencher.bench(|| {
        let answer = black_box(&ours).answer(black_box(&offer));
        answer.unwrap_or_else(|| panic!("the offer has an IM session"))
    });
}

#[divan::bench(sample_size = 100)]
fn sdp_offer(bencher: Bencher<'_, '_>) {
    let ours = ours();
    bencher.bench(|| black_box(&ours).offer());
}

#[divan::bench(sample_size = 100)]
fn cpim_parse(bencher: Bencher<'_, '_>) {
    let body = Bytes::from_static(CPIM.as_bytes());
    bencher
        .counter(BytesCount::of_str(CPIM))
        .bench(|| right(Cpim::parse(black_box(&body))));
}

/// Parsing, and what routing a receipt back needs.
#[divan::bench(sample_size = 100)]
fn cpim_parse_and_look(bencher: Bencher<'_, '_>) {
    let body = Bytes::from_static(CPIM.as_bytes());
    bencher.counter(BytesCount::of_str(CPIM)).bench(|| {
        let message = right(Cpim::parse(black_box(&body)));
        let asked: Vec<Disposition> = message.dispositions();
        let content_type = message.content_type().map(|value| value.len());
        (message.message_id().map(str::len), asked, content_type)
    });
}

#[divan::bench(sample_size = 100)]
fn imdn_parse(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(IMDN))
        .bench(|| right(Imdn::parse(black_box(IMDN).as_bytes())));
}

#[divan::bench(sample_size = 100)]
fn imdn_print(bencher: Bencher<'_, '_>) {
    let receipt = right(Imdn::parse(IMDN.as_bytes()));
    bencher.bench(|| black_box(&receipt).print());
}

#[divan::bench(sample_size = 100)]
fn is_composing_parse(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(IS_COMPOSING))
        .bench(|| right(IsComposing::parse(black_box(IS_COMPOSING).as_bytes())));
}

#[divan::bench(sample_size = 100)]
fn is_composing_print(bencher: Bencher<'_, '_>) {
    let typing = right(IsComposing::parse(IS_COMPOSING.as_bytes()));
    bencher.bench(|| black_box(&typing).print());
}

#[divan::bench(sample_size = 100)]
fn ms_text_format_parse(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_str(MS_TEXT_FORMAT)).bench(|| {
        let text = right(MsTextFormat::parse(black_box(MS_TEXT_FORMAT)));
        text.unwrap_or_else(|| panic!("the value carries a text"))
    });
}

/// Once for each PUBLISH.
#[divan::bench(sample_size = 100)]
fn pidf_parse(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(PIDF))
        .bench(|| right(Presence::parse(black_box(PIDF).as_bytes())));
}

/// As many small tuples and prefixes as the limits allow, nearly. A byte costs more than above: each name walks the
/// declarations in scope, and what is kept is five times as long.
#[divan::bench(sample_count = 20)]
fn pidf_parse_worst(bencher: Bencher<'_, '_>) {
    let prefixes: String = (0..62).map(|n| format!(" xmlns:n{n}='urn:n{n}'")).collect();
    let tuples: String = (0..600)
        .map(|n| format!("<tuple id='t{n}'><status/><n{0}:x n1:y='n2:z'/></tuple>", n % 62))
        .collect();
    let document = format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'{prefixes}>{tuples}</presence>"
    );
    bencher
        .counter(BytesCount::of_str(&document))
        .bench(|| right(Presence::parse(black_box(&document).as_bytes())));
}

/// Once for each form in which a fan-out goes out.
#[divan::bench(sample_size = 100)]
fn pidf_print(bencher: Bencher<'_, '_>) {
    let presence = right(Presence::parse(PIDF.as_bytes()));
    bencher.bench(|| black_box(&presence).print());
}

/// Two publications with the same ids, put together.
#[divan::bench(sample_size = 100)]
fn pidf_unify_ids(bencher: Bencher<'_, '_>) {
    let mut presence = right(Presence::parse(PIDF.as_bytes()));
    presence.tuples.extend(presence.tuples.clone());
    presence.persons.extend(presence.persons.clone());
    bencher.bench(|| {
        let mut unified = black_box(&presence).clone();
        right(unified.unify_ids());
        unified
    });
}

#[divan::bench(sample_size = 100)]
fn publish_parse(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(PUBLISH))
        .bench(|| right(Publish::parse(black_box(PUBLISH).as_bytes())));
}

fn away() -> State {
    let mut state = State::new(StateKind::AggregateState);
    state.availability = Some(15_500);
    state.activity = Some(Activity {
        token: Some("away".to_owned()),
        ..Activity::default()
    });
    state.last_active = Some("2026-11-21T08:00:00Z".to_owned());
    state
}

#[divan::bench(sample_size = 100)]
fn state_print(bencher: Bencher<'_, '_>) {
    let state = away();
    bencher.bench(|| black_box(&state).print());
}

#[divan::bench(sample_size = 100)]
fn categories_print(bencher: Bencher<'_, '_>) {
    let state = CategoryInstance {
        name: "state".to_owned(),
        instance: 1,
        publish_time: Some("2026-11-21T08:12:01Z".to_owned()),
        container: None,
        version: None,
        expire_type: None,
        expires: None,
        endpoint_id: None,
        content: Some(away().print()),
    };
    let categories = Categories {
        uri: "sip:bob@example.test".to_owned(),
        categories: vec![Category::Instance(state), Category::Removed("note".to_owned())],
    };
    bencher.bench(|| black_box(&categories).print());
}

/// The documents of a list of eighty, put together for one watcher.
#[divan::bench]
fn related_of_eighty(bencher: Bencher<'_, '_>) {
    let part = |content_id: String| RelatedPart {
        content_id,
        content_type: sip_bodies::pidf::CONTENT_TYPE.to_owned(),
        body: Bytes::from_static(PIDF.as_bytes()),
    };
    let parts: Vec<RelatedPart> = (0..80)
        .map(|number| part(format!("{number}@example.test")))
        .collect();
    bencher
        .counter(BytesCount::new(PIDF.len() * 80))
        .with_inputs(|| (part("root@example.test".to_owned()), parts.clone()))
        .bench_values(|(root, parts)| {
            let related = right(Related::new(root, parts, RelatedStyle::Standard));
            black_box(related.print())
        });
}
