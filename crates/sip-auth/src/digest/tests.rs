//! Vectors of RFC 7616, RFC 2617 and RFC 2069, and what a client may not do.
//!
//! The vectors without a section number were computed apart from this crate, with Python's `hashlib`.

use proptest::prelude::*;

use super::client::Challenge;
use super::*;
use crate::AuthorizationError;

const SHA_256_OF_RFC_7616: &str = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
    uri=\"/dir/index.html\", algorithm=SHA-256, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
    nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
    response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", \
    opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

fn md5_of_rfc_7616() -> String {
    SHA_256_OF_RFC_7616
        .replace(
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            "8ca523f5e9506fed4657c9700eebdbec",
        )
        .replace("SHA-256", "MD5")
}

fn parse(value: &str) -> DigestCredentials {
    DigestCredentials::parse(value).unwrap()
}

/// Checks `value` for a GET as RFC 7616 and 2617 have it.
fn accepted(value: &str, password: &str, method: &str) -> bool {
    let credentials = parse(value);
    let ha1 = Ha1::compute(
        credentials.algorithm,
        &credentials.username,
        &credentials.realm,
        password,
    );
    verify(Some(&ha1), &credentials, method, false)
}

#[test]
fn the_vectors_of_rfc_7616_section_3_9_1_verify() {
    for value in [SHA_256_OF_RFC_7616.to_owned(), md5_of_rfc_7616()] {
        assert!(accepted(&value, "Circle of Life", "GET"), "{value}");
        assert!(!accepted(&value, "Circle of life", "GET"), "{value}");
        assert!(!accepted(&value, "Circle of Life", "PUT"), "{value}");
    }
}

#[test]
fn the_vector_of_rfc_2617_section_3_5_verifies_without_algorithm_and_with_quoted_qop() {
    let value = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=\"auth\", nc=00000001, \
        cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\"";
    assert!(accepted(value, "Circle Of Life", "GET"));
}

#[test]
fn a_sip_register_verifies_under_both_algorithms() {
    // RFC 3261 section 22.4 shows the header for bob@biloxi.com; its response is not computed, these are.
    let value = |algorithm: &str, response: &str| {
        format!(
            "Digest username=\"bob\",realm=\"biloxi.com\",nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",\
             uri=\"sip:biloxi.com\",qop=auth,nc=00000001,cnonce=\"0a4f113b\",algorithm={algorithm},\
             response=\"{response}\",opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""
        )
    };
    let md5 = value("md5", "9E2D1006810044FD79F39476209AE31A");
    let sha = value(
        "\"SHA-256\"",
        "93e0e23c30bf2e3b139a3410a7edc9a5b15b1cfd8fd557ca8ee303e4372339a1",
    );
    for value in [md5, sha] {
        assert!(accepted(&value, "zanzibar", "REGISTER"), "{value}");
        assert!(parse(&value).uri_is("sip:biloxi.com"));
        assert!(!parse(&value).uri_is("sip:biloxi.com;transport=tls"));
    }
}

#[test]
fn the_form_of_rfc_2069_counts_only_where_it_is_allowed() {
    // As libpurple's SIMPLE writes it: no qop, no cnonce, a quoted nc.
    let value = "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
        uri=\"sip:biloxi.com\", nc=\"00000002\", response=\"4441045a8075db3ead543693997e2a0e\"";
    let credentials = parse(value);
    let ha1 = Ha1::compute(Algorithm::Md5, "bob", "biloxi.com", "zanzibar");
    assert_eq!(
        (&credentials.form, credentials.nonce_count()),
        (&Form::Rfc2069, None)
    );
    assert!(verify(Some(&ha1), &credentials, "REGISTER", true));
    assert!(!verify(Some(&ha1), &credentials, "REGISTER", false));
}

#[test]
fn the_form_of_rfc_2069_never_counts_under_sha_256() {
    let challenge = Challenge {
        realm: "r".into(),
        nonce: "n".into(),
        algorithm: Algorithm::Sha256,
        stale: false,
    };
    let credentials = parse(&challenge.answer_rfc2069(("u", "p"), ("REGISTER", "sip:r")));
    let ha1 = Ha1::compute(Algorithm::Sha256, "u", "r", "p");
    assert!(!verify(Some(&ha1), &credentials, "REGISTER", true));
}

#[test]
fn without_a_verifier_of_the_algorithm_nothing_verifies() {
    let credentials = parse(SHA_256_OF_RFC_7616);
    let other = Ha1::compute(
        Algorithm::Md5,
        "Mufasa",
        "http-auth@example.org",
        "Circle of Life",
    );
    assert!(!verify(Some(&other), &credentials, "GET", true));
    assert!(!verify(None, &credentials, "GET", true));
}

#[test]
fn an_answer_to_the_dummy_verifier_does_not_sign_in() {
    // Somebody who knows the source computes the response that belongs to the dummy hash.
    let mut credentials = parse(SHA_256_OF_RFC_7616);
    let dummy = Hash {
        algorithm: Algorithm::Sha256,
        bytes: [0; 32].into(),
    };
    credentials.response = super::verify::response(&dummy, &credentials, "GET")
        .as_bytes()
        .to_vec();
    assert!(!verify(None, &credentials, "GET", false));
}

#[test]
fn a_verifier_is_stored_and_read_back_and_shows_nothing_of_itself() {
    let ha1 = Ha1::compute(Algorithm::Sha256, "bob", "biloxi.com", "zanzibar");
    assert_eq!(
        hex::encode(ha1.as_bytes()),
        "e65db393e748c5228939a6b4b2879e9ea5625cd79fd5267868cb568d69f6b97e"
    );
    let read = Ha1::from_bytes(Algorithm::Sha256, ha1.as_bytes()).unwrap();
    assert_eq!(read.as_bytes(), ha1.as_bytes());
    assert!(Ha1::from_bytes(Algorithm::Md5, ha1.as_bytes()).is_none());
    assert_eq!(format!("{ha1:?}"), "Ha1(SHA-256)");
}

#[test]
fn what_was_never_offered_is_refused() {
    let base = md5_of_rfc_7616();
    for (from, to, name) in [
        ("algorithm=MD5", "algorithm=MD5-sess", "algorithm"),
        ("algorithm=MD5", "algorithm=SHA-512-256", "algorithm"),
        ("qop=auth", "qop=auth-int", "qop"),
        ("qop=auth", "qop=\"\"", "qop"),
        ("opaque=", "userhash=true, opaque=", "userhash"),
        ("opaque=", "username*=UTF-8''x, opaque=", "username*"),
    ] {
        let value = base.replace(from, to);
        assert_eq!(
            DigestCredentials::parse(&value),
            Err(AuthorizationError::Unsupported(name)),
            "{value}"
        );
    }
}

#[test]
fn incomplete_or_ambiguous_credentials_are_refused() {
    let base = md5_of_rfc_7616();
    let with = |from: &str, to: &str| DigestCredentials::parse(&base.replace(from, to));
    assert_eq!(with("nc=00000001, ", ""), Err(AuthorizationError::Missing("nc")));
    assert_eq!(with("cnonce=", "x="), Err(AuthorizationError::Missing("cnonce")));
    assert_eq!(
        with("username=", "x="),
        Err(AuthorizationError::Missing("username"))
    );
    assert_eq!(
        with("nc=00000001", "nc=1"),
        Err(AuthorizationError::Malformed("nc"))
    );
    assert_eq!(
        with("nc=00000001", "nc=+0000001"),
        Err(AuthorizationError::Malformed("nc"))
    );
    assert_eq!(
        with("8ca523", "8ca5"),
        Err(AuthorizationError::Malformed("response"))
    );
    assert_eq!(
        with("opaque=", "uri=\"/other\", opaque="),
        Err(AuthorizationError::Duplicate("uri"))
    );
}

#[test]
fn a_challenge_is_one_value_for_one_algorithm() {
    assert_eq!(
        www_authenticate(Algorithm::Md5, "example.test", "abc", false),
        "Digest realm=\"example.test\", nonce=\"abc\", qop=\"auth\", algorithm=MD5"
    );
    assert_eq!(
        www_authenticate(Algorithm::Sha256, "a \"b\"", "abc", true),
        "Digest realm=\"a \\\"b\\\"\", nonce=\"abc\", qop=\"auth\", algorithm=SHA-256, stale=true"
    );
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(value in "\\PC{0,200}") {
        let _ = DigestCredentials::parse(&value);
        let _ = DigestCredentials::parse(&format!("Digest {value}"));
    }

    #[test]
    fn any_mixture_of_known_parameters_is_parsed_or_refused(
        parts in prop::collection::vec("(username|realm|nonce|uri|response|algorithm|qop|cnonce|nc|userhash)=(\"[ -~]{0,8}\"|[a-f0-9]{0,32}|auth|MD5)", 0..12)
    ) {
        let _ = DigestCredentials::parse(&format!("Digest {}", parts.join(",")));
    }

    #[test]
    fn an_answered_challenge_verifies_and_only_unchanged(
        user in "[a-z\"\\\\ü]{1,12}", password in "\\PC{0,20}", nc in 1u32.., sha in any::<bool>(), flip in 0usize..128
    ) {
        let algorithm = if sha { Algorithm::Sha256 } else { Algorithm::Md5 };
        let offered = www_authenticate(algorithm, "example.test", "n0nce", false);
        let challenge = Challenge::parse(&offered).unwrap();
        let value = challenge.answer((&user, &password), ("MESSAGE", "sip:bob@example.test"), "c", nc);
        let mut credentials = parse(&value);
        prop_assert_eq!(credentials.nonce_count(), Some(nc));
        prop_assert!(credentials.uri_is("sip:bob@example.test"));
        let ha1 = Ha1::compute(algorithm, &user, "example.test", &password);
        prop_assert!(verify(Some(&ha1), &credentials, "MESSAGE", false));
        prop_assert!(!verify(Some(&ha1), &credentials, "INVITE", false));
        credentials.response[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(!verify(Some(&ha1), &credentials, "MESSAGE", false));
    }
}
