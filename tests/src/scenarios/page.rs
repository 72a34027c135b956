//! Page mode (RFC 3428): MESSAGE outside a dialog, between standard clients.

use anyhow::{Result, ensure};
use test_support::{Dialect, Puppet, Sandbox};

use super::status;

async fn two() -> Result<(Sandbox, Puppet, Puppet)> {
    let pool = Sandbox::start().await?;
    let (amy, bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    Ok((pool, amy, bea))
}

#[tokio::test]
async fn a_text_reaches_the_other_user_and_the_answer_the_sender() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy
        .request("MESSAGE", &bea.uri())
        .body("text/plain; charset=UTF-8", "grüße ☃");
    amy.send(&text).await?;
    let got = bea.receive("grüße ☃").await?;
    assert_eq!(got.media_type(), "text/plain");
    let from = got.require("From")?;
    ensure!(from.contains(&format!("<{}>", amy.uri())), "From: {from}");
    ensure!(
        got.header("Authorization").is_none() && got.header("Route").is_none(),
        "{got}"
    );
    // Clients that answer to where Via says need rport to answer on the flow (linphone 5.1).
    ensure!(got.require("Via")?.contains("rport"), "Via without rport:\n{got}");
    status(&amy.answer_to(&text).await?, 200)
}

/// The 200 means that an endpoint has accepted the text, so it can not come first.
#[tokio::test]
async fn the_sender_is_not_answered_before_the_recipient_has_accepted() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy.text(&bea.uri(), "wait for it");
    amy.send(&text).await?;
    let got = bea.expect("MESSAGE").await?;
    amy.nothing_else().await?;
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&text).await?, 200)
}

#[tokio::test]
async fn every_page_mode_endpoint_gets_a_copy() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let mut tablet = pool.endpoint(&bea.account().clone(), Dialect::Simple).await?;
    let text = amy.text(&bea.uri(), "to all of you");
    amy.send(&text).await?;
    bea.receive("to all of you").await?;
    tablet.receive("to all of you").await?;
    status(&amy.answer_to(&text).await?, 200)
}

#[tokio::test]
async fn one_endpoint_that_accepts_is_enough() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let mut tablet = pool.endpoint(&bea.account().clone(), Dialect::Simple).await?;
    let text = amy.text(&bea.uri(), "hello");
    amy.send(&text).await?;
    let refused = tablet.expect("MESSAGE").await?;
    tablet.answer(&refused, 415).await?;
    bea.receive("hello").await?;
    status(&amy.answer_to(&text).await?, 200)
}

/// 200 means that one has accepted; a sleeping tablet is no reason to wait.
#[tokio::test]
async fn an_endpoint_that_never_answers_does_not_hold_the_sender_up() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let mut asleep = pool.endpoint(&bea.account().clone(), Dialect::Simple).await?;
    let text = amy.text(&bea.uri(), "hello");
    amy.send(&text).await?;
    asleep.expect("MESSAGE").await?;
    bea.receive("hello").await?;
    status(&amy.answer_to(&text).await?, 200)
}

#[tokio::test]
async fn a_refusal_reaches_the_sender_with_its_status() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    for code in [415, 486, 603] {
        let text = amy.text(&bea.uri(), "no thanks");
        amy.send(&text).await?;
        let got = bea.expect("MESSAGE").await?;
        bea.answer(&got, code).await?;
        status(&amy.answer_to(&text).await?, code)?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_there_is_480_and_nobody_of_that_name_404() -> Result<()> {
    let (pool, mut amy, _bea) = two().await?;
    let away = pool.create("away").await?;
    for (target, code) in [
        (away.uri(), 480),
        ("sip:nobody-has-this-name@example.test".into(), 404),
    ] {
        let text = amy.text(&target, "hello?");
        status(&amy.call(text).await?, code)?;
    }
    Ok(())
}

#[tokio::test]
async fn texts_arrive_in_the_order_they_were_sent() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let texts: Vec<String> = (0..20).map(|n| format!("line {n}")).collect();
    let mut drafts = Vec::new();
    for text in &texts {
        let draft = amy.text(&bea.uri(), text);
        amy.send(&draft).await?;
        drafts.push(draft);
    }
    for text in &texts {
        bea.receive(text).await?;
    }
    for draft in &drafts {
        status(&amy.answer_to(draft).await?, 200)?;
    }
    Ok(())
}

/// A client that repeats its request after a lost answer: same Call-ID, CSeq, tag and body.
#[tokio::test]
async fn a_repeated_text_is_shown_once_and_answered_twice() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy.text(&bea.uri(), "once");
    amy.send(&text).await?;
    let got = bea.expect("MESSAGE").await?;
    // In flight: the repetition joins, and gets no early answer.
    let again = text.clone().set(
        "Via",
        format!("SIP/2.0/TLS {};branch=z9hG4bKagain;rport", amy.flow.local()),
    );
    amy.send(&again).await?;
    amy.nothing_else().await?;
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&text).await?, 200)?;
    status(&amy.answer_to(&again).await?, 200)?;
    // Finished: the repetition gets the recorded outcome.
    let late = text.clone().set(
        "Via",
        format!("SIP/2.0/TLS {};branch=z9hG4bKlate;rport", amy.flow.local()),
    );
    amy.send(&late).await?;
    status(&amy.answer_to(&late).await?, 200)?;
    bea.nothing_else().await
}

#[tokio::test]
async fn a_recipient_that_vanishes_is_an_error_not_a_success() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy.text(&bea.uri(), "are you there?");
    amy.send(&text).await?;
    bea.expect("MESSAGE").await?;
    drop(bea);
    let answer = amy.answer_to(&text).await?;
    ensure!(matches!(answer.status(), Some(408 | 480 | 502)), "{answer}");
    Ok(())
}

#[tokio::test]
async fn texts_to_oneself_reach_the_other_endpoints() -> Result<()> {
    let (pool, mut amy, _bea) = two().await?;
    let mut tablet = pool.endpoint(&amy.account().clone(), Dialect::Simple).await?;
    let text = amy.text(&amy.uri(), "note to self");
    amy.send(&text).await?;
    tablet.receive("note to self").await?;
    status(&amy.answer_to(&text).await?, 200)
}

#[tokio::test]
async fn addresses_are_compared_without_case_and_with_escapes() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    for uri in [
        "sip:BEA@Example.Test",
        "sip:%62ea@example.test",
        "sip:bea@example.test;transport=tls",
    ] {
        let text = amy.text(uri, uri);
        amy.send(&text).await?;
        bea.receive(uri).await?;
        status(&amy.answer_to(&text).await?, 200)?;
    }
    Ok(())
}

#[tokio::test]
async fn unwanted_types_and_sizes_are_refused() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let image = amy
        .request("MESSAGE", &bea.uri())
        .body("image/png", "not a picture");
    let answer = amy.call(image).await?;
    status(&answer, 415)?;
    ensure!(answer.require("Accept")?.contains("text/plain"), "{answer}");
    let long = amy.text(&bea.uri(), &"x".repeat(64 * 1024 + 1));
    status(&amy.call(long).await?, 413)?;
    bea.nothing_else().await
}

#[tokio::test]
async fn an_empty_text_is_not_an_error_of_ours() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy.text(&bea.uri(), "");
    amy.send(&text).await?;
    let got = bea.expect("MESSAGE").await?;
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&text).await?, 200)
}
