//! Where one message ends and the next begins, and what is not a message at all. A hidden second
//! request never runs, and a control connection is served whatever others send.

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Draft, Puppet, Sandbox, Wire};

use super::{status, still_served};

/// Bytes that break the framing, and the answer they get before the connection is closed.
struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    answers: &'static [u16],
}

fn attack(name: &'static str, bytes: impl Into<Vec<u8>>, answers: &'static [u16]) -> Attack {
    Attack {
        name,
        bytes: bytes.into(),
        answers,
    }
}

/// A MESSAGE with these lines in place of a right Content-Length.
fn with_length(base: &Draft, lines: &str, body: &str) -> Vec<u8> {
    let bytes = base.clone().header("Content-Length", "0").bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut broken = text.replace("Content-Length: 0\r\n", lines).into_bytes();
    broken.extend_from_slice(body.as_bytes());
    broken
}

/// Attacks from the position of `client`, who would like to smuggle a text to `victim`.
fn attacks(client: &mut Puppet, victim: &str) -> Vec<Attack> {
    let base = client
        .request("MESSAGE", victim)
        .header("Content-Type", "text/plain");
    let hidden = String::from_utf8_lossy(&client.text(victim, "HIDDEN").bytes()).into_owned();
    let length = |lines: &str| with_length(&base, lines, &hidden);
    let line = |line: &str| with_length(&base, &format!("{line}\r\nContent-Length: 0\r\n"), &hidden);
    let start = String::from_utf8_lossy(&base.bytes()).into_owned();
    let many = |count: usize, field: &str| {
        with_length(
            &base,
            &format!("{}Content-Length: 0\r\n", field.repeat(count)),
            "",
        )
    };
    vec![
        attack("no Content-Length", length(""), &[400]),
        attack(
            "two Content-Length with equal values",
            length("Content-Length: 0\r\nContent-Length: 0\r\n"),
            &[400],
        ),
        attack(
            "two Content-Length with different values",
            length("Content-Length: 0\r\nl: 900\r\n"),
            &[400],
        ),
        attack(
            "a list in Content-Length",
            length("Content-Length: 0, 0\r\n"),
            &[400],
        ),
        attack(
            "a sign in Content-Length",
            length("Content-Length: +0\r\n"),
            &[400],
        ),
        attack(
            "a negative Content-Length",
            length("Content-Length: -1\r\n"),
            &[400],
        ),
        attack(
            "a hexadecimal Content-Length",
            length("Content-Length: 0x0\r\n"),
            &[400],
        ),
        attack(
            "a word after Content-Length",
            length("Content-Length: 0 or so\r\n"),
            &[400],
        ),
        attack("an empty Content-Length", length("Content-Length: \r\n"), &[400]),
        attack(
            "a Content-Length that overflows",
            length("Content-Length: 18446744073709551616\r\n"),
            &[400, 413],
        ),
        attack(
            "a Content-Length beyond the limit",
            length("Content-Length: 131073\r\n"),
            &[413],
        ),
        attack("a bare line feed", line("X-Note: one\nX-Other: two"), &[400]),
        attack(
            "a bare carriage return",
            line("X-Note: one\rX-Other: two"),
            &[400],
        ),
        attack(
            "too long a start line",
            start.replacen("SIP/2.0", &format!("{} SIP/2.0", "a".repeat(9000)), 1),
            &[414],
        ),
        attack(
            "too long a header line",
            line(&format!("X-Note: {}", "a".repeat(9000))),
            &[400],
        ),
        attack(
            "too long a header block",
            many(9, &format!("X-Note: {}\r\n", "a".repeat(8000))),
            &[513],
        ),
        attack(
            "HTTP",
            "GET / HTTP/1.1\r\nHost: example.test\r\nContent-Length: 0\r\n\r\n",
            &[400, 505],
        ),
    ]
}

/// Sends the attack; it must be answered, if at all, with one of its codes, and the connection closed.
async fn survive(client: &mut Puppet, attack: &Attack, must_answer: bool) -> Result<()> {
    client.flow.send(&attack.bytes).await?;
    let answers = client
        .flow
        .closed()
        .await
        .with_context(|| format!("{}: not closed", attack.name))?;
    let codes: Vec<u16> = answers.iter().filter_map(Wire::status).collect();
    ensure!(
        codes.len() <= 1,
        "{}: answered more than once: {codes:?}",
        attack.name
    );
    ensure!(
        !must_answer || codes.len() == 1,
        "{}: closed without an answer",
        attack.name
    );
    for code in codes {
        ensure!(
            attack.answers.contains(&code),
            "{}: {code} instead of {:?}",
            attack.name,
            attack.answers
        );
    }
    Ok(())
}

#[tokio::test]
async fn broken_framing_on_a_fresh_connection_is_refused_and_closed() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let mut victim = pool.page_user("victim").await?;
    let eve = pool.create("eve").await?;
    let count = attacks(&mut pool.puppet(&eve, Dialect::Simple).await?, &victim.uri()).len();
    for at in 0..count {
        let mut client = pool.puppet(&eve, Dialect::Simple).await?;
        let attack = attacks(&mut client, &victim.uri()).swap_remove(at);
        // What has no readable Via has nobody to answer to.
        survive(&mut client, &attack, false).await?;
        still_served(&mut control).await?;
    }
    victim.nothing_else().await?;
    pool.healthy()
}

#[tokio::test]
async fn broken_framing_after_sign_in_is_refused_and_nothing_hidden_runs() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let mut victim = pool.page_user("victim").await?;
    let eve = pool.create("eve").await?;
    let count = attacks(&mut pool.puppet(&eve, Dialect::Simple).await?, &victim.uri()).len();
    for at in 0..count {
        let mut client = pool.endpoint(&eve, Dialect::Simple).await?;
        let attack = attacks(&mut client, &victim.uri()).swap_remove(at);
        survive(&mut client, &attack, attack.name != "HTTP").await?;
        still_served(&mut control).await?;
    }
    victim.nothing_else().await?;
    pool.healthy()
}

/// Here the end of the message is known, so the connection may go on; the message must not.
#[tokio::test]
async fn what_is_wrong_inside_a_message_is_refused_without_harm() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut victim = pool.page_user("victim").await?;
    let eve = pool.create("eve").await?;
    let many_fields = b"X: 1\r\n".repeat(257);
    let many_via = b"Via: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKmany\r\n".repeat(71);
    let cases: [(&[u8], &[u16]); 4] = [
        (b"X-Note: a\0b\r\n", &[400]),
        (b"X-Note: \xe9\xff\r\n", &[400]),
        (&many_fields, &[400]),
        (&many_via, &[400, 483]),
    ];
    for (lines, answers) in cases {
        let mut client = pool.endpoint(&eve, Dialect::Simple).await?;
        let mut bytes = client.text(&victim.uri(), "HIDDEN").header("Mark", "").bytes();
        let mark = b"Mark: \r\n";
        let at = bytes
            .windows(mark.len())
            .position(|window| window == mark)
            .context("no mark")?;
        bytes.splice(at..at + mark.len(), lines.iter().copied());
        client.flow.send(bytes).await?;
        let answer = client.flow.next().await?.context("closed without an answer")?;
        ensure!(
            answer.status().is_some_and(|code| answers.contains(&code)),
            "{answers:?}:\n{answer}"
        );
    }
    victim.nothing_else().await?;
    pool.healthy()
}

/// The answer to a broken message is made from what could be read; raw input is never echoed.
#[tokio::test]
async fn a_refusal_echoes_nothing_it_did_not_understand() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let uri = amy.uri();
    let base = amy
        .text(&uri, "")
        .header("X-Note", "secret-marker\nInjected: yes");
    amy.flow.send(base.bytes()).await?;
    for answer in amy.flow.closed().await? {
        let text = answer.to_string();
        ensure!(
            !text.contains("secret-marker") && !text.contains("Injected"),
            "{text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn messages_in_one_segment_and_bytes_one_by_one_are_the_same() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let drafts: Vec<Draft> = ["one", "two", "three"]
        .map(|text| amy.text(&bea.uri(), text))
        .to_vec();
    let together: Vec<u8> = drafts.iter().flat_map(Draft::bytes).collect();
    amy.flow.send(together).await?;
    for text in ["one", "two", "three"] {
        bea.receive(text).await?;
    }
    for draft in &drafts {
        status(&amy.answer_to(draft).await?, 200)?;
    }
    let slow = amy.text(&bea.uri(), "byte by byte");
    for byte in slow.bytes() {
        amy.flow.send([byte]).await?;
    }
    bea.receive("byte by byte").await?;
    status(&amy.answer_to(&slow).await?, 200)
}

#[tokio::test]
async fn empty_lines_between_messages_are_skipped() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut amy = pool.page_user("amy").await?;
    let options = amy.request("OPTIONS", "sip:example.test");
    amy.flow.send("\r\n".repeat(200)).await?;
    amy.send(&options).await?;
    status(&amy.answer_to(&options).await?, 200)
}

#[tokio::test]
async fn clear_text_on_the_tls_port_is_closed() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    for bytes in [
        "REGISTER sip:example.test SIP/2.0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{ff}\u{ff}",
    ] {
        let mut flow = test_support::Flow::tcp(pool.tls()?).await?;
        flow.send(bytes).await?;
        still_served(&mut control).await?;
        // A TLS alert may come before the end; it is no SIP message.
        let _alert_or_end = flow.closed().await;
    }
    pool.healthy()
}
