//! Several endpoints of one user: RFC 3261 section 10, RFC 5626, RFC 5627.

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Puppet, Sandbox, Scheme, Wire};

use super::status;

async fn fetch(client: &mut Puppet) -> Result<Wire> {
    let register = client.register().without("Contact").without("Expires");
    let ok = client.call(register).await?;
    status(&ok, 200)?;
    Ok(ok)
}

fn contacts(ok: &Wire) -> usize {
    ok.all("Contact").len()
}

#[tokio::test]
async fn a_second_endpoint_is_listed_beside_the_first() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut first = pool.page_user("amy").await?;
    let mut second = pool.endpoint(&first.account().clone(), Dialect::Lync).await?;
    for client in [&mut first, &mut second] {
        let ok = fetch(client).await?;
        assert_eq!(contacts(&ok), 2, "{ok}");
    }
    Ok(())
}

#[tokio::test]
async fn expires_zero_removes_one_endpoint_and_a_star_all() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut first = pool.page_user("amy").await?;
    let account = first.account().clone();
    let mut second = pool.endpoint(&account, Dialect::Simple).await?;
    let mut third = pool.endpoint(&account, Dialect::Simple).await?;
    let leave = second.register().set("Expires", 0);
    status(&second.call(leave).await?, 200)?;
    assert_eq!(contacts(&fetch(&mut first).await?), 2);
    let all = third.register().set("Contact", "*").set("Expires", 0);
    let ok = third.call(all).await?;
    status(&ok, 200)?;
    assert_eq!(contacts(&ok), 0, "{ok}");
    Ok(())
}

#[tokio::test]
async fn a_star_that_does_not_expire_is_refused() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut client = pool.page_user("amy").await?;
    let all = client.register().set("Contact", "*").set("Expires", 600);
    status(&client.call(all).await?, 400)?;
    assert_eq!(contacts(&fetch(&mut client).await?), 1);
    Ok(())
}

#[tokio::test]
async fn a_removed_endpoint_gets_no_texts() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let mut bea = pool.page_user("bea").await?;
    let leave = bea.register().set("Expires", 0);
    status(&bea.call(leave).await?, 200)?;
    let text = amy.text(&bea.uri(), "anybody there?");
    status(&amy.call(text).await?, 480)
}

#[tokio::test]
async fn too_short_an_expiry_is_answered_423() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut client = pool.page_user("amy").await?;
    let short = client.register().set("Expires", 60);
    let answer = client.call(short).await?;
    status(&answer, 423)?;
    let least: u32 = answer.require("Min-Expires")?.parse()?;
    ensure!((60..=300).contains(&least), "Min-Expires: {least}");
    Ok(())
}

#[tokio::test]
async fn the_ninth_endpoint_replaces_the_oldest() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut oldest = pool.page_user("amy").await?;
    let account = oldest.account().clone();
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(pool.endpoint(&account, Dialect::Simple).await?);
    }
    oldest.flow.closed().await?;
    assert_eq!(contacts(&fetch(&mut others[0]).await?), 8);
    Ok(())
}

/// A client that lost its connection comes back before the server noticed.
#[tokio::test]
async fn an_endpoint_that_comes_back_takes_its_old_place() -> Result<()> {
    let pool = Sandbox::start().await?;
    for dialect in [Dialect::Simple, Dialect::Lync] {
        let name = format!("amy-{dialect:?}").to_lowercase();
        let mut old = pool.endpoint(&pool.create(&name).await?, dialect).await?;
        let mut new = pool.puppet(old.account(), dialect).await?;
        new.impersonate_endpoint(&old);
        let scheme = if dialect == Dialect::Lync {
            Scheme::Ntlm
        } else {
            Scheme::Md5
        };
        new.sign_in(scheme).await?;
        assert_eq!(contacts(&fetch(&mut new).await?), 1);
        old.flow.closed().await.with_context(|| format!("{dialect:?}"))?;
    }
    Ok(())
}

/// The client shows the reason and does not come back at once (MS-SIPREGE, `registration-notify`).
#[tokio::test]
async fn a_replaced_lync_endpoint_is_told_why() -> Result<()> {
    let pool = Sandbox::start().await?;
    let account = pool.create("amy").await?;
    let mut old = pool.endpoint(&account, Dialect::Lync).await?;
    let mut new = pool.puppet(&account, Dialect::Lync).await?;
    new.impersonate_endpoint(&old);
    new.sign_in(Scheme::Ntlm).await?;
    let before = old.flow.closed().await?;
    let notice = before
        .iter()
        .find(|m| matches!(m.method(), Some("NOTIFY" | "BENOTIFY")));
    let notice = notice.context("closed without a notice")?;
    assert_eq!(notice.header("Event"), Some("registration-notify"));
    ensure!(notice.text().starts_with("deregistered;"), "{notice}");
    Ok(())
}

#[tokio::test]
async fn a_gruu_reaches_its_endpoint_only() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let mut one = pool.page_user("bea").await?;
    let mut two = pool.endpoint(&one.account().clone(), Dialect::Simple).await?;
    let gruu = one
        .gruu()
        .context("no GRUU for a client that supports it")?
        .to_owned();
    let text = amy.text(&gruu, "only for one");
    amy.send(&text).await?;
    one.receive("only for one").await?;
    status(&amy.answer_to(&text).await?, 200)?;
    two.nothing_else().await
}

/// RFC 5626 section 3.5.1: only a flow with outbound gets the pong; a Lync-family client would stumble over it.
#[tokio::test]
async fn a_keep_alive_is_answered_on_outbound_flows_only() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut simple = pool.page_user("amy").await?;
    simple.flow.send("\r\n\r\n").await?;
    assert_eq!(simple.flow.raw(2).await?, b"\r\n");
    let mut lync = pool.session_user("bea").await?;
    lync.flow.send("\r\n\r\n").await?;
    let options = lync.request("OPTIONS", "sip:example.test");
    lync.send(&options).await?;
    // The first byte after the keep-alive belongs to the answer.
    assert_eq!(lync.flow.raw(7).await?, b"SIP/2.0");
    Ok(())
}

#[tokio::test]
async fn a_refresh_keeps_one_binding_and_the_flow() -> Result<()> {
    let pool = Sandbox::start().await?;
    for dialect in [Dialect::Simple, Dialect::Lync] {
        let name = format!("amy-{dialect:?}").to_lowercase();
        let mut client = pool.endpoint(&pool.create(&name).await?, dialect).await?;
        let mut refresh = client.register();
        if dialect == Dialect::Simple {
            refresh = client.authorized(refresh)?;
        }
        status(&client.call(refresh).await?, 200)?;
        assert_eq!(contacts(&fetch(&mut client).await?), 1);
    }
    Ok(())
}
