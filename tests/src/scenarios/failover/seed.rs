//! A pool without Redis: its members find each other at a seed, which dies and comes back without any memory.

use std::time::Duration;

use anyhow::{Result, ensure};
use test_support::{Dialect, Options, Sandbox, eventually};

use super::owner_of;
use super::talk::Talk;

/// The seed owns conversations of others: those of these two go on as if nothing was.
#[tokio::test]
async fn people_talk_on_while_the_seed_of_a_pool_without_redis_is_dead_and_when_it_is_back() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default().with_seed("im1")).await?;
    everybody_is_there(&pool).await?;
    let mut talk = Talk::page(&pool).await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        ensure!(
            owner_of(&pool).await? == ("im2", "im1"),
            "the seed owns the conversation"
        );
        pool.member("im1")?.kill().await?;
        progress.keeps_going_for(Duration::from_secs(20)).await?;
        pool.member("im1")?.start_again().await?;
        what_was_forgotten_is_said_again(&mut pool).await?;
        progress.keeps_going_for(Duration::from_secs(5)).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await?;
    everybody_is_there(&pool).await?;
    a_registrar_that_comes_back_knows_who_is_where(&mut pool).await
}

/// The seed owns the conversation itself: what is written then waits for it, and is not lost.
#[tokio::test]
async fn what_the_seed_itself_owned_waits_for_it_and_is_not_lost() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default().with_seed("im2")).await?;
    let mut talk = Talk::session(&pool).await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        ensure!(
            owner_of(&pool).await? == ("im2", "im1"),
            "another owns the conversation"
        );
        pool.member("im2")?.kill().await?;
        pool.member("im2")?.start_again().await?;
        progress.more(20).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await
}

#[tokio::test]
async fn members_without_redis_find_each_other_by_a_dns_name() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default().with_seed_by_name("im1")).await?;
    everybody_is_there(&pool).await?;
    let mut talk = Talk::session(&pool).await?;
    talk.during(async |progress| progress.more(20).await).await?;
    talk.is_whole_and_nothing_was_refused().await?;
    a_registrar_that_comes_back_knows_who_is_where(&mut pool).await
}

/// Every member sees all others.
async fn everybody_is_there(pool: &Sandbox) -> Result<()> {
    for member in pool.members() {
        let name = member.name();
        let listed = || async {
            let listed = pool.ctl_at(name, &["-o", "json", "node", "list"]).await?;
            let nodes: serde_json::Value = serde_json::from_str(&listed)?;
            let nodes = nodes.as_array().into_iter().flatten();
            let names: Vec<_> = nodes.filter_map(|node| node["member"].as_str()).collect();
            Ok((names == ["fe1", "fe2", "im1", "im2", "pres1", "reg1"]).then_some(()))
        };
        eventually("all members to be listed", listed).await?;
    }
    Ok(())
}

/// The registrar has noticed that the seed forgot everything, and has nothing left that the seed lacks.
async fn what_was_forgotten_is_said_again(pool: &mut Sandbox) -> Result<()> {
    let registrar = &*pool.member("reg1")?;
    eventually("the registrar to notice", || async {
        let losses = registrar
            .metric("portico_store_history_losses_total", &[])
            .await?;
        Ok((losses > 0.0).then_some(()))
    })
    .await?;
    eventually("the bindings to be at the seed again", || async {
        let dirty = registrar.metric("portico_bindings_dirty", &[]).await?;
        Ok((dirty == 0.0).then_some(()))
    })
    .await
}

/// From what the seed keeps: both are found at their front ends, and somebody new signs in.
async fn a_registrar_that_comes_back_knows_who_is_where(pool: &mut Sandbox) -> Result<()> {
    let cat = pool.create("cat").await?;
    pool.member("reg1")?.kill().await?;
    pool.member("reg1")?.start_again().await?;
    let pool = &*pool;
    let signed_in = || async { Ok(pool.endpoint_at("fe2", &cat, Dialect::Lync).await.ok()) };
    eventually("a registrar that signs people in", signed_in).await?;
    for (user, front_end) in [("amy", "fe1"), ("bea", "fe2")] {
        let address = format!("{user}@example.test");
        eventually("the registrar to know who is where", || async {
            let (_, sessions) = pool.ctl_status(&["user", "sessions", &address], "").await?;
            Ok(sessions.contains(front_end).then_some(()))
        })
        .await?;
    }
    Ok(())
}
