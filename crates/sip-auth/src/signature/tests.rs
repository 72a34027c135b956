//! The signed text of the test vector, a whole sign-in between both halves, and what is refused.

use std::sync::Arc;

use proptest::prelude::*;

use super::client::{Challenge, ClientAssociation};
use super::*;
use crate::AuthorizationError;
use crate::ntlm::client::Answer;
use crate::ntlm::{
    AuthenticateMessage, ChallengeMessage, MessageSigner, NtHash, SessionKey, TargetNames,
    verify_authenticate,
};

const REALM: &str = "SIP Communications Service";
const TARGET: &str = "fe.example.test";

/// The REGISTER of the test vector.
const REGISTER: MessageFields<'_> = MessageFields {
    call_id: "b2f1c4d0e9",
    cseq: "3",
    method: "REGISTER",
    from_uri: "sip:alice@example.test",
    from_tag: "1122334455",
    to_uri: "sip:alice@example.test",
    to_tag: "",
    asserted_sip: "",
    asserted_tel: "",
    expires: "",
    status: None,
};

fn key() -> SessionKey {
    SessionKey::from_bytes([0x55; 16])
}

fn association(version: ProtocolVersion) -> SecurityAssociation {
    SecurityAssociation::new("2A78E87D", Arc::from(REALM), Arc::from(TARGET), version, &key())
}

fn client() -> ClientAssociation {
    let challenge = Challenge {
        realm: REALM.into(),
        targetname: TARGET.into(),
        opaque: "2A78E87D".into(),
        token: Vec::new(),
    };
    ClientAssociation::new(challenge, &key())
}

#[test]
fn the_signed_text_of_the_test_vector_is_reproduced() {
    let fields = SignedFields {
        scheme: "NTLM",
        rand: "0a1b2c3d",
        num: "1",
        realm: REALM,
        targetname: TARGET,
        message: REGISTER,
    };
    assert_eq!(
        fields.text(ProtocolVersion::V4),
        "<NTLM><0a1b2c3d><1><SIP Communications Service><fe.example.test><b2f1c4d0e9><3><REGISTER>\
         <sip:alice@example.test><1122334455><sip:alice@example.test><><><><>"
    );
    assert_eq!(fields.text(ProtocolVersion::V3), fields.text(ProtocolVersion::V4));
}

#[test]
fn version_2_leaves_out_to_uri_and_asserted_identities() {
    let message = MessageFields {
        to_tag: "t",
        asserted_sip: "sip:a@b",
        asserted_tel: "tel:1",
        expires: "600",
        status: Some(200),
        ..REGISTER
    };
    let fields = SignedFields {
        scheme: "NTLM",
        rand: "r",
        num: "9",
        realm: "R",
        targetname: "T",
        message,
    };
    assert_eq!(
        fields.text(ProtocolVersion::V2),
        "<NTLM><r><9><R><T><b2f1c4d0e9><3><REGISTER><sip:alice@example.test><1122334455><t><600><200>"
    );
    assert_eq!(
        fields.text(ProtocolVersion::V3),
        "<NTLM><r><9><R><T><b2f1c4d0e9><3><REGISTER><sip:alice@example.test><1122334455>\
         <sip:alice@example.test><t><sip:a@b><tel:1><600><200>"
    );
}

#[test]
fn the_request_and_the_answer_of_the_test_vector_are_verified_and_signed() {
    let request = "NTLM qop=\"auth\", opaque=\"2A78E87D\", realm=\"SIP Communications Service\", \
        targetname=\"fe.example.test\", crand=\"0a1b2c3d\", cnum=\"1\", response=\"01000000CC0884EE406B10FC64000000\"";
    let mut server = association(ProtocolVersion::V4);
    let authorization = NtlmAuthorization::parse(request).unwrap();
    assert_eq!(server.verify(&authorization, &REGISTER), Ok(()));

    let answer = MessageFields {
        to_tag: "A1B2C3D4E5F60718",
        expires: "600",
        status: Some(200),
        ..REGISTER
    };
    assert_eq!(
        server.sign([0x4D, 0x3C, 0x2B, 0x1A], &answer),
        "NTLM rspauth=\"010000007C9A546C6F01BCAA64000000\", srand=\"4D3C2B1A\", snum=\"1\", opaque=\"2A78E87D\", \
         qop=\"auth\", targetname=\"fe.example.test\", realm=\"SIP Communications Service\""
    );
    assert!(server.sign([0; 4], &answer).contains("snum=\"2\""));
}

#[test]
fn a_whole_sign_in_ends_with_both_sides_signing() {
    // 401, the client asks for a challenge, 401 with the challenge.
    let offer = Challenge::parse(&www_authenticate(REALM, TARGET)).unwrap();
    let begin = offer.begin();
    let begin = NtlmAuthorization::parse(&begin).unwrap();
    assert_eq!(
        (begin.token.as_deref(), begin.signature, begin.version),
        (Some(&[][..]), None, ProtocolVersion::V4)
    );
    let sent = ChallengeMessage::new([7; 8], &TargetNames::from_fqdn(TARGET), 1_800_000_000);
    let value = www_authenticate_token("2A78E87D", sent.as_bytes(), REALM, TARGET);
    assert!(value.ends_with(", version=4"));
    let challenge = Challenge::parse(&value).unwrap();
    assert_eq!(challenge.token, sent.as_bytes());

    // The client answers, signed already.
    let answer = Answer {
        user: "alice@example.test",
        domain: "",
        password: "secret",
        client_challenge: [1; 8],
        time: [0; 8],
        session_key: SessionKey::from_bytes([9; 16]),
        channel_binding: None,
        mic: false,
    };
    let authenticate = answer.to(&challenge.token).unwrap();
    let mut client = ClientAssociation::new(challenge, &answer.session_key);
    let value = client.sign("123387ac", &REGISTER, Some(&authenticate));

    // The registrar verifies the proof, the front end the signature with the key it gets back.
    let authorization = NtlmAuthorization::parse(&value).unwrap();
    let token = authorization.token.clone().unwrap();
    let message = AuthenticateMessage::parse(&token).unwrap();
    let key = verify_authenticate(Some(&NtHash::from_password("secret")), [7; 8], &message).unwrap();
    let mut server = SecurityAssociation::new(
        "2A78E87D",
        REALM.into(),
        TARGET.into(),
        authorization.version,
        &key,
    );
    assert!(server.version().signs_sign_in());
    assert_eq!(server.verify(&authorization, &REGISTER), Ok(()));

    // From here on every message is signed, both ways.
    let ok = MessageFields {
        to_tag: "t",
        expires: "600",
        status: Some(200),
        ..REGISTER
    };
    assert!(client.verify(&server.sign([1, 2, 3, 4], &ok), &ok));
    let notify = MessageFields {
        method: "NOTIFY",
        cseq: "1",
        ..REGISTER
    };
    assert!(client.verify(&server.sign([1, 2, 3, 5], &notify), &notify));
    assert!(!client.verify(&server.sign([1, 2, 3, 6], &notify), &ok));
    let value = client.sign(
        "00000001",
        &MessageFields {
            status: Some(200),
            ..notify
        },
        None,
    );
    let authorization = NtlmAuthorization::parse(&value).unwrap();
    assert_eq!(authorization.token, None);
    assert_eq!(
        server.verify(
            &authorization,
            &MessageFields {
                status: Some(200),
                ..notify
            }
        ),
        Ok(())
    );
}

#[test]
fn a_forged_foreign_unsigned_or_repeated_message_is_refused() {
    let mut server = association(ProtocolVersion::V4);
    let value = client().sign("00000001", &REGISTER, None);
    let good = NtlmAuthorization::parse(&value).unwrap();

    let other = MessageFields {
        method: "MESSAGE",
        ..REGISTER
    };
    assert_eq!(server.verify(&good, &other), Err(SignatureFault::Wrong));
    let renamed = NtlmAuthorization {
        opaque: Some("00000000"),
        ..good.clone()
    };
    assert_eq!(
        server.verify(&renamed, &REGISTER),
        Err(SignatureFault::OtherAssociation)
    );
    let nameless = NtlmAuthorization {
        opaque: None,
        ..good.clone()
    };
    assert_eq!(
        server.verify(&nameless, &REGISTER),
        Err(SignatureFault::OtherAssociation)
    );
    let unsigned = NtlmAuthorization {
        signature: None,
        ..good.clone()
    };
    assert_eq!(server.verify(&unsigned, &REGISTER), Err(SignatureFault::Missing));

    // None of these has used up the count.
    assert_eq!(server.verify(&good, &REGISTER), Ok(()));
    assert_eq!(server.verify(&good, &REGISTER), Err(SignatureFault::Replayed));
}

#[test]
fn what_the_server_signed_cannot_be_sent_back_to_it() {
    let signed = MessageSigner::server(&key());
    let fields = SignedFields {
        scheme: "NTLM",
        rand: "0a1b2c3d",
        num: "1",
        realm: REALM,
        targetname: TARGET,
        message: REGISTER,
    };
    let response = signed.sign(|sink| fields.pieces(ProtocolVersion::V4, sink));
    let reflected = NtlmAuthorization {
        realm: REALM,
        targetname: TARGET,
        opaque: Some("2A78E87D"),
        version: ProtocolVersion::V4,
        token: None,
        signature: Some(ClientSignature {
            crand: "0a1b2c3d",
            cnum_text: "1",
            cnum: 1,
            response,
        }),
    };
    assert_eq!(
        association(ProtocolVersion::V4).verify(&reflected, &REGISTER),
        Err(SignatureFault::Wrong)
    );
}

#[test]
fn incomplete_or_odd_values_are_refused() {
    let value = |rest: &str| format!("NTLM realm=\"r\", targetname=\"t\"{rest}");
    let parse = |rest: &str| {
        NtlmAuthorization::parse(&value(rest))
            .map(|a| a.version)
            .map_err(|e| e.to_string())
    };
    let version = |rest| NtlmAuthorization::parse(rest).map(|a| a.version);
    assert_eq!(
        version("NTLM realm=r"),
        Err(AuthorizationError::Missing("targetname"))
    );
    assert_eq!(
        version("NTLM targetname=r"),
        Err(AuthorizationError::Missing("realm"))
    );
    assert_eq!(
        version("Kerberos realm=r"),
        Err(AuthorizationError::OtherScheme("NTLM"))
    );
    assert_eq!(parse(""), Ok(ProtocolVersion::V2));
    assert_eq!(parse(", version=3"), Ok(ProtocolVersion::V3));
    for rest in [
        ", version=5",
        ", version=\"04\"",
        ", gssapi-data=\"!\"",
        ", gssapi-data=\"\", gssapi-data=\"\"",
        ", crand=\"a\", response=\"01000000CC0884EE406B10FC64000000\"",
        ", cnum=\"1\", response=\"01000000CC0884EE406B10FC64000000\"",
        ", crand=\"a\", cnum=\"+1\", response=\"01000000CC0884EE406B10FC64000000\"",
        ", crand=\"a\", cnum=\"\", response=\"01000000CC0884EE406B10FC64000000\"",
        ", crand=\"a\", cnum=\"4294967296\", response=\"01000000CC0884EE406B10FC64000000\"",
        ", crand=\"a\", cnum=\"1\", response=\"01000000CC0884EE406B10FC640000\"",
    ] {
        assert!(parse(rest).is_err(), "{rest}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(value in "\\PC{0,200}") {
        let _ = NtlmAuthorization::parse(&value);
        let _ = NtlmAuthorization::parse(&format!("NTLM {value}"));
    }

    #[test]
    fn any_mixture_of_known_parameters_is_parsed_or_refused(
        parts in prop::collection::vec("(realm|targetname|opaque|version|gssapi-data|crand|cnum|response)=(\"[ -~]{0,8}\"|[0-9A-F]{0,32}|4)", 0..12)
    ) {
        let _ = NtlmAuthorization::parse(&format!("NTLM {}", parts.join(",")));
    }

    #[test]
    fn any_signed_message_is_verified(
        texts in prop::array::uniform8("[!-;=?-~]{0,20}"), status in prop::option::of(100u16..700)
    ) {
        let message = MessageFields {
            call_id: &texts[0], cseq: &texts[1], method: &texts[2], from_uri: &texts[3], from_tag: &texts[4],
            to_uri: &texts[5], to_tag: &texts[6], asserted_sip: "", asserted_tel: "", expires: &texts[7], status,
        };
        let (mut server, mut client) = (association(ProtocolVersion::V4), client());
        prop_assert!(client.verify(&server.sign([1; 4], &message), &message));
        let value = client.sign("abcd0123", &message, None);
        let authorization = NtlmAuthorization::parse(&value).unwrap();
        prop_assert_eq!(server.verify(&authorization, &message), Ok(()));
    }
}
