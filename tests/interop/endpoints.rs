//! One user on several real clients.

use anyhow::Result;

use crate::Pool;

/// Two session clients ring; the one whose user writes takes the session; a page-mode client beside
/// them gets its copy. SIPE that knows of another endpoint of its own waits up to 10 s before it answers.
#[tokio::test]
async fn two_session_clients_and_a_page_mode_client_of_one_user() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let desk = pool.lyncdrive(&dan, "desk").await?;
    let sofa = pool.lyncdrive(&dan, "sofa").await?;
    let mut phone = pool.baresip(&dan, &["amy"]).await?;
    let mut caller = pool.lyncdrive(&amy, "office").await?;
    caller.say("dan", "where are you?").await?;
    phone.hears("amy", "where are you?").await?;
    let seen = async {
        tokio::select! {
            at_desk = desk.hears("amy", "where are you?") => at_desk,
            at_sofa = sofa.hears("amy", "where are you?") => at_sofa,
        }
    };
    seen.await?;
    // One of the two took it; the other was told to stop and shows nothing.
    caller.say("dan", "second text").await?;
    phone.hears("amy", "second text").await?;
    assert_eq!(desk.events("im").len().min(sofa.events("im").len()), 0);
    phone.say("amy", "on the phone").await?;
    caller.hears("dan", "on the phone").await
}

#[tokio::test]
async fn copies_reach_both_page_mode_clients_of_one_user() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let mut phone = pool.baresip(&dan, &["amy"]).await?;
    let mut tablet = pool.linphone(&dan).await?;
    let mut caller = pool.baresip(&amy, &["dan"]).await?;
    caller.say("dan", "to both of you").await?;
    phone.hears("amy", "to both of you").await?;
    tablet.hears("amy", "to both of you").await
}

#[tokio::test]
async fn a_client_that_signs_out_and_in_again_is_reached() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let first = pool.lyncdrive(&dan, "desk").await?;
    assert_eq!(first.quit().await?, 0);
    let second = pool.lyncdrive(&dan, "desk").await?;
    let mut caller = pool.lyncdrive(&amy, "office").await?;
    caller.say("dan", "back again?").await?;
    second.hears("amy", "back again?").await
}
