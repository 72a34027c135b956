//! Floods of what costs the sender nothing: CANCELs of nothing, and the same request again and again.

use anyhow::{Result, ensure};
use test_support::{Dialect, Draft, Options, Puppet, Sandbox, Wire};

use super::still_served;

const FLOOD: usize = 300;

/// CANCELs of INVITEs that were never sent.
fn cancels(client: &mut Puppet, to: &str) -> Result<Vec<Draft>> {
    (0..FLOOD)
        .map(|_| {
            let invite = client.invitation(to, None);
            client.cancellation(&invite)
        })
        .collect()
}

fn with_status(answers: &[Wire], wanted: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status() == Some(wanted))
        .count()
}

#[tokio::test]
async fn a_stranger_that_floods_with_cancels_is_closed() -> Result<()> {
    let settings = Options::default().set("PORTICO_LIMITS__UNAUTHENTICATED_REQUESTS_PER_SECOND", "20");
    let mut pool = Sandbox::with(settings).await?;
    let mut control = pool.page_user("control").await?;
    let mut stranger = pool.puppet(&pool.create("amy").await?, Dialect::Simple).await?;
    let flood: Vec<u8> = cancels(&mut stranger, &control.uri())?
        .iter()
        .flat_map(Draft::bytes)
        .collect();
    // The server may close before it has read it all.
    let _refused = stranger.flow.send(flood).await.is_err();
    let answers = stranger.flow.closed().await?;
    ensure!(
        with_status(&answers, 503) >= 1 && answers.len() < FLOOD,
        "{} answers, {} of them 503",
        answers.len(),
        with_status(&answers, 503)
    );
    still_served(&mut control).await?;
    control.nothing_else().await?;
    pool.healthy()
}

/// Sends all at once and returns as many final answers.
async fn flood(client: &mut Puppet, drafts: &[Draft]) -> Result<Vec<Wire>> {
    for draft in drafts {
        client.send(draft).await?;
    }
    let mut answers = Vec::new();
    while answers.len() < drafts.len() {
        match client.flow.next().await? {
            Some(answer) if answer.status().is_some_and(|status| status >= 200) => answers.push(answer),
            Some(_) => {}
            None => break,
        }
    }
    Ok(answers)
}

fn mostly_refused(answers: &[Wire]) -> Result<()> {
    ensure!(
        answers.len() == FLOOD && with_status(answers, 503) >= FLOOD / 2,
        "{} answers, {} of them 503",
        answers.len(),
        with_status(answers, 503)
    );
    for answer in answers.iter().filter(|answer| answer.status() == Some(503)) {
        answer.require("Retry-After")?.parse::<u32>()?;
    }
    Ok(())
}

#[tokio::test]
async fn repeated_requests_count_like_new_ones() -> Result<()> {
    let settings = Options::default().set("PORTICO_LIMITS__REQUESTS_PER_SECOND", "5");
    let mut pool = Sandbox::with(settings).await?;
    let mut control = pool.page_user("control").await?;
    let mut fast = pool.page_user("amy").await?;
    let options = fast.request("OPTIONS", "sip:example.test");
    let answers = flood(&mut fast, &vec![options; FLOOD]).await?;
    mostly_refused(&answers)?;
    still_served(&mut control).await?;
    pool.healthy()
}

/// The server has not decided on it, so that it would repeat its last answer each time.
#[tokio::test]
async fn repetitions_of_a_pending_invite_count_too() -> Result<()> {
    let settings = Options::default().set("PORTICO_LIMITS__REQUESTS_PER_SECOND", "5");
    let mut pool = Sandbox::with(settings).await?;
    let mut control = pool.page_user("control").await?;
    let mut fast = pool.page_user("amy").await?;
    let mut bea = pool.session_user("bea").await?;
    let invite = fast.invitation(&bea.uri(), None);
    fast.send(&invite).await?;
    bea.ring().await?;
    for _ in 0..FLOOD {
        fast.send(&invite).await?;
    }
    for _ in 0..FLOOD / 2 {
        let refused = |answer: &Wire| answer.status() == Some(503);
        fast.flow.expect("a repetition to be refused", refused).await?;
    }
    still_served(&mut control).await?;
    bea.nothing_else().await?;
    pool.healthy()
}

#[tokio::test]
async fn cancels_of_a_signed_in_client_count_too() -> Result<()> {
    let settings = Options::default().set("PORTICO_LIMITS__REQUESTS_PER_SECOND", "5");
    let mut pool = Sandbox::with(settings).await?;
    let mut control = pool.page_user("control").await?;
    let mut fast = pool.page_user("amy").await?;
    let drafts = cancels(&mut fast, &control.uri())?;
    let answers = flood(&mut fast, &drafts).await?;
    mostly_refused(&answers)?;
    still_served(&mut control).await?;
    control.nothing_else().await?;
    pool.healthy()
}

/// An ACK is never answered (RFC 3261 section 17.1.1.3), also not by a refusal.
#[tokio::test]
async fn a_flood_of_acks_is_not_answered() -> Result<()> {
    let settings = Options::default().set("PORTICO_LIMITS__UNAUTHENTICATED_REQUESTS_PER_SECOND", "20");
    let mut pool = Sandbox::with(settings).await?;
    let mut control = pool.page_user("control").await?;
    let mut stranger = pool.puppet(&pool.create("amy").await?, Dialect::Simple).await?;
    let flood: Vec<u8> = (0..FLOOD)
        .flat_map(|_| stranger.request("ACK", "sip:example.test").bytes())
        .collect();
    let _refused = stranger.flow.send(flood).await.is_err();
    let answers = stranger.flow.closed().await?;
    ensure!(answers.is_empty(), "an ACK was answered:\n{}", answers[0]);
    still_served(&mut control).await?;
    pool.healthy()
}
