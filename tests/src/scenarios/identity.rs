//! Nobody speaks in another's name, and nobody uses us to reach third parties.

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Puppet, Sandbox, Scheme};

use super::status;

async fn two() -> Result<(Sandbox, Puppet, Puppet)> {
    let pool = Sandbox::start().await?;
    let (amy, bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    Ok((pool, amy, bea))
}

#[tokio::test]
async fn a_foreign_from_is_refused_and_audited() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    pool.create("boss").await?;
    for from in [
        "sip:boss@example.test",
        "sip:bea@example.test",
        "sip:amy@elsewhere.test",
        "sip:ghost@example.test",
    ] {
        let text = amy
            .text(&bea.uri(), "obey")
            .set("From", format!("\"Amy\" <{from}>;tag=x1"));
        status(&amy.call(text).await?, 403)?;
    }
    bea.nothing_else().await
}

#[tokio::test]
async fn a_foreign_from_is_refused_in_sessions_too() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    let invite = amy
        .invitation(&bea.uri(), Some("obey"))
        .set("From", "<sip:boss@example.test>;tag=x1;epid=0");
    status(&amy.call(invite).await?, 403)?;
    bea.nothing_else().await
}

#[tokio::test]
async fn asserted_identities_and_own_headers_of_a_client_are_removed() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy
        .text(&bea.uri(), "trust me")
        .header("P-Asserted-Identity", "<sip:boss@example.test>")
        .header("P-Preferred-Identity", "<sip:boss@example.test>")
        .header("X-Portico-Trusted", "yes");
    amy.send(&text).await?;
    let got = bea.receive("trust me").await?;
    for name in ["P-Asserted-Identity", "P-Preferred-Identity"] {
        let value = got.header(name).unwrap_or_default();
        ensure!(!value.contains("boss"), "{name}: {value}");
    }
    status(&amy.answer_to(&text).await?, 200)
}

#[tokio::test]
async fn registering_for_another_user_is_refused() -> Result<()> {
    let (_pool, mut amy, bea) = two().await?;
    let steal = amy.register().set("To", format!("<{}>", bea.uri()));
    status(&amy.call(steal).await?, 403)?;
    let both = amy
        .register()
        .set("To", format!("<{}>", bea.uri()))
        .set("From", format!("<{}>;tag=x", bea.uri()));
    let answer = amy.call(both).await?;
    ensure!(matches!(answer.status(), Some(401 | 403)), "{answer}");
    Ok(())
}

#[tokio::test]
async fn request_uris_lead_nowhere_else() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    for uri in [
        "sip:victim@elsewhere.test",
        "sip:bea@192.0.2.9:5060",
        "sip:192.0.2.9",
    ] {
        let text = amy.text(uri, "relay this");
        let answer = amy.call(text).await?;
        ensure!(
            matches!(answer.status(), Some(403 | 404)),
            "{uri} gave:\n{answer}"
        );
    }
    bea.nothing_else().await
}

#[tokio::test]
async fn a_foreign_domain_is_refused_403() -> Result<()> {
    let (_pool, mut amy, _bea) = two().await?;
    let text = amy.text("sip:victim@elsewhere.test", "relay this");
    status(&amy.call(text).await?, 403)
}

#[tokio::test]
async fn routes_lead_nowhere_else() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    for route in [
        "<sip:192.0.2.9;lr>",
        "<sip:elsewhere.test:5061;transport=tls;lr>",
        "<sip:192.0.2.9>, <sip:192.0.2.10;lr>",
    ] {
        let text = amy.text(&bea.uri(), "relay this").header("Route", route);
        status(&amy.call(text).await?, 403).with_context(|| route.to_owned())?;
    }
    bea.nothing_else().await
}

/// baresip and linphone put their outbound proxy into Route: that is us.
#[tokio::test]
async fn a_route_to_ourselves_is_not_a_relay() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let port = pool.tls()?.port();
    for host in ["127.0.0.1", "localhost"] {
        let text = amy
            .text(&bea.uri(), host)
            .header("Route", format!("<sip:{host}:{port};transport=tls;lr>"));
        amy.send(&text).await?;
        let got = bea.receive(host).await?;
        ensure!(got.header("Route").is_none(), "{got}");
        status(&amy.answer_to(&text).await?, 200)?;
    }
    Ok(())
}

/// A made-up Contact must not turn us into a scanner: texts go down the flow, wherever it points.
#[tokio::test]
async fn a_contact_elsewhere_is_refused_or_replaced_by_the_flow() -> Result<()> {
    let (pool, mut amy, bea) = two().await?;
    let mut liar = pool.puppet(&pool.create("liar").await?, Dialect::Simple).await?;
    let register = liar.register();
    let first = liar.call(register).await?;
    let challenge = Puppet::challenge(&first, "MD5")?;
    let value = challenge.answer(
        "liar",
        &liar.account().password,
        "REGISTER",
        "sip:example.test",
        1,
    );
    let register = liar
        .register()
        .header("Authorization", value)
        .set("Contact", "<sip:liar@192.0.2.77:5060>");
    let answer = liar.call(register).await?;
    if answer.status() != Some(200) {
        ensure!(matches!(answer.status(), Some(400 | 403)), "{answer}");
        return Ok(());
    }
    let text = amy.text(&liar.uri(), "where do you live?");
    amy.send(&text).await?;
    liar.receive("where do you live?").await?;
    status(&amy.answer_to(&text).await?, 200)?;
    drop(bea);
    Ok(())
}

#[tokio::test]
async fn another_user_can_not_sign_in_on_a_signed_in_connection() -> Result<()> {
    let (pool, amy, _bea) = two().await?;
    let cleo = pool.create("cleo").await?;
    let mut second = Puppet::new(amy.flow, cleo, Dialect::Simple)?;
    let answer = second.try_sign_in(Scheme::Md5).await;
    // Refused at once, or challenged and then refused; never a second identity on one connection.
    if let Ok(answer) = answer {
        ensure!(matches!(answer.status(), Some(401 | 403)), "{answer}");
    }
    Ok(())
}

/// A dialog belongs to its two identities: a third one that knows its tags gets nothing.
#[tokio::test]
async fn a_third_party_can_not_speak_in_a_dialog_it_has_heard_of() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    let mut eve = pool.session_user("eve").await?;
    let invite = amy.invitation(&bea.uri(), None);
    amy.send(&invite).await?;
    bea.accept().await?;
    let mut session = amy.established(&invite).await?;
    for method in ["MESSAGE", "BYE"] {
        let mut stolen = session.clone();
        // Her own name with their tags, then their name.
        stolen.local = stolen.local.replace("sip:amy@", "sip:eve@");
        let mut draft = eve.in_session(&mut stolen, method);
        if method == "MESSAGE" {
            draft = draft.body("text/plain", "I am amy");
        }
        status(&eve.call(draft.clone()).await?, 481)?;
        let draft = draft.set("From", &session.local);
        status(&eve.call(draft).await?, 403)?;
    }
    bea.nothing_else().await?;
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "still ours");
    amy.send(&message).await?;
    bea.receive("still ours").await?;
    status(&amy.answer_to(&message).await?, 200)
}
