//! Every conversion goes both ways without loss, through the encoded bytes; what is malformed is named; what is not known
//! is taken as `proto/README.md` says.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use rpc::{
    AccountChange, AccountView, Authenticate, Binding, BindingChange, BindingEnd, ClientFamily, ConnectionId,
    Content, ConversationKey, Deliver, EffectivePolicy, EndpointAddress, EndpointId, Epoch, Error, ErrorCode,
    FailureReason, HeldLeg, HeldLegs, Identity, ImMode, InstantMessage, LegId, Location, MessageId,
    MessageKind, NewAccount, Open, Opened, Path, PeopleFound, PeopleSearch, Person, PolicyScope, PolicyValue,
    PolicyView, Proof, Refusal, Register, RegisterError, Registered, RegistrarChange, Ring, RingAnswer,
    SessionKey, SessionView, Signal, Submit, Target, Typing, Unregister, Which,
};
use rpc_wire::codec::{
    Malformed, conversation, directory, duration, endpoint, error, message, milliseconds, registrar,
};
use rpc_wire::proto::{errors, immcu, registrar as reg};
use sip_types::{AddressOfRecord, Method, SipStr};
use topology::{MemberId, Partition};

const PATIENCE: Duration = Duration::from_millis(1_500);

fn aor(text: &str) -> AddressOfRecord {
    AddressOfRecord::parse(text).unwrap()
}

/// Over the wire and back.
fn sent<M: Message + Default>(message: M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).unwrap()
}

/// Types without equality are compared as they print, which prints every field.
fn same<T: Debug>(before: &T, after: &T) {
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

fn address() -> EndpointAddress {
    EndpointAddress {
        aor: aor("alice@example.test"),
        endpoint: EndpointId::new("urn:uuid:1;2"),
        epoch: Epoch(u64::MAX),
        member: MemberId::new("fe1"),
        connection: ConnectionId(7),
    }
}

fn text() -> InstantMessage {
    InstantMessage {
        id: MessageId(u128::MAX - 5),
        from: aor("alice@example.test"),
        from_display: "Alice Ä".into(),
        from_endpoint: EndpointId::new("a"),
        to: aor("bob%40x@example.test"),
        to_endpoint: Some(EndpointId::new("b")),
        kind: MessageKind::Text,
        content: Content {
            content_type: "text/plain;charset=utf-8".into(),
            body: Bytes::from_static(b"\0\xff hello"),
        },
        imdn_id: Some("x1".into()),
        subject: Some("".into()),
    }
}

fn binding() -> Binding {
    Binding {
        address: address(),
        contact: "sip:a@192.0.2.1".into(),
        instance: Some("urn:uuid:1".into()),
        epid: None,
        reg_id: Some(0),
        gruu: Some(String::new()),
        expires_in: 599,
        family: ClientFamily::Lync,
        mode: ImMode::Session,
        user_agent: None,
    }
}

#[test]
fn messages_come_back_as_they_went() {
    let receipt = InstantMessage {
        kind: MessageKind::Receipt { about: "x0".into() },
        to_endpoint: None,
        imdn_id: None,
        subject: None,
        ..text()
    };
    for before in [text(), receipt] {
        let after = sent(immcu::v1::InstantMessage::from(&before)).try_into().unwrap();
        same(&before, &after);
    }
}

#[test]
fn a_body_is_shared_and_not_copied() {
    let before = text();
    let wire = immcu::v1::InstantMessage::from(&before);
    let after = InstantMessage::try_from(wire).unwrap();
    assert_eq!(after.content.body.as_ptr(), before.content.body.as_ptr());
    // Decoding slices the received buffer.
    let body = Bytes::from(vec![7; 10_000]);
    let frame = Bytes::from(
        immcu::v1::Content {
            content_type: "a/b".into(),
            body,
        }
        .encode_to_vec(),
    );
    let content = Content::from(immcu::v1::Content::decode(frame.clone()).unwrap());
    assert!(frame.as_ptr_range().contains(&content.body.as_ptr()));
}

#[test]
fn what_front_ends_ask_comes_back_as_it_went() {
    for first_text in [None, Some(Arc::new(text()))] {
        let before = Open {
            leg: LegId(1),
            from: aor("alice@example.test"),
            from_display: String::new(),
            from_endpoint: EndpointId::new("a"),
            to: aor("bob@example.test"),
            to_endpoint: None,
            first_text,
            patience: PATIENCE,
        };
        same(
            &before,
            &conversation::open(sent((&before).into()), PATIENCE).unwrap(),
        );
    }
    for leg in [None, Some(LegId(u128::MAX))] {
        let before = Submit {
            message: Arc::new(text()),
            leg,
            patience: PATIENCE,
        };
        same(
            &before,
            &conversation::submit(sent((&before).into()), PATIENCE).unwrap(),
        );
        for typing in [
            Typing::Idle,
            Typing::Active { refresh: 0 },
            Typing::Active { refresh: 120 },
        ] {
            let signal = Signal {
                from: aor("alice@example.test"),
                from_endpoint: EndpointId::new("a"),
                to: aor("bob@example.test"),
                leg,
                typing,
            };
            same(
                &signal,
                &sent(immcu::v1::Signal::from(&signal)).try_into().unwrap(),
            );
        }
    }
    let key = ConversationKey::new(&aor("bob@example.test"), &aor("alice@example.test"));
    let cancelled = conversation::cancel(&sent(conversation::cancel_to_wire(&key, LegId(9)))).unwrap();
    assert_eq!(cancelled, (key.clone(), LegId(9)));
    let left = conversation::leave(&sent(conversation::leave_to_wire(&key, LegId(9)))).unwrap();
    assert_eq!(left, (key, LegId(9)));
    let held = HeldLegs {
        member: MemberId::new("fe1"),
        partition: Partition::new(1_023).unwrap(),
        legs: vec![HeldLeg {
            leg: LegId(3),
            address: address(),
            peer: aor("bob@example.test"),
            rung: true,
        }],
    };
    let back = conversation::held_legs(sent((&held).into()), held.member.clone()).unwrap();
    assert_eq!(back, held);
}

#[test]
fn what_owners_ask_comes_back_as_it_went() {
    let targets = vec![
        Target {
            address: address(),
            path: Path::Page,
        },
        Target {
            address: address(),
            path: Path::Leg(LegId(5)),
        },
    ];
    let before = Deliver {
        message: Arc::new(text()),
        targets: targets.clone(),
        patience: PATIENCE,
        progress: None,
    };
    same(
        &before,
        &conversation::deliver(sent((&before).into()), PATIENCE, None).unwrap(),
    );
    for first_text in [None, Some(Arc::new(text()))] {
        let before = Ring {
            leg: LegId(1),
            address: address(),
            from: aor("alice@example.test"),
            from_display: "A".into(),
            first_text,
            patience: PATIENCE,
        };
        same(
            &before,
            &conversation::ring(sent((&before).into()), PATIENCE).unwrap(),
        );
    }
    let signal = Signal {
        from: aor("alice@example.test"),
        from_endpoint: EndpointId::new("a"),
        to: aor("bob@example.test"),
        leg: None,
        typing: Typing::Idle,
    };
    let shown =
        conversation::show_signal(sent(conversation::show_signal_to_wire(&signal, &targets))).unwrap();
    same(&(signal, targets), &shown);
}

#[test]
fn every_outcome_comes_back_as_it_went() {
    let reasons = FailureReason::ALL.map(Err);
    let outcomes: Vec<_> = [Ok(())].into_iter().chain(reasons).collect();
    for outcome in outcomes.iter().copied() {
        let back = conversation::submit_result(sent(conversation::submit_result_to_wire(outcome)));
        assert_eq!(back, outcome);
        let news = sent(conversation::progress_to_wire(4, (2, outcome)));
        assert_eq!(conversation::progress(&news), Ok((4, (2, outcome))));
        let opened = outcome.map(|()| Opened {
            first_text_taken: true,
        });
        let back = conversation::open_result(sent(conversation::open_result_to_wire(opened)));
        assert_eq!(back, Ok(opened));
        let rung = outcome.map(|()| RingAnswer {
            first_text_taken: true,
        });
        let back = conversation::ring_result(sent(conversation::ring_result_to_wire(rung)));
        assert_eq!(back, Ok(rung));
    }
    let wire = sent(conversation::deliver_result_to_wire(&outcomes));
    let back = conversation::deliver_result(wire.clone(), outcomes.len()).unwrap();
    assert_eq!(back, outcomes);
    let fewer = conversation::deliver_result(wire, outcomes.len() + 1);
    assert_eq!(fewer, Err(Malformed::new("deliver_result.outcomes")));
}

#[test]
fn what_is_asked_of_a_registrar_comes_back_as_it_went() {
    let proofs = [
        Proof::Digest {
            credentials: "Digest a=b".into(),
            method: Method::Other(SipStr::from("FOO")),
            realm: "r".into(),
        },
        Proof::Ntlm {
            server_challenge: [1, 2, 3, 4, 5, 6, 7, 8],
            authenticate: vec![0, 255],
        },
    ];
    let peers = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"];
    for (proof, peer) in proofs.iter().flat_map(|proof| peers.map(|peer| (proof, peer))) {
        let before = Authenticate {
            claimed: aor("alice@example.test"),
            proof: proof.clone(),
            peer: peer.parse().unwrap(),
        };
        same(
            &before,
            &sent(reg::v1::AuthenticateRequest::from(&before))
                .try_into()
                .unwrap(),
        );
    }
    let before = Register {
        aor: aor("alice@example.test"),
        endpoint: EndpointId::new("e"),
        contact: "sip:x".into(),
        instance: None,
        epid: Some("01ab".into()),
        reg_id: None,
        call_id: "c".into(),
        cseq: u32::MAX,
        expires: Some(0),
        member: MemberId::new("fe1"),
        connection: ConnectionId(1),
        family: ClientFamily::Lync,
        mode: ImMode::Session,
        user_agent: Some("U".into()),
    };
    same(
        &before,
        &sent(reg::v1::RegisterRequest::from(&before)).try_into().unwrap(),
    );
    let which = [
        Which::All,
        Which::Endpoint(EndpointId::new("e")),
        Which::Connection(EndpointId::new("e"), Epoch(3)),
    ];
    for (which, order) in which
        .iter()
        .flat_map(|which| [None, Some(("c".to_owned(), 2))].map(|order| (which, order)))
    {
        let before = Unregister {
            aor: aor("alice@example.test"),
            which: which.clone(),
            order,
        };
        same(
            &before,
            &sent(reg::v1::UnregisterRequest::from(&before))
                .try_into()
                .unwrap(),
        );
    }
}

#[test]
fn what_a_registrar_answers_comes_back_as_it_went() {
    for session_key in [None, Some(SessionKey([9; 16]))] {
        let before = Ok(Identity {
            aor: aor("alice@example.test"),
            display_name: "A".into(),
            session_key: session_key.clone(),
        });
        let after = registrar::authenticated(sent(registrar::authenticated_to_wire(&before))).unwrap();
        same(&before, &after);
        assert!(after.unwrap().session_key == session_key);
    }
    for reason in [
        "unknown_user",
        "wrong_password",
        "disabled",
        "not_allowed",
        "throttled",
        "malformed",
    ] {
        let before = Err(Refusal {
            reason,
            delay: PATIENCE,
        });
        let after = registrar::authenticated(sent(registrar::authenticated_to_wire(&before))).unwrap();
        same(&before, &after);
    }
    let accepted = || Registered {
        epoch: Epoch(4),
        expires: 600,
        bindings: vec![binding()],
        is_new: true,
    };
    let after = registrar::registered(sent(registrar::registered_to_wire(Ok(accepted())).unwrap())).unwrap();
    same(&Ok(accepted()), &after);
    for refused in [
        || RegisterError::IntervalTooBrief(300),
        || RegisterError::OutOfOrder,
        || RegisterError::NoSuchUser,
        || RegisterError::Forbidden,
    ] {
        let after = registrar::registered(sent(registrar::registered_to_wire(Err(refused())).unwrap()));
        same(&Err(refused()), &after.unwrap());
        let after = registrar::unregistered(sent(registrar::unregistered_to_wire(Err(refused())).unwrap()));
        same(&Err(refused()), &after.unwrap());
    }
    let failed = || Err(RegisterError::Failed(Error::new(ErrorCode::Timeout, "slow")));
    assert_eq!(
        registrar::registered_to_wire(failed()).unwrap_err().code,
        ErrorCode::Timeout
    );
    let left = registrar::unregistered_to_wire(Ok(vec![binding()])).unwrap();
    same(
        &Ok(vec![binding()]),
        &registrar::unregistered(sent(left)).unwrap(),
    );
    for bindings in [vec![], vec![binding()]] {
        let before = Location {
            display_name: "A".into(),
            bindings: bindings.into(),
        };
        same(
            &before,
            &sent(reg::v1::Location::from(&before)).try_into().unwrap(),
        );
    }
    let ends = [
        BindingEnd::Unregistered,
        BindingEnd::Expired,
        BindingEnd::Replaced,
        BindingEnd::Displaced,
        BindingEnd::Rejected,
    ];
    for before in [
        RegistrarChange::Bindings(BindingChange {
            aor: aor("alice@example.test"),
            ended: ends.map(|end| (address(), end)).to_vec(),
            account_ended: true,
        }),
        RegistrarChange::Account(aor("alice@example.test")),
        RegistrarChange::Policies,
        RegistrarChange::Group(Some(aor("sales@example.test"))),
        RegistrarChange::Group(None),
    ] {
        same(
            &Some(before.clone()),
            &registrar::registrar_change(sent((&before).into())).unwrap(),
        );
    }
}

#[test]
fn searches_come_back_as_they_went() {
    let search = PeopleSearch {
        words: "Ångström  \"a\"".into(),
        limit: u32::MAX,
    };
    assert_eq!(
        PeopleSearch::from(sent(reg::v1::SearchRequest::from(search.clone()))),
        search
    );
    let found = PeopleFound {
        people: vec![Person {
            aor: aor("alice@example.test"),
            display_name: "Alice Ä".into(),
        }],
        more: true,
    };
    let wire = reg::v1::SearchResponse::from(found.clone());
    assert_eq!(PeopleFound::try_from(sent(wire.clone())), Ok(found));
    let mut malformed = wire;
    malformed.people[0].aor = "alice".into();
    assert_eq!(
        PeopleFound::try_from(malformed),
        Err(Malformed::new("search.people.aor"))
    );
}

#[test]
fn accounts_sessions_and_policies_come_back_as_they_went() {
    let before = NewAccount {
        aor: aor("alice@example.test"),
        display_name: "A".into(),
        site: "s".into(),
        password: "p".into(),
        ntlm: true,
    };
    let after = NewAccount::try_from(sent(reg::v1::CreateAccountRequest::from(&before))).unwrap();
    same(&before, &after);
    assert_eq!(
        (after.display_name, after.site, after.password),
        (before.display_name, before.site, before.password)
    );
    let change = AccountChange {
        display_name: None,
        site: Some(String::new()),
        enabled: Some(false),
        password: Some(("p".into(), true)),
    };
    let wire = sent(directory::account_change_to_wire(&before.aor, change.clone()));
    let (whose, after) = directory::account_change(wire).unwrap();
    assert_eq!((whose, &after.password), (before.aor, &change.password));
    same(&change, &after);
    let account = AccountView {
        aor: aor("alice@example.test"),
        display_name: "A".into(),
        site: "s".into(),
        enabled: true,
        ntlm: false,
        created_at: -1,
    };
    assert_eq!(sent(reg::v1::Account::from(&account)).try_into(), Ok(account));
    for (family, mode) in [("lync", "session"), ("simple", "page")] {
        let session = SessionView {
            endpoint: "e".into(),
            member: "fe1".into(),
            family,
            mode,
            user_agent: Some("U".into()),
            contact: "sip:x".into(),
            gruu: None,
            expires_in: 3,
        };
        let wire = sent(directory::session_to_wire(&aor("alice@example.test"), &session));
        assert_eq!(directory::session(wire), Ok(session));
    }
    let values = BTreeMap::from([
        ("a".to_owned(), PolicyValue::Bool(false)),
        ("b".to_owned(), PolicyValue::Number(-3)),
        ("c".to_owned(), PolicyValue::Text(String::new())),
    ]);
    for scope in ["global", "site:main", "vip"].map(PolicyScope::parse) {
        let view = PolicyView {
            kind: "im".into(),
            scope: scope.clone(),
            values: values.clone(),
        };
        assert_eq!(sent(reg::v1::Policy::from(&view)).try_into(), Ok(view));
        for scope in [None, Some(scope)] {
            let policy = EffectivePolicy {
                kind: "im".into(),
                scope,
                reason: "because".into(),
                values: values.clone(),
            };
            assert_eq!(
                sent(reg::v1::EffectivePolicy::from(&policy)).try_into(),
                Ok(policy)
            );
        }
    }
}

const ERROR_CODES: [ErrorCode; 9] = [
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

#[test]
fn every_error_comes_back_from_an_item_and_from_a_status() {
    let mut codes = std::collections::HashSet::new();
    for code in ERROR_CODES {
        for before in [
            Error::new(code, "no such thing: ä"),
            Error::new(code, "").retry_after(PATIENCE),
        ] {
            same(&before, &sent(errors::v1::Error::from(&before)).into());
            let status = error::status(&before);
            same(&before, &error::error(&status));
            codes.insert(i32::from(status.code()));
        }
        // Whoever has only the code of the status understands as much as that says.
        let bare = tonic::Status::new(error::code_of(code), "x");
        assert_eq!(error::error(&bare).code, code);
    }
    assert_eq!(
        codes.len(),
        ERROR_CODES.len(),
        "each code has a status of its own"
    );
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let status = error::status(&Error::new(ErrorCode::Internal, "ä".repeat(10_000)));
    let text = error::error(&status).message;
    assert!(text.len() <= 512 && text.len() > 500 && text.chars().all(|letter| letter == 'ä'));
}

#[test]
fn unknown_values_mean_not_told() {
    let unknown = 999;
    assert_eq!(message::failure(0), FailureReason::Internal);
    assert_eq!(message::failure(unknown), FailureReason::Internal);
    assert_eq!(endpoint::client_family(0), ClientFamily::Simple);
    assert_eq!(endpoint::client_family(unknown), ClientFamily::Simple);
    assert_eq!(endpoint::im_mode(0), ImMode::Page);
    assert_eq!(endpoint::im_mode(unknown), ImMode::Page);
    assert_eq!(registrar::binding_end(0), BindingEnd::Unregistered);
    assert_eq!(registrar::binding_end(unknown), BindingEnd::Unregistered);
    for code in [0, unknown] {
        let wire = errors::v1::Error {
            code,
            message: "m".into(),
            retry_after_ms: None,
        };
        assert_eq!(Error::from(wire).code, ErrorCode::Internal);
        let refused = reg::v1::RegisterResponse {
            result: Some(reg::v1::register_response::Result::Refused(
                reg::v1::RegisterRefused {
                    reason: code,
                    min_expires_s: 3,
                },
            )),
        };
        let Ok(Err(RegisterError::Failed(failed))) = registrar::registered(refused) else {
            panic!("a refusal for no known reason is a failure");
        };
        assert_eq!(failed.code, ErrorCode::Internal);
    }
    assert!(matches!(
        registrar::registrar_change(reg::v1::RegistrarChange { change: None }),
        Ok(None)
    ));
    let mut policy = reg::v1::Policy {
        kind: "im".into(),
        scope: "global".into(),
        values: [("new".to_owned(), reg::v1::PolicyValue { value: None })].into(),
    };
    assert!(PolicyView::try_from(policy.clone()).unwrap().values.is_empty());
    policy.scope.clear();
    assert_eq!(PolicyView::try_from(policy), Err(Malformed::new("policy.scope")));
}

#[test]
fn what_is_malformed_is_named_and_is_the_fault_of_who_asked() {
    let good = || immcu::v1::InstantMessage::from(&text());
    let bad = [
        (
            "message.id",
            immcu::v1::InstantMessage {
                id: Bytes::from_static(&[1; 15]),
                ..good()
            },
        ),
        (
            "message.from",
            immcu::v1::InstantMessage {
                from: "alice".into(),
                ..good()
            },
        ),
        (
            "message.from_endpoint",
            immcu::v1::InstantMessage {
                from_endpoint: String::new(),
                ..good()
            },
        ),
        (
            "message.to",
            immcu::v1::InstantMessage {
                to: String::new(),
                ..good()
            },
        ),
        (
            "message.to_endpoint",
            immcu::v1::InstantMessage {
                to_endpoint: Some(String::new()),
                ..good()
            },
        ),
        (
            "message.content",
            immcu::v1::InstantMessage {
                content: None,
                ..good()
            },
        ),
    ];
    for (field, message) in bad {
        let malformed = InstantMessage::try_from(message).unwrap_err();
        assert_eq!(malformed, Malformed::new(field));
        let error = Error::from(malformed);
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        assert_eq!(error.message, format!("malformed field `{field}`"));
        assert_eq!(malformed.in_answer().code, ErrorCode::Internal);
    }
    let legs = immcu::v1::HoldLegs {
        partition: 1_024,
        legs: vec![],
    };
    assert_eq!(
        conversation::held_legs(legs, MemberId::new("fe1")),
        Err(Malformed::new("hold_legs.partition"))
    );
    let half = reg::v1::UnregisterRequest {
        aor: "alice@example.test".into(),
        call_id: Some("c".into()),
        cseq: None,
        which: Some(reg::v1::unregister_request::Which::All(reg::v1::AllEndpoints {})),
    };
    assert_eq!(
        Unregister::try_from(half).unwrap_err(),
        Malformed::new("unregister.cseq")
    );
    for length in [0, 3, 5, 15, 17] {
        let wire = reg::v1::AuthenticateRequest {
            claimed: "alice@example.test".into(),
            peer: vec![0; length].into(),
            proof: Some(reg::v1::authenticate_request::Proof::Ntlm(reg::v1::NtlmProof {
                server_challenge: Bytes::from_static(&[0; 8]),
                authenticate: Bytes::new(),
            })),
        };
        assert_eq!(
            Authenticate::try_from(wire).unwrap_err(),
            Malformed::new("authenticate.peer")
        );
    }
}

#[test]
fn patience_is_rounded_up_to_milliseconds_and_capped() {
    assert_eq!(milliseconds(Duration::ZERO), 0);
    assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
    assert_eq!(milliseconds(Duration::from_micros(1_001)), 2);
    assert_eq!(milliseconds(Duration::MAX), u32::MAX);
    assert_eq!(duration(1_500), PATIENCE);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        if let Ok(wire) = immcu::v1::Submit::decode(bytes.clone()) {
            let _ = conversation::submit(wire, PATIENCE);
        }
        if let Ok(wire) = reg::v1::RegisterResponse::decode(bytes.clone()) {
            let _ = registrar::registered(wire);
        }
        let status = tonic::Status::with_details(tonic::Code::Internal, "x", bytes);
        let _ = error::error(&status);
    }

    #[test]
    fn any_text_of_a_message_comes_back(
        (display, kind, body) in ("\\PC{0,40}", "\\PC{0,40}", prop::collection::vec(any::<u8>(), 0..200)),
        (id, leg, user) in (any::<u128>(), any::<u128>(), "[a-z0-9%._+-]{1,20}"),
    ) {
        let Ok(from) = AddressOfRecord::parse(&format!("{user}@example.test")) else {
            return Ok(());
        };
        let before = InstantMessage {
            id: MessageId(id),
            from,
            from_display: display,
            content: Content { content_type: SipStr::from(kind), body: body.into() },
            ..text()
        };
        let after = sent(immcu::v1::InstantMessage::from(&before)).try_into().unwrap();
        same(&before, &after);
        prop_assert_eq!(endpoint::leg("leg", &endpoint::leg_to_wire(LegId(leg))), Ok(LegId(leg)));
    }
}
