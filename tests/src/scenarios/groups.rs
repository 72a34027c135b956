//! Organisational groups, as operators keep them.

use anyhow::{Context, Result};
use serde_json::Value;
use test_support::Sandbox;

const SALES: &str = "sales@example.test";

/// What the control tool answers, as JSON.
async fn ctl(pool: &Sandbox, arguments: &[&str]) -> Result<Value> {
    let text = pool.ctl(&[&["-o", "json"], arguments].concat(), "").await?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

#[tokio::test]
async fn a_group_lives_from_create_to_delete() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.create("bea").await?;
    let made = ctl(&pool, &["group", "create", SALES]).await?;
    assert_eq!(made["display_name"], "sales", "{made}");
    let members = ["bea@example.test", "zoe@partner.test"];
    let shown = ctl(&pool, &[&["group", "add", SALES], &members[..]].concat()).await?;
    assert_eq!(shown["members"], serde_json::json!(members), "{shown}");
    let named = ctl(&pool, &["group", "set", SALES, "--display-name", "Sales"]).await?;
    assert_eq!(
        (&named["display_name"], &named["size"]),
        (&"Sales".into(), &2.into())
    );
    let left = ctl(&pool, &["group", "remove", SALES, "zoe@partner.test"]).await?;
    assert_eq!(left, ctl(&pool, &["group", "show", SALES]).await?);
    assert_eq!(left["members"], serde_json::json!(["bea@example.test"]));
    let all = ctl(&pool, &["group", "list"]).await?;
    assert_eq!(all[0]["address"], SALES, "{all}");
    for (arguments, expected) in [
        (&["group", "create", SALES][..], 4),
        (&["group", "create", "bea@example.test"], 4),
        (&["group", "create", "sales@elsewhere.test"], 1),
        (&["group", "add", SALES, "nobody@example.test"], 3),
        (&["group", "add", SALES], 2),
        (&["group", "show", "nobody@example.test"], 3),
        (&["group", "delete", SALES], 2),
        (&["group", "delete", SALES, "--yes"], 0),
        (&["group", "delete", SALES, "--yes"], 3),
    ] {
        let (code, output) = pool.ctl_status(arguments, "").await?;
        assert_eq!(code, expected, "{arguments:?}: {output}");
    }
    let made = pool.ctl_status(&["group", "create", SALES], "").await?.0;
    assert_eq!(made, 0, "the address is free again");
    let (code, output) = pool
        .ctl_status(&["user", "create", SALES, "--password-stdin"], "secret\n")
        .await?;
    assert_eq!(code, 4, "{output}");
    Ok(())
}
