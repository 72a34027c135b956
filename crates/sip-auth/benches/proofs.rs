//! What authentication costs: a proof at sign-in, a signature on each message, a credential taken from the store.
//!
//! `cargo bench -p sip-auth --features client`. Digest is paid once per connection, NTLM signatures with every message of a
//! Lync-family client, in both directions.

#![expect(clippy::panic, reason = "a benchmark with a wrong input must stop")]

use divan::{Bencher, black_box};
use sip_auth::digest::{self, Algorithm, DigestCredentials, Ha1};
use sip_auth::key_file::{KeyFile, Purpose};
use sip_auth::nonce::{ConnectionClass, NonceKey, NonceScope, ReturnedOn};
use sip_auth::ntlm::SessionKey;
use sip_auth::seal::SealKey;
use sip_auth::signature::client::{Challenge, ClientAssociation};
use sip_auth::signature::{
    MessageFields, NtlmAuthorization, ProtocolVersion, SecurityAssociation, www_authenticate_token,
};
use std::sync::Arc;

fn main() {
    divan::main();
}

/// Stops a benchmark whose input is not what it should be.
fn right<T, E: std::fmt::Display>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

// === Digest ===

/// The REGISTER of a user with the password `zanzibar`.
fn authorization(algorithm: Algorithm) -> String {
    let response = match algorithm {
        Algorithm::Md5 => "9e2d1006810044fd79f39476209ae31a",
        Algorithm::Sha256 => "93e0e23c30bf2e3b139a3410a7edc9a5b15b1cfd8fd557ca8ee303e4372339a1",
    };
    format!(
        "Digest username=\"bob\",realm=\"biloxi.com\",nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",\
         uri=\"sip:biloxi.com\",qop=auth,nc=00000001,cnonce=\"0a4f113b\",algorithm={},\
         response=\"{response}\",opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        algorithm.token()
    )
}

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Md5, Algorithm::Sha256];

#[divan::bench(args = ALGORITHMS, sample_size = 100)]
fn digest_parse(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let value = authorization(algorithm);
    bencher.bench(|| right(DigestCredentials::parse(black_box(&value))));
}

#[divan::bench(args = ALGORITHMS, sample_size = 100)]
fn digest_verify(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let credentials = right(DigestCredentials::parse(&authorization(algorithm)));
    let ha1 = Ha1::compute(algorithm, "bob", "biloxi.com", "zanzibar");
    let is_right = || digest::verify(Some(black_box(&ha1)), black_box(&credentials), "REGISTER", false);
    assert!(is_right(), "the proof is not that of the password");
    bencher.bench(is_right);
}

// === nonces ===

const NOW: u64 = 1_800_000_000;

const SCOPE: NonceScope<'static> = NonceScope {
    realm: "example.test",
    class: ConnectionClass::Tls,
    issuer: "fe1",
};

#[divan::bench(sample_size = 100)]
fn nonce_issue(bencher: Bencher<'_, '_>) {
    let key = NonceKey::new(&[7; 32], Some(&[6; 32]));
    bencher.bench(|| black_box(&key).issue(black_box(NOW), [1; 8], SCOPE));
}

#[divan::bench(sample_size = 100)]
fn nonce_check(bencher: Bencher<'_, '_>) {
    let key = NonceKey::new(&[7; 32], Some(&[6; 32]));
    let nonce = key.issue(NOW, [1; 8], SCOPE);
    bencher.bench(|| right(key.check(black_box(&nonce), NOW + 1, SCOPE, ReturnedOn::SameConnection)));
}

// === NTLM ===

const REALM: &str = "SIP Communications Service";
const TARGET: &str = "fe.example.test";

/// A MESSAGE in a session.
const MESSAGE: MessageFields<'static> = MessageFields {
    call_id: "EBB7g1050a4CA2iB293m5580tBBB5bFFC8x0833x",
    cseq: "21",
    method: "MESSAGE",
    from_uri: "sip:alice@example.test",
    from_tag: "408663310",
    to_uri: "sip:bob@example.test",
    to_tag: "A1B2C3D4E5F60718",
    asserted_sip: "",
    asserted_tel: "",
    expires: "",
    status: None,
};

fn association(key: &SessionKey) -> SecurityAssociation {
    SecurityAssociation::new(
        "2A78E87D",
        Arc::from(REALM),
        Arc::from(TARGET),
        ProtocolVersion::V4,
        key,
    )
}

/// Parsing the header, checking the signature and counting: what each message of a signed-in client costs.
#[divan::bench(sample_size = 100)]
fn ntlm_verify(bencher: Bencher<'_, '_>) {
    let key = SessionKey::from_bytes([0x55; 16]);
    let challenge = www_authenticate_token("2A78E87D", &[], REALM, TARGET);
    let mut client = ClientAssociation::new(right(Challenge::parse(&challenge)), &key);
    let mut server = association(&key);
    bencher
        // Each message counts on from the one before.
        .with_inputs(|| client.sign("0a1b2c3d", &MESSAGE, None))
        .bench_local_refs(|value| {
            let authorization = right(NtlmAuthorization::parse(value));
            right(server.verify(&authorization, black_box(&MESSAGE)));
        });
}

#[divan::bench(sample_size = 100)]
fn ntlm_sign(bencher: Bencher<'_, '_>) {
    let mut server = association(&SessionKey::from_bytes([0x55; 16]));
    bencher.bench_local(|| server.sign([1, 2, 3, 4], black_box(&MESSAGE)));
}

// === credentials at rest ===

/// As long as the verifiers of one account.
const VERIFIERS: [u8; 64] = [3; 64];

fn seal_key() -> SealKey {
    let file = right(KeyFile::parse(&KeyFile::generate(&[9; 32])));
    right(file.seal_key(Purpose::Credentials))
}

#[divan::bench(sample_size = 100)]
fn seal(bencher: Bencher<'_, '_>) {
    let key = seal_key();
    bencher.bench(|| right(key.seal(black_box(&VERIFIERS), "account-1", [5; 12])));
}

#[divan::bench(sample_size = 100)]
fn open(bencher: Bencher<'_, '_>) {
    let key = seal_key();
    let sealed = right(key.seal(&VERIFIERS, "account-1", [5; 12]));
    bencher.bench(|| right(key.open(black_box(&sealed), "account-1")));
}
