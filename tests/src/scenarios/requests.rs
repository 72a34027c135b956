//! Requests that are well-formed but not for us: RFC 3261 section 8.2.

use anyhow::{Result, ensure};
use test_support::{Draft, Puppet, Sandbox};

use super::status;

async fn one() -> Result<(Sandbox, Puppet)> {
    let pool = Sandbox::start().await?;
    let amy = pool.page_user("amy").await?;
    Ok((pool, amy))
}

async fn gives(client: &mut Puppet, draft: Draft, code: u16) -> Result<test_support::Wire> {
    let answer = client.call(draft).await?;
    status(&answer, code)?;
    Ok(answer)
}

#[tokio::test]
async fn options_tells_what_there_is() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let options = amy.request("OPTIONS", "sip:example.test");
    let ok = gives(&mut amy, options, 200).await?;
    let allow = ok.require("Allow")?;
    for method in [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "MESSAGE",
        "REGISTER",
        "OPTIONS",
        "INFO",
        "SUBSCRIBE",
        "PUBLISH",
    ] {
        ensure!(allow.contains(method), "no {method} in {allow}");
    }
    ensure!(
        !allow.contains("REFER"),
        "REFER is announced before it is built: {allow}"
    );
    let events = ok.require("Allow-Events")?;
    ensure!(events == "presence,presence.winfo", "{events}");
    Ok(())
}

/// Until the presence of Lync-family clients is built.
#[tokio::test]
async fn a_service_request_gets_a_clean_refusal() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let uri = amy.uri();
    for (content_type, body, status) in [
        ("application/SOAP+xml", "<x/>", 415),
        ("application/SOAP+xml", "no document", 400),
        ("application/unheard-of", "<x/>", 415),
    ] {
        let service = amy.request("SERVICE", &uri).body(content_type, body);
        gives(&mut amy, service, status).await?;
    }
    Ok(())
}

#[tokio::test]
async fn events_nobody_serves_are_489() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let uri = amy.uri();
    for method in ["SUBSCRIBE", "PUBLISH"] {
        let draft = amy.request(method, &uri).header("Event", "dialog");
        let answer = gives(&mut amy, draft, 489).await?;
        ensure!(answer.require("Allow-Events")?.contains("presence"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_method_is_501() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let uri = amy.uri();
    let strange = amy.request("DANCE", &uri);
    gives(&mut amy, strange, 501).await?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_extension_is_420_and_named() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    for name in ["Require", "Proxy-Require"] {
        let uri = amy.uri();
        let draft = amy.text(&uri, "hello").header(name, "nothing-we-know");
        let answer = gives(&mut amy, draft, 420).await?;
        assert_eq!(answer.header("Unsupported"), Some("nothing-we-know"));
    }
    Ok(())
}

/// Lync-family clients ask for it in each SUBSCRIBE.
#[tokio::test]
async fn ms_benotify_is_no_reason_for_420() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.session_user("amy").await?;
    let uri = amy.uri();
    let subscribe = amy
        .request("SUBSCRIBE", &uri)
        .header("Event", "vnd-microsoft-roaming-contacts")
        .header("Contact", "<sip:amy@127.0.0.1:40000;transport=tls>")
        .header("Proxy-Require", "ms-benotify")
        .header("Supported", "ms-benotify");
    gives(&mut amy, subscribe, 200).await?;
    Ok(())
}

#[tokio::test]
async fn hops_and_schemes_are_checked() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let uri = amy.uri();
    for none in ["0", "00"] {
        let tired = amy.text(&uri, "hello").set("Max-Forwards", none);
        gives(&mut amy, tired, 483).await?;
    }
    let call = amy.text("http://example.test/", "hello");
    gives(&mut amy, call, 416).await?;
    Ok(())
}

#[tokio::test]
async fn compact_forms_and_folding_are_understood() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let (from, to) = (amy.uri(), bea.uri());
    let bytes = format!(
        "MESSAGE {to} SIP/2.0\r\nv: SIP/2.0/TLS 127.0.0.1:1\r\n ;branch=z9hG4bKcompact\r\nf: <{from}>;tag=c1\r\nt: \"B, ea\"\r\n <{to}>\r\n\
         i: compact-1\r\nCSeq: 1\r\n MESSAGE\r\nMax-Forwards: 70\r\nc: text/plain\r\nl: 5\r\n\r\nshort"
    );
    amy.flow.send(bytes).await?;
    bea.receive("short").await?;
    let ok = amy
        .flow
        .expect("200", |m| m.header("Call-ID") == Some("compact-1"))
        .await?;
    status(&ok, 200)
}

#[tokio::test]
async fn missing_mandatory_fields_are_400() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    for name in ["From", "To", "Call-ID", "CSeq"] {
        let uri = amy.uri();
        let draft = amy.text(&uri, "incomplete").without(name);
        amy.send(&draft).await?;
        let answer = amy.flow.next().await?;
        match answer {
            Some(answer) => status(&answer, 400)?,
            // Without Via or Call-ID there may be nobody to answer to; the connection is closed then.
            None => return Ok(()),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_cseq_of_another_method_is_400() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let uri = amy.uri();
    let draft = amy.text(&uri, "mixed up").set("CSeq", "1 INVITE");
    gives(&mut amy, draft, 400).await?;
    Ok(())
}

#[tokio::test]
async fn another_version_is_505() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let uri = amy.uri();
    let draft = amy.text(&uri, "from the future");
    let bytes = String::from_utf8(draft.bytes())?.replacen("SIP/2.0", "SIP/7.0", 1);
    amy.flow.send(bytes).await?;
    status(&amy.answer_to(&draft).await?, 505)
}

/// Responses nobody asked for, and an ACK for nothing, are dropped in silence.
#[tokio::test]
async fn stray_responses_and_acks_are_ignored() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let uri = amy.uri();
    let stray = Draft::new("SIP/2.0 200 OK")
        .header("Via", "SIP/2.0/TLS 127.0.0.1;branch=z9hG4bKnobody")
        .header("From", format!("<{uri}>;tag=1"))
        .header("To", format!("<{uri}>;tag=2"))
        .header("Call-ID", "stray")
        .header("CSeq", "1 MESSAGE");
    amy.send(&stray).await?;
    let ack = amy.request("ACK", &uri).set("To", format!("<{uri}>;tag=made-up"));
    amy.send(&ack).await?;
    amy.nothing_else().await
}

/// RFC 3581 section 4: a client that asks with `rport` learns where its request came from.
#[tokio::test]
async fn via_tells_a_client_where_it_comes_from() -> Result<()> {
    let (_pool, mut amy) = one().await?;
    let local = amy.flow.local();
    let options = amy.request("OPTIONS", "sip:example.test");
    let via = "SIP/2.0/TLS behind-nat.test:5061;branch=z9hG4bKnat;rport";
    let answer = amy.call(options.set("Via", via)).await?;
    let via = answer.require("Via")?;
    ensure!(via.contains(&format!("rport={}", local.port())), "Via: {via}");
    ensure!(via.contains(&format!("received={}", local.ip())), "Via: {via}");
    Ok(())
}
