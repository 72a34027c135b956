//! The program as its operator sees it: start, readiness, control tool, stop.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::{Dialect, Options, Sandbox, Scheme};

use super::status;

#[tokio::test]
async fn health_readiness_and_metrics_are_served() -> Result<()> {
    let pool = Sandbox::start().await?;
    for path in ["/livez", "/readyz"] {
        assert_eq!(pool.page_status(path).await?.0, 200, "{path}");
    }
    let _amy = pool.page_user("amy").await?;
    let metrics = pool.page("/metrics").await?;
    ensure!(
        metrics.lines().any(|line| line.starts_with("portico_")),
        "no metric of ours:\n{metrics}"
    );
    assert_eq!(pool.page_status("/nothing-here").await?.0, 404);
    Ok(())
}

/// Lync-family clients show why they lost their server and come back by themselves (MS-SIPREGE).
#[tokio::test]
async fn a_lync_client_is_told_that_the_server_stops() -> Result<()> {
    let pool = Sandbox::start().await?;
    let account = pool.create("amy").await?;
    let mut amy = pool.endpoint(&account, Dialect::Lync).await?;
    let (code, before) = tokio::join!(pool.stop(), amy.flow.closed());
    assert_eq!(code?, 0);
    let before = before?;
    let notice = before.iter().find(|m| m.method() == Some("NOTIFY"));
    let notice = notice.context("closed without a notice")?;
    assert_eq!(notice.header("Event"), Some("registration-notify"));
    ensure!(notice.text().starts_with("deregistered;"), "{notice}");
    Ok(())
}

#[tokio::test]
async fn sigterm_stops_it_cleanly() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    assert_eq!(pool.stop().await?, 0);
    amy.flow.closed().await?;
    Ok(())
}

#[tokio::test]
async fn users_are_made_shown_listed_and_deleted() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.create("amy").await?;
    let show: Value = serde_json::from_str(
        &pool
            .ctl(&["-o", "json", "user", "show", "amy@example.test"], "")
            .await?,
    )?;
    ensure!(show.to_string().contains("amy@example.test"), "{show}");
    ensure!(
        !show.to_string().contains("amy-secret"),
        "the password is shown: {show}"
    );
    let list: Value = serde_json::from_str(&pool.ctl(&["-o", "json", "user", "list"], "").await?)?;
    ensure!(list.to_string().contains("amy@example.test"), "no amy in {list}");
    pool.ctl(&["user", "delete", "amy@example.test", "--yes"], "")
        .await?;
    let (code, _) = pool.ctl_status(&["user", "show", "amy@example.test"], "").await?;
    assert_eq!(code, 3, "not found");
    Ok(())
}

#[tokio::test]
async fn the_control_tool_tells_by_its_exit_code_what_went_wrong() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.create("amy").await?;
    let cases: [(&[&str], i32); 4] = [
        (&["user", "create", "amy@example.test", "--password-stdin"], 4),
        (&["user", "passwd", "nobody@example.test", "--password-stdin"], 3),
        (&["user", "show", "nobody@example.test"], 3),
        (&["user", "dance"], 2),
    ];
    for (arguments, expected) in cases {
        let (code, output) = pool.ctl_status(arguments, "a password\n").await?;
        assert_eq!(code, expected, "{arguments:?}: {output}");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_password_takes_effect_at_once() -> Result<()> {
    let pool = Sandbox::start().await?;
    let amy = pool.create("amy").await?;
    pool.endpoint(&amy, Dialect::Simple).await?;
    pool.endpoint(&amy, Dialect::Lync).await?;
    let address = "amy@example.test";
    pool.ctl(&["user", "passwd", address, "--password-stdin"], "another one\n")
        .await?;
    let mut client = pool.puppet(&amy, Dialect::Simple).await?;
    status(&client.try_sign_in(Scheme::Md5).await?, 401)
}

#[tokio::test]
async fn a_deleted_user_is_thrown_out() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    pool.ctl(&["user", "delete", "amy@example.test", "--yes"], "")
        .await?;
    amy.flow.closed().await?;
    Ok(())
}

#[tokio::test]
async fn status_names_the_member_and_its_roles() -> Result<()> {
    let pool = Sandbox::start().await?;
    let text = pool.ctl(&["-o", "json", "status"], "").await?;
    let report: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    ensure!(
        report.to_string().contains("fe1") && report.to_string().contains("front-end"),
        "{report}"
    );
    Ok(())
}

#[tokio::test]
async fn policies_are_set_granted_and_explained() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.create("amy").await?;
    let kinds = pool.ctl(&["policy", "--help"], "").await?;
    ensure!(kinds.contains("effective"), "{kinds}");
    let effective = pool
        .ctl(
            &["-o", "json", "policy", "effective", "im", "amy@example.test"],
            "",
        )
        .await?;
    let effective: Value = serde_json::from_str(&effective).with_context(|| effective.clone())?;
    ensure!(
        effective.to_string().contains("global"),
        "no reason in {effective}"
    );
    Ok(())
}

/// A typing error in a setting must not start a server with the default instead.
#[tokio::test]
async fn an_unknown_setting_refuses_the_start_and_is_named() -> Result<()> {
    let outcome = Sandbox::with(Options::default().set("PORTICO_SIP__TSL_LISTEN", "127.0.0.1:0")).await;
    let error = outcome.err().context("it started")?;
    ensure!(format!("{error:#}").contains("has ended"), "{error:#}");
    Ok(())
}

/// Accounts, credentials and the development authority are in the data directory.
#[tokio::test]
async fn a_restart_keeps_accounts_and_certificates() -> Result<()> {
    let pool = Sandbox::start().await?;
    let amy = pool.create("amy").await?;
    let ca = std::fs::read(pool.ca()?)?;
    pool.endpoint(&amy, Dialect::Lync).await?;
    let pool = pool.restart().await?;
    assert_eq!(std::fs::read(pool.ca()?)?, ca);
    pool.endpoint(&amy, Dialect::Simple).await?;
    pool.endpoint(&amy, Dialect::Lync).await?;
    Ok(())
}

/// What is at rest must not give a password away.
#[tokio::test]
async fn no_password_or_hash_lies_in_the_data_directory() -> Result<()> {
    let pool = Sandbox::start().await?;
    let amy = pool.create("amy").await?;
    pool.endpoint(&amy, Dialect::Lync).await?;
    // MD5("amy:example.test:amy-secret-1"), the Digest verifier.
    let verifier = "c7b03a480ff44cd3b23852b7c4acf459";
    for (path, bytes) in pool.data_files()? {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        ensure!(!text.contains(&amy.password), "the password is in {path}");
        ensure!(!text.contains(verifier), "the Digest verifier is in {path}");
    }
    Ok(())
}
