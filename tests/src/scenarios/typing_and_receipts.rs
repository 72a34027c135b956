//! Typing (RFC 3994, `KeyboardActivity`), CPIM (RFC 3862) and receipts (RFC 5438).

use anyhow::{Context, Result, ensure};
use test_support::{Puppet, Sandbox};

use super::status;

const COMPOSING: &str = "application/im-iscomposing+xml";
const ACTIVE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\
     <state>active</state><contenttype>text/plain</contenttype><refresh>60</refresh></isComposing>";
const TYPES: &str = "<?xml version=\"1.0\"?><KeyboardActivity> <status status=\"type\" /></KeyboardActivity>";
const STOPPED: &str =
    "<?xml version=\"1.0\"?><KeyboardActivity> <status status=\"idle\" /></KeyboardActivity>";

fn cpim(from: &str, to: &str, id: &str, text: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nDateTime: 2026-11-21T09:50:00Z\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: {id}\r\nimdn.Disposition-Notification: positive-delivery, display\r\n\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"
    )
}

fn delivered(id: &str, to: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>{id}</message-id>\
         <datetime>2026-11-21T09:50:00Z</datetime><recipient-uri>{to}</recipient-uri>\
         <delivery-notification><status><delivered/></status></delivery-notification></imdn>"
    )
}

#[tokio::test]
async fn typing_passes_between_standard_clients() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let typing = amy.request("MESSAGE", &bea.uri()).body(COMPOSING, ACTIVE);
    status(&amy.call(typing).await?, 200)?;
    let got = bea.expect("MESSAGE").await?;
    assert_eq!(got.media_type(), COMPOSING);
    ensure!(got.text().contains("<state>active</state>"), "{got}");
    bea.answer(&got, 200).await
}

/// Typing is shown by what can show it; a client that can not is no reason for an error.
#[tokio::test]
async fn typing_to_nobody_is_not_an_error() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let away = pool.create("away").await?;
    let typing = amy.request("MESSAGE", &away.uri()).body(COMPOSING, ACTIVE);
    let answer = amy.call(typing).await?;
    ensure!(matches!(answer.status(), Some(200 | 202 | 480)), "{answer}");
    Ok(())
}

async fn session() -> Result<(
    Sandbox,
    Puppet,
    Puppet,
    test_support::Session,
    test_support::Session,
)> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    let invite = amy.invitation(&bea.uri(), None);
    amy.send(&invite).await?;
    let theirs = bea.accept().await?;
    let ours = amy.established(&invite).await?;
    Ok((pool, amy, bea, ours, theirs))
}

#[tokio::test]
async fn keyboard_activity_passes_in_a_session() -> Result<()> {
    let (_pool, mut amy, mut bea, mut ours, theirs) = session().await?;
    for (body, word) in [(TYPES, "\"type\""), (STOPPED, "\"idle\"")] {
        let info = amy.in_session(&mut ours, "INFO").body("application/xml", body);
        status(&amy.call(info).await?, 200)?;
        let got = bea.expect("INFO").await?;
        ensure!(theirs.owns(&got) && got.text().contains(word), "{got}");
        bea.answer(&got, 200).await?;
    }
    Ok(())
}

#[tokio::test]
async fn keyboard_activity_becomes_is_composing_for_a_standard_client() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bob) = (pool.session_user("amy").await?, pool.page_user("bea").await?);
    let mut session = amy.invite(&bob.uri(), None).await?;
    let info = amy
        .in_session(&mut session, "INFO")
        .body("application/xml", TYPES);
    status(&amy.call(info).await?, 200)?;
    let got = bob.expect("MESSAGE").await?;
    assert_eq!(got.media_type(), COMPOSING);
    ensure!(got.text().contains("active"), "{got}");
    bob.answer(&got, 200).await
}

#[tokio::test]
async fn is_composing_becomes_keyboard_activity_in_a_session() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bob) = (pool.session_user("amy").await?, pool.page_user("bea").await?);
    let session = amy.invite(&bob.uri(), None).await?;
    let typing = bob.request("MESSAGE", &amy.uri()).body(COMPOSING, ACTIVE);
    status(&bob.call(typing).await?, 200)?;
    let got = amy.expect("INFO").await?;
    ensure!(
        session.owns(&got) && got.text().contains("status=\"type\""),
        "{got}"
    );
    amy.answer(&got, 200).await
}

/// Typing is state, not text: it never rings anybody.
#[tokio::test]
async fn typing_opens_no_session() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bob) = (pool.session_user("amy").await?, pool.page_user("bea").await?);
    let typing = bob.request("MESSAGE", &amy.uri()).body(COMPOSING, ACTIVE);
    bob.call(typing).await?;
    let invited = amy.nothing_else().await;
    let surplus: Vec<_> = amy
        .flow
        .unclaimed()
        .iter()
        .filter(|m| m.method() == Some("INVITE"))
        .collect();
    ensure!(surplus.is_empty(), "{invited:?}");
    Ok(())
}

#[tokio::test]
async fn cpim_passes_unchanged_and_its_receipt_comes_back() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let wrapped = cpim(&amy.uri(), &bea.uri(), "id-1", "in an envelope");
    let message = amy.request("MESSAGE", &bea.uri()).body("message/cpim", &wrapped);
    amy.send(&message).await?;
    let got = bea.expect("MESSAGE").await?;
    assert_eq!(got.media_type(), "message/cpim");
    assert_eq!(got.text(), wrapped);
    // linphone sends its receipt before its 200 and without an envelope.
    let receipt = bea
        .request("MESSAGE", &amy.uri())
        .header("Priority", "non-urgent");
    let receipt = receipt.body("message/imdn+xml", delivered("id-1", &bea.uri()));
    bea.send(&receipt).await?;
    let report = amy.expect("MESSAGE").await?;
    ensure!(
        report.text().contains("<message-id>id-1</message-id>"),
        "{report}"
    );
    amy.answer(&report, 200).await?;
    status(&bea.answer_to(&receipt).await?, 200)?;
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&message).await?, 200)?;
    bea.nothing_else().await
}

/// linphone 5.1 acknowledges every text, asked or not, deflated, before its 200.
#[tokio::test]
async fn an_unasked_receipt_never_blocks_the_text_it_is_about() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let message = amy.text(&bea.uri(), "plain");
    amy.send(&message).await?;
    let got = bea.expect("MESSAGE").await?;
    let receipt = bea
        .request("MESSAGE", &amy.uri())
        .header("Priority", "non-urgent");
    let id = got.require("Call-ID")?.to_owned();
    let receipt = receipt.body("message/imdn+xml", delivered(&id, &bea.uri()));
    // Answered although the text is still in flight in the other direction.
    let answer = bea.call(receipt).await?;
    ensure!(answer.status().context("no status")? < 500, "{answer}");
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&message).await?, 200)
}

#[tokio::test]
async fn cpim_with_a_foreign_from_is_refused() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let forged = cpim("sip:boss@example.test", &bea.uri(), "id-2", "you are fired");
    let message = amy.request("MESSAGE", &bea.uri()).body("message/cpim", forged);
    let answer = amy.call(message).await?;
    status(&answer, 403)?;
    bea.nothing_else().await
}

#[tokio::test]
async fn hostile_xml_is_refused() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
    let hostile = [
        "<!DOCTYPE a [<!ENTITY b \"c\">]><isComposing>&b;</isComposing>".to_owned(),
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><isComposing/>".to_owned(),
        "<?xml-stylesheet href=\"http://192.0.2.1/x\"?><isComposing/>".to_owned(),
        deep,
        "<isComposing".to_owned(),
    ];
    for body in hostile {
        let message = amy.request("MESSAGE", &bea.uri()).body(COMPOSING, &body);
        let answer = amy.call(message).await?;
        ensure!(
            matches!(answer.status(), Some(400 | 415)),
            "{body} gave:\n{answer}"
        );
    }
    bea.nothing_else().await
}

/// `imdn.Message-ID` names the message: a client that sends it again under a new CSeq has not said it twice.
#[tokio::test]
async fn a_cpim_message_sent_again_is_shown_once() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let wrapped = cpim(&amy.uri(), &bea.uri(), "id-7", "said once");
    for round in 0..2 {
        let message = amy.request("MESSAGE", &bea.uri()).body("message/cpim", &wrapped);
        amy.send(&message).await?;
        if round == 0 {
            let got = bea.expect("MESSAGE").await?;
            bea.answer(&got, 200).await?;
        }
        status(&amy.answer_to(&message).await?, 200)?;
    }
    bea.nothing_else().await
}

/// A session-mode client knows no envelopes: SIPE answers 415 to them.
#[tokio::test]
async fn cpim_is_unwrapped_for_a_client_that_knows_no_envelopes() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bob) = (pool.session_user("amy").await?, pool.page_user("bea").await?);
    amy.invite(&bob.uri(), None).await?;
    let wrapped = cpim(&bob.uri(), &amy.uri(), "id-8", "inside");
    let message = bob.request("MESSAGE", &amy.uri()).body("message/cpim", &wrapped);
    bob.send(&message).await?;
    let got = amy.receive("inside").await?;
    assert_eq!(got.media_type(), "text/plain");
    status(&bob.answer_to(&message).await?, 200)
}

/// Receipts go back to the endpoint that sent the message, and nowhere else.
#[tokio::test]
async fn a_receipt_reaches_the_endpoint_that_asked() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let mut tablet = pool
        .endpoint(&amy.account().clone(), test_support::Dialect::Simple)
        .await?;
    let wrapped = cpim(&amy.uri(), &bea.uri(), "id-9", "tell me");
    let message = amy.request("MESSAGE", &bea.uri()).body("message/cpim", &wrapped);
    amy.send(&message).await?;
    let got = bea.expect("MESSAGE").await?;
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&message).await?, 200)?;
    let receipt = bea
        .request("MESSAGE", &amy.uri())
        .body("message/imdn+xml", delivered("id-9", &bea.uri()));
    bea.send(&receipt).await?;
    let report = amy.expect("MESSAGE").await?;
    amy.answer(&report, 200).await?;
    status(&bea.answer_to(&receipt).await?, 200)?;
    tablet.nothing_else().await
}
