//! The owner of a conversation dies (SIGKILL): the next one takes over.

use anyhow::{Result, ensure};
use test_support::{Dialect, Options, Puppet, Sandbox, eventually};

use super::talk::Talk;
use super::{exchange, owner_of};
use crate::scenarios::status;

async fn two(dialect: Dialect) -> Result<(Sandbox, Puppet, Puppet)> {
    let pool = Sandbox::pool(Options::default()).await?;
    let (amy, bea) = (pool.create("amy").await?, pool.create("bea").await?);
    let amy = pool.endpoint_at("fe1", &amy, dialect).await?;
    let bea = pool.endpoint_at("fe2", &bea, dialect).await?;
    Ok((pool, amy, bea))
}

#[tokio::test]
async fn in_page_mode_people_talk_on_when_the_owner_of_their_conversation_is_killed() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let mut talk = Talk::page(&pool).await?;
    owner_dies_and_comes_back(&mut pool, &mut talk).await
}

/// The session goes on in the same dialogs, and nobody is rung again: any INVITE or BYE fails the talk.
#[tokio::test]
async fn a_session_goes_on_when_the_owner_of_its_conversation_is_killed() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let mut talk = Talk::session(&pool).await?;
    owner_dies_and_comes_back(&mut pool, &mut talk).await
}

async fn owner_dies_and_comes_back(pool: &mut Sandbox, talk: &mut Talk) -> Result<()> {
    talk.during(async |progress| progress.more(4).await).await?;
    let (owner, other) = owner_of(pool).await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.member(owner)?.kill().await?;
        progress.more(20).await?;
        // It is back, gets its share again, and then the other one goes.
        pool.member(owner)?.start_again().await?;
        progress.more(20).await?;
        pool.member(other)?.kill().await?;
        progress.more(20).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await
}

/// The message was with the recipient, who had not answered.
#[tokio::test]
async fn a_message_that_was_with_its_recipient_when_the_owner_died_is_delivered_once() -> Result<()> {
    let (mut pool, mut amy, mut bea) = two(Dialect::Simple).await?;
    exchange(&mut amy, &mut bea, "before").await?;
    let (owner, _) = owner_of(&pool).await?;
    let text = amy.text(&bea.uri(), "during");
    amy.send(&text).await?;
    let got = bea.expect("MESSAGE").await?;
    pool.member(owner)?.kill().await?;
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&text).await?, 200)?;
    exchange(&mut bea, &mut amy, "after").await?;
    exchange(&mut amy, &mut bea, "after").await?;
    bea.nothing_else().await?;
    amy.nothing_else().await
}

/// As above, but the recipient answers only when the next owner has the message: it must not be shown again.
#[tokio::test]
async fn an_answer_that_comes_when_the_next_owner_is_there_counts_and_the_message_is_not_shown_again()
-> Result<()> {
    let (mut pool, mut amy, mut bea) = two(Dialect::Simple).await?;
    exchange(&mut amy, &mut bea, "before").await?;
    let (owner, other) = owner_of(&pool).await?;
    let text = amy.text(&bea.uri(), "during");
    amy.send(&text).await?;
    let got = bea.expect("MESSAGE").await?;
    pool.member(owner)?.kill().await?;
    eventually("the next owner to have the conversation", || async {
        let members = pool.members().iter();
        let mut count = 0.0;
        for member in members.filter(|member| member.name() == other) {
            count += member.metric("portico_im_conversation_active", &[]).await?;
        }
        Ok((count >= 1.0).then_some(()))
    })
    .await?;
    bea.nothing_else().await?;
    bea.answer(&got, 200).await?;
    status(&amy.answer_to(&text).await?, 200)?;
    exchange(&mut amy, &mut bea, "after").await?;
    bea.nothing_else().await
}

/// In a session: the held message is answered in its dialog, and the dialogs stand.
#[tokio::test]
async fn a_text_in_a_session_is_delivered_once_when_the_owner_dies_meanwhile() -> Result<()> {
    let (mut pool, mut amy, mut bea) = two(Dialect::Lync).await?;
    let invite = amy.invitation(&bea.uri(), None);
    amy.send(&invite).await?;
    let mut theirs = bea.accept().await?;
    let mut ours = amy.established(&invite).await?;
    let mut exchanged = 0;
    let texts = ["before", "during", "after"];
    let mut owner = None;
    for text in texts {
        let message = amy.in_session(&mut ours, "MESSAGE").body("text/plain", text);
        amy.send(&message).await?;
        let got = bea.expect("MESSAGE").await?;
        ensure!(theirs.owns(&got) && got.text() == text, "{got}");
        if text == "during" {
            let owner = owner.take().unwrap_or(("im1", "im2"));
            pool.member(owner.0)?.kill().await?;
        }
        bea.answer(&got, 200).await?;
        status(&amy.answer_to(&message).await?, 200)?;
        exchanged += 1;
        if exchanged == 1 {
            owner = Some(owner_of(&pool).await?);
        }
    }
    let back = bea
        .in_session(&mut theirs, "MESSAGE")
        .body("text/plain", "and back");
    bea.send(&back).await?;
    amy.receive("and back").await?;
    status(&bea.answer_to(&back).await?, 200)?;
    bea.nothing_else().await?;
    status(&amy.bye(&mut ours).await?, 200)?;
    let bye = bea.expect("BYE").await?;
    bea.answer(&bye, 200).await?;
    amy.nothing_else().await
}
