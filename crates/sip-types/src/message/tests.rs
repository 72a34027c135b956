use super::*;
use crate::{HeaderName, Method, StatusCode};

fn message(text: &str) -> Message {
    let end = text.find("\r\n\r\n").unwrap() + 4;
    Message::parse(
        Bytes::copy_from_slice(&text.as_bytes()[..end]),
        Bytes::copy_from_slice(&text.as_bytes()[end..]),
    )
    .unwrap()
}

#[test]
fn a_built_request_is_like_a_parsed_one() {
    let built = Request::builder(Method::Message, "sip:bob@example.test")
        .header(HeaderName::Via, "SIP/2.0/TLS h;branch=z9hG4bK1")
        .header(HeaderName::From, "<sip:alice@example.test>;tag=1")
        .header(HeaderName::To, "<sip:bob@example.test>")
        .header(HeaderName::CallId, "c@h")
        .header(HeaderName::CSeq, "1 MESSAGE")
        .raw_line("x-own : v")
        .body("text/plain", Bytes::from_static(b"hi"))
        .build();
    let text = built.to_string();
    assert!(
        text.ends_with("x-own: v\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"),
        "{text}"
    );
    let Message::Request(parsed) = message(&text) else {
        panic!("a request")
    };
    assert_eq!(parsed, built);
    assert_eq!(parsed.uri(), built.uri());
    assert_eq!(
        parsed.headers().iter().collect::<Vec<_>>(),
        built.headers().iter().collect::<Vec<_>>()
    );
    assert_eq!(parsed.validate(), Ok(()));
}

#[test]
fn a_reply_copies_what_rfc_3261_says_and_gets_a_tag() {
    let Message::Request(request) = message(
        "OPTIONS sip:a@h SIP/2.0\r\nv: SIP/2.0/TCP x;branch=z9hG4bKa, SIP/2.0/TCP y\r\nVia: SIP/2.0/TCP z\r\n\
         f: <sip:b@h>;tag=9\r\nTo:\r\n sip:a@h\r\ni: 1\r\nCSeq: 7 OPTIONS\r\nSubject: no\r\nl: 0\r\n\r\n",
    ) else {
        panic!("a request")
    };
    let reply = request
        .reply(StatusCode::OK)
        .to_tag("t1")
        .to_tag("t2")
        .header(HeaderName::Server, "x\r\ny: z")
        .build();
    assert_eq!(
        reply.to_string(),
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKa, SIP/2.0/TCP y\r\nVia: SIP/2.0/TCP z\r\n\
         From: <sip:b@h>;tag=9\r\nTo: sip:a@h;tag=t1\r\nCall-ID: 1\r\nCSeq: 7 OPTIONS\r\nServer: x  y: z\r\n\
         Content-Length: 0\r\n\r\n"
    );
    assert_eq!(reply.to().unwrap().tag().unwrap(), "t1");
    assert_eq!(reply.cseq().unwrap().number, 7);
    assert_eq!(reply.validate(), Ok(()));
}

#[test]
fn a_reason_may_be_replaced_at_any_time() {
    let reply = Response::builder(StatusCode::BAD_REQUEST)
        .header(HeaderName::CallId, "c")
        .reason("No\r\nWay")
        .build();
    assert_eq!(
        reply.to_string(),
        "SIP/2.0 400 No  Way\r\nCall-ID: c\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(
        (reply.reason(), reply.call_id().unwrap().as_str()),
        ("No  Way", "c")
    );
}

#[test]
fn one_more_header_goes_before_content_length() {
    let Message::Response(response) = message("SIP/2.0 200 OK\r\ni: c\r\nl: 2\r\nx: y\r\n\r\nhi") else {
        panic!("a response")
    };
    let signed = response
        .with_header(HeaderName::AuthenticationInfo, "NTLM a=\"b\"")
        .with_header("z".into(), 1);
    assert_eq!(
        signed.to_string(),
        "SIP/2.0 200 OK\r\ni: c\r\nAuthentication-Info: NTLM a=\"b\"\r\nz: 1\r\nl: 2\r\nx: y\r\n\r\nhi"
    );
    let all: Vec<_> = signed
        .headers()
        .iter()
        .map(|(_, value)| value.to_string())
        .collect();
    assert_eq!(all, ["c", "NTLM a=\"b\"", "1", "2", "y"]);
    let same = signed.clone().with_header(HeaderName::ContentLength, 99);
    assert_eq!(same, signed);
    let Message::Response(bare) = message("SIP/2.0 200 OK\r\n\r\n") else {
        panic!("a response")
    };
    assert_eq!(
        bare.with_header("z".into(), "").to_string(),
        "SIP/2.0 200 OK\r\nz: \r\n\r\n"
    );
}

#[test]
fn nothing_given_to_a_builder_can_add_a_line() {
    let request = Request::builder(
        Method::Other("X Y\r\nEvil: 1".into()),
        "sip:a@h SIP/2.0\r\nEvil: 2\r\n",
    )
    .header(HeaderName::Other("na me\r\n".into()), "v\r\n\r\nbody\0")
    .raw_line("\r\nb: c\nd")
    .build();
    let text = request.to_string();
    assert_eq!(text.matches("\r\n").count(), 5, "{text}");
    assert!(!text.contains("\r\nEvil"), "{text}");
    assert_eq!(request.uri(), "sip:a@h%20SIP/2.0%0D%0AEvil:%202%0D%0A");
}

#[test]
fn a_broken_head_is_answered_from_validated_parts() {
    let head = "MESSAGE sip:a@h SIP/2.0\r\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\r\nFrom: <sip:b@h>;tag=1\r\n\
                To: \"A\r\n B\" <sip:a@h>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\nBad Header\r\nContent-Length: 0\r\n\r\n";
    let error = Message::parse(head.into(), Bytes::new()).unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ParseErrorKind::HeaderField, StatusCode::BAD_REQUEST)
    );
    let response = error.response().unwrap();
    assert!(
        response
            .head()
            .starts_with(b"SIP/2.0 400 Bad Request - malformed header field\r\n")
    );
    assert!(response.to().unwrap().tag().is_some());
    assert_eq!(response.validate(), Ok(()));
    assert_eq!(
        error.response().unwrap(),
        response,
        "a repeated request gets the same answer"
    );
}

#[test]
fn what_can_not_be_answered_is_not() {
    let rest = "Via: SIP/2.0/TLS x\r\nFrom: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: c\r\nbad\r\n";
    for (line, cseq) in [
        ("ACK sip:a@h SIP/2.0", "1 ACK"),
        ("SIP/2.0 200 OK", "1 INVITE"),
        ("INVITE sip:a@h SIP/2.0", "x"),
    ] {
        let head = format!("{line}\r\n{rest}CSeq: {cseq}\r\n\r\n");
        let error = Message::parse(head.into(), Bytes::new()).unwrap_err();
        assert!(error.response().is_none(), "{line}");
    }
}

#[test]
fn a_head_without_length_can_not_be_framed() {
    let head = MessageHead::parse(Bytes::from_static(b"OPTIONS sip:a@h SIP/2.0\r\n\r\n")).unwrap();
    assert_eq!(
        head.content_length().unwrap_err().kind(),
        ParseErrorKind::ContentLength
    );
    assert!(head.refuse(StatusCode::REQUEST_TIMEOUT).is_none());
}

#[test]
fn framing_is_strict() {
    use ParseErrorKind as Kind;
    let long = |count: usize, line: &str| line.repeat(count);
    let cases: Vec<(String, Kind)> = vec![
        ("".into(), Kind::HeadEnd),
        ("OPTIONS sip:a@h SIP/2.0\r\n".into(), Kind::HeadEnd),
        ("OPTIONS sip:a@h SIP/2.0\r\n\r\nx".into(), Kind::HeadEnd),
        ("OPTIONS sip:a@h SIP/2.0\r\n\r\n\r\n".into(), Kind::HeadEnd),
        ("OPTIONS sip:a@h SIP/2.0\na: b\r\n\r\n".into(), Kind::LineEnd),
        ("OPTIONS sip:a@h SIP/2.0\r\na: b\rc\r\n\r\n".into(), Kind::LineEnd),
        ("OPTIONS sip:a@h SIP/2.0\r\na: b\n\r\n".into(), Kind::LineEnd),
        ("OPTIONS sip:a@h SIP/2.0\r\na: b\0\r\n\r\n".into(), Kind::Nul),
        (
            "OPTIONS sip:a@h SIP/2.0\r\na: \"\\\\\0\"\r\n\r\n".into(),
            Kind::Nul,
        ),
        ("OPTIONS sip:a@h SIP/2.0\r\n a: b\r\n\r\n".into(), Kind::Fold),
        ("OPTIONS sip:a@h SIP/2.0\r\na b\r\n\r\n".into(), Kind::HeaderField),
        ("OPTIONS sip:a@h SIP/2.0\r\n: b\r\n\r\n".into(), Kind::HeaderField),
        (
            "OPTIONS sip:a@h SIP/2.0\r\na b: c\r\n\r\n".into(),
            Kind::HeaderField,
        ),
        ("OPTIONS  sip:a@h SIP/2.0\r\n\r\n".into(), Kind::StartLine),
        ("OPTIONS sip:a@h  SIP/2.0\r\n\r\n".into(), Kind::StartLine),
        ("OPTIONS sip:a@h SIP/2.0 \r\n\r\n".into(), Kind::StartLine),
        ("OPTIONS sip:a@h; lr SIP/2.0\r\n\r\n".into(), Kind::StartLine),
        ("OPTIONS sip:a@h\r\n\r\n".into(), Kind::StartLine),
        ("OPTIONS sip:a@h HTTP/1.1\r\n\r\n".into(), Kind::StartLine),
        ("\r\n\r\n".into(), Kind::StartLine),
        ("SIP/3.0 200 OK\r\n\r\n".into(), Kind::Version),
        ("SIP/2.0 4294967301 no\r\n\r\n".into(), Kind::StatusCode),
        ("SIP/2.0 099 no\r\n\r\n".into(), Kind::StatusCode),
        (
            "OPTIONS sip:a@h SIP/2.0\r\nl: 0\r\nContent-Length: 0\r\n\r\n".into(),
            Kind::ContentLength,
        ),
        (
            format!("OPTIONS sip:{} SIP/2.0\r\n\r\n", long(8192, "a")),
            Kind::StartLineTooLong,
        ),
        (
            format!("OPTIONS sip:a@h SIP/2.0\r\na: {}\r\n\r\n", long(8192, "b")),
            Kind::HeaderTooLong,
        ),
        (
            format!(
                "OPTIONS sip:a@h SIP/2.0\r\na: b\r\n{}\r\n",
                long(1000, " 90123456\r\n")
            ),
            Kind::HeaderTooLong,
        ),
        (
            format!("OPTIONS sip:a@h SIP/2.0\r\n{}\r\n", long(257, "a: b\r\n")),
            Kind::TooManyFields,
        ),
        (
            format!("OPTIONS sip:a@h SIP/2.0\r\nVia: h{}\r\n\r\n", long(70, ",h")),
            Kind::TooManyVias,
        ),
        (
            format!(
                "OPTIONS sip:a@h SIP/2.0\r\n{}{}\r\n",
                long(16, "Route: h\r\n"),
                long(17, "Record-Route: h\r\n")
            ),
            Kind::TooManyRoutes,
        ),
        (
            format!("OPTIONS sip:a@h SIP/2.0\r\n{}\r\n", long(17, "m: h\r\n")),
            Kind::TooManyContacts,
        ),
        (
            format!(
                "OPTIONS sip:a@h SIP/2.0\r\n{}\r\n",
                long(65, &format!("a: {}\r\n", long(1020, "b")))
            ),
            Kind::HeadTooLarge,
        ),
    ];
    for (head, kind) in cases {
        let shown: String = head.chars().take(80).collect();
        let error = Message::parse(head.into(), Bytes::new()).unwrap_err();
        assert_eq!(error.kind(), kind, "{shown:?}");
        assert!(error.status().is_failure());
    }
    let error = Message::parse(
        Bytes::from_static(b"OPTIONS sip:a@h SIP/2.0\r\na: \xff\r\n\r\n"),
        Bytes::new(),
    )
    .unwrap_err();
    assert_eq!((error.kind(), error.offset()), (Kind::NotUtf8, 28));
}

#[test]
fn content_length_is_digits_only() {
    for bad in [
        "",
        "-1",
        "+1",
        "0x1",
        "1 2",
        "1,1",
        "1;x",
        "18446744073709551616",
        "1.0",
        "٣",
    ] {
        let head = format!("OPTIONS sip:a@h SIP/2.0\r\nContent-Length: {bad}\r\n\r\n");
        let error = Message::parse(head.into(), Bytes::from_static(b"x")).unwrap_err();
        assert_eq!(error.kind(), ParseErrorKind::ContentLength, "{bad}");
    }
    let head = Bytes::from_static(b"OPTIONS sip:a@h SIP/2.0\r\nl:  0001 \r\n\r\n");
    assert!(Message::parse(head.clone(), Bytes::from_static(b"x")).is_ok());
    assert_eq!(
        Message::parse(head, Bytes::from_static(b"xy"))
            .unwrap_err()
            .kind(),
        ParseErrorKind::BodyLength
    );
}

#[test]
fn an_escaped_nul_in_a_quoted_string_is_legal() {
    message("OPTIONS sip:a@h SIP/2.0\r\na: \"x\\\0y\"\r\n\r\n");
}

#[test]
fn debug_shows_neither_values_nor_body() {
    let shown = format!(
        "{:?}",
        message("SIP/2.0 200 OK\r\nAuthorization: secret\r\n\r\nsecret")
    );
    assert!(
        !shown.contains("secret") && shown.contains("Authorization"),
        "{shown}"
    );
}
