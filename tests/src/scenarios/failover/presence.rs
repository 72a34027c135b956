//! An owner of presence comes or dies, a front end dies, Redis forgets: watchers are shown what is true, and nothing else
//! meanwhile.

use anyhow::{Result, ensure};
use test_support::stores::OwnRedis;
use test_support::{Dialect, Options, Puppet, Sandbox, Wire, eventually, within};

use crate::scenarios::presence::{publish, subscribe, told};
use crate::scenarios::status;

/// Amy at one front end, and Bea at the other, who watches her.
async fn watched(pool: &Sandbox) -> Result<(Puppet, Puppet, Wire)> {
    let (amy, bea) = (pool.create("amy").await?, pool.create("bea").await?);
    let mut amy = pool.endpoint_at("fe1", &amy, Dialect::Simple).await?;
    let mut bea = pool.endpoint_at("fe2", &bea, Dialect::Simple).await?;
    let draft = publish(&mut amy, "<rpid:busy/>");
    let published = amy.call(draft).await?;
    status(&published, 200)?;
    let draft = subscribe(&mut bea, &amy.uri(), "presence");
    status(&bea.call(draft).await?, 200)?;
    told(&mut bea, "<rpid:busy/>").await?;
    Ok((amy, bea, published))
}

/// Publishes another activity in place of what has this tag; comes again when it is told to.
async fn modify(amy: &mut Puppet, before: &Wire, activity: &str) -> Result<Wire> {
    let tag = before.require("SIP-ETag")?;
    within("an owner of presence that takes it", async {
        loop {
            let draft = publish(amy, activity).header("SIP-If-Match", tag);
            let modified = amy.call(draft).await?;
            if modified.status() != Some(503) {
                status(&modified, 200)?;
                return Ok(modified);
            }
        }
    })
    .await
}

/// Bea is told this and was not told meanwhile that Amy is offline.
async fn told_at_once(bea: &mut Puppet, activity: &str) -> Result<()> {
    loop {
        let notify = bea.expect("NOTIFY").await?;
        bea.answer(&notify, 200).await?;
        ensure!(!notify.text().contains("<basic>closed"), "it flickered: {notify}");
        if notify.text().contains(activity) {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn watchers_see_what_is_true_when_another_owner_of_presence_comes() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let (mut amy, mut bea, published) = watched(&pool).await?;
    pool.add("pres2", "presence").await?;
    let away = modify(&mut amy, &published, "<rpid:away/>").await?;
    told_at_once(&mut bea, "<rpid:away/>").await?;
    modify(&mut amy, &away, "<rpid:busy/>").await?;
    told_at_once(&mut bea, "<rpid:busy/>").await
}

#[tokio::test]
async fn presence_does_not_flicker_while_clients_of_a_killed_front_end_sign_in_elsewhere() -> Result<()> {
    let mut pool = Sandbox::pool(Options::default()).await?;
    let (amy, mut bea, _) = watched(&pool).await?;
    pool.member("fe1")?.kill().await?;
    let account = amy.account().clone();
    let mut amy = eventually("a registrar that signs people in", || async {
        Ok(pool.endpoint_at("fe2", &account, Dialect::Simple).await.ok())
    })
    .await?;
    let draft = publish(&mut amy, "<rpid:away/>");
    status(&amy.call(draft).await?, 200)?;
    told_at_once(&mut bea, "<rpid:away/>").await
}

/// A pool of two owners of presence, with somebody watched by somebody, and the name of the owner in charge.
async fn of_two_owners(options: Options) -> Result<(Sandbox, Puppet, Puppet, Wire, &'static str)> {
    let mut pool = Sandbox::pool(options).await?;
    pool.add("pres2", "presence").await?;
    let owns = ["keys=\"presentities\"", "state=\"active\""];
    for name in ["pres1", "pres2"] {
        let member = pool.member(name)?;
        eventually("both owners to have their share", || async {
            let owned = member.metric("portico_partitions", &owns).await?;
            Ok((256.0..=768.0).contains(&owned).then_some(()))
        })
        .await?;
    }
    let (amy, bea, published) = watched(&pool).await?;
    let accepted = ["operation=\"publish\"", "result=\"accepted\""];
    let count = pool
        .member("pres1")?
        .metric("portico_presence_operations_total", &accepted)
        .await?;
    let owner = if count > 0.0 { "pres1" } else { "pres2" };
    Ok((pool, amy, bea, published, owner))
}

/// What Amy publishes is in Redis.
async fn is_copied(redis: &OwnRedis) -> Result<()> {
    eventually("a copy of Amy's presence in Redis", || async {
        let keys = redis.command(&["KEYS", "portico:*:presence:*"]).await?;
        let mut users = String::new();
        for key in keys.lines().filter(|key| !key.is_empty()) {
            users += &redis.command(&["HKEYS", key]).await?;
        }
        Ok(users.contains("amy").then_some(()))
    })
    .await
}

#[tokio::test]
async fn nothing_flickers_when_the_owner_of_presence_is_killed_and_who_comes_sees_what_was_published()
-> Result<()> {
    let (mut pool, mut amy, mut bea, published, owner) =
        of_two_owners(Options::default().with_own_redis()).await?;
    is_copied(pool.redis()?).await?;
    let cat = pool.create("cat").await?;
    let mut cat = pool.endpoint_at("fe2", &cat, Dialect::Simple).await?;
    pool.member(owner)?.kill().await?;
    within("an owner of presence that tells", async {
        loop {
            let draft = subscribe(&mut cat, "sip:amy@example.test", "presence");
            let answer = cat.call(draft).await?;
            if answer.status() != Some(503) {
                return status(&answer, 200);
            }
        }
    })
    .await?;
    told_at_once(&mut cat, "<rpid:busy/>").await?;
    let away = modify(&mut amy, &published, "<rpid:away/>").await?;
    told_at_once(&mut bea, "<rpid:away/>").await?;
    told_at_once(&mut cat, "<rpid:away/>").await?;
    modify(&mut amy, &away, "<rpid:busy/>").await?;
    told_at_once(&mut bea, "<rpid:busy/>").await
}

#[tokio::test]
async fn nothing_flickers_when_the_owner_of_presence_is_killed_together_with_the_front_end() -> Result<()> {
    let (mut pool, amy, mut bea, _, owner) = of_two_owners(Options::default().with_own_redis()).await?;
    is_copied(pool.redis()?).await?;
    pool.member("fe1")?.kill().await?;
    pool.member(owner)?.kill().await?;
    let account = amy.account().clone();
    let mut amy = eventually("a registrar that signs people in", || async {
        Ok(pool.endpoint_at("fe2", &account, Dialect::Simple).await.ok())
    })
    .await?;
    within("an owner of presence that takes it", async {
        loop {
            let draft = publish(&mut amy, "<rpid:away/>");
            let answer = amy.call(draft).await?;
            if answer.status() != Some(503) {
                return status(&answer, 200);
            }
        }
    })
    .await?;
    told_at_once(&mut bea, "<rpid:away/>").await
}

#[tokio::test]
async fn presence_is_in_redis_again_after_it_forgot_and_after_it_was_restarted() -> Result<()> {
    let (mut pool, mut amy, mut bea, published, owner) =
        of_two_owners(Options::default().with_own_redis()).await?;
    is_copied(pool.redis()?).await?;
    pool.redis()?.flush().await?;
    is_copied(pool.redis()?).await?;
    pool.redis()?.kill().await?;
    // Nobody needs Redis for a change to be seen.
    let away = modify(&mut amy, &published, "<rpid:away/>").await?;
    told_at_once(&mut bea, "<rpid:away/>").await?;
    pool.redis()?.restart().await?;
    is_copied(pool.redis()?).await?;
    pool.member(owner)?.kill().await?;
    modify(&mut amy, &away, "<rpid:busy/>").await?;
    told_at_once(&mut bea, "<rpid:busy/>").await
}
