//! Attacks by what clients publish and by how often they subscribe: refused, shown to nobody, and everybody else goes on.

use anyhow::{Result, ensure};
use test_support::{Dialect, Draft, Puppet, Sandbox};

use super::presence::{publish, subscribe, told};
use super::status;

/// What an attacker puts in front of a root element, or in its place.
fn attacks(root: &str, inside: &str) -> Vec<(&'static str, Vec<u8>)> {
    let good = |prologue: &str, content: &str| {
        format!(
            "<?xml version=\"1.0\"?>{prologue}<{root}>{content}</{}>",
            name(root)
        )
        .into_bytes()
    };
    let laughs = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c \
                  '&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;'>]>";
    let mut invalid = good("", inside);
    invalid.extend(b"\xff\xfe");
    let many_attributes: String = (0..65).map(|number| format!(" a{number}=\"\"")).collect();
    vec![
        ("entities that grow", good(laughs, &format!("{inside}&d;"))),
        (
            "a file",
            good(
                "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
                &format!("{inside}&e;"),
            ),
        ),
        (
            "a network",
            good("<!DOCTYPE x SYSTEM 'http://127.0.0.1:9/x.dtd'>", inside),
        ),
        (
            "parameter entities",
            good(
                "<!DOCTYPE x [<!ENTITY % p SYSTEM 'file:///etc/passwd'>%p;]>",
                inside,
            ),
        ),
        ("an entity nobody declared", good("", &format!("{inside}&e;"))),
        ("a processing instruction", good("<?php evil?>", inside)),
        (
            "depth",
            good("", &format!("{}{}{inside}", "<e>".repeat(40), "</e>".repeat(40))),
        ),
        ("width", good("", &format!("{}{inside}", "<e/>".repeat(10_001)))),
        ("attributes", good("", &format!("<e{many_attributes}/>{inside}"))),
        ("a null", good("", &format!("{inside}\0"))),
        ("no UTF-8", invalid),
        ("half of it", good("", inside).split_at(30).0.to_vec()),
    ]
}

fn name(root: &str) -> &str {
    root.split(' ').next().unwrap_or(root)
}

/// Everything of this is refused as the sender's fault.
async fn refused(attacker: &mut Puppet, drafts: Vec<(&'static str, Draft)>) -> Result<()> {
    for (what, draft) in drafts {
        let answer = attacker.call(draft).await?;
        let code = answer.status().unwrap_or_default();
        ensure!([400, 413, 415].contains(&code), "{what}: {answer}");
        let text = answer.text();
        ensure!(
            !text.contains("root:") && !text.contains("hahaha"),
            "{what}: {text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn attacks_in_publications_are_refused_and_nobody_is_shown_anything_of_them() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let mut lia = pool.session_user("lia").await?;
    for user in [&amy, &lia] {
        let draft = subscribe(&mut bea, &user.uri(), "presence");
        status(&bea.call(draft).await?, 200)?;
    }
    let draft = publish(&mut amy, "<rpid:busy/>");
    status(&amy.call(draft).await?, 200)?;
    told(&mut bea, "<rpid:busy/>").await?;

    let uri = amy.uri();
    let root = format!("presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{uri}\"");
    let inside = "<tuple id=\"evil\"><status><basic>open</basic></status><note>evil</note></tuple>";
    let mut drafts = Vec::new();
    for (what, document) in attacks(&root, inside) {
        let draft = amy.request("PUBLISH", &uri).header("Event", "presence");
        drafts.push((what, draft.body("application/pidf+xml", document)));
    }
    refused(&mut amy, drafts).await?;

    let uri = lia.uri();
    let root = "publish xmlns=\"http://schemas.microsoft.com/2006/09/sip/rich-presence\"";
    let inside = format!(
        "<publications uri=\"{uri}\"><publication categoryName=\"note\" instance=\"0\" container=\"300\" version=\"0\" \
         expireType=\"static\"><note xmlns=\"http://schemas.microsoft.com/2006/09/sip/note\"><body type=\"personal\" \
         uri=\"\">evil</body></note></publication></publications>"
    );
    let mut drafts = Vec::new();
    for (what, document) in attacks(root, &inside) {
        let draft = lia.request("SERVICE", &uri);
        drafts.push((
            what,
            draft.body("application/msrtc-category-publish+xml", document),
        ));
    }
    let root = "SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" \
                xmlns:m=\"http://schemas.microsoft.com/winrtc/2002/11/sip\"";
    let inside = "<SOAP-ENV:Body><m:addGroup><m:name>evil</m:name><m:externalURI/><m:deltaNum>1</m:deltaNum></m:addGroup>\
                  </SOAP-ENV:Body>";
    for (what, document) in attacks(root, inside) {
        let draft = lia.request("SERVICE", &uri);
        drafts.push((what, draft.body("application/SOAP+xml", document)));
    }
    refused(&mut lia, drafts).await?;
    let contacts = pool.ctl(&["user", "contacts", "lia@example.test"], "").await?;
    ensure!(!contacts.contains("evil"), "{contacts}");

    // What comes next is what is good, and has nothing of all that.
    let draft = publish(&mut amy, "<rpid:away/>");
    status(&amy.call(draft).await?, 200)?;
    loop {
        let notify = bea.expect("NOTIFY").await?;
        bea.answer(&notify, 200).await?;
        let text = notify.text();
        ensure!(!text.contains("evil") && !text.contains("root:"), "{text}");
        if text.contains("<rpid:away/>") {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn nobody_publishes_in_the_name_of_somebody_else() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let mut lia = pool.session_user("lia").await?;
    let uri = bea.uri();
    let document = format!(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{uri}\"><tuple id=\"t\"><status><basic>open</basic>\
         </status></tuple></presence>"
    );
    // By the address of the request, and by what the document says.
    for target in [uri.clone(), amy.uri()] {
        let draft = amy.request("PUBLISH", &target).header("Event", "presence");
        let draft = draft.body("application/pidf+xml", document.clone());
        status(&amy.call(draft).await?, 403)?;
    }
    let categories = format!(
        "<publish xmlns=\"http://schemas.microsoft.com/2006/09/sip/rich-presence\"><publications uri=\"{uri}\"/></publish>"
    );
    for target in [uri.clone(), lia.uri()] {
        let draft = lia.request("SERVICE", &target);
        let draft = draft.body("application/msrtc-category-publish+xml", categories.clone());
        status(&lia.call(draft).await?, 403)?;
    }
    Ok(())
}

#[tokio::test]
async fn subscriptions_again_and_again_are_one() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let account = pool.create("bea").await?;
    let mut bea = pool.endpoint(&account, Dialect::Simple).await?;
    for _ in 0..20 {
        let draft = subscribe(&mut bea, &amy.uri(), "presence");
        status(&bea.call(draft).await?, 200)?;
    }
    let active = ["event=\"presence\""];
    test_support::eventually("one subscription", || async {
        let mut count = 0.0;
        for member in pool.members().iter().filter(|member| member.serves_clients()) {
            count += member
                .metric("portico_presence_subscription_active", &active)
                .await?;
        }
        Ok((count == 1.0).then_some(()))
    })
    .await?;
    let draft = publish(&mut amy, "<rpid:busy/>");
    status(&amy.call(draft).await?, 200)?;
    told(&mut bea, "<rpid:busy/>").await?;
    // A second one of the same state would come before this.
    let draft = publish(&mut amy, "<rpid:away/>");
    status(&amy.call(draft).await?, 200)?;
    let mut busy = 0;
    loop {
        let notify = bea.expect("NOTIFY").await?;
        bea.answer(&notify, 200).await?;
        busy += usize::from(notify.text().contains("<rpid:busy/>"));
        if notify.text().contains("<rpid:away/>") {
            break;
        }
    }
    ensure!(busy == 0, "{busy} notifications more of the same");
    Ok(())
}
