//! A newcomer alone: the echo contact of the demo answers every client.

use anyhow::{Result, ensure};

use crate::Pool;

#[tokio::test]
async fn echo_answers_baresip() -> Result<()> {
    let pool = Pool::start().await?;
    let mut client = pool.baresip(&pool.user("bea").await?, &["echo"]).await?;
    client.say("echo", "is this on?").await?;
    client.hears("echo", "is this on?").await
}

#[tokio::test]
async fn echo_answers_linphone() -> Result<()> {
    let pool = Pool::start().await?;
    let mut client = pool.linphone(&pool.user("lin").await?).await?;
    ensure!(client.say("echo", "is this on?").await?, "not delivered");
    client.hears("echo", "is this on?").await
}

#[tokio::test]
async fn echo_answers_lyncdrive() -> Result<()> {
    let pool = Pool::start().await?;
    let mut client = pool.lyncdrive(&pool.user("amy").await?, "desk").await?;
    client.say("echo", "is this on?").await?;
    client.hears("echo", "is this on?").await?;
    client.say("echo", "still on?").await?;
    client.hears("echo", "still on?").await
}
