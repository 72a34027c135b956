//! A registrar dies (SIGKILL).

use anyhow::{Result, ensure};
use test_support::{Dialect, Options, Sandbox, eventually};

use super::talk::Talk;
use crate::scenarios::status;

#[tokio::test]
async fn people_talk_on_when_one_of_two_registrars_is_killed() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    pool.add("reg2", "registrar").await?;
    let mut talk = Talk::page(&pool).await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.member("reg1")?.kill().await?;
        progress.more(50).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await?;
    signing_in_works(&pool, &mut talk).await
}

/// While there is none nobody can be looked up: what is written then waits for it, and is not lost.
#[tokio::test]
async fn people_talk_on_when_the_only_registrar_is_killed_and_started_again() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let mut talk = Talk::session(&pool).await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.member("reg1")?.kill().await?;
        pool.member("reg1")?.start_again().await?;
        progress.more(20).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await?;
    signing_in_works(&pool, &mut talk).await
}

/// Somebody new, a new endpoint of somebody who is signed in, and a refresh. The users of a registrar that died have another
/// one soon, not at once.
async fn signing_in_works(pool: &Sandbox, talk: &mut Talk) -> Result<()> {
    let amy = &mut talk.amy.puppet;
    for (account, front_end) in [(pool.create("cat").await?, "fe1"), (amy.account().clone(), "fe2")] {
        let account = &account;
        eventually("a registrar that signs people in", || async {
            Ok(pool.endpoint_at(front_end, account, Dialect::Lync).await.ok())
        })
        .await?;
    }
    let refresh = amy.register();
    status(&amy.call(refresh).await?, 200)?;
    let sessions = pool.ctl(&["user", "sessions", "bea@example.test"], "").await?;
    ensure!(
        sessions.contains("fe2"),
        "Bea is not known to be there: {sessions}"
    );
    Ok(())
}
