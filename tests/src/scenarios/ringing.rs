//! One user on several endpoints: all ring, one takes the session, the others stop.

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Puppet, Sandbox, Wire};

use super::status;

struct Bell {
    pool: Sandbox,
    amy: Puppet,
    desk: Puppet,
    sofa: Puppet,
}

async fn bell() -> Result<Bell> {
    let pool = Sandbox::start().await?;
    let (amy, desk) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    let sofa = pool.endpoint(&desk.account().clone(), Dialect::Lync).await?;
    Ok(Bell {
        pool,
        amy,
        desk,
        sofa,
    })
}

/// What a client does that is told to stop: 200 for the CANCEL, 487 for the INVITE.
async fn stops_ringing(client: &mut Puppet, invite: &Wire) -> Result<()> {
    let cancel = client.expect("CANCEL").await?;
    assert_eq!(cancel.header("Call-ID"), invite.header("Call-ID"));
    assert_eq!(cancel.header("Via"), invite.header("Via"), "RFC 3261 section 9.1");
    client.answer(&cancel, 200).await?;
    client.answer(invite, 487).await?;
    client.expect("ACK").await?;
    Ok(())
}

#[tokio::test]
async fn both_ring_one_takes_it_the_other_stops() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), Some("hello"));
    amy.send(&invite).await?;
    let at_desk = desk.ring().await?;
    let at_sofa = sofa.ring().await?;
    sofa.take(&at_sofa).await?;
    let mut session = amy.established(&invite).await?;
    stops_ringing(&mut desk, &at_desk).await?;
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "hello");
    amy.send(&message).await?;
    sofa.receive("hello").await?;
    status(&amy.answer_to(&message).await?, 200)?;
    desk.nothing_else().await
}

#[tokio::test]
async fn a_page_mode_endpoint_beside_them_gets_its_copy_and_does_not_compete() -> Result<()> {
    let Bell {
        pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let mut phone = pool.endpoint(&desk.account().clone(), Dialect::Simple).await?;
    let invite = amy.invitation(&desk.uri(), Some("hello"));
    amy.send(&invite).await?;
    let at_sofa = sofa.ring().await?;
    let at_desk = desk.ring().await?;
    desk.take(&at_desk).await?;
    let mut session = amy.established(&invite).await?;
    stops_ringing(&mut sofa, &at_sofa).await?;
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "hello");
    amy.send(&message).await?;
    desk.receive("hello").await?;
    phone.receive("hello").await?;
    status(&amy.answer_to(&message).await?, 200)?;
    phone.nothing_else().await
}

#[tokio::test]
async fn one_that_is_busy_does_not_stop_the_other() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    let at_desk = desk.ring().await?;
    desk.answer(&at_desk, 486).await?;
    desk.expect("ACK").await?;
    sofa.accept().await?;
    amy.established(&invite).await?;
    Ok(())
}

#[tokio::test]
async fn if_all_refuse_the_caller_is_told() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    for client in [&mut desk, &mut sofa] {
        let rung = client.expect("INVITE").await?;
        client.answer(&rung, 486).await?;
        client.expect("ACK").await?;
    }
    status(&amy.answer_to(&invite).await?, 486)
}

/// A 603 is a decision of the person, who has only one (RFC 3261 section 16.7, 6xx).
#[tokio::test]
async fn declining_at_one_endpoint_declines_at_all() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    let at_sofa = sofa.ring().await?;
    let at_desk = desk.ring().await?;
    desk.answer(&at_desk, 603).await?;
    desk.expect("ACK").await?;
    stops_ringing(&mut sofa, &at_sofa).await?;
    status(&amy.answer_to(&invite).await?, 603)
}

#[tokio::test]
async fn the_caller_can_give_up() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    let at_desk = desk.ring().await?;
    let at_sofa = sofa.ring().await?;
    let cancel = amy.cancellation(&invite)?;
    status(&amy.call(cancel).await?, 200)?;
    status(&amy.answer_to(&invite).await?, 487)?;
    stops_ringing(&mut desk, &at_desk).await?;
    stops_ringing(&mut sofa, &at_sofa).await
}

#[tokio::test]
async fn cancelling_what_nobody_started_is_481() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        desk,
        sofa: _sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    let cancel = amy.cancellation(&invite)?;
    let answer = amy.call(cancel).await?;
    status(&answer, 481)
}

/// Two answers at the same time: one session, the other endpoint is let go with BYE.
#[tokio::test]
async fn two_answers_at_once_make_one_session() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    let at_desk = desk.ring().await?;
    let at_sofa = sofa.ring().await?;
    // `take` waits for the ACK, which either gets: a 2xx is always acknowledged.
    let (one, other) = tokio::join!(desk.take(&at_desk), sofa.take(&at_sofa));
    one.context("at the desk")?;
    other.context("on the sofa")?;
    let mut session = amy.established(&invite).await?;
    let winner = tokio::select! {
        let_go = let_go(&mut desk) => { let_go?; &mut sofa }
        let_go = let_go(&mut sofa) => { let_go?; &mut desk }
    };
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "to the winner");
    amy.send(&message).await?;
    winner.receive("to the winner").await?;
    status(&amy.answer_to(&message).await?, 200)?;
    winner.nothing_else().await
}

/// Waits for the BYE to an endpoint that answered too late; a CANCEL may have crossed its answer.
async fn let_go(client: &mut Puppet) -> Result<()> {
    let bye = client.expect("BYE").await?;
    client.answer(&bye, 200).await
}

#[tokio::test]
async fn an_endpoint_that_vanishes_while_it_rings_leaves_the_other_ringing() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    desk.expect("INVITE").await?;
    drop(desk);
    sofa.accept()
        .await
        .context("the other endpoint no longer rings")?;
    amy.established(&invite).await?;
    Ok(())
}

#[tokio::test]
async fn a_caller_that_vanishes_stops_the_ringing() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        mut sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    let at_desk = desk.ring().await?;
    let at_sofa = sofa.ring().await?;
    drop(amy);
    stops_ringing(&mut desk, &at_desk).await?;
    stops_ringing(&mut sofa, &at_sofa).await
}

/// The real client leaves while its INVITE is pending: BYE without a To tag (SIPE 1.25).
#[tokio::test]
async fn a_bye_for_a_pending_invite_is_answered_at_once() -> Result<()> {
    let Bell {
        pool: _pool,
        mut amy,
        mut desk,
        sofa: _sofa,
    } = bell().await?;
    let invite = amy.invitation(&desk.uri(), None);
    amy.send(&invite).await?;
    desk.expect("INVITE").await?;
    let bye = test_support::Draft::new(invite.start().replacen("INVITE", "BYE", 1))
        .header("Via", format!("SIP/2.0/tls {}", amy.flow.local()))
        .header("From", invite.get("From").unwrap_or_default())
        .header("To", invite.get("To").unwrap_or_default())
        .header("Call-ID", invite.get("Call-ID").unwrap_or_default())
        .header("CSeq", "9000 BYE")
        .header("Max-Forwards", 70);
    let answer = amy.call(bye).await?;
    ensure!(matches!(answer.status(), Some(200 | 481)), "{answer}");
    Ok(())
}
