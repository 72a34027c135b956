//! The settings README.md gives to a newcomer, as they stand there.

use anyhow::{Context, Result, ensure};
use test_support::clients::{Baresip, Lyncdrive};

use crate::Pool;

fn readme() -> Result<String> {
    Ok(std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../README.md"
    ))?)
}

/// The demo's own alice with the password it printed.
fn alice(pool: &Pool) -> Result<test_support::Account> {
    let people = pool.sandbox.demo()["people"].as_array().context("people")?;
    let alice = people
        .iter()
        .find(|person| person["address"] == "alice@example.test")
        .context("alice")?;
    let password = alice["password"].as_str().context("password")?.to_owned();
    Ok(test_support::Account {
        user: "alice".into(),
        password,
    })
}

#[tokio::test]
async fn baresip_signs_in_with_the_line_of_the_readme() -> Result<()> {
    let pool = Pool::start().await?;
    let text = readme()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("<sip:alice@example.test"))
        .context("no line for baresip")?;
    let server = pool.sandbox.tls()?;
    let line = line
        .replace("PASSWORD", &alice(&pool)?.password)
        .replace("127.0.0.1:5061", &server.to_string());
    let mut client = Baresip::start(server, &pool.sandbox.ca()?, &["echo"]).await?;
    client.sign_in_with(&line).await?;
    client.say("echo", "hello from the readme").await?;
    client.hears("echo", "hello from the readme").await
}

#[tokio::test]
async fn a_lync_family_client_signs_in_with_the_address_of_the_readme() -> Result<()> {
    let pool = Pool::start().await?;
    ensure!(readme()?.contains("server `127.0.0.1:5061`"), "another address");
    let server = pool.sandbox.tls()?.to_string();
    let options = ["-s", server.as_str()];
    let account = alice(&pool)?;
    let mut client = Lyncdrive::start_with(
        pool.sandbox.tls()?,
        &pool.sandbox.ca()?,
        &account,
        "desk",
        &options,
    )?;
    client.signed_in().await?;
    client.say("echo", "hello from the readme").await?;
    client.hears("echo", "hello from the readme").await
}
