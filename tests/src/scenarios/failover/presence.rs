//! An owner of presence comes, or a front end dies: watchers are shown what is true, and nothing else meanwhile.

use anyhow::{Result, ensure};
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
