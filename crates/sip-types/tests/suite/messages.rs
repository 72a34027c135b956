//! Messages as files: each `messages/{valid,invalid}/NAME.sip` is what a peer sends, byte by byte, and
//! `NAME.expected` beside it says which rule it exercises and what must come of it.
//!
//! One `key: value` per line in an expectation:
//!
//! | Key | Meaning |
//! |---|---|
//! | `rule` | what is exercised, and where it is written |
//! | `outcome` | `request METHOD`, `response CODE`; `reject CODE REASON` by `validate`; `refuse CODE KIND` by the parser; `drop NAME`: a response with this header wrong |
//! | `answerable` | whether the parser's refusal comes with a response |
//! | `header NAME` | the value of the first field |
//! | `values NAME` | how many values, over all fields |
//! | `invalid NAME` | the typed header must fail to parse; all others must parse |
//! | `body`, `rest` | bytes of the body, and behind it |
//! | others | see `facts` |
//!
//! Three more say what a server does with the message; the scenarios in `tests/` hold it to them:
//!
//! | Key | Meaning |
//! |---|---|
//! | `connection` | `open`: the connection survives the refusal, since the end of the message is known |
//! | `fresh` | what comes on a connection nobody has signed in on, where that does not follow from `outcome`: final status codes, then `close` if it is closed |
//! | `signed-in` | the same on a connection that somebody has signed in on |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sip_types::syntax::split_list;
use sip_types::{HeaderName, Headers, Message, MessageHead, ParseError, Request, SipStr, StatusCode, typed};

use crate::typed_headers;

/// Keys that say nothing of the parts of a message.
const NO_FACTS: [&str; 5] = ["rule", "outcome", "connection", "fresh", "signed-in"];

/// What a file must come to.
struct Case {
    name: String,
    bytes: Vec<u8>,
    expected: Vec<(String, String)>,
}

impl Case {
    fn expects(&self, key: &str) -> Option<&str> {
        self.expected
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/messages")
        .join(kind)
}

fn cases(kind: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder(kind)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sip") {
            continue;
        }
        let text = std::fs::read_to_string(path.with_extension("expected"))
            .unwrap_or_else(|error| panic!("{} has no expectation: {error}", path.display()));
        let line = |line: &str| {
            let (key, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("{line:?} in {}", path.display()));
            (key.trim().to_owned(), value.trim().to_owned())
        };
        cases.push(Case {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            bytes: std::fs::read(&path).unwrap(),
            expected: text.lines().map(line).collect(),
        });
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(!cases.is_empty());
    cases
}

/// Cuts the bytes as a stream transport does, and gives what is left of them.
fn read(bytes: &[u8]) -> (Result<Message, ParseError>, usize) {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(bytes.len(), |at| at + 4);
    let (head, rest) = bytes.split_at(end);
    let head = match MessageHead::parse(Bytes::copy_from_slice(head)) {
        Ok(head) => head,
        Err(error) => return (Err(error), 0),
    };
    // A head without length comes from a datagram: all the rest is body.
    let length = head
        .content_length()
        .map_or(rest.len(), |length| usize::try_from(length).unwrap());
    let (body, rest) = rest.split_at(length.min(rest.len()));
    (head.with_body(Bytes::copy_from_slice(body)), rest.len())
}

#[test]
fn valid_messages_are_understood() {
    for case in cases("valid") {
        let (parsed, rest) = read(&case.bytes);
        let message = parsed.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let outcome = match &message {
            Message::Request(request) => {
                request
                    .validate()
                    .unwrap_or_else(|error| panic!("{}: {error}", case.name));
                format!("request {}", request.method())
            }
            Message::Response(response) => {
                response
                    .validate()
                    .unwrap_or_else(|error| panic!("{}: {error}", case.name));
                format!("response {}", response.status())
            }
        };
        assert_eq!(Some(outcome.as_str()), case.expects("outcome"), "{}", case.name);
        check_facts(&case, &message, rest);
        check_typed(&case, message.headers());
        prints_as_it_was(&case, &message);
        if let Message::Request(request) = &message {
            can_be_rebuilt(&case, request);
            can_be_answered(&case, request);
        }
    }
}

#[test]
fn invalid_messages_get_their_answer() {
    for case in cases("invalid") {
        let (parsed, _) = read(&case.bytes);
        let outcome = match &parsed {
            Err(error) => {
                let answer = error.response();
                assert_eq!(
                    Some(yes(answer.is_some())),
                    case.expects("answerable"),
                    "{}",
                    case.name
                );
                if let Some(answer) = answer {
                    assert_eq!(answer.status(), error.status());
                    answer
                        .validate()
                        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
                    assert!(answer.to().unwrap().tag().is_some(), "{}", case.name);
                }
                format!("refuse {} {}", error.status(), error.kind())
            }
            Ok(Message::Request(request)) => match request.validate() {
                Err(rejection) => {
                    format!("reject {} {}", rejection.status, rejection.reason)
                }
                Ok(()) => "accepted".into(),
            },
            Ok(Message::Response(response)) => match response.validate() {
                Err(error) => format!("drop {}", error.name()),
                Ok(()) => "accepted".into(),
            },
        };
        assert_eq!(Some(outcome.as_str()), case.expects("outcome"), "{}", case.name);
        for (key, _) in case
            .expected
            .iter()
            .filter(|(key, _)| key.starts_with("invalid "))
        {
            let name = key.trim_start_matches("invalid ");
            let wrong = typed_headers::errors(parsed.as_ref().unwrap().headers());
            assert!(
                wrong.iter().any(|(known, _)| known == name),
                "{}: {name} must be invalid",
                case.name
            );
        }
    }
}

#[test]
fn every_case_of_the_torture_documents_is_here() {
    let all: Vec<String> = cases("valid")
        .into_iter()
        .chain(cases("invalid"))
        .map(|case| case.name)
        .collect();
    let count = |prefix: &str| all.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!(count("rfc4475-3.1.1."), 13);
    assert_eq!(count("rfc4475-3.1.2."), 19);
    assert_eq!(count("rfc4475-3.2."), 1);
    assert_eq!(count("rfc4475-3.3."), 15);
    assert_eq!(count("rfc4475-3.4."), 1);
    assert_eq!(count("rfc5118-4."), 12);
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Compares what the expectation says of the message's parts.
fn check_facts(case: &Case, message: &Message, rest: usize) {
    let facts = facts(message, rest);
    for (key, expected) in &case.expected {
        let actual = match key.split_once(' ') {
            None if NO_FACTS.contains(&key.as_str()) => continue,
            None => facts
                .get(key.as_str())
                .cloned()
                .unwrap_or_else(|| panic!("{}: {key}?", case.name)),
            Some(("header", name)) => message
                .headers()
                .get(&name_of(name))
                .unwrap_or_else(|| panic!("{}: no {name}", case.name))
                .to_string(),
            Some(("values", name)) => count_values(message.headers(), &name_of(name)).to_string(),
            Some(("invalid", _)) => continue,
            Some(_) => panic!("{}: {key}?", case.name),
        };
        assert_eq!(&actual, expected, "{}: {key}", case.name);
    }
}

fn name_of(name: &str) -> HeaderName {
    HeaderName::parse(&SipStr::copy_from(name)).unwrap()
}

fn count_values(headers: &Headers, name: &HeaderName) -> usize {
    headers
        .get_all(name)
        .map(|value| split_list(&value).map(Result::unwrap).count())
        .sum()
}

/// What can be said of a message in one word each.
fn facts(message: &Message, rest: usize) -> BTreeMap<&'static str, String> {
    let headers = message.headers();
    let word = |value: Option<SipStr>| value.map_or("none".to_owned(), |value| value.to_string());
    let mut facts = BTreeMap::from([
        ("body", message.body().len().to_string()),
        ("rest", rest.to_string()),
        ("from-tag", word(headers.from_tag())),
        ("to-tag", word(headers.to_tag())),
        ("branch", word(headers.branch())),
    ]);
    let via: typed::Via = headers.first().unwrap();
    assert_eq!(via.branch(), headers.branch());
    assert_eq!(headers.one::<typed::From>().unwrap().tag(), headers.from_tag());
    assert_eq!(headers.one::<typed::To>().unwrap().tag(), headers.to_tag());
    facts.insert("transaction-branch", word(via.transaction_branch()));
    facts.insert(
        "received",
        via.received()
            .map_or("none".to_owned(), |address| address.to_string()),
    );
    if let Some(contact) = headers
        .list::<typed::Contact>()
        .unwrap()
        .first()
        .and_then(|contact| contact.address())
    {
        facts.insert("contact-uri", contact.uri.to_string());
        facts.insert("contact-params", contact.params.to_string());
    }
    match message {
        Message::Response(response) => {
            facts.insert("reason", response.reason().to_owned());
        }
        Message::Request(request) => {
            let uri = request.parsed_uri().unwrap();
            facts.insert("user", uri.user().unwrap_or("none").to_owned());
            facts.insert("decoded-user", uri.user_decoded().unwrap_or_default());
            facts.insert("host", uri.host().to_owned());
            facts.insert(
                "port",
                uri.port().map_or("none".to_owned(), |port| port.to_string()),
            );
            facts.insert("aor", uri.aor().map_or("none".to_owned(), |aor| aor.to_string()));
        }
    }
    facts
}

/// Every header that has a type parses as it, but for those the expectation names; print and parse are inverse.
fn check_typed(case: &Case, headers: &Headers) {
    for (name, error) in typed_headers::errors(headers) {
        let known = case.expects(&format!("invalid {name}")).is_some();
        assert!(known, "{}: {name}: {error}", case.name);
    }
}

fn prints_as_it_was(case: &Case, message: &Message) {
    let printed = [message.head().as_ref(), message.body().as_ref()].concat();
    assert!(case.bytes.starts_with(&printed), "{}", case.name);
    let again = Message::parse(message.head().clone(), message.body().clone()).unwrap();
    assert_eq!(&again, message, "{}", case.name);
}

/// A request with the same fields, built by us, has the same values.
fn can_be_rebuilt(case: &Case, request: &Request) {
    let mut builder = Request::builder(request.method().clone(), request.uri());
    for (name, value) in request.headers().iter() {
        builder = builder.header(name, value);
    }
    let built = builder.body("", request.body().clone()).build();
    let Ok(Message::Request(parsed)) = Message::parse(built.head().clone(), built.body().clone()) else {
        panic!("{}: {built}", case.name);
    };
    let fields = |request: &Request| -> Vec<_> {
        let kept = |(name, _): &(HeaderName, SipStr)| *name != HeaderName::ContentLength;
        request.headers().iter().filter(kept).collect()
    };
    assert_eq!(parsed.uri(), request.uri(), "{}", case.name);
    let escaped_nul = case.name.contains("escaped-nul") && case.name.starts_with("framing");
    if !escaped_nul {
        assert_eq!(fields(&parsed), fields(request), "{}", case.name);
    }
}

fn can_be_answered(case: &Case, request: &Request) {
    let reply = request.reply(StatusCode::OK).to_tag("abc").build();
    reply
        .validate()
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let tag = request.headers().to_tag().unwrap_or("abc".into());
    assert_eq!(reply.headers().to_tag(), Some(tag), "{}", case.name);
    assert_eq!(
        reply.headers().branch(),
        request.headers().branch(),
        "{}",
        case.name
    );
    assert_eq!(
        reply.call_id().unwrap(),
        request.call_id().unwrap(),
        "{}",
        case.name
    );
}
