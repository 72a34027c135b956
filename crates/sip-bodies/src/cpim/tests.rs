use proptest::prelude::*;

use super::*;

const ASKING: &str = "From: Alice <sip:alice@example.test>\r\nTo: <sip:bob@example.test>\r\n\
    To: Carol <sip:carol@example.test>\r\nDateTime: 2026-07-25T10:05:42Z\r\nSubject:;lang=\"d e\" Gr\\u00fc\\\\e\r\n\
    NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: QZdWGtW3ck\r\n\
    imdn.Disposition-Notification: positive-delivery, negative-delivery,display, unheard-of\r\n\r\n\
    Content-Type: text/plain;\r\n charset=utf-8\r\nContent-Length: 5\r\n\r\nhello";

fn parse(text: &str) -> Result<Cpim, BodyError> {
    Cpim::parse(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn envelope_content_headers_and_content_are_told_apart() {
    let message = parse(ASKING).unwrap();
    assert_eq!(message.from_uri(), Some("sip:alice@example.test"));
    let recipients: Vec<_> = message.to_uris().collect();
    assert_eq!(recipients, ["sip:bob@example.test", "sip:carol@example.test"]);
    assert_eq!(message.date_time(), Some("2026-07-25T10:05:42Z"));
    assert_eq!(message.subject().as_deref(), Some("Grü\\e"));
    assert_eq!(
        message.content_type().as_deref(),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(message.header("Content-Length"), None, "not of the envelope");
    assert_eq!(&message.body()[..], b"hello");
}

#[test]
fn the_imdn_headers_are_found_under_any_prefix() {
    let message = parse(ASKING).unwrap();
    assert_eq!(message.message_id(), Some("QZdWGtW3ck"));
    assert_eq!(
        message.dispositions(),
        [
            Disposition::PositiveDelivery,
            Disposition::NegativeDelivery,
            Disposition::Display
        ]
    );
    let other = ASKING.replace("imdn.", "x.").replace("NS: imdn", "NS: x");
    assert_eq!(parse(&other).unwrap().message_id(), Some("QZdWGtW3ck"));
}

#[test]
fn a_prefix_counts_only_after_its_declaration_and_until_the_next() {
    let early = "imdn.Message-ID: 1\r\nNS: imdn <urn:ietf:params:imdn>\r\n\r\n\r\n";
    assert_eq!(parse(early).unwrap().message_id(), None);
    let replaced =
        "NS: imdn <urn:ietf:params:imdn>\r\nNS: imdn <urn:other>\r\nimdn.Message-ID: 1\r\n\r\n\r\n";
    assert_eq!(parse(replaced).unwrap().message_id(), None);
    let default = "NS: <urn:ietf:params:imdn>\r\nMessage-ID: 1\r\n\r\n\r\n";
    assert_eq!(parse(default).unwrap().message_id(), Some("1"));
    let undeclared = "imdn.Message-ID: 1\r\n\r\n\r\n";
    assert_eq!(parse(undeclared).unwrap().message_id(), None);
}

#[test]
fn the_body_is_a_part_of_the_buffer() {
    let whole = Bytes::from_static(ASKING.as_bytes());
    let message = Cpim::parse(&whole).unwrap();
    assert_eq!(
        message.body().as_ptr() as usize,
        whole.as_ptr() as usize + whole.len() - 5
    );
    assert_eq!(message.print().as_ptr(), whole.as_ptr());
}

#[test]
fn content_headers_may_follow_the_envelope_without_an_empty_line() {
    let message =
        parse("From: <im:alice@example.test>\r\nContent-type: text/plain\r\nContent-length: 2\r\n\r\nhi")
            .unwrap();
    assert_eq!(message.content_type().as_deref(), Some("text/plain"));
    assert_eq!(message.header("Content-length"), None);
    assert_eq!(&message.body()[..], b"hi");
}

#[test]
fn content_need_not_be_text() {
    let mut whole = b"From: <sip:a@b>\r\n\r\nContent-Type: image/gif\r\n\r\n".to_vec();
    whole.extend_from_slice(&[0xff, 0xfe, 0x00]);
    assert_eq!(
        &Cpim::parse(&Bytes::from(whole)).unwrap().body()[..],
        [0xff, 0xfe, 0x00]
    );
}

#[test]
fn broken_envelopes_are_refused() {
    for text in [
        "",
        "hello",
        "From: <sip:a@b>\r\n",
        "From: <sip:a@b>\r\n\r\n",
        "From: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\n",
        "From\r\n\r\n\r\n",
        ": x\r\n\r\n\r\n",
        " From: x\r\n\r\n\r\n",
        "From: <sip:a@b>\r\n folded\r\n\r\n\r\n",
        "Fr om: x\r\n\r\n\r\n",
    ] {
        assert!(
            matches!(parse(text), Err(BodyError::Malformed(_))),
            "{text:?}: {:?}",
            parse(text)
        );
    }
    let latin = Bytes::from_static(b"Subject: \xfc\r\n\r\n\r\n");
    assert!(matches!(Cpim::parse(&latin), Err(BodyError::Unsupported(_))));
}

#[test]
fn every_limit_holds_at_its_value_and_one_above() {
    let many = |count: usize| format!("{}\r\n\r\n", "A: b\r\n".repeat(count));
    assert!(parse(&many(FIELDS)).is_ok());
    assert!(matches!(parse(&many(FIELDS + 1)), Err(BodyError::Limit(_))));
    let long = |length: usize| format!("A: {}\r\n\r\n\r\n", "b".repeat(length - 3));
    assert!(parse(&long(FIELD_BYTES)).is_ok());
    assert!(matches!(parse(&long(FIELD_BYTES + 1)), Err(BodyError::Limit(_))));
    let folded = format!("\r\nA: b\r\n{}\r\n", " c\r\n".repeat(FIELD_BYTES / 4 + 1));
    assert!(
        matches!(parse(&folded), Err(BodyError::Limit(_))),
        "folding is no way round"
    );
}

#[test]
fn a_value_can_not_smuggle_a_header() {
    let message = Cpim::builder()
        .header("Subject", "hi\r\nFrom: <sip:mallory@example.test>")
        .imdn("1\n2", &[])
        .content_header("Content-Type", "text/plain")
        .build(b"")
        .unwrap();
    assert_eq!(message.from_uri(), None);
    assert_eq!(message.message_id(), Some("1 2"));
}

proptest! {
    #[test]
    fn build_and_parse_are_inverse(
        from in "[a-z]{1,10}",
        subject in "[a-zA-Z0-9äöü,;:<>\"]{1,20}",
        message_id in "[!-~]{1,30}",
        asked in proptest::collection::vec(0..4_usize, 0..4),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let asked: Vec<_> = asked.into_iter().map(|index| Disposition::ALL[index]).collect();
        let built = Cpim::builder()
            .header("From", &format!("<sip:{from}@example.test>"))
            .header("Subject", &subject)
            .imdn(&message_id, &asked)
            .content_header("Content-Type", "text/plain;charset=utf-8")
            .build(&body)
            .unwrap();
        let read = Cpim::parse(&built.print()).unwrap();
        prop_assert_eq!(read.from_uri().map(str::to_owned), Some(format!("sip:{from}@example.test")));
        prop_assert_eq!(read.subject().map(Cow::into_owned), Some(subject));
        prop_assert_eq!(read.message_id().map(str::to_owned), Some(message_id));
        prop_assert_eq!(read.dispositions(), asked);
        prop_assert_eq!(&read.body()[..], &body[..]);
        prop_assert_eq!(&read, &built);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Cpim::parse(&Bytes::from(bytes));
    }

    #[test]
    fn random_headers_never_panic(text in "([A-Za-z.]{0,4}[:; \\\\\"<>]{0,3}(\r\n)?){0,30}\r\n\r\n\r\n") {
        if let Ok(message) = parse(&text) {
            let _ = (message.subject(), message.message_id(), message.dispositions(), message.content_type());
        }
    }
}
