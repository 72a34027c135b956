//! Session mode: INVITE with `m=message`, MESSAGE, BYE, between Lync-family clients.

use anyhow::{Result, ensure};
use test_support::{Options, Puppet, Sandbox, Session};

use super::status;

async fn two() -> Result<(Sandbox, Puppet, Puppet)> {
    let pool = Sandbox::start().await?;
    let (amy, bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    Ok((pool, amy, bea))
}

/// Opens a session from the first to the second.
async fn open(amy: &mut Puppet, bea: &mut Puppet, first: Option<&str>) -> Result<(Session, Session)> {
    let invite = amy.invitation(&bea.uri(), first);
    amy.send(&invite).await?;
    let theirs = bea.accept().await?;
    let ours = amy.established(&invite).await?;
    Ok((ours, theirs))
}

/// Says something and waits until the other side has it and the sender its answer.
async fn exchange(from: &mut Puppet, session: &mut Session, to: &mut Puppet, text: &str) -> Result<()> {
    let message = from
        .in_session(session, "MESSAGE")
        .body("text/plain; charset=UTF-8", text);
    from.send(&message).await?;
    to.receive(text).await?;
    status(&from.answer_to(&message).await?, 200)
}

#[tokio::test]
async fn texts_go_both_ways_in_one_session() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let (mut ours, mut theirs) = open(&mut amy, &mut bea, Some("hello bea")).await?;
    exchange(&mut amy, &mut ours, &mut bea, "hello bea").await?;
    exchange(&mut bea, &mut theirs, &mut amy, "hello amy").await?;
    exchange(&mut amy, &mut ours, &mut bea, "how are you?").await?;
    status(&amy.bye(&mut ours).await?, 200)?;
    let bye = bea.expect("BYE").await?;
    bea.answer(&bye, 200).await
}

/// Behind a balancer both sides must find their way back to the server by the name they know it by.
#[tokio::test]
async fn a_session_goes_by_the_advertised_name() -> Result<()> {
    let options = Options::default().set("PORTICO_SIP__ADVERTISE", "sip.example.net:443");
    let pool = Sandbox::with(options).await?;
    let (mut amy, mut bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    let (mut ours, mut theirs) = open(&mut amy, &mut bea, None).await?;
    for target in [&ours.target, &theirs.target] {
        ensure!(target.contains("sip:sip.example.net:443;"), "{target}");
    }
    exchange(&mut amy, &mut ours, &mut bea, "hello bea").await?;
    exchange(&mut bea, &mut theirs, &mut amy, "hello amy").await
}

#[tokio::test]
async fn the_callee_may_hang_up() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let (mut ours, mut theirs) = open(&mut amy, &mut bea, None).await?;
    status(&bea.bye(&mut theirs).await?, 200)?;
    let bye = amy.expect_where("BYE", |bye| ours.owns(bye)).await?;
    amy.answer(&bye, 200).await?;
    let answer = amy.say(&mut ours, "too late").await?;
    status(&answer, 481)
}

/// The first text stands in the INVITE and, unless the callee took it there, comes again as MESSAGE.
#[tokio::test]
async fn the_first_text_is_neither_lost_nor_doubled() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let invite = amy.invitation(&bea.uri(), Some("first words"));
    amy.send(&invite).await?;
    let rung = bea.expect("INVITE").await?;
    ensure!(
        rung.header("Authorization").is_none(),
        "the caller's signature was passed on:\n{rung}"
    );
    bea.take(&rung).await?;
    let ok = amy.answer_to(&invite).await?;
    let taken = ok.all("Supported").contains(&"ms-text-format");
    // Bea, like the real client, did not say that she took it.
    ensure!(!taken, "the caller was told that the first text was taken:\n{ok}");
    bea.nothing_else().await
}

#[tokio::test]
async fn a_refused_session_shows_the_reason() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    for code in [486, 603, 480] {
        let invite = amy.invitation(&bea.uri(), Some("hello"));
        amy.send(&invite).await?;
        let rung = bea.expect("INVITE").await?;
        bea.answer(&rung, code).await?;
        bea.expect("ACK").await?;
        status(&amy.answer_to(&invite).await?, code)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_text_is_not_reported_as_delivered() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let (mut ours, _theirs) = open(&mut amy, &mut bea, None).await?;
    let message = amy
        .in_session(&mut ours, "MESSAGE")
        .body("text/plain", "refuse this");
    amy.send(&message).await?;
    let got = bea.expect("MESSAGE").await?;
    bea.answer(&got, 415).await?;
    status(&amy.answer_to(&message).await?, 415)
}

#[tokio::test]
async fn a_session_ends_when_the_other_side_is_gone() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let (ours, _theirs) = open(&mut amy, &mut bea, None).await?;
    drop(bea);
    let bye = amy.expect_where("BYE", |bye| ours.owns(bye)).await?;
    amy.answer(&bye, 200).await
}

#[tokio::test]
async fn nobody_to_ring_is_480() -> Result<()> {
    let (pool, mut amy, _bea) = two().await?;
    let away = pool.create("away").await?;
    let invite = amy.invitation(&away.uri(), Some("hello?"));
    let answer = amy.call(invite).await?;
    status(&answer, 480)
}

#[tokio::test]
async fn a_made_up_dialog_is_481() -> Result<()> {
    let (_pool, mut amy, bea) = two().await?;
    for method in ["MESSAGE", "INFO", "BYE"] {
        let mut draft = amy.request(method, &bea.uri());
        draft = draft.set("To", format!("<{}>;tag=made-up", bea.uri()));
        if method == "MESSAGE" {
            draft = draft.body("text/plain", "nothing opened this");
        }
        let answer = amy.call(draft).await?;
        status(&answer, 481)?;
    }
    Ok(())
}

/// Lync-family clients started in the same second use the same Call-IDs and tags.
#[tokio::test]
async fn equal_call_ids_and_tags_of_two_users_never_meet() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let (mut cleo, mut dora) = (pool.session_user("cleo").await?, pool.session_user("dora").await?);
    let same = |draft: test_support::Draft| {
        let from = draft.get("From").unwrap_or_default().to_owned();
        let tag = test_support::param_of(&from, "tag")
            .unwrap_or_default()
            .to_owned();
        draft
            .set("From", from.replace(&tag, "1840021322"))
            .set("Call-ID", "8E12gACBEaF0A4")
            .set("CSeq", "1 INVITE")
    };
    let one = same(amy.invitation(&bea.uri(), None));
    let two = same(cleo.invitation(&dora.uri(), None));
    amy.send(&one).await?;
    cleo.send(&two).await?;
    bea.accept().await?;
    dora.accept().await?;
    let (mut first, mut second) = (amy.established(&one).await?, cleo.established(&two).await?);
    exchange(&mut amy, &mut first, &mut bea, "from amy to bea").await?;
    exchange(&mut cleo, &mut second, &mut dora, "from cleo to dora").await?;
    status(&amy.bye(&mut first).await?, 200)?;
    exchange(&mut cleo, &mut second, &mut dora, "still here").await
}

/// A new INVITE replaces the session; the caller ends the old dialog itself. Whether the callee is
/// rung again or stays in the session it has is the server's choice.
#[tokio::test]
async fn a_second_session_with_the_same_person_works() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let (mut old, _) = open(&mut amy, &mut bea, None).await?;
    let invite = amy.invitation(&bea.uri(), None);
    amy.send(&invite).await?;
    let ok = tokio::select! {
        ok = amy.answer_to(&invite) => ok?,
        rung = bea.accept() => {
            rung?;
            amy.answer_to(&invite).await?
        }
    };
    let mut new = amy.acknowledged(&invite, &ok).await?;
    // The server may have ended the old one by itself.
    let bye = amy.bye(&mut old).await?;
    ensure!(matches!(bye.status(), Some(200 | 481)), "{bye}");
    exchange(&mut amy, &mut new, &mut bea, "in the new one").await
}

#[tokio::test]
async fn offers_without_messages_are_refused_488() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    for media in [
        "m=audio 5004 RTP/AVP 0",
        "m=video 5006 RTP/AVP 31",
        "m=applicationsharing 1 TCP/RTP/AVP 127",
    ] {
        let sdp = format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{media}\r\n"
        );
        let invite = amy.invitation(&bea.uri(), None).body("application/sdp", sdp);
        let answer = amy.call(invite).await?;
        status(&answer, 488)?;
    }
    bea.nothing_else().await
}

/// Both write to each other at the same time: two INVITEs cross. Each text arrives, once.
#[tokio::test]
async fn invitations_that_cross_lose_no_text() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let (to_bea, to_amy) = (amy.invitation(&bea.uri(), None), bea.invitation(&amy.uri(), None));
    amy.send(&to_bea).await?;
    bea.send(&to_amy).await?;
    let (one, other) = tokio::join!(
        take_and_be_taken(&mut amy, &to_bea),
        take_and_be_taken(&mut bea, &to_amy)
    );
    let (mut ours, mut theirs) = (one?, other?);
    exchange(&mut amy, &mut ours, &mut bea, "from amy").await?;
    exchange(&mut bea, &mut theirs, &mut amy, "from bea").await
}

/// Waits for the answer to our own INVITE and takes the other side's, if it comes.
async fn take_and_be_taken(client: &mut Puppet, invite: &test_support::Draft) -> Result<Session> {
    let call = invite.get("Call-ID").unwrap_or_default().to_owned();
    loop {
        let next = client
            .flow
            .expect("our answer or their INVITE", |m| {
                m.method() == Some("INVITE")
                    || (m.status().is_some_and(|status| status >= 200) && m.header("Call-ID") == Some(&call))
            })
            .await?;
        if next.method() == Some("INVITE") {
            client.take(&next).await?;
        } else {
            return client.acknowledged(invite, &next).await;
        }
    }
}

/// A callee that takes the first text from the INVITE says so, and then no MESSAGE may follow.
#[tokio::test]
async fn a_callee_that_takes_the_first_text_gets_no_second() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let invite = amy.invitation(&bea.uri(), Some("first words"));
    amy.send(&invite).await?;
    let rung = bea.expect("INVITE").await?;
    ensure!(
        rung.require("ms-text-format")?.contains("Zmlyc3Qgd29yZHM="),
        "another first text:\n{rung}"
    );
    bea.take_with(&rung, &[("Supported", "ms-text-format")]).await?;
    let ok = amy.answer_to(&invite).await?;
    ensure!(
        ok.all("Supported").contains(&"ms-text-format"),
        "the caller will send it again:\n{ok}"
    );
    let mut session = amy.acknowledged(&invite, &ok).await?;
    exchange(&mut amy, &mut session, &mut bea, "second words").await
}

#[tokio::test]
async fn texts_in_a_session_arrive_in_their_order() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let (mut ours, _theirs) = open(&mut amy, &mut bea, None).await?;
    let mut drafts = Vec::new();
    for number in 0..20 {
        let text = format!("line {number}");
        let draft = amy.in_session(&mut ours, "MESSAGE").body("text/plain", text);
        amy.send(&draft).await?;
        drafts.push(draft);
    }
    for number in 0..20 {
        bea.receive(&format!("line {number}")).await?;
    }
    for draft in &drafts {
        status(&amy.answer_to(draft).await?, 200)?;
    }
    Ok(())
}
