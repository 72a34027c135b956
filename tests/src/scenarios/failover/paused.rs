//! A member hangs for 20 s (SIGSTOP) and goes on as if nothing had happened. Meanwhile others do its work.

use std::time::Duration;

use anyhow::{Result, ensure};
use test_support::{Dialect, Options, Puppet, Sandbox, Scheme};
use tokio::time::sleep;

use super::owner_of;
use super::talk::{Refuge, Talk};

/// Longer than a lease.
const PAUSE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_owner_that_hung_does_no_harm_when_it_goes_on() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let mut talk = Talk::page(&pool).await?;
    talk.during(async |progress| progress.more(4).await).await?;
    let (owner, _) = owner_of(&pool).await?;
    talk.during(async |progress| {
        pool.member(owner)?.pause()?;
        // The time is what this is about.
        sleep(PAUSE).await;
        // Somebody else has it, while the paused one still sleeps.
        progress.more(10).await?;
        pool.member(owner)?.resume()?;
        progress.keeps_going_for(Duration::from_secs(10)).await
    })
    .await?;
    talk.is_whole().await?;
    pool.healthy()
}

/// Its client waits, and goes elsewhere when it is sent away.
#[tokio::test]
async fn a_front_end_that_hung_does_no_harm_when_it_goes_on() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let mut talk = Talk::page(&pool).await?;
    let refuge = Refuge::at(&mut pool, "fe1")?;
    talk.bea.refuge = Some(refuge);
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.member("fe2")?.pause()?;
        sleep(PAUSE).await;
        pool.member("fe2")?.resume()?;
        progress.keeps_going_for(Duration::from_secs(10)).await
    })
    .await?;
    talk.is_whole().await?;
    ensure!(
        talk.bea.away.len() <= 1,
        "signed in again and again: {:?}",
        talk.bea.away
    );
    pool.healthy()
}

/// Its client has given it up and is signed in elsewhere: nothing goes down the connection it left.
#[tokio::test]
async fn a_front_end_that_hung_delivers_nothing_to_who_has_left_it() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let mut talk = Talk::page(&pool).await?;
    talk.during(async |progress| progress.more(10).await).await?;
    pool.member("fe2")?.pause()?;
    let account = talk.bea.puppet.account().clone();
    let mut new = Puppet::new(pool.flow_to("fe1").await?, account, Dialect::Simple)?;
    new.impersonate_endpoint(&talk.bea.puppet);
    new.sign_in(Scheme::Md5).await?;
    let mut old = std::mem::replace(&mut talk.bea.puppet, new);
    talk.during(async |progress| {
        progress.keeps_going_for(PAUSE).await?;
        pool.member("fe2")?.resume()?;
        progress.keeps_going_for(Duration::from_secs(10)).await
    })
    .await?;
    talk.is_whole().await?;
    let came = old.flow.closed().await?;
    ensure!(came.iter().all(|m| m.method() != Some("MESSAGE")), "{came:?}");
    pool.healthy()
}
