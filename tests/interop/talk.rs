//! Every pair of clients: texts both ways, typing where both can show it.

use anyhow::{Result, ensure};

use test_support::clients::Lyncdrive;

use crate::Pool;

#[tokio::test]
async fn baresip_and_linphone() -> Result<()> {
    let pool = Pool::start().await?;
    let (bea, lin) = (pool.user("bea").await?, pool.user("lin").await?);
    let mut baresip = pool.baresip(&bea, &["lin"]).await?;
    let mut linphone = pool.linphone(&lin).await?;
    baresip.say("lin", "hello linphone").await?;
    linphone.hears("bea", "hello linphone").await?;
    ensure!(
        linphone.say("bea", "hello baresip").await?,
        "linphone says: not delivered"
    );
    baresip.hears("lin", "hello baresip").await?;
    baresip.say("lin", "and once more").await?;
    linphone.hears("bea", "and once more").await?;
    baresip.quit().await?;
    linphone.quit().await
}

#[tokio::test]
async fn two_baresips() -> Result<()> {
    let pool = Pool::start().await?;
    let (bea, ben) = (pool.user("bea").await?, pool.user("ben").await?);
    let mut one = pool.baresip(&bea, &["ben"]).await?;
    let mut two = pool.baresip(&ben, &["bea"]).await?;
    one.say("ben", "left to right").await?;
    two.hears("bea", "left to right").await?;
    two.say("bea", "right to left").await?;
    one.hears("ben", "right to left").await
}

#[tokio::test]
async fn two_linphones() -> Result<()> {
    let pool = Pool::start().await?;
    let (lin, lou) = (pool.user("lin").await?, pool.user("lou").await?);
    let mut one = pool.linphone(&lin).await?;
    let mut two = pool.linphone(&lou).await?;
    ensure!(one.say("lou", "left to right").await?, "not delivered");
    two.hears("lin", "left to right").await?;
    ensure!(two.say("lin", "right to left").await?, "not delivered");
    one.hears("lou", "right to left").await
}

#[tokio::test]
async fn two_lyncdrives_with_typing() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let mut one = pool.lyncdrive(&amy, "desk").await?;
    let mut two = pool.lyncdrive(&dan, "sofa").await?;
    one.say("dan", "hello dan").await?;
    two.hears("amy", "hello dan").await?;
    two.say("amy", "hello amy").await?;
    one.hears("dan", "hello amy").await?;
    one.types("dan", true).await?;
    two.sees_typing("amy", "typing").await?;
    one.types("dan", false).await?;
    two.sees_typing("amy", "idle").await?;
    // The first text stood in the INVITE and in a MESSAGE: it is shown once.
    assert_eq!(two.events("im").len(), 1);
    one.close("dan").await?;
    // Who closed it writes again: BYE and INVITE come in this order.
    one.say("dan", "a new session").await?;
    two.hears("amy", "a new session").await?;
    two.say("amy", "welcome back").await?;
    one.hears("dan", "welcome back").await?;
    assert_eq!(one.quit().await?, 0);
    assert_eq!(two.quit().await?, 0);
    Ok(())
}

#[tokio::test]
async fn lyncdrive_and_baresip() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, bea) = (pool.user("amy").await?, pool.user("bea").await?);
    let mut lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    let mut baresip = pool.baresip(&bea, &["amy"]).await?;
    lyncdrive.say("bea", "hello baresip").await?;
    baresip.hears("amy", "hello baresip").await?;
    baresip.say("amy", "hello lyncdrive").await?;
    lyncdrive.hears("bea", "hello lyncdrive").await?;
    lyncdrive.say("bea", "second text").await?;
    baresip.hears("amy", "second text").await
}

#[tokio::test]
async fn baresip_writes_to_lyncdrive_first() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, bea) = (pool.user("amy").await?, pool.user("bea").await?);
    let mut baresip = pool.baresip(&bea, &["amy"]).await?;
    let mut lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    baresip.say("amy", "out of the blue").await?;
    lyncdrive.hears("bea", "out of the blue").await?;
    lyncdrive.say("bea", "who is there?").await?;
    baresip.hears("amy", "who is there?").await?;
    baresip.say("amy", "it is me").await?;
    lyncdrive.hears("bea", "it is me").await?;
    assert_eq!(lyncdrive.events("im").len(), 2);
    Ok(())
}

#[tokio::test]
async fn lyncdrive_and_linphone_with_typing() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, lin) = (pool.user("amy").await?, pool.user("lin").await?);
    let mut lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    let mut linphone = pool.linphone(&lin).await?;
    lyncdrive.say("lin", "hello linphone").await?;
    linphone.hears("amy", "hello linphone").await?;
    ensure!(
        linphone.say("amy", "hello lyncdrive").await?,
        "linphone says: not delivered"
    );
    lyncdrive.hears("lin", "hello lyncdrive").await?;
    lyncdrive.types("lin", true).await?;
    lyncdrive.say("lin", "done typing").await?;
    linphone.hears("amy", "done typing").await?;
    ensure!(
        lyncdrive.events("conv-error").is_empty(),
        "lyncdrive was told of an error"
    );
    Ok(())
}

#[tokio::test]
async fn linphone_writes_to_lyncdrive_first() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, lin) = (pool.user("amy").await?, pool.user("lin").await?);
    let mut linphone = pool.linphone(&lin).await?;
    let lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    ensure!(
        linphone.say("amy", "out of the blue").await?,
        "linphone says: not delivered"
    );
    lyncdrive.hears("lin", "out of the blue").await
}

#[tokio::test]
async fn umlauts_and_emoji_survive_every_dialect() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, bea, lin) = (
        pool.user("amy").await?,
        pool.user("bea").await?,
        pool.user("lin").await?,
    );
    let mut lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    let mut baresip = pool.baresip(&bea, &["amy", "lin"]).await?;
    let mut linphone = pool.linphone(&lin).await?;
    let text = "grüße ☃ und 日本語";
    lyncdrive.say("bea", text).await?;
    baresip.hears("amy", text).await?;
    baresip.say("lin", text).await?;
    linphone.hears("bea", text).await?;
    ensure!(linphone.say("amy", text).await?, "linphone says: not delivered");
    lyncdrive.hears("lin", text).await
}

/// Clients that start in the same second draw the same random numbers, and with them Call-IDs and tags.
#[tokio::test]
async fn lyncdrives_with_equal_call_ids_do_not_disturb_each_other() -> Result<()> {
    let pool = Pool::start().await?;
    let (server, ca) = (pool.sandbox.tls()?, pool.sandbox.ca()?);
    let mut clients = Vec::new();
    for name in ["amy", "bea", "cleo", "dora"] {
        let account = pool.user(name).await?;
        clients.push((name, account));
    }
    let start = |account| Lyncdrive::start_with(server, &ca, account, "desk", &["--time-seed"]);
    let mut running = Vec::new();
    for (_, account) in &clients {
        running.push(start(account)?);
    }
    for client in &running {
        client.signed_in().await?;
    }
    running[0].say("bea", "amy to bea").await?;
    running[2].say("dora", "cleo to dora").await?;
    running[1].hears("amy", "amy to bea").await?;
    running[3].hears("cleo", "cleo to dora").await?;
    running[1].say("amy", "bea to amy").await?;
    running[3].say("cleo", "dora to cleo").await?;
    running[0].hears("bea", "bea to amy").await?;
    running[2].hears("dora", "dora to cleo").await?;
    for client in &running {
        assert_eq!(client.events("im").len(), 1);
    }
    Ok(())
}
