//! Presence between SIMPLE clients: RFC 3856, RFC 3903, RFC 4662, RFC 3857.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::{Dialect, Draft, Puppet, Sandbox, Wire};

use super::status;

const PIDF: &str = "application/pidf+xml";

async fn two() -> Result<(Sandbox, Puppet, Puppet)> {
    let pool = Sandbox::start().await?;
    let (amy, bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    Ok((pool, amy, bea))
}

pub(super) fn subscribe(watcher: &mut Puppet, uri: &str, event: &str) -> Draft {
    let contact = format!("<{}>", watcher.uri());
    watcher
        .request("SUBSCRIBE", uri)
        .header("Contact", contact)
        .header("Event", event)
        .header("Expires", 600)
}

fn subscribe_to_own_watchers(user: &mut Puppet) -> Draft {
    let uri = user.uri();
    subscribe(user, &uri, "presence.winfo")
}

pub(super) fn publish(user: &mut Puppet, activity: &str) -> Draft {
    let uri = user.uri();
    let document = format!(
        "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"{uri}\"><tuple id=\"t\"><status><basic>open</basic></status></tuple>\
         <dm:person id=\"p\"><rpid:activities>{activity}</rpid:activities></dm:person></presence>"
    );
    user.request("PUBLISH", &uri)
        .header("Event", "presence")
        .header("Expires", 600)
        .body(PIDF, document)
}

/// Accepts NOTIFYs until one says this.
pub(super) async fn told(watcher: &mut Puppet, text: &str) -> Result<Wire> {
    loop {
        let notify = watcher.expect("NOTIFY").await?;
        watcher.answer(&notify, 200).await?;
        if notify.text().contains(text) {
            return Ok(notify);
        }
    }
}

#[tokio::test]
async fn what_one_publishes_the_other_sees() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let draft = subscribe(&mut bea, &amy.uri(), "presence");
    status(&bea.call(draft).await?, 200)?;
    let first = told(&mut bea, "<presence").await?;
    assert_eq!(first.media_type(), PIDF);
    ensure!(
        first.require("Subscription-State")?.starts_with("active"),
        "{first}"
    );
    let draft = publish(&mut amy, "<rpid:busy/>");
    let published = amy.call(draft).await?;
    status(&published, 200)?;
    told(&mut bea, "<rpid:busy/>").await?;
    let tag = published.require("SIP-ETag")?.to_owned();
    let uri = amy.uri();
    let removal = amy
        .request("PUBLISH", &uri)
        .header("Event", "presence")
        .header("SIP-If-Match", &tag)
        .header("Expires", 0);
    status(&amy.call(removal).await?, 200)?;
    told(&mut bea, "<basic>closed</basic>").await?;
    let again = amy
        .request("PUBLISH", &uri)
        .header("Event", "presence")
        .header("SIP-If-Match", &tag);
    status(&amy.call(again).await?, 412)
}

#[tokio::test]
async fn who_comes_later_sees_what_was_published_before() -> Result<()> {
    let (pool, mut amy, _bea) = two().await?;
    let draft = publish(&mut amy, "<rpid:away/>");
    status(&amy.call(draft).await?, 200)?;
    let mut cat = pool.page_user("cat").await?;
    let draft = subscribe(&mut cat, &amy.uri(), "presence");
    status(&cat.call(draft).await?, 200)?;
    told(&mut cat, "<rpid:away/>").await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_gone_is_seen_offline() -> Result<()> {
    let (pool, amy, mut bea) = two().await?;
    let mut tablet = pool.endpoint(&amy.account().clone(), Dialect::Simple).await?;
    let draft = publish(&mut tablet, "<rpid:busy/>");
    status(&tablet.call(draft).await?, 200)?;
    let draft = subscribe(&mut bea, &amy.uri(), "presence");
    status(&bea.call(draft).await?, 200)?;
    told(&mut bea, "<rpid:busy/>").await?;
    let goodbye = tablet.register().set("Expires", 0);
    status(&tablet.call(goodbye).await?, 200)?;
    told(&mut bea, "<basic>closed</basic>").await?;
    Ok(())
}

#[tokio::test]
async fn a_list_of_users_is_told_in_one_subscription() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let list = format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
         <entry uri=\"{}\"/><entry uri=\"sip:nobody@example.test\"/></list></resource-lists>",
        amy.uri()
    );
    let draft = subscribe(&mut bea, "sip:lists@example.test", "presence")
        .header("Require", "recipient-list-subscribe")
        .header("Supported", "eventlist")
        .header("Content-Disposition", "recipient-list")
        .body("application/resource-lists+xml", list);
    let ok = bea.call(draft).await?;
    status(&ok, 200)?;
    assert_eq!(ok.require("Require")?, "eventlist");
    let first = told(&mut bea, "fullState=\"true\"").await?;
    assert_eq!(first.media_type(), "multipart/related");
    ensure!(first.text().contains("reason=\"noresource\""), "{first}");
    let draft = publish(&mut amy, "<rpid:on-the-phone/>");
    status(&amy.call(draft).await?, 200)?;
    let next = told(&mut bea, "<rpid:on-the-phone/>").await?;
    ensure!(next.text().contains("fullState=\"false\""), "{next}");
    Ok(())
}

#[tokio::test]
async fn a_user_learns_who_watches_and_nobody_else_does() -> Result<()> {
    let (_pool, mut amy, mut bea) = two().await?;
    let draft = subscribe_to_own_watchers(&mut amy);
    status(&amy.call(draft).await?, 200)?;
    told(&mut amy, "<watcherinfo").await?;
    let draft = subscribe(&mut bea, &amy.uri(), "presence");
    status(&bea.call(draft).await?, 200)?;
    told(&mut bea, "<presence").await?;
    told(&mut amy, &bea.uri()).await?;
    let draft = subscribe(&mut bea, &amy.uri(), "presence.winfo");
    status(&bea.call(draft).await?, 403)
}

/// Accepts NOTIFYs until one does not say this.
async fn told_without(watcher: &mut Puppet, text: &str) -> Result<Wire> {
    loop {
        let notify = watcher.expect("NOTIFY").await?;
        watcher.answer(&notify, 200).await?;
        if !notify.text().contains(text) {
            return Ok(notify);
        }
    }
}

/// What the control tool answers, as JSON.
async fn ctl(pool: &Sandbox, arguments: &[&str]) -> Result<Value> {
    let text = pool.ctl(&[&["-o", "json"], arguments].concat(), "").await?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

#[tokio::test]
async fn an_operator_says_who_sees_how_much_and_is_told_why() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let draft = publish(&mut amy, "<rpid:on-the-phone/>");
    status(&amy.call(draft).await?, 200)?;
    let draft = subscribe(&mut bea, &amy.uri(), "presence");
    status(&bea.call(draft).await?, 200)?;
    told(&mut bea, "<rpid:on-the-phone/>").await?;
    let set = |level: &'static str| {
        let level = format!("bea@example.test={level}");
        let pool = &pool;
        async move {
            let arguments = ["presence", "set", "amy@example.test", "--level", &level];
            pool.ctl(&arguments, "").await
        }
    };
    set("blocked").await?;
    told(&mut bea, "<basic>closed</basic>").await?;
    set("external").await?;
    let less = told(&mut bea, "<basic>open</basic>").await?;
    ensure!(!less.text().contains("on-the-phone"), "{less}");
    let look = ["explain", "presence", "bea@example.test", "amy@example.test"];
    let why = ctl(&pool, &look).await?;
    assert_eq!(why["seen"]["level"], "external", "{why}");
    assert_eq!(why["seen"]["state"], "busy", "{why}");
    assert_eq!(why["by"], "bea@example.test", "{why}");
    ensure!(why["row"].is_u64(), "{why}");
    let sources = why["sources"].as_array().context("sources")?;
    let of_amy = |source: &&Value| source["endpoint"].is_string() && source["version"] == 1;
    ensure!(sources.iter().any(|source| of_amy(&source)), "{why}");
    set("default").await?;
    told(&mut bea, "<rpid:on-the-phone/>").await?;
    let all = ctl(
        &pool,
        &[
            "presence",
            "show",
            "amy@example.test",
            "--watcher",
            "bea@example.test",
        ],
    )
    .await?;
    assert_eq!(all["level"], "colleagues", "{all}");
    assert_eq!(all["activity"], "on-the-phone", "{all}");
    Ok(())
}

#[tokio::test]
async fn a_calendar_bridge_says_who_is_in_a_meeting() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let draft = publish(&mut amy, "");
    status(&amy.call(draft).await?, 200)?;
    let draft = subscribe(&mut bea, &amy.uri(), "presence");
    status(&bea.call(draft).await?, 200)?;
    told(&mut bea, "<basic>open</basic>").await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (from, until) = ((now - 60).to_string(), (now + 3_600).to_string());
    let meeting = ["presence", "set", "amy@example.test", "--calendar", "busy"];
    let times = ["--from", &from, "--until", &until, "--subject", "Budget"];
    pool.ctl(&[&meeting[..], &times].concat(), "").await?;
    told(&mut bea, "<rpid:meeting").await?;
    let seen = ctl(
        &pool,
        &[
            "presence",
            "show",
            "amy@example.test",
            "--watcher",
            "bea@example.test",
        ],
    )
    .await?;
    assert_eq!(seen["activity"], "in-a-meeting", "{seen}");
    assert_eq!(seen["meeting_subject"], "Budget", "{seen}");
    let free = ["presence", "set", "amy@example.test", "--calendar", "free"];
    pool.ctl(&free, "").await?;
    told_without(&mut bea, "<rpid:meeting").await?;
    let note = [
        "presence",
        "set",
        "amy@example.test",
        "--note",
        "On leave until May",
    ];
    pool.ctl(&note, "").await?;
    told(&mut bea, "On leave until May").await?;
    Ok(())
}

#[tokio::test]
async fn an_operator_keeps_a_contact_list() -> Result<()> {
    let pool = Sandbox::start().await?;
    pool.create("amy").await?;
    let list = ["user", "contacts", "amy@example.test"];
    let add = ["--add", "bea@example.test", "--name", "Bea"];
    let added = ctl(&pool, &[&list[..], &add].concat()).await?;
    assert_eq!(added["contacts"][0]["address"], "bea@example.test", "{added}");
    assert_eq!(added["contacts"][0]["name"], "Bea", "{added}");
    let removed = ctl(&pool, &[&list[..], &["--remove", "bea@example.test"]].concat()).await?;
    assert_eq!(removed["contacts"], Value::Array(Vec::new()), "{removed}");
    for (arguments, expected) in [
        (&["presence", "show", "nobody@example.test"][..], 3),
        (&["user", "contacts", "nobody@example.test"], 3),
        (&["presence", "set", "nobody@example.test", "--note", "x"], 3),
        (&["presence", "set", "amy@example.test", "--level", "bea"], 2),
        (
            &[
                "presence",
                "set",
                "amy@example.test",
                "--level",
                "bea@example.test=best",
            ],
            1,
        ),
    ] {
        let (code, output) = pool.ctl_status(arguments, "").await?;
        assert_eq!(code, expected, "{arguments:?}: {output}");
    }
    Ok(())
}

#[tokio::test]
async fn a_blocked_person_can_neither_write_nor_call_until_it_is_taken_back() -> Result<()> {
    let (pool, mut amy, mut bea) = two().await?;
    let text = bea.text(&amy.uri(), "before");
    bea.send(&text).await?;
    amy.receive("before").await?;
    status(&bea.answer_to(&text).await?, 200)?;
    let level = ["presence", "set", "amy@example.test", "--level"];
    pool.ctl(&[&level[..], &["bea@example.test=blocked"]].concat(), "")
        .await?;
    // News of it take a moment; a text that was on its way goes through.
    test_support::within("the block to act", async {
        loop {
            let text = bea.text(&amy.uri(), "blocked?");
            bea.send(&text).await?;
            tokio::select! {
                got = amy.receive("blocked?") => {
                    got?;
                    status(&bea.answer_to(&text).await?, 200)?;
                }
                answer = bea.answer_to(&text) => return status(&answer?, 403),
            }
        }
    })
    .await?;
    amy.nothing_else().await?;
    let invite = bea.invitation(&amy.uri(), None);
    status(&bea.call(invite).await?, 403)?;
    pool.ctl(&[&level[..], &["bea@example.test=default"]].concat(), "")
        .await?;
    test_support::within("the block to end", async {
        loop {
            let text = bea.text(&amy.uri(), "after");
            bea.send(&text).await?;
            tokio::select! {
                got = amy.receive("after") => {
                    got?;
                    return status(&bea.answer_to(&text).await?, 200);
                }
                answer = bea.answer_to(&text) => status(&answer?, 403)?,
            }
            // News of one person come once a second at most; asking without a pause meets the limit of requests.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await?;
    pool.metric_reaches("portico_im_events_total", &["blocked"], 2.0)
        .await
}
