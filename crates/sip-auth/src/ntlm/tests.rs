//! Two sets of vectors (our own, tried with live clients, and MS-NLMP section 4.2.4), and what a client may not do.

use proptest::prelude::*;

use super::client::Answer;
use super::crypto::hmac_md5;
use super::proof::ntowf_v2;
use super::*;

const SERVER_CHALLENGE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
const TARGET_INFO: &str = "02000e004500580041004d0050004c0045000100040046004500040018006500780061006d0070006c0065002e\
    00740065007300740003001e00660065002e006500780061006d0070006c0065002e0074006500730074000700\
    0800000000000079dd0100000000";

fn names() -> TargetNames {
    TargetNames::from_fqdn("fe.example.test")
}

fn key_of_fives() -> SessionKey {
    SessionKey::from_bytes([0x55; 16])
}

fn alice() -> Answer<'static> {
    Answer {
        user: "alice",
        domain: "EXAMPLE",
        password: "Passw0rd!",
        client_challenge: [0xaa; 8],
        time: [0, 0, 0, 0, 0, 0x79, 0xdd, 0x01],
        session_key: key_of_fives(),
        channel_binding: None,
        mic: false,
    }
}

/// A challenge of ours with the TargetInfo of the vector in place of its own.
fn challenge_of_the_vector() -> Vec<u8> {
    let mut bytes = ChallengeMessage::new(SERVER_CHALLENGE, &names(), 0)
        .as_bytes()
        .to_vec();
    let info = hex::decode(TARGET_INFO).unwrap();
    let at = bytes.len() - info.len();
    bytes[at..].copy_from_slice(&info);
    bytes
}

/// What the server makes of an answer to the vector's challenge.
fn verified(password: &str, message: &[u8]) -> Option<SessionKey> {
    let parsed = AuthenticateMessage::parse(message).unwrap();
    verify_authenticate(Some(&NtHash::from_password(password)), SERVER_CHALLENGE, &parsed)
}

#[test]
fn the_test_vector_is_reproduced_step_by_step() {
    let hash = NtHash::from_password("Passw0rd!");
    assert_eq!(hex::encode(hash.as_bytes()), "fc525c9683e8fe067095ba2ddc971889");
    let ntowf = ntowf_v2(&hash, "ALICE", "EXAMPLE");
    assert_eq!(hex::encode(*ntowf), "c85c6789395b678a69c523c158561d3b");

    let message = alice().to(&challenge_of_the_vector()).unwrap();
    let parsed = AuthenticateMessage::parse(&message).unwrap();
    assert_eq!((parsed.user(), parsed.domain()), ("alice", "EXAMPLE"));
    assert_eq!(hex::encode(parsed.proof), "b2492e32703bcefdfe436a152f42da4a");
    let temp = format!("0101000000000000000000000079dd01aaaaaaaaaaaaaaaa00000000{TARGET_INFO}00000000");
    assert_eq!(hex::encode(parsed.temp), temp);
    assert_eq!(
        hex::encode(hmac_md5(&ntowf, &[&parsed.proof])),
        "42921c779d554620e6f5a071515e9080"
    );
    assert_eq!(
        hex::encode(parsed.encrypted_session_key),
        "e7463830bb9a3472f033701cd4513ed4"
    );

    assert_eq!(
        verify_authenticate(Some(&hash), SERVER_CHALLENGE, &parsed),
        Some(key_of_fives())
    );
}

#[test]
fn the_signatures_of_the_test_vector_are_reproduced() {
    let request = "<NTLM><0a1b2c3d><1><SIP Communications Service><fe.example.test><b2f1c4d0e9><3><REGISTER>\
        <sip:alice@example.test><1122334455><sip:alice@example.test><><><><>";
    let answer = "<NTLM><4D3C2B1A><1><SIP Communications Service><fe.example.test><b2f1c4d0e9><3><REGISTER>\
        <sip:alice@example.test><1122334455><sip:alice@example.test><A1B2C3D4E5F60718><><><600><200>";
    let (server, client) = (
        MessageSigner::server(&key_of_fives()),
        MessageSigner::client(&key_of_fives()),
    );
    let response = client.sign(|sink| sink(request.as_bytes()));
    let rspauth = server.sign(|sink| answer.as_bytes().chunks(7).for_each(sink));
    assert_eq!(response.to_string(), "01000000CC0884EE406B10FC64000000");
    assert_eq!(rspauth.to_string(), "010000007C9A546C6F01BCAA64000000");
    assert!(server.verify(|sink| sink(request.as_bytes()), &response));
    assert!(client.verify(
        |sink| sink(answer.as_bytes()),
        &"010000007c9a546c6f01bcaa64000000".parse().unwrap()
    ));
    // What one side signed is not the other side's.
    assert!(!server.verify(|sink| sink(answer.as_bytes()), &rspauth));
}

#[test]
fn the_vector_of_ms_nlmp_4_2_4_is_reproduced() {
    let hash = NtHash::from_password("Password");
    assert_eq!(hex::encode(hash.as_bytes()), "a4f49c406510bdcab6824ee7c30fd852");
    let ntowf = ntowf_v2(&hash, "USER", "Domain");
    assert_eq!(hex::encode(*ntowf), "0c868a403bfd7a93a3001ef22ef02e3f");
    let info = "02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000";
    let temp = hex::decode(format!(
        "01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000{info}00000000"
    ))
    .unwrap();
    let proof = hmac_md5(&ntowf, &[&SERVER_CHALLENGE, &temp]);
    assert_eq!(hex::encode(proof), "68cd0ab851e51c96aabc927bebef6a1c");
    let base = hmac_md5(&ntowf, &[&proof]);
    assert_eq!(hex::encode(base), "8de40ccadbc14a82f15cb0ad0de95ca3");
    let mut key = [0x55; 16];
    super::rc4::Rc4::new(&base).apply(&mut key);
    assert_eq!(hex::encode(key), "c5dad2544fc9799094ce1ce90bc9d03e");
}

#[test]
fn the_wrong_password_challenge_or_account_gets_no_key() {
    let message = alice().to(&challenge_of_the_vector()).unwrap();
    assert_eq!(verified("Passw0rd!", &message), Some(key_of_fives()));
    assert_eq!(verified("passw0rd!", &message), None);
    let parsed = AuthenticateMessage::parse(&message).unwrap();
    let hash = NtHash::from_password("Passw0rd!");
    assert_eq!(verify_authenticate(Some(&hash), [0; 8], &parsed), None);
    assert_eq!(verify_authenticate(None, SERVER_CHALLENGE, &parsed), None);
}

#[test]
fn an_answer_to_the_dummy_hash_does_not_sign_in() {
    // Somebody who knows the source makes the proof that belongs to sixteen zero bytes.
    let mut message = alice().to(&challenge_of_the_vector()).unwrap();
    let zero = NtHash::from_bytes([0; 16]);
    let parsed = AuthenticateMessage::parse(&message).unwrap();
    let proof = hmac_md5(
        &ntowf_v2(&zero, "ALICE", "EXAMPLE"),
        &[&SERVER_CHALLENGE, parsed.temp],
    );
    message[88..104].copy_from_slice(&proof);
    let parsed = AuthenticateMessage::parse(&message).unwrap();
    assert!(verify_authenticate(Some(&zero), SERVER_CHALLENGE, &parsed).is_some());
    assert_eq!(verify_authenticate(None, SERVER_CHALLENGE, &parsed), None);
}

#[test]
fn a_sip_address_as_user_with_an_empty_domain_signs_in() {
    let answer = Answer {
        user: "alice@example.test",
        domain: "",
        ..alice()
    };
    let message = answer.to(&challenge_of_the_vector()).unwrap();
    assert_eq!(AuthenticateMessage::parse(&message).unwrap().domain(), "");
    assert_eq!(verified("Passw0rd!", &message), Some(key_of_fives()));
}

#[test]
fn both_ways_of_raising_a_name_are_accepted() {
    // This client raises ASCII letters only.
    let message = Answer {
        user: "jürgen",
        ..alice()
    }
    .to(&challenge_of_the_vector())
    .unwrap();
    assert!(verified("Passw0rd!", &message).is_some());
    // A Windows client raises all; `to` leaves what has no lower-case ASCII letter as it is.
    let raised = Answer {
        user: "JÜRGEN",
        ..alice()
    }
    .to(&challenge_of_the_vector())
    .unwrap();
    let lowered = rename(&raised, "JÜRGEN", "jürgen");
    assert!(verified("Passw0rd!", &lowered).is_some());
    assert!(verified("Passw0rd!", &rename(&raised, "JÜRGEN", "jürgem")).is_none());
}

/// Replaces a user name by another of the same length.
fn rename(message: &[u8], from: &str, to: &str) -> Vec<u8> {
    let utf16 = |s: &str| s.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let from = utf16(from);
    let at = message.windows(from.len()).position(|w| w == from).unwrap();
    let mut out = message.to_vec();
    out[at..at + from.len()].copy_from_slice(&utf16(to));
    out
}

#[test]
fn a_mic_is_checked_when_sent_and_not_missed_when_absent() {
    let challenge = challenge_of_the_vector();
    let plain = alice().to(&challenge).unwrap();
    let plain = AuthenticateMessage::parse(&plain).unwrap();
    assert!(!plain.has_mic() && plain.mic_is_right(&key_of_fives(), &challenge));

    let mut sent = Answer { mic: true, ..alice() }.to(&challenge).unwrap();
    let parsed = AuthenticateMessage::parse(&sent).unwrap();
    assert!(parsed.has_mic());
    assert!(parsed.mic_is_right(&key_of_fives(), &challenge));
    assert!(!parsed.mic_is_right(&key_of_fives(), &challenge[1..]));
    // A flag turned on the way.
    sent[63] ^= 0x80;
    assert!(
        !AuthenticateMessage::parse(&sent)
            .unwrap()
            .mic_is_right(&key_of_fives(), &challenge)
    );
}

#[test]
fn channel_bindings_are_read_and_zeros_mean_none() {
    let with = |hash| {
        let message = Answer {
            channel_binding: Some(hash),
            ..alice()
        }
        .to(&challenge_of_the_vector())
        .unwrap();
        assert!(verified("Passw0rd!", &message).is_some());
        AuthenticateMessage::parse(&message).unwrap().channel_binding()
    };
    let hash = channel_binding_hash(b"tls-server-end-point:abc");
    assert_eq!(with(hash), Some(hash));
    assert_eq!(with([0; 16]), None);
    let without = alice().to(&challenge_of_the_vector()).unwrap();
    assert_eq!(
        AuthenticateMessage::parse(&without).unwrap().channel_binding(),
        None
    );
}

#[test]
fn weaker_or_broken_answers_are_refused() {
    let good = alice().to(&challenge_of_the_vector()).unwrap();
    let fault = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        AuthenticateMessage::parse(&bytes).unwrap_err()
    };
    // NTLM version 1: a response of 24 bytes. Anonymous: none.
    assert_eq!(fault(&|b| b[20] = 24), NtlmFault::NotVersion2);
    assert_eq!(fault(&|b| b[20..22].fill(0)), NtlmFault::NotVersion2);
    assert_eq!(fault(&|b| b[104] = 2), NtlmFault::NotVersion2);
    // Each required flag: 128 bit, key exchange, extended session security, Unicode.
    for (byte, bit) in [(63, 0x20), (63, 0x40), (62, 0x08), (60, 0x01)] {
        assert!(
            matches!(fault(&|b| b[byte] ^= bit), NtlmFault::Flags(_)),
            "{byte} {bit}"
        );
    }
    let malformed = |f| matches!(f, NtlmFault::Malformed(_));
    assert!(malformed(fault(&|b| b[8] = 2)));
    assert!(malformed(fault(&|b| b.truncate(63))));
    assert!(malformed(fault(&|b| b.truncate(b.len() - 32))));
    assert!(malformed(fault(&|b| b[52] = 15)));
    assert!(malformed(fault(&|b| b[40..44].fill(0xff))));
    assert!(malformed(fault(&|b| b[36] = 9)));
    assert!(malformed(fault(
        &|b| b[24..28].copy_from_slice(&12u32.to_le_bytes())
    )));
    assert!(malformed(fault(&|b| b.resize(7000, 0))));
}

#[test]
fn secrets_print_nothing() {
    assert_eq!(
        format!("{:?} {:?}", NtHash::from_password("x"), key_of_fives()),
        "NtHash SessionKey"
    );
    assert_eq!(
        format!("{:?}", MessageSigner::server(&key_of_fives())),
        "MessageSigner"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = AuthenticateMessage::parse(&bytes);
    }

    #[test]
    fn any_damage_is_survived_and_never_signs_in(
        damage in prop::collection::vec((0usize..400, any::<u8>()), 1..12), cut in 0usize..400
    ) {
        let mut bytes = alice().to(&challenge_of_the_vector()).unwrap();
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(bytes.len().max(cut));
        if let Ok(message) = AuthenticateMessage::parse(&bytes) {
            let _ = (message.channel_binding(), message.mic_is_right(&key_of_fives(), &bytes));
            let hash = NtHash::from_password("another");
            prop_assert!(verify_authenticate(Some(&hash), SERVER_CHALLENGE, &message).is_none());
        }
    }

    #[test]
    fn what_a_client_answers_is_verified(
        user in "\\PC{0,20}", domain in "[A-Za-z.]{0,20}", password in "\\PC{0,20}",
        challenge in any::<[u8; 8]>(), key in any::<[u8; 16]>(), mic in any::<bool>(), now in 0u64..4_000_000_000
    ) {
        let message = ChallengeMessage::new(challenge, &names(), now);
        let answer = Answer {
            user: &user, domain: &domain, password: &password, session_key: SessionKey::from_bytes(key), mic, ..alice()
        };
        let bytes = answer.to(message.as_bytes()).unwrap();
        let parsed = AuthenticateMessage::parse(&bytes).unwrap();
        let hash = NtHash::from_password(&password);
        let verified = verify_authenticate(Some(&hash), challenge, &parsed);
        prop_assert!(verified == Some(SessionKey::from_bytes(key)));
        prop_assert!(parsed.mic_is_right(&SessionKey::from_bytes(key), message.as_bytes()));
    }

    #[test]
    fn a_signature_fits_only_its_text_and_key(
        text in prop::collection::vec(any::<u8>(), 1..200), key in any::<[u8; 16]>(), at in any::<prop::sample::Index>()
    ) {
        let key = SessionKey::from_bytes(key);
        let signature = MessageSigner::client(&key).sign(|sink| sink(&text));
        let server = MessageSigner::server(&key);
        prop_assert!(server.verify(|sink| sink(&text), &signature));
        let mut changed = text.clone();
        changed[at.index(text.len())] ^= 1;
        prop_assert!(!server.verify(|sink| sink(&changed), &signature));
        let read: Signature = signature.to_string().parse().unwrap();
        prop_assert_eq!(read, signature);
    }
}
