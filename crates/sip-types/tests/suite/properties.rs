//! Properties that hold for all input: parsing never panics, and what was parsed prints to something that parses
//! to the same.

use bytes::Bytes;
use proptest::prelude::*;
use sip_types::syntax::{quote, split_list, unquote};
use sip_types::{
    AddressOfRecord, AuthParams, HeaderName, Message, Method, NameAddr, Params, ParseErrorKind, Request,
    SipStr, StatusCode, TypedHeader, Uri, typed,
};

use crate::typed_headers;

fn text(value: impl Into<String>) -> SipStr {
    SipStr::from(value.into())
}

/// Parses, prints, parses again: the same value, and the same print.
fn round_trip<T: PartialEq + std::fmt::Debug + std::fmt::Display, E: std::fmt::Debug>(
    value: &str,
    parse: impl Fn(&SipStr) -> Result<T, E>,
) -> Option<T> {
    let first = parse(&text(value)).ok()?;
    let printed = first.to_string();
    let second = parse(&text(printed.clone()))
        .unwrap_or_else(|error| panic!("{value:?} prints {printed:?}: {error:?}"));
    assert_eq!(second, first, "{value:?} prints {printed:?}");
    assert_eq!(second.to_string(), printed);
    Some(first)
}

fn header<H: TypedHeader + PartialEq + std::fmt::Debug>(value: &str) -> Option<H> {
    round_trip(value, H::parse)
}

// === grammar ===

const TOKEN: &str = "[a-zA-Z0-9.!%*_+`'~-]{1,12}";
const USER: &str = "([a-zA-Z0-9_.!~*'()&=+$,;?/-]|%[0-9A-F]{2}){1,12}";
const HOST: &str =
    "([a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?\\.){0,2}[a-z]{1,5}|192\\.0\\.2\\.[1-9]|\\[2001:db8::[0-9a-f]{1,4}\\]";
const QUOTED: &str = "\"([ !#-\\[\\]-~äЖ大]|\\\\[ -~])*\"";

fn uri() -> impl Strategy<Value = String> {
    let sip = (
        prop_oneof!["sip", "sips", "SIP"],
        proptest::option::of(USER),
        HOST,
        proptest::option::of(0u16..),
        proptest::collection::vec(
            ("[a-z]{1,6}", proptest::option::of("[a-zA-Z0-9:/&+$.-]{1,8}")),
            0..3,
        ),
        proptest::collection::vec(("[a-z]{1,6}", "[a-zA-Z0-9:/?+$%.-]{0,8}"), 0..2),
    )
        .prop_map(|(scheme, user, host, port, params, headers)| {
            let user = user.map_or(String::new(), |user| format!("{user}@"));
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let params: String = params
                .into_iter()
                .map(|(name, value)| value.map_or(format!(";{name}"), |value| format!(";{name}={value}")))
                .collect();
            let headers: Vec<String> = headers
                .into_iter()
                .map(|(name, value)| format!("{name}={}", value.replace('%', "")))
                .collect();
            let mark = if headers.is_empty() { "" } else { "?" };
            format!("{scheme}:{user}{host}{port}{params}{mark}{}", headers.join("&"))
        });
    prop_oneof![4 => sip, 1 => "tel:\\+[0-9-]{1,12}".prop_map(String::from), 1 => "urn:[a-z:/?#@.-]{1,12}".prop_map(String::from)]
}

fn params() -> impl Strategy<Value = String> {
    let value = prop_oneof![TOKEN.prop_map(Some), QUOTED.prop_map(Some), Just(None)];
    proptest::collection::vec((TOKEN, value, "[ \t]{0,2}"), 0..4).prop_map(|all| {
        all.into_iter()
            .map(|(name, value, blank)| match value {
                Some(value) => format!("{blank};{name}{blank}={blank}{value}"),
                None => format!("{blank};{blank}{name}"),
            })
            .collect()
    })
}

fn name_addr() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just(String::new()),
        QUOTED.prop_map(String::from),
        "[a-zA-Z0-9.ä-]{1,6}( [a-zA-Z0-9.]{1,6})?".prop_map(String::from)
    ];
    (name, "[ \t]{0,2}", uri(), params())
        .prop_map(|(name, blank, uri, params)| format!("{name}{blank}<{uri}>{params}"))
}

fn token_params() -> impl Strategy<Value = String> {
    (TOKEN, params()).prop_map(|(token, params)| format!("{token}{params}"))
}

fn auth() -> impl Strategy<Value = String> {
    let value = prop_oneof![TOKEN.prop_map(String::from), QUOTED.prop_map(String::from)];
    (TOKEN, proptest::collection::vec((TOKEN, value), 1..6)).prop_map(|(scheme, list)| {
        let list: Vec<String> = list
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{scheme} {}", list.join(", "))
    })
}

fn via() -> impl Strategy<Value = String> {
    (TOKEN, "[ \t]{0,2}", HOST, proptest::option::of(0u16..), params()).prop_map(
        |(transport, blank, host, port, params)| {
            let port = port.map_or(String::new(), |port| format!("{blank}:{blank}{port}"));
            format!("SIP{blank}/{blank}2.0{blank}/{blank}{transport} {blank}{host}{port}{params}")
        },
    )
}

/// Text that is nearly SIP: pieces that mean something to one parser or another, in any order.
fn nearly_sip() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => TOKEN.prop_map(String::from),
        2 => "[ \t;,=<>\":/@\\\\?&%()*.#\\[\\]-]".prop_map(String::from),
        1 => QUOTED.prop_map(String::from),
        1 => uri(),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => prop_oneof!["sip:", "tel:", "tag=", "Digest ", "SIP/2.0/", "z9hG4bK", ";lr", "%00", "[::1]", "Mon, ", "GMT", "\u{0}", "é"]
            .prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

// === properties ===

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn uris_print_as_they_were(uri in uri()) {
        let parsed = round_trip(&uri, Uri::parse).unwrap();
        prop_assert_eq!(parsed.as_str(), uri.as_str());
        prop_assert!(parsed.equivalent(&parsed));
    }

    #[test]
    fn addresses_print_and_parse(value in name_addr()) {
        let address = round_trip(&value, NameAddr::parse).unwrap();
        prop_assert!(round_trip(&value, typed::From::parse).unwrap().uri == address.uri);
        header::<typed::To>(&value).unwrap();
        header::<typed::Contact>(&value).unwrap();
        header::<typed::Route>(&value).unwrap();
        header::<typed::RecordRoute>(&value).unwrap();
        header::<typed::Path>(&value).unwrap();
        header::<typed::ServiceRoute>(&value).unwrap();
        header::<typed::ReferTo>(&value).unwrap();
        header::<typed::ReferredBy>(&value).unwrap();
        header::<typed::ReplyTo>(&value).unwrap();
        header::<typed::PAssertedIdentity>(&value).unwrap();
        header::<typed::PPreferredIdentity>(&value).unwrap();
        header::<typed::CallInfo>(&value).unwrap();
        header::<typed::AlertInfo>(&value).unwrap();
        header::<typed::ErrorInfo>(&value).unwrap();
    }

    #[test]
    fn lists_of_addresses_are_cut_where_they_were_joined(values in proptest::collection::vec(name_addr(), 1..5)) {
        let joined = values.join(" , ");
        let items: Vec<&str> = split_list(&joined).collect::<Result<_, _>>().unwrap();
        let trimmed: Vec<&str> = values.iter().map(|value| value.trim_matches([' ', '\t'])).collect();
        prop_assert_eq!(items, trimmed);
    }

    #[test]
    fn parameters_print_and_parse(value in params(), name in TOKEN, new in ".{0,10}") {
        let list = round_trip(&value, Params::parse).unwrap();
        let set = list.with(&name, &new);
        let clean: String = new.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }).collect();
        prop_assert_eq!(set.text(&name).unwrap(), clean.as_str());
        prop_assert!(round_trip(&set.to_string(), Params::parse).unwrap() == set);
        prop_assert!(!set.without(&name).has(&name));
    }

    #[test]
    fn tokens_with_parameters_print_and_parse(value in token_params()) {
        header::<typed::Event>(&value).unwrap();
        header::<typed::SubscriptionState>(&value).unwrap();
        header::<typed::ContentDisposition>(&value).unwrap();
        header::<typed::AcceptEncoding>(&value).unwrap();
        header::<typed::AcceptLanguage>(&value).unwrap();
        header::<typed::Reason>(&value).unwrap();
        let media = format!("application/{value}");
        header::<typed::ContentType>(&media);
        header::<typed::Accept>(&media).unwrap();
        header::<typed::RetryAfter>(&format!("120 (a (b)){}", value.get(value.find(';').unwrap_or(value.len())..).unwrap())).unwrap();
        header::<typed::ReferSub>(&format!("false{}", value.get(value.find(';').unwrap_or(value.len())..).unwrap())).unwrap();
        let dialog = format!("a@b;to-tag=1;from-tag=2{}", value.get(value.find(';').unwrap_or(value.len())..).unwrap());
        header::<typed::Replaces>(&dialog).unwrap();
        header::<typed::Join>(&dialog).unwrap();
    }

    #[test]
    fn tokens_print_and_parse(value in TOKEN) {
        header::<typed::Supported>(&value).unwrap();
        header::<typed::Require>(&value).unwrap();
        header::<typed::ProxyRequire>(&value).unwrap();
        header::<typed::Unsupported>(&value).unwrap();
        header::<typed::AllowEvents>(&value).unwrap();
        header::<typed::Allow>(&value).unwrap();
        header::<typed::ContentEncoding>(&value).unwrap();
        header::<typed::ContentLanguage>(&value).unwrap();
        header::<typed::SipEtag>(&value).unwrap();
        header::<typed::SipIfMatch>(&value).unwrap();
        header::<typed::Priority>(&value).unwrap();
        header::<typed::Privacy>(&format!("id;{value}")).unwrap();
        header::<typed::CallId>(&format!("{value}@{value}")).unwrap();
        header::<typed::InReplyTo>(&value).unwrap();
        header::<typed::CSeq>(&format!("7 {value}")).unwrap();
    }

    #[test]
    fn numbers_print_and_parse(number: u32, date in 0u64..253_402_300_800) {
        let value = number.to_string();
        header::<typed::Expires>(&value).unwrap();
        header::<typed::MinExpires>(&value).unwrap();
        header::<typed::FlowTimer>(&value).unwrap();
        header::<typed::ContentLength>(&value).unwrap();
        header::<typed::Timestamp>(&format!("{value}.{value} .5")).unwrap();
        prop_assert_eq!(header::<typed::MaxForwards>(&value).is_some(), number <= 255);
        prop_assert_eq!(header::<typed::CSeq>(&format!("{value} ACK")).is_some(), number < 1 << 31);
        prop_assert_eq!(header::<typed::Date>(&typed::Date::from_unix(date).to_string()).unwrap().unix(), date);
        header::<typed::MimeVersion>(&format!("{}.{}", number % 256, date % 256)).unwrap();
    }

    #[test]
    fn credentials_print_and_parse(value in auth()) {
        round_trip(&value, AuthParams::parse).unwrap();
        header::<typed::Authorization>(&value).unwrap();
        header::<typed::WwwAuthenticate>(&value).unwrap();
        header::<typed::ProxyAuthorization>(&value).unwrap();
        header::<typed::ProxyAuthenticate>(&value).unwrap();
        header::<typed::AuthenticationInfo>(&value).unwrap();
        let (_, list) = value.split_once(' ').unwrap();
        round_trip(list, AuthParams::parse_without_scheme).unwrap();
        header::<typed::AuthenticationInfo>(list).unwrap();
    }

    #[test]
    fn hops_print_and_parse(value in via()) {
        header::<typed::Via>(&value).unwrap();
    }

    #[test]
    fn text_prints_and_parses(value in "[ -~äЖ大]{0,40}", code in 100u16..1000) {
        header::<typed::Subject>(&value);
        header::<typed::Organization>(&value);
        header::<typed::Server>(&value);
        header::<typed::UserAgent>(&value);
        let warning = typed::Warning::new(code, "fe1.example.test:5061", &value).unwrap();
        prop_assert_eq!(header::<typed::Warning>(&warning.to_string()).unwrap(), warning);
    }

    #[test]
    fn quoting_and_unquoting_are_inverse(value in "[^\r\n]{0,30}") {
        prop_assert_eq!(unquote(&text(quote(&value))).unwrap(), value.as_str());
    }

    #[test]
    fn addresses_of_record_are_canonical(value in prop_oneof![uri(), nearly_sip(), "\\PC{1,8}@[a-z.]{1,8}"]) {
        if let Ok(address) = AddressOfRecord::parse(&value) {
            prop_assert_eq!(&AddressOfRecord::parse(address.as_str()).unwrap(), &address);
            let uri = address.to_uri_string();
            prop_assert_eq!(&AddressOfRecord::parse(&uri).unwrap(), &address);
            prop_assert_eq!(Uri::parse(&text(uri)).unwrap().aor().unwrap(), address.clone());
            prop_assert_eq!(AddressOfRecord::parse(&address.as_str().to_ascii_uppercase()).unwrap(), address);
        }
    }

    #[test]
    fn nearly_sip_values_never_panic(value in nearly_sip()) {
        round_trip(&value, Uri::parse);
        round_trip(&value, NameAddr::parse);
        round_trip(&value, Params::parse);
        round_trip(&value, AuthParams::parse);
        prop_assert!(split_list(&value).count() <= value.len() + 1);
        typed_headers::try_all(&value);
        // Through a message, folded as a peer might.
        let head = format!("OPTIONS sip:a@h SIP/2.0\r\nVia: {}\r\n\r\n", value.replace('\t', "\r\n "));
        survives(head.as_bytes());
    }

    #[test]
    fn built_messages_parse_to_the_same(
        method in TOKEN,
        uri in uri(),
        fields in proptest::collection::vec((TOKEN, "\\PC{0,30}"), 0..30),
        body in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let method = Method::parse(&text(method)).unwrap();
        let mut builder = Request::builder(method.clone(), &uri);
        for (name, value) in &fields {
            builder = builder.raw_line(&format!("X-{name}: {value}"));
        }
        let built = builder.body("", Bytes::from(body)).build();
        let parsed = Message::parse(built.head().clone(), built.body().clone()).unwrap();
        let Message::Request(parsed) = parsed else { panic!("a request") };
        prop_assert_eq!(&parsed, &built);
        prop_assert_eq!((parsed.method(), parsed.uri()), (&method, built.uri()));
        let pairs = |request: &Request| request.headers().iter_verbatim().collect::<Vec<_>>();
        prop_assert_eq!(pairs(&parsed), pairs(&built));
        for ((name, value), (_, printed)) in fields.iter().zip(pairs(&parsed)) {
            let expected = value.trim_matches([' ', '\t']).replace(['\r', '\n', '\0'], " ");
            prop_assert_eq!(printed.trim(), expected.trim(), "{}", name);
        }
        let reply = parsed.reply(StatusCode::OK).reason("x y").to_tag("t").build();
        prop_assert!(Message::parse(reply.head().clone(), Bytes::new()).is_ok());
        let signed = reply.with_header(HeaderName::AuthenticationInfo, "a=b");
        let Message::Response(again) = Message::parse(signed.head().clone(), Bytes::new()).unwrap() else { panic!("a response") };
        prop_assert_eq!(again.headers().iter().collect::<Vec<_>>(), signed.headers().iter().collect::<Vec<_>>());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
        let framed = [b"INVITE sip:a@h SIP/2.0\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat();
        survives(&framed);
    }

    #[test]
    fn damaged_messages_never_panic(
        at in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 0..8),
    ) {
        let seeds = seeds();
        let mut bytes = at.get(&seeds).clone();
        for (place, byte, kind) in cuts {
            let place = place.index(bytes.len().max(1));
            match kind {
                _ if bytes.is_empty() => {}
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                2 => { bytes.remove(place); }
                _ => bytes.truncate(place),
            }
        }
        survives(&bytes);
    }
}

/// The message files.
fn seeds() -> Vec<Vec<u8>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages/");
    let files = ["valid", "invalid"]
        .into_iter()
        .flat_map(|kind| std::fs::read_dir(format!("{root}{kind}")).unwrap());
    let paths = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "sip"));
    let mut all: Vec<_> = paths
        .map(|path| std::fs::read(path).unwrap())
        .filter(|bytes| bytes.len() < 3000)
        .collect();
    all.sort();
    all
}

/// Does with the bytes all that a server does.
fn survives(bytes: &[u8]) {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(bytes.len(), |at| at + 4);
    let (head, body) = bytes.split_at(end);
    match Message::parse(Bytes::copy_from_slice(head), Bytes::copy_from_slice(body)) {
        Err(error) => {
            if let Some(answer) = error.response() {
                answer.validate().unwrap();
                // An answer goes back along all hops, even if they are too many.
                let again = Message::parse(answer.head().clone(), Bytes::new());
                assert!(
                    again.is_ok() || again.is_err_and(|error| error.kind() == ParseErrorKind::TooManyVias),
                    "{answer}"
                );
            }
        }
        Ok(message) => {
            typed_headers::errors(message.headers());
            message
                .headers()
                .iter()
                .for_each(|(name, _)| assert!(!name.as_str().is_empty()));
            if let Message::Request(request) = message {
                let valid = request.validate();
                let reply = request.reply(StatusCode::BAD_REQUEST).to_tag("x").build();
                assert!(Message::parse(reply.head().clone(), Bytes::new()).is_ok());
                assert!(valid.is_err() || reply.validate().is_ok(), "{reply}");
            }
        }
    }
}
