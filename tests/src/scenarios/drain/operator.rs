//! What an operator asks of a member that goes on: to drain, to take that back, to part with some of its clients.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::{Dialect, Puppet, Sandbox, eventually};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::super::{status, still_served};
use super::{is_notice, members_of, pool};

/// What the balancer is told to do with a member.
async fn agent_line(pool: &mut Sandbox, member: &str) -> Result<String> {
    let address = pool.member(member)?.listener("agent")?;
    let mut line = String::new();
    TcpStream::connect(address)
        .await?
        .read_to_string(&mut line)
        .await?;
    Ok(line)
}

/// How many partitions of conversations a member owns, and its state, as `fe1` knows them.
async fn seen(pool: &Sandbox, member: &str) -> Result<(u64, String)> {
    let text = pool.ctl(&["-o", "json", "node", "list"], "").await?;
    let nodes: Vec<Value> = serde_json::from_str(&text)?;
    let node = nodes.iter().find(|node| node["member"] == member).context("it")?;
    let owns = node["conversations"].as_u64().context("a number")?;
    Ok((owns, node["state"].as_str().context("a state")?.to_owned()))
}

async fn said_between(one: &mut Puppet, other: &mut Puppet, text: &str) -> Result<()> {
    let message = one.text(&other.uri(), text);
    one.send(&message).await?;
    other.receive(text).await?;
    status(&one.answer_to(&message).await?, 200)
}

#[tokio::test]
async fn a_front_end_that_was_drained_takes_clients_again_when_that_is_taken_back() -> Result<()> {
    let options = super::options().set("PORTICO_OPS__AGENT_LISTEN", "127.0.0.1:0");
    let mut pool = Sandbox::pool(options).await?;
    let (amy, lia) = (pool.create("amy").await?, pool.create("lia").await?);
    let mut lia = pool.endpoint_at("fe2", &lia, Dialect::Simple).await?;
    let mut before = pool.endpoint_at("fe1", &amy, Dialect::Simple).await?;
    let shown = pool.ctl_at("fe1", &["node", "drain", "--wait"]).await?;
    assert_eq!(shown, "drained\n");
    before.flow.closed().await?;
    let (code, page) = pool.member("fe1")?.page("/readyz").await?;
    ensure!(code == 503 && page.contains("drained"), "{code} {page}");
    assert_eq!(agent_line(&mut pool, "fe1").await?, "drain\n");
    assert_eq!(seen(&pool, "fe1").await?.1, "drained");
    // It is there, and turns people away.
    let mut early = Puppet::new(pool.flow_to("fe1").await?, amy.clone(), Dialect::Simple)?;
    let probe = early.request("OPTIONS", "sip:example.test");
    status(&early.call(probe).await?, 200)?;
    let register = early.register();
    status(&early.call(register).await?, 503)?;

    assert_eq!(pool.ctl_at("fe1", &["node", "undrain"]).await?, "serving\n");
    let (code, page) = pool.member("fe1")?.page("/readyz").await?;
    ensure!(code == 200, "{code} {page}");
    // `ready` takes back the drain that the balancer remembers.
    assert_eq!(agent_line(&mut pool, "fe1").await?, "ready up 100%\n");
    let mut again = pool.endpoint_at("fe1", &amy, Dialect::Simple).await?;
    assert_eq!(members_of(&pool, "amy").await?, ["fe1"]);
    said_between(&mut lia, &mut again, "there again?").await?;
    // Once more, harmless; and it stops as it always does.
    assert_eq!(pool.ctl_at("fe1", &["node", "undrain"]).await?, "serving\n");
    assert_eq!(pool.member("fe1")?.terminate().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_drain_that_is_taken_back_before_anybody_was_told_moves_nobody() -> Result<()> {
    let options = super::options().set("PORTICO_DRAIN__GRACE", "60s");
    let mut pool = Sandbox::pool(options).await?;
    let lia = pool.create("lia").await?;
    let mut lia = pool.endpoint_at("fe1", &lia, Dialect::Lync).await?;
    assert_eq!(pool.ctl_at("fe1", &["node", "drain"]).await?, "draining\n");
    assert_eq!(pool.member("fe1")?.page("/readyz").await?.0, 503);
    assert_eq!(pool.ctl_at("fe1", &["node", "undrain"]).await?, "serving\n");
    assert_eq!(pool.member("fe1")?.page("/readyz").await?.0, 200);
    // She can renew her registration where she is.
    let register = lia.register();
    status(&lia.call(register).await?, 200)?;
    still_served(&mut lia).await
}

/// Who was told to go goes; who comes is welcome at once, though somebody is still to be seen off.
#[tokio::test]
async fn a_drain_that_is_taken_back_in_the_middle_lets_people_in_at_once() -> Result<()> {
    let mut pool = pool().await?;
    let (amy, lia) = (pool.create("amy").await?, pool.create("lia").await?);
    let mut lia = pool.endpoint_at("fe1", &lia, Dialect::Lync).await?;
    assert_eq!(pool.ctl_at("fe1", &["node", "drain"]).await?, "draining\n");
    let notice = lia.expect("NOTIFY").await?;
    ensure!(is_notice(&notice), "{notice}");
    lia.answer(&notice, 200).await?;
    assert_eq!(pool.ctl_at("fe1", &["node", "undrain"]).await?, "serving\n");
    let mut amy = pool.endpoint_at("fe1", &amy, Dialect::Simple).await?;
    lia.flow.closed().await?;
    still_served(&mut amy).await?;
    let (code, page) = pool.member("fe1")?.page("/readyz").await?;
    ensure!(code == 200, "{code} {page}");
    Ok(())
}

#[tokio::test]
async fn an_owner_that_was_drained_gets_its_share_back() -> Result<()> {
    let pool = pool().await?;
    let (share, state) = seen(&pool, "im1").await?;
    ensure!(share > 0 && state == "serving", "{share} {state}");
    assert_eq!(
        pool.ctl_at("im1", &["node", "drain", "--wait"]).await?,
        "drained\n"
    );
    eventually("im2 to own all conversations", || async {
        let (im1, im2) = (seen(&pool, "im1").await?, seen(&pool, "im2").await?.0);
        Ok((im1 == (0, "draining".to_owned()) && im2 == 1_024).then_some(()))
    })
    .await?;
    assert_eq!(pool.ctl_at("im1", &["node", "undrain"]).await?, "serving\n");
    eventually("im1 to own its share again", || async {
        Ok((seen(&pool, "im1").await? == (share, "serving".to_owned())).then_some(()))
    })
    .await?;
    let mut amy = pool.page_user("amy").await?;
    let mut lia = pool.page_user("lia").await?;
    said_between(&mut amy, &mut lia, "who counts?").await
}

#[tokio::test]
async fn who_could_leave_what_it_has_to_nobody_is_not_drained() -> Result<()> {
    let mut pool = pool().await?;
    let refused = pool.ctl_at("reg1", &["node", "drain"]).await.unwrap_err();
    let text = format!("{refused:#}");
    ensure!(text.contains("gave 4") && text.contains("registrar"), "{text}");
    let (code, page) = pool.member("reg1")?.page("/readyz").await?;
    ensure!(code == 200, "{code} {page}");
    let refused = pool
        .ctl_at("im1", &["node", "rebalance", "10"])
        .await
        .unwrap_err();
    ensure!(format!("{refused:#}").contains("no clients"), "{refused:#}");
    Ok(())
}

/// The other front end dies while this one is drained: better a member that was to be empty than none.
#[tokio::test]
async fn a_drained_front_end_lets_people_in_when_it_is_the_last() -> Result<()> {
    let mut pool = pool().await?;
    let amy = pool.create("amy").await?;
    assert_eq!(
        pool.ctl_at("fe1", &["node", "drain", "--wait"]).await?,
        "drained\n"
    );
    pool.member("fe2")?.terminate().await?;
    let mut again = eventually("fe1 to let her in", || async {
        Ok(pool.endpoint_at("fe1", &amy, Dialect::Simple).await.ok())
    })
    .await?;
    still_served(&mut again).await?;
    assert_eq!(pool.member("fe1")?.page("/readyz").await?.0, 503);
    Ok(())
}

#[tokio::test]
async fn a_share_of_the_clients_is_moved_and_the_rest_stays() -> Result<()> {
    let mut pool = pool().await?;
    let mut clients = Vec::new();
    for name in ["ada", "bea", "cleo", "dora"] {
        let account = pool.create(name).await?;
        clients.push(pool.endpoint_at("fe1", &account, Dialect::Simple).await?);
    }
    let shown = pool.ctl_at("fe1", &["node", "rebalance", "50"]).await?;
    assert_eq!(shown, "moving 2 clients\n");
    // Those who have been quiet longest.
    for client in &mut clients[..2] {
        client.flow.closed().await?;
    }
    for client in &mut clients[2..] {
        still_served(client).await?;
    }
    let (code, page) = pool.member("fe1")?.page("/readyz").await?;
    ensure!(code == 200, "{code} {page}");
    // It takes clients all the time.
    let ada = clients[0].account().clone();
    let mut ada = pool.endpoint_at("fe1", &ada, Dialect::Simple).await?;
    still_served(&mut ada).await
}
