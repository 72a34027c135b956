//! REGISTER with a proof: Digest (RFC 7616, RFC 8760) and NTLM (MS-SIPAE), and how it is refused.

use anyhow::{Context, Result, ensure};
use test_support::{Account, Dialect, Digest, Sandbox, Scheme, Wire};

use super::status;

#[tokio::test]
async fn a_standard_client_signs_in_with_md5() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    let mut client = pool.puppet(&alice, Dialect::Simple).await?;
    let ok = client.sign_in(Scheme::Md5).await?;
    let contact = ok.require("Contact")?;
    ensure!(contact.contains(client.instance()), "another contact: {contact}");
    let expires = contact.split(";expires=").nth(1).context("no expires")?;
    let expires: u32 = expires.split(';').next().unwrap_or_default().parse()?;
    ensure!(
        (270..=990).contains(&expires),
        "registration granted for {expires} s"
    );
    Ok(())
}

/// baresip 1.0 gives up if anything stands beside one MD5 line.
#[tokio::test]
async fn an_unknown_client_is_challenged_with_one_md5_line() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    let mut client = pool.puppet(&alice, Dialect::Simple).await?;
    let register = client.register();
    let answer = client.call(register).await?;
    status(&answer, 401)?;
    let lines = answer.all("WWW-Authenticate");
    ensure!(lines.len() == 1, "challenges: {lines:?}");
    ensure!(
        Digest::parse(lines[0])?.algorithm == "MD5",
        "challenge: {}",
        lines[0]
    );
    Ok(())
}

#[tokio::test]
async fn a_client_that_copes_signs_in_with_sha256() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    let mut client = pool.puppet(&alice, Dialect::Simple).await?;
    client.user_agent = "Linphone/5.1.65 (belle-sip/5.1)".into();
    client.sign_in(Scheme::Sha256).await?;
    Ok(())
}

#[tokio::test]
async fn a_lync_client_signs_in_with_ntlm_and_every_message_is_signed() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    let mut client = pool.puppet(&alice, Dialect::Lync).await?;
    // The puppet fails on any message that is not signed rightly.
    let ok = client.sign_in(Scheme::Ntlm).await?;
    let supported = ok.all("Supported");
    for option in ["msrtc-event-categories", "adhoclist"] {
        ensure!(
            supported.contains(&option),
            "{option} must have a line of its own: {supported:?}"
        );
    }
    ensure!(
        ok.require("ms-keep-alive")?.contains("timeout="),
        "ms-keep-alive without timeout"
    );
    let expires: u32 = ok.require("Expires")?.parse()?;
    ensure!(expires > 0, "Expires must not be 0");
    ensure!(client.gruu().is_some(), "no GRUU in:\n{ok}");
    // What is behind a blank is not found by SIPE 1.25.
    ensure!(
        ok.header("Allow-Events").is_some_and(|events| {
            events
                .split(',')
                .any(|event| event == "vnd-microsoft-roaming-self")
                && !events.contains(' ')
        }),
        "Allow-Events is not as SIPE reads it"
    );
    let options = client.request("OPTIONS", "sip:example.test");
    status(&client.call(options).await?, 200)
}

#[tokio::test]
async fn a_standard_client_is_never_offered_ntlm_nor_a_lync_client_digest() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    for (dialect, scheme) in [(Dialect::Simple, "Digest "), (Dialect::Lync, "NTLM ")] {
        let mut client = pool.puppet(&alice, dialect).await?;
        let register = client.register();
        let answer = client.call(register).await?;
        let lines = answer.all("WWW-Authenticate");
        ensure!(
            !lines.is_empty() && lines.iter().all(|line| line.starts_with(scheme)),
            "{dialect:?}: {lines:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn wrong_password_and_unknown_user_get_the_same_answer() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.create("amy").await?;
    for (dialect, scheme) in [(Dialect::Simple, Scheme::Md5), (Dialect::Lync, Scheme::Ntlm)] {
        let mut shapes = Vec::new();
        for user in ["amy", "nobody-has-this-name"] {
            let account = Account {
                user: user.into(),
                password: "wrong".into(),
            };
            let mut client = pool.puppet(&account, dialect).await?;
            let answer = client.try_sign_in(scheme).await?;
            status(&answer, 401)?;
            shapes.push(shape(&answer));
        }
        assert_eq!(shapes[0], shapes[1]);
    }
    Ok(())
}

/// What an observer can compare: everything but what differs from answer to answer anyway.
fn shape(answer: &Wire) -> Vec<String> {
    let masked = |name: &str, value: &str| match name.to_ascii_lowercase().as_str() {
        "via" | "from" | "to" | "call-id" | "cseq" | "date" => String::new(),
        _ => value
            .split(", ")
            .map(|part| {
                if part.contains("nonce=") || part.contains("opaque=") {
                    "*"
                } else {
                    part
                }
            })
            .collect::<Vec<_>>()
            .join(", "),
    };
    let mut shape = vec![answer.start.clone()];
    shape.extend(
        answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", masked(name, value))),
    );
    shape.push(answer.text());
    shape
}

#[tokio::test]
async fn after_a_wrong_password_the_right_one_still_works_on_the_same_connection() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    let wrong = Account {
        password: "wrong".into(),
        ..alice.clone()
    };
    let mut client = pool.puppet(&wrong, Dialect::Simple).await?;
    status(&client.try_sign_in(Scheme::Md5).await?, 401)?;
    let mut client = test_support::Puppet::new(client.flow, alice, Dialect::Simple)?;
    client.sign_in(Scheme::Md5).await?;
    Ok(())
}

#[tokio::test]
async fn a_proof_works_once() -> Result<()> {
    let pool = Sandbox::start().await?;
    let amy = pool.create("amy").await?;
    let mut client = pool.puppet(&amy, Dialect::Simple).await?;
    let register = client.register();
    let first = client.call(register).await?;
    let challenge = test_support::Puppet::challenge(&first, "MD5")?;
    let proof = challenge.answer(&amy.user, &amy.password, "REGISTER", "sip:example.test", 1);
    let register = client.register().header("Authorization", &proof);
    status(&client.call(register).await?, 200)?;
    let mut thief = pool.puppet(&amy, Dialect::Simple).await?;
    let replay = thief.register().header("Authorization", &proof);
    status(&thief.call(replay).await?, 401)
}

/// Also a proof that was sent where none was needed.
#[tokio::test]
async fn a_proof_of_a_refresh_works_once() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut client = pool.page_user("amy").await?;
    let register = client.register();
    let refresh = client.authorized(register)?;
    let proof = refresh.get("Authorization").context("no proof")?.to_owned();
    status(&client.call(refresh).await?, 200)?;
    let mut thief = pool.puppet(client.account(), Dialect::Simple).await?;
    let replay = thief.register().header("Authorization", proof);
    status(&thief.call(replay).await?, 401)
}

#[tokio::test]
async fn a_forged_nonce_is_refused() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    let mut client = pool.puppet(&alice, Dialect::Simple).await?;
    let register = client.register();
    let first = client.call(register).await?;
    let mut challenge = test_support::Puppet::challenge(&first, "MD5")?;
    let flipped = if challenge.nonce.ends_with('A') { "B" } else { "A" };
    challenge
        .nonce
        .replace_range(challenge.nonce.len() - 1.., flipped);
    let register = client.register();
    let value = challenge.answer(&alice.user, &alice.password, "REGISTER", "sip:example.test", 1);
    let answer = client.call(register.header("Authorization", value)).await?;
    status(&answer, 401)
}

#[tokio::test]
async fn a_proof_for_another_method_or_uri_is_refused() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    for (method, uri) in [
        ("MESSAGE", "sip:example.test"),
        ("REGISTER", "sip:elsewhere.test"),
    ] {
        let mut client = pool.puppet(&alice, Dialect::Simple).await?;
        let register = client.register();
        let first = client.call(register).await?;
        let challenge = test_support::Puppet::challenge(&first, "MD5")?;
        let value = challenge.answer(&alice.user, &alice.password, method, uri, 1);
        let register = client.register().header("Authorization", value);
        let answer = client.call(register).await?;
        ensure!(
            answer.status() != Some(200),
            "a proof for {method} {uri} was taken"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_proof_of_another_user_does_not_open_this_account() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (amy, bea) = (pool.create("amy").await?, pool.create("bea").await?);
    let mut client = pool.puppet(&amy, Dialect::Simple).await?;
    let register = client.register();
    let first = client.call(register).await?;
    let challenge = test_support::Puppet::challenge(&first, "MD5")?;
    // Right proof of bea, but From and To are amy's.
    let value = challenge.answer(&bea.user, &bea.password, "REGISTER", "sip:example.test", 1);
    let register = client.register().header("Authorization", value);
    let answer = client.call(register).await?;
    ensure!(matches!(answer.status(), Some(401 | 403)), "{answer}");
    let message = client.text("sip:bea@example.test", "who am I");
    let answer = client.call(message).await?;
    ensure!(matches!(answer.status(), Some(401 | 403)), "{answer}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_served_before_sign_in() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (amy, bea) = (pool.create("amy").await?, pool.create("bea").await?);
    let mut stranger = pool.puppet(&amy, Dialect::Simple).await?;
    for target in [bea.uri(), "sip:nobody-has-this-name@example.test".into()] {
        let message = stranger.text(&target, "let me in");
        let answer = stranger.call(message).await?;
        status(&answer, 401)?;
    }
    Ok(())
}

#[tokio::test]
async fn ntlm_is_refused_where_it_is_switched_off() -> Result<()> {
    let pool = Sandbox::with(test_support::Options::default().set("PORTICO_AUTH__NTLM", "false")).await?;
    let alice = pool.create("amy").await?;
    let mut client = pool.puppet(&alice, Dialect::Lync).await?;
    let register = client.register();
    let answer = client.call(register).await?;
    let lines = answer.all("WWW-Authenticate");
    ensure!(
        !lines.iter().any(|line| line.starts_with("NTLM")),
        "NTLM is offered: {lines:?}"
    );
    Ok(())
}

/// NTLM can be relayed by whoever reads along.
#[tokio::test]
async fn ntlm_is_not_offered_in_clear_text() -> Result<()> {
    let pool = Sandbox::start().await?;
    let alice = pool.create("amy").await?;
    let flow = test_support::Flow::tcp(pool.tcp()?).await?;
    let mut client = test_support::Puppet::new(flow, alice, Dialect::Lync)?;
    let register = client.register();
    let answer = client.call(register).await?;
    let lines = answer.all("WWW-Authenticate");
    ensure!(
        !lines.iter().any(|line| line.starts_with("NTLM")),
        "NTLM is offered over TCP: {lines:?}"
    );
    Ok(())
}

/// The client's probe for group chat must be answered, or it hangs.
#[tokio::test]
async fn the_group_chat_probe_is_answered_480() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut client = pool.session_user("amy").await?;
    let probe = client.invitation("sip:ocschat@example.test", None);
    let answer = client.call(probe).await?;
    status(&answer, 480)
}
