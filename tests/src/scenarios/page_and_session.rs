//! A standard client in page mode and a Lync-family client in a session talk to each other.

use anyhow::{Result, ensure};
use test_support::{Dialect, Puppet, Sandbox};

use super::status;

/// Amy has sessions, Bob pages.
async fn mixed() -> Result<(Sandbox, Puppet, Puppet)> {
    let pool = Sandbox::start().await?;
    let (amy, bob) = (pool.session_user("amy").await?, pool.page_user("bea").await?);
    Ok((pool, amy, bob))
}

#[tokio::test]
async fn a_session_with_a_page_mode_user_is_answered_by_the_server() -> Result<()> {
    let (_pool, mut amy, mut bob) = mixed().await?;
    let mut session = amy.invite(&bob.uri(), None).await?;
    for text in ["one", "two"] {
        let message = amy
            .in_session(&mut session, "MESSAGE")
            .body("text/plain; charset=UTF-8", text);
        amy.send(&message).await?;
        let got = bob.receive(text).await?;
        ensure!(got.require("From")?.contains(&amy.uri()), "{got}");
        status(&amy.answer_to(&message).await?, 200)?;
    }
    status(&amy.bye(&mut session).await?, 200)?;
    // Nothing of the session is visible to a client that knows none.
    bob.nothing_else().await
}

#[tokio::test]
async fn the_first_text_of_an_invitation_reaches_a_page_mode_user_once() -> Result<()> {
    let (_pool, mut amy, mut bob) = mixed().await?;
    let invite = amy.invitation(&bob.uri(), Some("first words"));
    amy.send(&invite).await?;
    // The server may deliver it before it answers, so the recipient has to be asked first or last.
    let ok = tokio::select! {
        biased;
        ok = amy.answer_to(&invite) => ok?,
        got = bob.receive("first words") => {
            got?;
            amy.answer_to(&invite).await?
        }
    };
    status(&ok, 200)?;
    let taken = ok.all("Supported").contains(&"ms-text-format");
    let mut session = amy.acknowledged(&invite, &ok).await?;
    if !taken {
        let message = amy
            .in_session(&mut session, "MESSAGE")
            .body("text/plain", "first words");
        amy.send(&message).await?;
        bob.receive("first words").await?;
        status(&amy.answer_to(&message).await?, 200)?;
    }
    bob.nothing_else().await
}

#[tokio::test]
async fn the_answer_of_a_page_mode_user_comes_in_the_session() -> Result<()> {
    let (_pool, mut amy, mut bob) = mixed().await?;
    let session = amy.invite(&bob.uri(), None).await?;
    let text = bob.text(&amy.uri(), "here I am");
    bob.send(&text).await?;
    let got = amy.receive("here I am").await?;
    ensure!(session.owns(&got), "not in the session:\n{got}");
    status(&bob.answer_to(&text).await?, 200)
}

#[tokio::test]
async fn a_page_reaches_a_session_user_who_has_no_session() -> Result<()> {
    let (_pool, mut amy, mut bob) = mixed().await?;
    let text = bob.text(&amy.uri(), "knock knock");
    bob.send(&text).await?;
    let session = amy.hear("knock knock").await?;
    status(&bob.answer_to(&text).await?, 200)?;
    // What follows comes the same way, once.
    let text = bob.text(&amy.uri(), "still me");
    bob.send(&text).await?;
    if let Some(session) = &session {
        let got = amy.receive("still me").await?;
        ensure!(session.owns(&got), "not in the session:\n{got}");
    } else {
        amy.hear("still me").await?;
    }
    status(&bob.answer_to(&text).await?, 200)?;
    amy.nothing_else().await
}

#[tokio::test]
async fn a_page_rings_both_session_endpoints_and_one_takes_it() -> Result<()> {
    let (pool, mut amy, mut bob) = mixed().await?;
    let mut sofa = pool.endpoint(&amy.account().clone(), Dialect::Lync).await?;
    let text = bob.text(&amy.uri(), "whoever is there");
    bob.send(&text).await?;
    let at_sofa = sofa.ring().await?;
    let session = amy.hear("whoever is there").await?;
    ensure!(session.is_some(), "no session was opened");
    status(&bob.answer_to(&text).await?, 200)?;
    let cancel = sofa.expect("CANCEL").await?;
    sofa.answer(&cancel, 200).await?;
    sofa.answer(&at_sofa, 487).await?;
    sofa.expect("ACK").await?;
    sofa.nothing_else().await?;
    amy.nothing_else().await
}

#[tokio::test]
async fn a_refusal_of_the_page_mode_user_reaches_the_session() -> Result<()> {
    let (_pool, mut amy, mut bob) = mixed().await?;
    let mut session = amy.invite(&bob.uri(), None).await?;
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "refuse me");
    amy.send(&message).await?;
    let got = bob.expect("MESSAGE").await?;
    bob.answer(&got, 415).await?;
    status(&amy.answer_to(&message).await?, 415)
}

#[tokio::test]
async fn a_text_after_the_page_mode_user_has_left_is_refused() -> Result<()> {
    let (_pool, mut amy, bob) = mixed().await?;
    let mut session = amy.invite(&bob.uri(), None).await?;
    drop(bob);
    // Either the session is ended, or the next text is refused; never a success.
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "anybody?");
    amy.send(&message).await?;
    let answer = amy.answer_to(&message).await?;
    ensure!(matches!(answer.status(), Some(408 | 480 | 481)), "{answer}");
    Ok(())
}

/// The client writes `text/plain; charset=UTF-8;msgr=<font>`; baresip takes only what it knows.
#[tokio::test]
async fn parameters_of_one_dialect_do_not_leak_into_the_other() -> Result<()> {
    let (_pool, mut amy, mut bob) = mixed().await?;
    let mut session = amy.invite(&bob.uri(), None).await?;
    let message = amy.in_session(&mut session, "MESSAGE").body(
        "text/plain; charset=UTF-8;msgr=WAAtAE0ATQBTAC0ASQBNAC0A",
        "plain words",
    );
    amy.send(&message).await?;
    let got = bob.receive("plain words").await?;
    let content_type = got.require("Content-Type")?;
    ensure!(!content_type.contains("msgr"), "Content-Type: {content_type}");
    status(&amy.answer_to(&message).await?, 200)
}
