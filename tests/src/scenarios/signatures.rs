//! After an NTLM sign-in every message carries a signature ([MS-SIPAE]); one that does not is not from this client.

use anyhow::{Result, ensure};
use test_support::{Dialect, Puppet, Sandbox};

use super::status;

async fn two() -> Result<(Sandbox, Puppet, Puppet)> {
    let pool = Sandbox::start().await?;
    let (amy, bea) = (pool.session_user("amy").await?, pool.page_user("bea").await?);
    Ok((pool, amy, bea))
}

/// The client answers a 401 by signing and sending the request again.
#[tokio::test]
async fn an_unsigned_request_is_challenged_and_not_delivered() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy.text(&bea.uri(), "not signed");
    amy.flow.send(text.bytes()).await?;
    let answer = amy
        .flow
        .expect("an answer", |m| m.status().is_some_and(|s| s >= 200))
        .await?;
    ensure!(matches!(answer.status(), Some(401 | 403)), "{answer}");
    bea.nothing_else().await
}

#[tokio::test]
async fn a_changed_request_is_refused() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy.text(&bea.uri(), "signed");
    let bytes = amy.signed_bytes(&text)?;
    // The Call-ID is covered by the signature.
    let call = text.get("Call-ID").unwrap_or_default().to_owned();
    let changed = String::from_utf8(bytes)?.replace(&call, "another-call-id");
    amy.flow.send(changed).await?;
    let answer = amy
        .flow
        .expect("an answer", |m| m.status().is_some_and(|s| s >= 200))
        .await?;
    ensure!(matches!(answer.status(), Some(400 | 401 | 403)), "{answer}");
    bea.nothing_else().await
}

/// `cnum` counts up; the same one again is a replay.
#[tokio::test]
async fn a_repeated_signature_is_not_taken_twice() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = amy.text(&bea.uri(), "once only");
    let bytes = amy.signed_bytes(&text)?;
    amy.flow.send(&bytes).await?;
    bea.receive("once only").await?;
    status(&amy.answer_to(&text).await?, 200)?;
    // Another branch, so that it is no retransmission of the same transaction.
    let via = text.get("Via").unwrap_or_default().to_owned();
    let replay = String::from_utf8(bytes)?.replace(
        &via,
        &format!("SIP/2.0/tls {};branch=z9hG4bKreplay", amy.flow.local()),
    );
    amy.flow.send(replay).await?;
    let answer = amy
        .flow
        .expect("an answer", |m| m.status().is_some_and(|s| s >= 200))
        .await?;
    ensure!(matches!(answer.status(), Some(400 | 401 | 403)), "{answer}");
    bea.nothing_else().await
}

#[tokio::test]
async fn an_unsigned_answer_of_the_client_does_not_count() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let text = bea.text(&amy.uri(), "knock knock");
    bea.send(&text).await?;
    let request = amy
        .flow
        .expect("INVITE or MESSAGE", |m| {
            matches!(m.method(), Some("INVITE" | "MESSAGE"))
        })
        .await?;
    let unsigned = amy.reply(&request, 486);
    amy.flow.send(unsigned.bytes()).await?;
    // The right answer still counts.
    amy.answer(&request, 603).await?;
    let answer = bea.answer_to(&text).await?;
    ensure!(
        answer.status() != Some(486),
        "the unsigned answer was taken:\n{answer}"
    );
    Ok(())
}

/// Sealing is per connection: what one endpoint signed says nothing on another.
#[tokio::test]
async fn a_signature_of_another_connection_is_refused() -> Result<()> {
    let (pool, mut desk, mut bea) = two().await?;
    let mut sofa = pool.endpoint(&desk.account().clone(), Dialect::Lync).await?;
    let text = desk.text(&bea.uri(), "from the desk");
    let bytes = desk.signed_bytes(&text)?;
    sofa.flow.send(bytes).await?;
    let answer = sofa
        .flow
        .expect("an answer", |m| m.status().is_some_and(|s| s >= 200))
        .await?;
    ensure!(matches!(answer.status(), Some(400 | 401 | 403)), "{answer}");
    bea.nothing_else().await
}

/// A CANCEL cannot be challenged (RFC 3261 section 22.1): one that is not signed is as if it had not come.
#[tokio::test]
async fn an_unsigned_cancel_does_not_stop_the_ringing() -> Result<()> {
    let (pool, mut amy, _bea) = two().await?;
    let mut cleo = pool.session_user("cleo").await?;
    let invite = amy.invitation(&cleo.uri(), None);
    amy.send(&invite).await?;
    let rung = cleo.ring().await?;
    let forged = amy.cancellation(&invite)?;
    amy.flow.send(forged.bytes()).await?;
    // The answer to what was sent behind it shows that it was seen, and that it got no answer.
    amy.nothing_else().await?;
    cleo.take(&rung).await?;
    let mut session = amy.established(&invite).await?;
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "it rang on");
    amy.send(&message).await?;
    cleo.receive("it rang on").await?;
    status(&amy.answer_to(&message).await?, 200)?;
    cleo.nothing_else().await
}
