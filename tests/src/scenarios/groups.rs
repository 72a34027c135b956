//! Organisational groups in contact lists: their members are shown in their place.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::{Draft, Puppet, Sandbox, Wire};

use super::presence::{publish, subscribe, told};
use super::status;

const SALES: &str = "sales@example.test";

/// A group of sales that amy has as a contact, with these members.
async fn with_sales(pool: &Sandbox, members: &[&str]) -> Result<()> {
    pool.ctl(&["group", "create", SALES, "--display-name", "Sales"], "")
        .await?;
    pool.ctl(&[&["group", "add", SALES], members].concat(), "")
        .await?;
    pool.ctl(&["user", "contacts", "amy@example.test", "--add", SALES], "")
        .await?;
    Ok(())
}

/// What the control tool answers, as JSON.
async fn ctl(pool: &Sandbox, arguments: &[&str]) -> Result<Value> {
    let text = pool.ctl(&[&["-o", "json"], arguments].concat(), "").await?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

fn subscribe_to_contacts(user: &mut Puppet) -> Draft {
    subscribe(user, "sip:contacts@example.test", "presence").header("Supported", "eventlist")
}

/// Accepts NOTIFYs until one has the whole list with these users and no others of those named.
async fn told_list(watcher: &mut Puppet, there: &[&str], gone: &[&str]) -> Result<Wire> {
    loop {
        let notify = watcher.expect("NOTIFY").await?;
        watcher.answer(&notify, 200).await?;
        let text = notify.text();
        let has = |user: &&str| text.contains(&format!("uri=\"sip:{user}@example.test\""));
        if text.contains("fullState=\"true\"") && there.iter().all(has) {
            ensure!(!gone.iter().any(has), "{notify}");
            return Ok(notify);
        }
    }
}

#[tokio::test]
async fn members_of_a_group_are_watched_in_the_stored_list_and_come_and_go_with_it() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let mut bea = pool.page_user("bea").await?;
    for user in ["cat", "dan"] {
        pool.create(user).await?;
    }
    with_sales(&pool, &["bea@example.test", "cat@example.test"]).await?;
    let draft = subscribe_to_contacts(&mut amy);
    status(&amy.call(draft).await?, 200)?;
    told_list(&mut amy, &["bea", "cat"], &["sales", "dan"]).await?;
    let draft = publish(&mut bea, "<rpid:on-the-phone/>");
    status(&bea.call(draft).await?, 200)?;
    told(&mut amy, "<rpid:on-the-phone/>").await?;

    pool.ctl(&["group", "add", SALES, "dan@example.test"], "").await?;
    told(&mut amy, "uri=\"sip:dan@example.test\"").await?;
    pool.ctl(&["group", "remove", SALES, "cat@example.test"], "")
        .await?;
    told_list(&mut amy, &["bea", "dan"], &["cat"]).await?;
    pool.ctl(&["user", "delete", "dan@example.test", "--yes"], "")
        .await?;
    told_list(&mut amy, &["bea"], &["dan"]).await?;
    // A group that is too large is one entry, and so is a contact whose group is gone.
    let size = [
        "policy",
        "set",
        "presence",
        "global",
        "--max_group_size_to_expand",
    ];
    pool.ctl(&["group", "add", SALES, "cat@example.test"], "").await?;
    told(&mut amy, "uri=\"sip:cat@example.test\"").await?;
    pool.ctl(&[&size[..], &["1"]].concat(), "").await?;
    told_list(&mut amy, &["sales"], &["bea", "cat"]).await?;
    pool.ctl(&[&size[..], &["2"]].concat(), "").await?;
    told_list(&mut amy, &["bea", "cat"], &["sales"]).await?;
    pool.ctl(&["group", "delete", SALES, "--yes"], "").await?;
    told_list(&mut amy, &["sales"], &["bea", "cat"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_lync_family_client_has_a_group_of_contacts_with_the_members() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.session_user("amy").await?;
    for user in ["bea", "cat"] {
        pool.create(user).await?;
    }
    with_sales(&pool, &["bea@example.test"]).await?;
    let uri = amy.uri();
    let draft = subscribe(&mut amy, &uri, "vnd-microsoft-roaming-contacts")
        .header("Supported", "ms-piggyback-first-notify")
        .header("Supported", "ms-benotify");
    let answer = amy.call(draft).await?;
    status(&answer, 200)?;
    let shown = answer.text();
    ensure!(shown.contains("name=\"Sales\""), "{answer}");
    ensure!(
        shown.contains("uri=\"bea@example.test\"") && !shown.contains(SALES),
        "{answer}"
    );
    let id = shown
        .split("<group id=\"")
        .skip(1)
        .find(|group| group.contains("name=\"Sales\""))
        .and_then(|group| group.split('"').next())
        .context("the group of sales")?
        .to_owned();

    pool.ctl(&["group", "add", SALES, "cat@example.test"], "").await?;
    let change = amy.expect("BENOTIFY").await?;
    let added = "<addedContact uri=\"sip:cat@example.test\"";
    ensure!(change.text().contains(added), "{change}");
    let numbers = "<contactDelta deltaNum=\"2\" prevDeltaNum=\"2\"";
    ensure!(change.text().contains(numbers), "{change}");

    // Who is a member is not the user's to say; a refusal brings the list as it is.
    let forget =
        "<m:deleteContact><m:URI>sip:cat@example.test</m:URI><m:deltaNum>2</m:deltaNum></m:deleteContact>";
    let draft = soap(&mut amy, forget);
    status(&amy.call(draft).await?, 404)?;
    whole(&mut amy).await?;
    let rename = format!(
        "<m:modifyGroup><m:groupID>{id}</m:groupID><m:name>Mine</m:name><m:externalURI/><m:deltaNum>2</m:deltaNum></m:modifyGroup>"
    );
    let draft = soap(&mut amy, &rename);
    status(&amy.call(draft).await?, 400)?;
    whole(&mut amy).await?;
    // What a user says of a member is said of a contact of the user's own.
    let alias = format!(
        "<m:setContact><m:displayName>Kitty</m:displayName><m:groups>{id}</m:groups><m:subscribed>true</m:subscribed>\
         <m:URI>sip:cat@example.test</m:URI><m:externalURI/><m:deltaNum>2</m:deltaNum></m:setContact>"
    );
    let draft = soap(&mut amy, &alias);
    status(&amy.call(draft).await?, 200)?;
    let change = amy.expect("BENOTIFY").await?;
    let entry = format!("<modifiedContact uri=\"sip:cat@example.test\" name=\"Kitty\" groups=\"1 {id}\"");
    ensure!(change.text().contains(&entry), "{change}");
    // Without the group of contacts there is no group among the contacts.
    let leave =
        format!("<m:deleteGroup><m:groupID>{id}</m:groupID><m:deltaNum>3</m:deltaNum></m:deleteGroup>");
    let draft = soap(&mut amy, &leave);
    status(&amy.call(draft).await?, 200)?;
    let change = amy.expect("BENOTIFY").await?;
    let gone = "<deletedContact uri=\"sip:bea@example.test\"";
    ensure!(change.text().contains(gone), "{change}");
    let contacts = ctl(&pool, &["user", "contacts", "amy@example.test"]).await?;
    let addresses = contacts["contacts"].as_array().into_iter().flatten();
    let addresses: Vec<_> = addresses
        .filter_map(|contact| contact["address"].as_str())
        .collect();
    assert_eq!(addresses, ["cat@example.test"]);
    Ok(())
}

/// Takes the list as it is: whole, and that the group itself is no contact.
async fn whole(client: &mut Puppet) -> Result<()> {
    let list = client.expect("BENOTIFY").await?;
    ensure!(list.text().contains("<contactList deltaNum=\"2\""), "{list}");
    ensure!(list.text().contains("uri=\"cat@example.test\""), "{list}");
    let gone = client.expect("BENOTIFY").await?;
    let sales = format!("<deletedContact uri=\"sip:{SALES}\"");
    ensure!(gone.text().contains(&sales), "{gone}");
    Ok(())
}

fn soap(client: &mut Puppet, operation: &str) -> Draft {
    let uri = client.uri();
    let document = format!(
        "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"><SOAP-ENV:Body \
         xmlns:m=\"http://schemas.microsoft.com/winrtc/2002/11/sip\">{operation}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    );
    client
        .request("SERVICE", &uri)
        .body("application/SOAP+xml", document)
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
