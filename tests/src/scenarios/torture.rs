//! Messages written to hurt parsers, on fresh and on signed-in connections: the process stays up, a
//! control connection is served meanwhile, and nothing is answered with a defect of ours (500).

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Puppet, Sandbox, Wire};

use super::still_served;

/// The messages of the parser's own tests, valid and invalid.
fn messages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for folder in ["valid", "invalid"] {
        let folder = crate::sources::root()
            .join("crates/sip-types/tests/messages")
            .join(folder);
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sip") {
                let name = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                found.push((name, std::fs::read(&path)?));
            }
        }
    }
    ensure!(
        found.len() >= 49,
        "only {} messages; RFC 4475 alone has 49",
        found.len()
    );
    found.sort();
    Ok(found)
}

/// Sends one message and a request after it, and reads what comes until that is answered or the
/// connection closes.
async fn endure(client: &mut Puppet, name: &str, bytes: &[u8]) -> Result<()> {
    client.flow.send(bytes).await?;
    let probe = client.request("OPTIONS", "sip:example.test");
    // The server may have closed before all was written.
    let _ = client.send(&probe).await;
    let id = probe.get("Call-ID").unwrap_or_default().to_owned();
    loop {
        let next = client.flow.next().await;
        let Ok(next) = next else {
            // Nothing for a while: a message that promised a longer body is waited for.
            return Ok(());
        };
        let Some(message) = next else { return Ok(()) };
        check(name, &message)?;
        if message.header("Call-ID") == Some(id.as_str()) {
            return Ok(());
        }
    }
}

fn check(name: &str, message: &Wire) -> Result<()> {
    ensure!(message.status() != Some(500), "{name} was answered:\n{message}");
    ensure!(
        message.status() != Some(200) || message.require("CSeq")?.contains("OPTIONS"),
        "{name} was taken:\n{message}"
    );
    Ok(())
}

#[tokio::test]
async fn torture_messages_on_fresh_connections() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let eve = pool.create("eve").await?;
    for (name, bytes) in messages()? {
        let mut client = pool.puppet(&eve, Dialect::Simple).await?;
        endure(&mut client, &name, &bytes).await?;
        still_served(&mut control).await.with_context(|| name.clone())?;
    }
    pool.healthy()
}

#[tokio::test]
async fn torture_messages_on_signed_in_connections() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let eve = pool.create("eve").await?;
    for (name, bytes) in messages()? {
        let mut client = pool.endpoint(&eve, Dialect::Simple).await?;
        endure(&mut client, &name, &bytes).await?;
        still_served(&mut control).await.with_context(|| name.clone())?;
    }
    pool.healthy()
}
