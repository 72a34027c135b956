//! Envelopes (`message/cpim`, RFC 3862) name an author inside the text: it is the sender or the text is refused.

use anyhow::{Result, ensure};
use test_support::{Puppet, Sandbox};

use super::status;

fn envelope(from: &str) -> String {
    format!("{from}\r\nTo: <sip:bea@example.test>\r\n\r\nContent-Type: text/plain\r\n\r\npay me")
}

/// Every way to write somebody else's address that some recipient might show.
const FORGED: [&str; 8] = [
    "From: <sip:boss@example.test>",
    "From: The Boss <sip:boss@example.test>",
    "From: sip:boss@example.test",
    "from: <sip:boss@example.test>",
    "FROM: boss@example.test",
    "From: <sip:amy@example.test>\r\nFrom: <sip:boss@example.test>",
    "From: <sip:boss@example.test>\r\nfrom: <sip:amy@example.test>",
    "From: <sip:amy@example.test> <sip:boss@example.test>",
];

async fn forged_pages_are_refused(amy: &mut Puppet, bea: &mut Puppet) -> Result<()> {
    for from in FORGED {
        let forged = amy
            .request("MESSAGE", &bea.uri())
            .body("message/cpim", envelope(from));
        let answer = amy.call(forged).await?;
        ensure!(answer.status() == Some(403), "{from}:\n{answer}");
    }
    bea.nothing_else().await
}

#[tokio::test]
async fn a_text_that_names_another_author_is_refused() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    forged_pages_are_refused(&mut amy, &mut bea).await?;
    for own in [
        "From: <sip:amy@example.test>",
        "From: Amy <im:amy@example.test>",
        "from: sip:Amy@Example.Test",
    ] {
        let honest = amy
            .request("MESSAGE", &bea.uri())
            .body("message/cpim", envelope(own));
        amy.send(&honest).await?;
        let got = bea.expect("MESSAGE").await?;
        ensure!(got.text().contains("pay me"), "{got}");
        bea.answer(&got, 200).await?;
        status(&amy.answer_to(&honest).await?, 200)?;
    }
    bea.nothing_else().await
}

#[tokio::test]
async fn nor_is_it_taken_within_a_session() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    let invite = amy.invitation(&bea.uri(), None);
    amy.send(&invite).await?;
    bea.accept().await?;
    let mut session = amy.established(&invite).await?;
    for from in FORGED {
        let forged = amy
            .in_session(&mut session, "MESSAGE")
            .body("message/cpim", envelope(from));
        let answer = amy.call(forged).await?;
        ensure!(answer.status() == Some(403), "{from}:\n{answer}");
    }
    bea.nothing_else().await
}

/// The first text of an invitation is shown before anything looked into it: an envelope does not travel there.
#[tokio::test]
async fn an_invitation_carries_no_envelope() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    for from in FORGED {
        let invite = amy.invitation(&bea.uri(), Some(&envelope(from)));
        let format = invite.get("ms-text-format").unwrap_or_default();
        let format = format.replace("text/plain; charset=UTF-8", "message/cpim");
        ensure!(format.starts_with("message/cpim;"), "{format}");
        let invite = invite.set("ms-text-format", format);
        amy.send(&invite).await?;
        let rung = bea.expect("INVITE").await?;
        ensure!(
            rung.header("ms-text-format").is_none() && !rung.text().contains("boss"),
            "{from}:\n{rung}"
        );
        bea.take_with(&rung, &[("Supported", "ms-text-format")]).await?;
        let ok = amy.answer_to(&invite).await?;
        ensure!(
            !ok.all("Supported").contains(&"ms-text-format"),
            "the caller was told that an envelope was taken:\n{ok}"
        );
        let mut session = amy.acknowledged(&invite, &ok).await?;
        status(&amy.bye(&mut session).await?, 200)?;
        let bye = bea.expect("BYE").await?;
        bea.answer(&bye, 200).await?;
    }
    bea.nothing_else().await
}
