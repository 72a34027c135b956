//! Time limits, rates and sizes: slow, silent, fast and greedy peers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Flow, Options, Puppet, Sandbox};

use super::{status, still_served};

/// 10 s from the first byte, not extended by progress.
#[tokio::test]
async fn a_slow_header_is_answered_408_and_closed() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let mut slow = pool.page_user("amy").await?;
    let text = slow.text(&control.uri(), "never finished");
    let bytes = text.bytes();
    // All of the head but its last line.
    slow.flow.send(&bytes[..bytes.len() - 20]).await?;
    let answers = slow.flow.closed().await?;
    status(answers.last().context("closed without an answer")?, 408)?;
    still_served(&mut control).await?;
    control.nothing_else().await
}

#[tokio::test]
async fn a_slow_body_is_answered_408_and_closed() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let mut slow = pool.page_user("amy").await?;
    let text = slow.text(&control.uri(), "never finished");
    let bytes = text.bytes();
    slow.flow.send(&bytes[..bytes.len() - 1]).await?;
    let answers = slow.flow.closed().await?;
    status(answers.last().context("closed without an answer")?, 408)?;
    still_served(&mut control).await?;
    control.nothing_else().await
}

#[tokio::test]
async fn a_silent_connection_is_closed() -> Result<()> {
    let pool = Sandbox::with(Options::default().set("PORTICO_LIMITS__SIGN_IN_TIMEOUT", "2s")).await?;
    let mut control = pool.page_user("control").await?;
    let mut silent = pool.flow().await?;
    ensure!(
        silent.closed().await?.is_empty(),
        "something was sent to a silent connection"
    );
    still_served(&mut control).await
}

/// A 401 is no sign-in: a client that only collects challenges is silent too.
#[tokio::test]
async fn asking_for_challenges_does_not_keep_a_connection_open() -> Result<()> {
    let pool = Sandbox::with(Options::default().set("PORTICO_LIMITS__SIGN_IN_TIMEOUT", "2s")).await?;
    let mut client = pool.puppet(&pool.create("amy").await?, Dialect::Simple).await?;
    let register = client.register();
    status(&client.call(register).await?, 401)?;
    client.flow.closed().await?;
    Ok(())
}

#[tokio::test]
async fn a_signed_in_connection_outlives_the_sign_in_limit() -> Result<()> {
    let pool = Sandbox::with(Options::default().set("PORTICO_LIMITS__SIGN_IN_TIMEOUT", "2s")).await?;
    let mut client = pool.page_user("amy").await?;
    // Three connections one after another that run into the limit show that its time has passed.
    for _ in 0..2 {
        pool.flow().await?.closed().await?;
    }
    still_served(&mut client).await
}

#[tokio::test]
async fn half_a_handshake_is_closed() -> Result<()> {
    let pool = Sandbox::with(Options::default().set("PORTICO_LIMITS__HANDSHAKE_TIMEOUT", "1s")).await?;
    let mut control = pool.page_user("control").await?;
    let mut half = Flow::tcp(pool.tls()?).await?;
    // The first bytes of a ClientHello record, then nothing.
    half.send([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await?;
    half.closed().await?;
    still_served(&mut control).await
}

#[tokio::test]
async fn too_many_requests_get_503_with_retry_after() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let mut fast = pool.page_user("amy").await?;
    let drafts: Vec<_> = (0..200)
        .map(|_| fast.request("OPTIONS", "sip:example.test"))
        .collect();
    for draft in &drafts {
        fast.send(draft).await?;
    }
    let (mut served, mut refused) = (0, 0);
    for draft in &drafts {
        let answer = fast.answer_to(draft).await?;
        match answer.status() {
            Some(200) => served += 1,
            Some(503) => {
                answer.require("Retry-After")?.parse::<u32>()?;
                refused += 1;
            }
            _ => anyhow::bail!("{answer}"),
        }
    }
    ensure!(
        served >= 50 && refused >= 20,
        "{served} served, {refused} refused"
    );
    still_served(&mut control).await?;
    pool.healthy()
}

#[tokio::test]
async fn too_many_strangers_from_one_address_get_503() -> Result<()> {
    let pool =
        Sandbox::with(Options::default().set("PORTICO_LIMITS__UNAUTHENTICATED_REQUESTS_PER_SECOND", "20"))
            .await?;
    let mut control = pool.page_user("control").await?;
    let mut stranger = pool.puppet(&pool.create("amy").await?, Dialect::Simple).await?;
    let drafts: Vec<_> = (0..200).map(|_| stranger.register()).collect();
    for draft in &drafts {
        stranger.send(draft).await?;
    }
    let answers = stranger.flow.closed().await?;
    ensure!(
        answers.iter().any(|answer| answer.status() == Some(503)),
        "{} answers without 503",
        answers.len()
    );
    still_served(&mut control).await
}

/// Its answers pile up until the server stops reading its requests: back-pressure, not memory.
#[tokio::test]
async fn a_client_that_never_reads_its_answers_costs_no_memory_and_hurts_nobody() -> Result<()> {
    let settings = Options::default().set("PORTICO_LIMITS__REQUESTS_PER_SECOND", "1000000");
    let mut pool = Sandbox::with(settings).await?;
    let mut control = pool.page_user("control").await?;
    let mut greedy = pool.page_user("amy").await?;
    let before = pool.resident_kib()?;
    let batch: Vec<u8> = (0..100)
        .flat_map(|_| greedy.request("OPTIONS", "sip:example.test").bytes())
        .collect();
    let flood = async {
        // Far more than all buffers between here and there can hold.
        for _ in 0..1_000 {
            greedy.flow.send(&batch).await?;
        }
        anyhow::Ok(())
    };
    // Blocked or closed, both are right; served to the end is not.
    let outcome = tokio::time::timeout(Duration::from_secs(5), flood).await;
    ensure!(
        !matches!(outcome, Ok(Ok(()))),
        "100,000 requests were taken from a client that reads nothing"
    );
    let grown = pool.resident_kib()?.saturating_sub(before);
    ensure!(grown < 64 * 1024, "the server grew by {grown} KiB");
    still_served(&mut control).await?;
    pool.healthy()
}

/// A recipient that takes nothing holds up only what is for it.
#[tokio::test]
async fn a_recipient_that_never_reads_holds_up_nobody_else() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let deaf = pool.page_user("deaf").await?;
    for _ in 0..20 {
        let draft = amy.text(&deaf.uri(), &"x".repeat(60 * 1024));
        amy.send(&draft).await?;
    }
    let draft = amy.text(&bea.uri(), "still here");
    amy.send(&draft).await?;
    bea.receive("still here").await?;
    status(&amy.answer_to(&draft).await?, 200)?;
    drop(deaf);
    pool.healthy()
}

#[tokio::test]
async fn one_address_gets_only_so_many_connections() -> Result<()> {
    let mut pool =
        Sandbox::with(Options::default().set("PORTICO_LIMITS__CONNECTIONS_PER_ADDRESS", "5")).await?;
    // Each counts for itself.
    pool.one_front_end();
    let mut control = pool.page_user("control").await?;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.flow().await?);
    }
    // Refused before or right after the handshake.
    if let Ok(mut sixth) = pool.flow().await {
        sixth.closed().await?;
    }
    still_served(&mut control).await?;
    drop(held.pop());
    // The place of one that left is free again.
    test_support::eventually("a free place", || async { Ok(pool.flow().await.ok()) }).await?;
    Ok(())
}

#[tokio::test]
async fn wrong_passwords_slow_their_address_down_but_lock_nobody_out() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let amy = pool.create("amy").await?;
    let mut signed_in = pool.endpoint(&amy, Dialect::Simple).await?;
    let wrong = test_support::Account {
        password: "guess".into(),
        ..amy.clone()
    };
    for _ in 0..10 {
        let mut thief = pool.puppet(&wrong, Dialect::Simple).await?;
        status(&thief.try_sign_in(test_support::Scheme::Md5).await?, 401)?;
    }
    // The person is still served, and still gets in.
    still_served(&mut signed_in).await?;
    let mut again = Puppet::new(pool.flow().await?, amy, Dialect::Simple)?;
    again.sign_in(test_support::Scheme::Md5).await?;
    pool.healthy()
}

#[tokio::test]
async fn refusals_are_counted() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let uri = amy.uri();
    let long = amy.text(&uri, "").header("Content-Length", 131_073);
    amy.flow.send(long.bytes()).await?;
    amy.flow.closed().await?;
    pool.metric_reaches("portico_limit_hits_total", &[], 1.0).await
}

/// Behind a balancer the client's address comes in a PROXY header (version 2), and only from the balancer.
#[tokio::test]
async fn a_proxy_header_is_required_where_the_operator_says_so() -> Result<()> {
    let settings = Options::default().set("PORTICO_SIP__PROXY_PROTOCOL", "required");
    let pool = Sandbox::with(settings.set("PORTICO_SIP__TRUSTED_PROXIES", "127.0.0.1/32")).await?;
    let amy = pool.create("amy").await?;

    let mut without = Puppet::new(Flow::tcp(pool.tcp()?).await?, amy.clone(), Dialect::Simple)?;
    let register = without.register();
    without.flow.send(register.bytes()).await?;
    ensure!(
        without.flow.closed().await?.is_empty(),
        "a connection without the header was served"
    );

    let mut with = Puppet::new(Flow::tcp(pool.tcp()?).await?, amy, Dialect::Simple)?;
    with.flow.send(proxy_header([192, 0, 2, 55], 4444)).await?;
    let register = with.register();
    let answer = with.call(register).await?;
    status(&answer, 401)?;
    let via = answer.require("Via")?;
    ensure!(
        via.contains("received=192.0.2.55") && via.contains("rport=4444"),
        "Via: {via}"
    );
    Ok(())
}

/// The binary header of the PROXY protocol: TCP over IPv4 from `source` to this machine.
fn proxy_header(source: [u8; 4], port: u16) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(source);
    header.extend([127, 0, 0, 1]);
    header.extend(port.to_be_bytes());
    header.extend(5061u16.to_be_bytes());
    header
}
