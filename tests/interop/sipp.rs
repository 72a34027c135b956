//! SIPp runs the scenarios of `sipp/` over the TCP listener.

use std::path::{Path, PathBuf};

use anyhow::Result;
use test_support::clients::Sipp;
use test_support::{Account, Dialect, Sandbox};

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("interop/sipp")
        .join(name)
}

async fn pool() -> Result<(Sandbox, Account, Account)> {
    let pool = Sandbox::start().await?;
    let (sip, pip) = (pool.create("sip").await?, pool.create("pip").await?);
    Ok((pool, sip, pip))
}

#[tokio::test]
async fn register_refresh_and_leave() -> Result<()> {
    let (pool, sip, pip) = pool().await?;
    Sipp::new(pool.tcp()?, &scenario("register.xml"), &sip, &pip)?
        .run()
        .await
}

#[tokio::test]
async fn a_page_mode_message() -> Result<()> {
    let (pool, sip, pip) = pool().await?;
    let mut other = pool.endpoint(&pip, Dialect::Simple).await?;
    let run = Sipp::new(pool.tcp()?, &scenario("message.xml"), &sip, &pip)?
        .start()
        .await?;
    let got = other.receive("hello from sipp").await?;
    assert!(got.require("From")?.contains(&sip.uri()));
    run.done().await
}

#[tokio::test]
async fn a_session_of_ten_messages() -> Result<()> {
    let (pool, sip, pip) = pool().await?;
    let mut other = pool.endpoint(&pip, Dialect::Lync).await?;
    let run = Sipp::new(pool.tcp()?, &scenario("session.xml"), &sip, &pip)?
        .start()
        .await?;
    let session = other.accept().await?;
    for number in 1..=10 {
        let got = other.receive(&format!("message {number}")).await?;
        assert!(session.owns(&got), "{got}");
    }
    let bye = other.expect("BYE").await?;
    other.answer(&bye, 200).await?;
    run.done().await
}

#[tokio::test]
async fn a_cancelled_invitation() -> Result<()> {
    let (pool, sip, pip) = pool().await?;
    let mut other = pool.endpoint(&pip, Dialect::Lync).await?;
    let run = Sipp::new(pool.tcp()?, &scenario("cancel.xml"), &sip, &pip)?
        .start()
        .await?;
    let invite = other.expect("INVITE").await?;
    let ringing = other.reply(&invite, 180);
    other.send(&ringing).await?;
    let cancel = other.expect("CANCEL").await?;
    other.answer(&cancel, 200).await?;
    other.answer(&invite, 487).await?;
    other.expect("ACK").await?;
    run.done().await
}
