use rpc::{AccountChange, Directory, PolicyScope, Registrar};
use sip_auth::digest::client::Challenge;
use sip_auth::ntlm::{ChallengeMessage, TargetNames};
use sip_types::{Method, SipStr};
use store::{AccountPatch, AccountStore};

use super::*;
use crate::testing::{Fixture, REALM, aor, digest};

/// An `Authorization` for a REGISTER, as a client makes it.
fn authorization(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> String {
    let challenge = Challenge {
        realm: realm.into(),
        nonce: "nonce".into(),
        algorithm,
        stale: false,
    };
    challenge.answer(
        (username, password),
        ("REGISTER", "sip:example.test"),
        "cnonce",
        1,
    )
}

async fn outcome(fixture: &Fixture, request: Authenticate) -> Result<Identity, Refusal> {
    fixture.service.authenticate(request).await.unwrap()
}

/// The reason of a refusal, or `ok`.
async fn reason(fixture: &Fixture, request: Authenticate) -> &'static str {
    match outcome(fixture, request).await {
        Ok(_) => "ok",
        Err(refusal) => refusal.reason,
    }
}

async fn try_digest(fixture: &Fixture, claimed: &str, username: &str, password: &str) -> &'static str {
    let answer = authorization(Algorithm::Md5, username, REALM, password);
    reason(fixture, digest(claimed, answer)).await
}

#[tokio::test]
async fn the_right_password_is_accepted_under_either_algorithm_and_form_of_the_name() {
    let fixture = Fixture::new().await;
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        for username in ["alice", "alice@example.test"] {
            let answer = authorization(algorithm, username, REALM, "alice-secret");
            let identity = outcome(&fixture, digest("alice", answer)).await.unwrap();
            assert_eq!(identity.aor, aor("alice"));
            assert_eq!(identity.display_name, "alice of the test");
            assert!(identity.session_key.is_none());
        }
    }
}

#[tokio::test]
async fn what_is_not_a_proof_of_the_claimed_user_is_refused() {
    let fixture = Fixture::new().await;
    assert_eq!(
        try_digest(&fixture, "alice", "alice", "wrong").await,
        "wrong_password"
    );
    assert_eq!(
        try_digest(&fixture, "alice", "bob", "bob-secret").await,
        "wrong_password",
        "bob is not alice"
    );
    assert_eq!(
        try_digest(&fixture, "bob", "alice", "alice-secret").await,
        "wrong_password"
    );
    assert_eq!(
        try_digest(&fixture, "alice", "alice@other.test", "alice-secret").await,
        "wrong_password"
    );
    assert_eq!(
        try_digest(&fixture, "alice", "", "alice-secret").await,
        "wrong_password"
    );
    assert_eq!(
        try_digest(&fixture, "nobody", "nobody", "x").await,
        "unknown_user"
    );
}

#[tokio::test]
async fn a_right_digest_for_another_realm_or_method_never_counts() {
    let fixture = Fixture::new().await;
    let elsewhere = authorization(Algorithm::Md5, "alice", "elsewhere", "alice-secret");
    assert_eq!(
        reason(&fixture, digest("alice", elsewhere.clone())).await,
        "wrong_password"
    );
    let mut offered_elsewhere = digest("alice", elsewhere);
    let Proof::Digest { realm, .. } = &mut offered_elsewhere.proof else {
        unreachable!()
    };
    *realm = SipStr::from("elsewhere");
    assert_eq!(
        reason(&fixture, offered_elsewhere).await,
        "wrong_password",
        "even if a front end offered it"
    );

    let mut other_method = digest(
        "alice",
        authorization(Algorithm::Md5, "alice", REALM, "alice-secret"),
    );
    let Proof::Digest { method, .. } = &mut other_method.proof else {
        unreachable!()
    };
    *method = Method::Message;
    assert_eq!(reason(&fixture, other_method).await, "wrong_password");
}

#[tokio::test]
async fn unknown_wrong_and_disabled_look_alike() {
    let fixture = Fixture::new().await;
    let disabled = AccountChange {
        enabled: Some(false),
        ..Default::default()
    };
    fixture
        .service
        .change_account(&aor("bob"), disabled)
        .await
        .unwrap();
    let refusal = async |user: &str, password: &str| {
        let answer = authorization(Algorithm::Md5, user, REALM, password);
        outcome(&fixture, digest(user, answer)).await.unwrap_err()
    };
    let (unknown, wrong) = (refusal("nobody", "x").await, refusal("alice", "x").await);
    let (disabled, disabled_wrong) = (refusal("bob", "bob-secret").await, refusal("bob", "x").await);
    assert_eq!(
        [unknown.reason, wrong.reason, disabled.reason],
        ["unknown_user", "wrong_password", "disabled"]
    );
    assert_eq!(disabled_wrong.reason, "disabled");
    assert!(
        [unknown, wrong, disabled, disabled_wrong]
            .iter()
            .all(|refusal| refusal.delay.is_zero())
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let fixture = Fixture::new().await;
    for bad in [
        "",
        "Digest",
        "Basic YWxpY2U6c2VjcmV0",
        "Digest username=\"alice\"",
    ] {
        assert_eq!(
            reason(&fixture, digest("alice", bad.into())).await,
            "malformed",
            "{bad}"
        );
    }
    let ntlm = Proof::Ntlm {
        server_challenge: [0; 8],
        authenticate: b"NTLMSSP\0".to_vec(),
    };
    let request = Authenticate {
        proof: ntlm,
        ..digest("alice", String::new())
    };
    assert_eq!(reason(&fixture, request).await, "malformed");
}

#[tokio::test]
async fn the_form_without_qop_counts_only_where_policy_says_so() {
    let fixture = Fixture::new().await;
    let challenge = Challenge {
        realm: REALM.into(),
        nonce: "nonce".into(),
        algorithm: Algorithm::Md5,
        stale: false,
    };
    let answer = challenge.answer_rfc2069(("alice", "alice-secret"), ("REGISTER", "sip:example.test"));
    assert_eq!(
        reason(&fixture, digest("alice", answer.clone())).await,
        "not_allowed"
    );
    let values = [("allow_rfc2069".to_owned(), "true".to_owned())].into();
    fixture
        .service
        .create_policy("registration", PolicyScope::Global, values)
        .await
        .unwrap();
    assert_eq!(reason(&fixture, digest("alice", answer)).await, "ok");
}

#[tokio::test]
async fn schemes_that_are_switched_off_are_refused() {
    let fixture = Fixture::with(|config| config.digest_md5 = false).await;
    assert_eq!(
        try_digest(&fixture, "alice", "alice", "alice-secret").await,
        "not_allowed"
    );
    let sha256 = authorization(Algorithm::Sha256, "alice", REALM, "alice-secret");
    assert_eq!(reason(&fixture, digest("alice", sha256)).await, "ok");
    assert_eq!(
        reason(&fixture, ntlm("alice", "alice", "", "alice-secret")).await,
        "not_allowed"
    );
}

#[tokio::test]
async fn a_policy_can_keep_users_out() {
    let fixture = Fixture::new().await;
    let values = [("allow".to_owned(), "false".to_owned())].into();
    fixture
        .service
        .create_policy("registration", PolicyScope::Tag("out".into()), values)
        .await
        .unwrap();
    fixture
        .service
        .grant_policy("registration", Some("out"), &aor("alice"))
        .await
        .unwrap();
    assert_eq!(
        try_digest(&fixture, "alice", "alice", "alice-secret").await,
        "not_allowed"
    );
    assert_eq!(try_digest(&fixture, "bob", "bob", "bob-secret").await, "ok");
}

#[tokio::test]
async fn a_new_password_ends_the_old_one() {
    let fixture = Fixture::new().await;
    assert_eq!(try_digest(&fixture, "alice", "alice", "alice-secret").await, "ok");
    let change = AccountChange {
        password: Some(("new".into(), false)),
        ..Default::default()
    };
    let view = fixture
        .service
        .change_account(&aor("alice"), change)
        .await
        .unwrap();
    assert!(!view.ntlm);
    assert_eq!(
        try_digest(&fixture, "alice", "alice", "alice-secret").await,
        "wrong_password"
    );
    assert_eq!(try_digest(&fixture, "alice", "alice", "new").await, "ok");
    assert_eq!(
        reason(&fixture, ntlm("alice", "alice", "", "new")).await,
        "not_allowed"
    );
}

const SERVER_CHALLENGE: [u8; 8] = *b"12345678";
const CLIENT_KEY: [u8; 16] = *b"0123456789abcdef";

/// An NTLM proof as a client makes it.
fn ntlm(claimed: &str, user: &str, domain: &str, password: &str) -> Authenticate {
    let names = TargetNames::from_fqdn("fe1.example.test");
    let challenge = ChallengeMessage::new(SERVER_CHALLENGE, &names, 1_800_000_000);
    let answer = sip_auth::ntlm::client::Answer {
        user,
        domain,
        password,
        client_challenge: [9; 8],
        time: [0; 8],
        session_key: sip_auth::ntlm::SessionKey::from_bytes(CLIENT_KEY),
        channel_binding: None,
        mic: false,
    };
    Authenticate {
        claimed: aor(claimed),
        proof: Proof::Ntlm {
            server_challenge: SERVER_CHALLENGE,
            authenticate: answer.to(challenge.as_bytes()).unwrap(),
        },
        peer: [192, 0, 2, 1].into(),
    }
}

#[tokio::test]
async fn ntlm_yields_the_session_key_the_client_chose() {
    let fixture = Fixture::new().await;
    let identity = outcome(&fixture, ntlm("alice", "alice", "", "alice-secret"))
        .await
        .unwrap();
    assert_eq!(identity.aor, aor("alice"));
    assert_eq!(identity.session_key, Some(SessionKey(CLIENT_KEY)));
}

#[tokio::test]
async fn a_login_name_may_be_the_address_or_its_user_part_with_a_domain_of_ours() {
    let fixture = Fixture::new().await;
    let rows = [
        ("alice", "", "ok"),
        ("Alice", "", "ok"),
        ("alice", "example.test", "ok"),
        ("alice", "EXAMPLE.TEST", "ok"),
        ("alice", "other.test", "ok"),
        ("alice@example.test", "", "ok"),
        ("Alice@Example.test", "", "ok"),
        ("sip:alice@example.test", "", "ok"),
        ("alice", "elsewhere.test", "wrong_password"),
        ("alice@other.test", "", "wrong_password"),
        ("bob", "", "wrong_password"),
        ("", "", "wrong_password"),
    ];
    for (user, domain, expected) in rows {
        let request = ntlm("alice", user, domain, "alice-secret");
        assert_eq!(reason(&fixture, request).await, expected, "{user} {domain}");
    }
}

#[tokio::test]
async fn ntlm_needs_the_right_password_challenge_and_an_account_that_may_use_it() {
    let fixture = Fixture::new().await;
    let try_ntlm = async |claimed, password| reason(&fixture, ntlm(claimed, claimed, "", password)).await;
    assert_eq!(try_ntlm("alice", "wrong").await, "wrong_password");
    assert_eq!(
        try_ntlm("bob", "bob-secret").await,
        "not_allowed",
        "bob has no NT hash"
    );
    assert_eq!(try_ntlm("nobody", "x").await, "unknown_user");
    let mut replayed = ntlm("alice", "alice", "", "alice-secret");
    let Proof::Ntlm { server_challenge, .. } = &mut replayed.proof else {
        unreachable!()
    };
    *server_challenge = [0; 8];
    assert_eq!(reason(&fixture, replayed).await, "wrong_password");
}

#[tokio::test]
async fn a_credential_moved_to_another_account_lets_nobody_in() {
    let fixture = Fixture::new().await;
    let alice = fixture.directory.account(&aor("alice")).await.unwrap().unwrap();
    // Somebody who can write the database gives bob the credentials of an account whose password he knows.
    let patch = AccountPatch {
        credentials: Some(alice.credentials),
        ..Default::default()
    };
    fixture
        .directory
        .change_account(&aor("bob"), patch)
        .await
        .unwrap();
    assert_eq!(
        try_digest(&fixture, "bob", "bob", "alice-secret").await,
        "wrong_password"
    );
    assert_eq!(
        try_digest(&fixture, "bob", "alice", "alice-secret").await,
        "wrong_password"
    );
    assert_eq!(try_digest(&fixture, "alice", "alice", "alice-secret").await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_often_waits_for_its_answers() {
    let fixture = Fixture::new().await;
    let mut delays = Vec::new();
    for attempt in 0..13 {
        // Every time another user: what counts here is where it comes from.
        let user = format!("user{attempt}");
        let refusal = outcome(
            &fixture,
            digest(&user, authorization(Algorithm::Md5, &user, REALM, "x")),
        )
        .await
        .unwrap_err();
        delays.push(refusal.delay.as_secs());
    }
    assert_eq!(delays, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4]);

    // A success from there is held back too, or the quick answers would tell which guess was right.
    let started = tokio::time::Instant::now();
    assert_eq!(try_digest(&fixture, "alice", "alice", "alice-secret").await, "ok");
    assert_eq!(started.elapsed().as_secs(), 4);
    // But not for somebody who has signed in from there before.
    let started = tokio::time::Instant::now();
    assert_eq!(try_digest(&fixture, "alice", "alice", "alice-secret").await, "ok");
    assert!(started.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_user_under_attack_still_signs_in_from_the_usual_place() {
    let fixture = Fixture::new().await;
    assert_eq!(try_digest(&fixture, "alice", "alice", "alice-secret").await, "ok");
    let from = |address: [u8; 4], password: &str| Authenticate {
        peer: address.into(),
        ..digest("alice", authorization(Algorithm::Md5, "alice", REALM, password))
    };
    for attempt in 0..20 {
        assert_eq!(
            reason(&fixture, from([10, 0, 0, attempt], "guess")).await,
            "wrong_password"
        );
    }
    assert_eq!(reason(&fixture, from([10, 0, 1, 1], "guess")).await, "throttled");
    assert_eq!(
        reason(&fixture, from([10, 0, 1, 1], "alice-secret")).await,
        "throttled",
        "a right guess tells nothing"
    );
    assert_eq!(
        reason(&fixture, from([192, 0, 2, 1], "alice-secret")).await,
        "ok",
        "nobody is locked out"
    );
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(reason(&fixture, from([10, 0, 1, 1], "alice-secret")).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn an_invented_user_is_guarded_like_a_real_one() {
    let fixture = Fixture::new().await;
    for attempt in 0..21 {
        let request = Authenticate {
            peer: [10, 0, 0, attempt].into(),
            ..digest("nobody", authorization(Algorithm::Md5, "nobody", REALM, "x"))
        };
        let expected = if attempt < 20 { "unknown_user" } else { "throttled" };
        assert_eq!(reason(&fixture, request).await, expected, "{attempt}");
    }
}

#[tokio::test]
async fn attempts_are_counted_and_the_telling_ones_audited() {
    use store::AuditStore;
    let fixture = Fixture::new().await;
    try_digest(&fixture, "alice", "alice", "alice-secret").await;
    try_digest(&fixture, "alice", "alice", "wrong").await;
    reason(&fixture, ntlm("bob", "bob", "", "bob-secret")).await;
    let counted = fixture.service.counters().auth;
    assert_eq!(
        counted,
        [
            ("digest-md5", "ok", 1),
            ("digest-md5", "wrong_password", 1),
            ("ntlm", "not_allowed", 1)
        ]
    );
    let directory = fixture.directory.clone();
    fixture.stop().await;
    let [newest] = &directory.audit(1).await.unwrap()[..] else {
        panic!("no entry")
    };
    assert_eq!(
        (&*newest.action, &*newest.subject),
        ("sign-in.refused", "bob@example.test")
    );
    assert_eq!((&*newest.actor, &*newest.detail), ("192.0.2.1", "not_allowed"));
}
