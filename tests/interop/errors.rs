//! What a person is told when something does not work.

use anyhow::{Context, Result, ensure};
use test_support::Account;
use test_support::clients::{Baresip, Linphone, Lyncdrive};

use crate::Pool;

fn wrong(account: &Account) -> Account {
    Account {
        password: "wrong".into(),
        ..account.clone()
    }
}

/// baresip 1.0 answers every challenge, up to 16 times, so it has to be told with something else.
#[tokio::test]
async fn baresip_is_told_of_a_wrong_password() -> Result<()> {
    let pool = Pool::start().await?;
    let account = wrong(&pool.user("bea").await?);
    let mut client = Baresip::start(pool.sandbox.tls()?, &pool.sandbox.ca()?, &[]).await?;
    let error = client.sign_in(&account).await.err().context("it signed in")?;
    ensure!(format!("{error:#}").contains("baresip says: \"40"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn linphone_is_told_of_a_wrong_password() -> Result<()> {
    let pool = Pool::start().await?;
    let account = wrong(&pool.user("lin").await?);
    let mut client = Linphone::start(pool.sandbox.tls()?, &pool.sandbox.ca()?, &account).await?;
    client.refused_to_sign_in().await
}

#[tokio::test]
async fn lyncdrive_is_told_of_a_wrong_password() -> Result<()> {
    let pool = Pool::start().await?;
    let account = wrong(&pool.user("amy").await?);
    let client = Lyncdrive::start(pool.sandbox.tls()?, &pool.sandbox.ca()?, &account, "desk")?;
    let text = client.refused_to_sign_in().await?;
    ensure!(text.contains("Authentication failed"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_text_to_somebody_who_is_away_is_reported() -> Result<()> {
    let pool = Pool::start().await?;
    pool.user("away").await?;
    let mut baresip = pool.baresip(&pool.user("bea").await?, &["away"]).await?;
    baresip.say("away", "anybody there?").await?;
    baresip.refused(480).await?;
    let mut linphone = pool.linphone(&pool.user("lin").await?).await?;
    ensure!(
        !linphone.say("away", "anybody there?").await?,
        "linphone believes it was delivered"
    );
    let mut lyncdrive = pool.lyncdrive(&pool.user("amy").await?, "desk").await?;
    lyncdrive.say("away", "anybody there?").await?;
    lyncdrive.event("conv-error").await?;
    Ok(())
}
