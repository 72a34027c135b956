//! One of everything that is said, no field at its default.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rpc::{
    ConnectionId, Content, ConversationKey, Deliver, EndpointAddress, EndpointId, Epoch, Error, ErrorCode,
    FailureReason, HeldLeg, InstantMessage, LegId, MessageId, MessageKind, Open, Path, Ring, Signal, Submit,
    Target, Typing,
};
use sip_types::AddressOfRecord;
use topology::MemberId;

/// Longer than any test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

pub(crate) fn key() -> ConversationKey {
    ConversationKey::new(&aor("bob"), &aor("alice"))
}

/// A text of Alice to Bob.
pub(crate) fn text(number: u128) -> InstantMessage {
    InstantMessage {
        id: MessageId(u128::MAX - number),
        from: aor("alice"),
        from_display: "Alice Ä".into(),
        from_endpoint: EndpointId::new("urn:uuid:1;2"),
        to: aor("bob"),
        to_endpoint: Some(EndpointId::new("b;gr=1")),
        kind: MessageKind::Text,
        content: Content {
            content_type: "text/plain;charset=utf-8".into(),
            body: Bytes::from_static(b"\0\xff hello"),
        },
        imdn_id: Some("mine-1".into()),
        subject: Some("lunch".into()),
    }
}

/// The same as a report about another message, with nothing that may be absent.
pub(crate) fn receipt() -> InstantMessage {
    InstantMessage {
        kind: MessageKind::Receipt {
            about: "mine-0".into(),
        },
        from_display: String::new(),
        to_endpoint: None,
        imdn_id: None,
        subject: None,
        ..text(9)
    }
}

pub(crate) fn open(first_text: Option<InstantMessage>) -> Open {
    Open {
        leg: LegId(u128::MAX - 1),
        from: aor("alice"),
        from_display: "Alice Ä".into(),
        from_endpoint: EndpointId::new("a1"),
        to: aor("bob"),
        to_endpoint: first_text.is_some().then(|| EndpointId::new("b1")),
        first_text: first_text.map(Arc::new),
        patience: PATIENCE,
    }
}

pub(crate) fn submit(message: InstantMessage, leg: Option<LegId>) -> Submit {
    Submit {
        message: Arc::new(message),
        leg,
        patience: PATIENCE,
    }
}

pub(crate) fn signal(leg: Option<LegId>, typing: Typing) -> Signal {
    Signal {
        from: aor("alice"),
        from_endpoint: EndpointId::new("a1"),
        to: aor("bob"),
        leg,
        typing,
    }
}

/// Of Bob, at the front end.
pub(crate) fn address(endpoint: &str) -> EndpointAddress {
    EndpointAddress {
        aor: aor("bob"),
        endpoint: EndpointId::new(endpoint),
        epoch: Epoch(u64::MAX - 2),
        member: MemberId::new("fe1"),
        connection: ConnectionId(u64::MAX - 3),
    }
}

pub(crate) fn held(leg: u128, rung: bool) -> HeldLeg {
    HeldLeg {
        leg: LegId(leg),
        address: address(&format!("b{leg}")),
        peer: aor("alice"),
        rung,
    }
}

pub(crate) fn targets() -> Vec<Target> {
    let page = Target {
        address: address("b1"),
        path: Path::Page,
    };
    let session = |endpoint, leg| Target {
        address: address(endpoint),
        path: Path::Leg(LegId(leg)),
    };
    vec![page, session("b2", u128::MAX - 4), session("b3", 0)]
}

pub(crate) fn deliver(message: InstantMessage, targets: Vec<Target>) -> Deliver {
    Deliver {
        message: Arc::new(message),
        targets,
        patience: PATIENCE,
        progress: None,
    }
}

pub(crate) fn ring(first_text: Option<InstantMessage>) -> Ring {
    Ring {
        leg: LegId(u128::MAX - 5),
        address: address("b1"),
        from: aor("alice"),
        from_display: "Alice Ä".into(),
        first_text: first_text.map(Arc::new),
        patience: PATIENCE,
    }
}

/// Delivered, and every reason why not.
pub(crate) fn outcomes() -> Vec<Result<(), FailureReason>> {
    [Ok(())].into_iter().chain(FailureReason::ALL.map(Err)).collect()
}

/// One error of each code, with and without a hint when to try again.
pub(crate) fn errors() -> Vec<Error> {
    let codes = [
        ErrorCode::InvalidRequest,
        ErrorCode::Unauthenticated,
        ErrorCode::Forbidden,
        ErrorCode::NotFound,
        ErrorCode::Conflict,
        ErrorCode::TooMany,
        ErrorCode::Timeout,
        ErrorCode::Unavailable,
        ErrorCode::Internal,
    ];
    for (place, code) in codes.into_iter().enumerate() {
        // A new code does not compile here until it has its place above.
        let listed = match code {
            ErrorCode::InvalidRequest => 0,
            ErrorCode::Unauthenticated => 1,
            ErrorCode::Forbidden => 2,
            ErrorCode::NotFound => 3,
            ErrorCode::Conflict => 4,
            ErrorCode::TooMany => 5,
            ErrorCode::Timeout => 6,
            ErrorCode::Unavailable => 7,
            ErrorCode::Internal => 8,
        };
        assert_eq!(place, listed);
    }
    let with = |code: ErrorCode| {
        [
            Error::new(code, format!("{} of ä", code.as_str())),
            Error::new(code, "later").retry_after(Duration::from_millis(1_501)),
        ]
    };
    codes.into_iter().flat_map(with).collect()
}

/// Types without equality are compared as they print, which prints every field.
pub(crate) fn same<T: std::fmt::Debug>(before: &T, after: &T) {
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

/// What is left of a patience when a request arrives: what its way took is gone, and milliseconds are whole.
pub(crate) fn is_left_of(left: Duration, patience: Duration) {
    let most = patience + Duration::from_millis(1);
    assert!(
        left <= most && left + PATIENCE / 3 > patience,
        "{left:?} of {patience:?}"
    );
}
