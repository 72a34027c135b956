//! A front end dies (SIGKILL): its clients sign in elsewhere, and nobody writes to where they were.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Options, Puppet, Sandbox, Scheme};

use super::exchange;
use super::talk::{Refuge, Talk};

#[tokio::test]
async fn clients_of_a_killed_front_end_sign_in_elsewhere_and_are_reached_there() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let mut talk = Talk::page(&pool).await?;
    talk.bea.refuge = Some(Refuge::at(&mut pool, "fe1")?);
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.member("fe2")?.kill().await?;
        progress.more(20).await
    })
    .await?;
    talk.is_whole().await?;
    let away = talk.bea.away.first().context("Bea did not notice")?;
    ensure!(*away < Duration::from_secs(30), "signed in after {away:?}");
    // And the front end that comes back is one like any other.
    pool.member("fe2")?.start_again().await?;
    let cat = pool.create("cat").await?;
    let mut cat = pool.endpoint_at("fe2", &cat, Dialect::Simple).await?;
    exchange(&mut cat, &mut talk.bea.puppet, "hello").await
}

/// While the recipient is nowhere the sender is told so: never a 200.
#[tokio::test]
async fn a_message_to_a_client_of_a_killed_front_end_is_never_said_to_be_delivered() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let (amy, bea) = (pool.create("amy").await?, pool.create("bea").await?);
    let mut amy = pool.endpoint_at("fe1", &amy, Dialect::Simple).await?;
    let mut old = pool.endpoint_at("fe2", &bea, Dialect::Simple).await?;
    exchange(&mut amy, &mut old, "before").await?;
    pool.member("fe2")?.kill().await?;
    for number in 0..3 {
        let text = amy.text(&old.uri(), &format!("into the void {number}"));
        let answer = amy.call(text).await?;
        let code = answer.status().context("a status")?;
        ensure!((400..600).contains(&code), "to nobody:\n{answer}");
    }
    let mut new = Puppet::new(pool.flow_to("fe1").await?, bea, Dialect::Simple)?;
    new.impersonate_endpoint(&old);
    new.sign_in(Scheme::Md5).await?;
    exchange(&mut amy, &mut new, "after").await?;
    exchange(&mut new, &mut amy, "after").await?;
    new.nothing_else().await
}
