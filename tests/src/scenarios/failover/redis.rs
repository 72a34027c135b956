//! The shared store goes away, or forgets everything. It is the only home of nothing.

use std::time::Duration;

use anyhow::Result;
use test_support::stores::{OwnRedis, RedisServer};
use test_support::{Dialect, Options, Sandbox, eventually};

use super::talk::Talk;

async fn with_own_redis() -> Result<(Sandbox, Talk)> {
    let pool = Sandbox::pool(Options::default().with_own_redis()).await?;
    let talk = Talk::page(&pool).await?;
    Ok((pool, talk))
}

#[tokio::test]
async fn people_talk_on_without_redis_for_half_a_minute_and_when_it_is_back_empty() -> Result<()> {
    let (mut pool, mut talk) = with_own_redis().await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.redis()?.kill().await?;
        progress.keeps_going_for(Duration::from_secs(30)).await?;
        pool.redis()?.restart().await?;
        bindings_are_in(pool.redis()?).await?;
        progress.keeps_going_for(Duration::from_secs(5)).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await?;
    everything_works(&mut pool).await
}

#[tokio::test]
async fn people_talk_on_when_redis_forgets_everything() -> Result<()> {
    let (mut pool, mut talk) = with_own_redis().await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.redis()?.flush().await?;
        bindings_are_in(pool.redis()?).await?;
        progress.keeps_going_for(Duration::from_secs(5)).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await?;
    everything_works(&mut pool).await
}

/// Connections stand and nothing is answered: worse than a server that is gone.
#[tokio::test]
async fn people_talk_on_while_redis_hangs() -> Result<()> {
    let (mut pool, mut talk) = with_own_redis().await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        pool.redis()?.pause()?;
        progress.keeps_going_for(Duration::from_secs(20)).await?;
        pool.redis()?.resume()?;
        progress.keeps_going_for(Duration::from_secs(5)).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await?;
    everything_works(&mut pool).await
}

#[tokio::test]
async fn people_talk_on_when_sentinel_makes_the_replica_the_master() -> Result<()> {
    let mut master = RedisServer::own().await?;
    let replica = master.replica().await?;
    let sentinel = master.sentinel().await?;
    let url = format!("redis+sentinel://{}/pool", sentinel.address());
    let mut pool = Sandbox::pool(Options::default().set("PORTICO_STORE__STATE", &url)).await?;
    let mut talk = Talk::page(&pool).await?;
    talk.during(async |progress| {
        progress.more(10).await?;
        master.kill().await?;
        eventually("the replica to be the master", || async {
            let role = replica.command(&["ROLE"]).await?;
            Ok(role.starts_with("master").then_some(()))
        })
        .await?;
        // Written again by those who own them, though a failover may lose what was written last.
        bindings_are_in(&replica).await?;
        progress.keeps_going_for(Duration::from_secs(10)).await
    })
    .await?;
    talk.is_whole_and_nothing_was_refused().await?;
    everything_works(&mut pool).await
}

/// Those of both are there.
async fn bindings_are_in(redis: &OwnRedis) -> Result<()> {
    eventually("the bindings of both to be in Redis", || async {
        let keys = redis.command(&["KEYS", "portico:*:bindings:*"]).await?;
        let mut users = String::new();
        for key in keys.lines().filter(|key| !key.is_empty()) {
            users += &redis.command(&["HKEYS", key]).await?;
        }
        Ok((users.contains("amy") && users.contains("bea")).then_some(()))
    })
    .await
}

/// A registrar that comes back knows from Redis who is where, and somebody new signs in.
async fn everything_works(pool: &mut Sandbox) -> Result<()> {
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
