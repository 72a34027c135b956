//! Policies an operator sets while people are signed in: they act at once.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::{Dialect, Sandbox, Scheme};

use super::status;

async fn effective(pool: &Sandbox, kind: &str, user: &str) -> Result<Value> {
    let address = format!("{user}@example.test");
    let text = pool
        .ctl(&["-o", "json", "policy", "effective", kind, &address], "")
        .await?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

#[tokio::test]
async fn the_nearest_policy_wins_and_its_reason_is_told() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.create("amy").await?;
    pool.ctl(
        &["policy", "create", "im", "global", "--max-text-bytes", "2000"],
        "",
    )
    .await?;
    ensure!(
        effective(&pool, "im", "amy").await?.to_string().contains("2000"),
        "global"
    );
    pool.ctl(&["user", "set", "amy@example.test", "--site", "north"], "")
        .await?;
    pool.ctl(
        &["policy", "create", "im", "site:north", "--max-text-bytes", "3000"],
        "",
    )
    .await?;
    let north = effective(&pool, "im", "amy").await?;
    ensure!(
        north.to_string().contains("3000") && north.to_string().contains("north"),
        "{north}"
    );
    pool.ctl(
        &["policy", "create", "im", "brief", "--max-text-bytes", "1000"],
        "",
    )
    .await?;
    pool.ctl(&["policy", "grant", "im", "brief", "amy@example.test"], "")
        .await?;
    let brief = effective(&pool, "im", "amy").await?;
    ensure!(
        brief.to_string().contains("1000") && brief.to_string().contains("brief"),
        "{brief}"
    );
    pool.ctl(&["policy", "revoke", "im", "amy@example.test"], "")
        .await?;
    ensure!(
        effective(&pool, "im", "amy").await?.to_string().contains("3000"),
        "revoked"
    );
    Ok(())
}

#[tokio::test]
async fn a_limit_on_texts_acts_without_a_restart() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let long = "x".repeat(1500);
    let text = amy.text(&bea.uri(), &long);
    amy.send(&text).await?;
    bea.receive(&long).await?;
    status(&amy.answer_to(&text).await?, 200)?;
    pool.ctl(
        &["policy", "create", "im", "global", "--max-text-bytes", "1000"],
        "",
    )
    .await?;
    // A pool tells its members within moments; a text that was on its way goes through.
    test_support::within("the limit to act", async {
        loop {
            let text = amy.text(&bea.uri(), &long);
            amy.send(&text).await?;
            tokio::select! {
                got = bea.receive(&long) => {
                    got?;
                    status(&amy.answer_to(&text).await?, 200)?;
                }
                answer = amy.answer_to(&text) => return status(&answer?, 413),
            }
        }
    })
    .await?;
    bea.nothing_else().await
}

#[tokio::test]
async fn messaging_can_be_switched_off_for_a_user() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    pool.ctl(&["policy", "create", "im", "silent", "--enabled", "false"], "")
        .await?;
    pool.ctl(&["policy", "grant", "im", "silent", "amy@example.test"], "")
        .await?;
    let text = amy.text(&bea.uri(), "am I allowed?");
    status(&amy.call(text).await?, 403)?;
    let text = bea.text(&amy.uri(), "are you allowed?");
    status(&bea.call(text).await?, 403)?;
    bea.nothing_else().await
}

#[tokio::test]
async fn fewer_endpoints_may_be_allowed() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.ctl(
        &[
            "policy",
            "create",
            "registration",
            "global",
            "--max-endpoints",
            "1",
        ],
        "",
    )
    .await?;
    let mut first = pool.page_user("amy").await?;
    let _second = pool.endpoint(&first.account().clone(), Dialect::Simple).await?;
    first.flow.closed().await?;
    Ok(())
}

#[tokio::test]
async fn sign_in_can_be_forbidden_and_a_disabled_user_is_thrown_out() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let account = amy.account().clone();
    pool.ctl(&["user", "set", "amy@example.test", "--enabled", "false"], "")
        .await?;
    amy.flow.closed().await?;
    let mut again = pool.puppet(&account, Dialect::Simple).await?;
    // The same answer as for a wrong password.
    status(&again.try_sign_in(Scheme::Md5).await?, 401)?;
    pool.ctl(&["user", "set", "amy@example.test", "--enabled", "true"], "")
        .await?;
    pool.endpoint(&account, Dialect::Simple).await?;
    Ok(())
}

#[tokio::test]
async fn an_operator_can_sign_a_user_out() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut desk = pool.session_user("amy").await?;
    let mut phone = pool.endpoint(&desk.account().clone(), Dialect::Simple).await?;
    let sessions = pool
        .ctl(&["-o", "json", "user", "sessions", "amy@example.test"], "")
        .await?;
    let sessions: Value = serde_json::from_str(&sessions).with_context(|| sessions.clone())?;
    ensure!(
        sessions.to_string().matches("endpoint").count() >= 2,
        "{sessions}"
    );
    pool.ctl(&["user", "kick", "amy@example.test"], "").await?;
    let before = desk.flow.closed().await?;
    ensure!(
        before
            .iter()
            .any(|m| m.header("Event") == Some("registration-notify")),
        "closed without a reason"
    );
    phone.flow.closed().await?;
    Ok(())
}
