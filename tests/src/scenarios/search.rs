//! Searches for people, as Lync-family clients ask (MS-SIP, `directorySearch`).

use anyhow::{Result, ensure};
use serde_json::Value;
use test_support::{Puppet, Sandbox, Wire};

use super::status;

const START: &str = "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:m=\"http://schemas.microsoft.com/winrtc/2002/11/sip\"><SOAP-ENV:Body>";

/// Searches in the shape SIPE 1.25 does: the filter refers to an array beside it.
async fn search(client: &mut Puppet, rows: &[(&str, &str)], most: u32) -> Result<Wire> {
    let rows: String = rows
        .iter()
        .map(|(attribute, value)| format!("<m:row m:attrib=\"{attribute}\" m:value=\"{value}\"/>"))
        .collect();
    let document = format!(
        "{START}<m:directorySearch><m:filter m:href=\"#searchArray\"/><m:maxResults>{most}</m:maxResults>\
         </m:directorySearch><m:Array m:id=\"searchArray\">{rows}</m:Array></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    );
    let draft = client
        .request("SERVICE", "sip:example.test")
        .body("application/SOAP+xml", document);
    client.call(draft).await
}

/// The rows of an answer, and whether there are more.
async fn found(client: &mut Puppet, rows: &[(&str, &str)], most: u32) -> Result<(Vec<String>, bool)> {
    let answer = search(client, rows, most).await?;
    status(&answer, 200)?;
    assert_eq!(answer.media_type(), "application/soap+xml");
    let text = answer.text();
    let rows = text.split("<m:row ").skip(1);
    let rows = rows.map(|row| row.split("/>").next().unwrap_or_default().to_owned());
    Ok((
        rows.collect(),
        text.contains("<m:moreAvailable>true</m:moreAvailable>"),
    ))
}

fn row(user: &str, name: &str) -> String {
    let address = format!("{user}@example.test");
    format!("m:uri=\"sip:{address}\" m:displayName=\"{name}\" m:email=\"{address}\"")
}

#[tokio::test]
async fn people_are_found_by_their_names_and_addresses() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.session_user("amy").await?;
    for (user, name) in [("bea", "Béatrice O'Hara"), ("ben", "Benjamin Ångström")] {
        pool.create(user).await?;
        pool.ctl(
            &[
                "user",
                "set",
                &format!("{user}@example.test"),
                "--display-name",
                name,
            ],
            "",
        )
        .await?;
    }
    let bea = row("bea", "Béatrice O&apos;Hara");
    let ben = row("ben", "Benjamin Ångström");
    for (rows, expected) in [
        (&[("givenName", "be")][..], vec![bea.clone(), ben.clone()]),
        (&[("givenName", "BÉA"), ("sn", "o'h")], vec![bea.clone()]),
        (&[("sn", "ÅNG")], vec![ben.clone()]),
        (&[("mail", "bea@example.test")], vec![bea.clone()]),
        // "Get info" asks for one person by the address.
        (
            &[("msRTCSIP-PrimaryUserAddress", "sip:ben@example.test")],
            vec![ben.clone()],
        ),
        (&[("msRTCSIP-PrimaryUserAddress", "sip:be@example.test")], vec![]),
        (&[("givenName", "%")], vec![]),
        (&[("givenName", "be"), ("company", "Example")], vec![]),
    ] {
        let found = found(&mut amy, rows, 100).await?;
        assert_eq!(found, (expected, false), "{rows:?}");
    }
    assert_eq!(
        found(&mut amy, &[("givenName", "be")], 1).await?,
        (vec![bea], true)
    );
    for (words, expected) in [
        ("hara be", &["bea@example.test"][..]),
        ("amy@example.test hara", &[]),
    ] {
        let listed = pool
            .ctl(&["-o", "json", "user", "list", "--search", words], "")
            .await?;
        let listed: Value = serde_json::from_str(&listed)?;
        let listed = listed.as_array().into_iter().flatten();
        let addresses: Vec<_> = listed.filter_map(|user| user["address"].as_str()).collect();
        assert_eq!(addresses, expected, "{words}");
    }
    Ok(())
}

#[tokio::test]
async fn who_is_deleted_disabled_or_renamed_is_found_no_more() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.session_user("amy").await?;
    for user in ["bea", "ben", "bill"] {
        pool.create(user).await?;
        pool.ctl(
            &[
                "user",
                "set",
                &format!("{user}@example.test"),
                "--display-name",
                "Sam Some",
            ],
            "",
        )
        .await?;
    }
    let some = [("sn", "some")];
    assert_eq!(found(&mut amy, &some, 100).await?.0.len(), 3);
    pool.ctl(&["user", "set", "bea@example.test", "--enabled", "false"], "")
        .await?;
    pool.ctl(&["user", "delete", "ben@example.test", "--yes"], "")
        .await?;
    assert_eq!(found(&mut amy, &some, 100).await?.0, [row("bill", "Sam Some")]);
    pool.ctl(
        &["user", "set", "bill@example.test", "--display-name", "Bill"],
        "",
    )
    .await?;
    assert_eq!(found(&mut amy, &some, 100).await?.0, [""; 0]);
    assert_eq!(
        found(&mut amy, &[("sn", "bill")], 100).await?.0,
        [row("bill", "Bill")]
    );
    Ok(())
}

#[tokio::test]
async fn nobody_reads_the_directory_in_a_hurry_or_without_signing_in() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.session_user("amy").await?;
    let mut refused = None;
    for _ in 0..30 {
        let answer = search(&mut amy, &[("givenName", "amy")], 100).await?;
        if answer.status() != Some(200) {
            refused = Some(answer);
            break;
        }
    }
    let Some(refused) = refused else {
        anyhow::bail!("thirty searches in a row were answered");
    };
    status(&refused, 503)?;
    refused.require("Retry-After")?;
    let account = pool.create("eve").await?;
    let mut eve = pool.puppet(&account, test_support::Dialect::Lync).await?;
    let answer = search(&mut eve, &[("givenName", "amy")], 100).await?;
    ensure!(
        [401, 403, 407].contains(&answer.status().unwrap_or_default()),
        "{answer}"
    );
    Ok(())
}
