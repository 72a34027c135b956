//! Messages written to hurt parsers, on fresh and on signed-in connections: each gets exactly the answer its
//! `.expected` file stands for, the connection goes on or is closed as that says, and a control
//! connection is served meanwhile.

use anyhow::{Context, Result, bail, ensure};
use test_support::{Dialect, Puppet, Sandbox, Wire};

use super::{status, still_served};

/// A message of the parser's own tests.
struct Torture {
    name: String,
    bytes: Vec<u8>,
    expected: String,
}

/// What the server does with a message.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// The final responses; none to a response nobody waits for, or where there is nobody to answer to.
    answers: Vec<u16>,
    /// Whether the connection ends then: nobody knows where the next message would begin.
    close: bool,
}

/// Who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Fresh,
    SignedIn,
}

impl Torture {
    fn expects(&self, key: &str) -> Option<&str> {
        let mut lines = self.expected.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(known, _)| known.trim() == key)
            .map(|(_, value)| value.trim())
    }

    /// What follows for a server from the file of sip-types: its line `fresh` or `signed-in` where the answer is
    /// the server's own decision, the outcome of the parser otherwise.
    fn outcome(&self, sender: Sender) -> Result<Outcome> {
        let key = match sender {
            Sender::Fresh => "fresh",
            Sender::SignedIn => "signed-in",
        };
        if let Some(own) = self.expects(key) {
            return outcome_of(own).with_context(|| format!("{key} of {}", self.name));
        }
        let outcome = self.expects("outcome").context("no outcome")?;
        let words: Vec<&str> = outcome.split(' ').collect();
        let (answers, close) = match (words.as_slice(), sender) {
            (["request", _], Sender::Fresh) => (vec![401], false),
            // Where nothing else is said, From names somebody who is not the one signed in.
            (["request", _], Sender::SignedIn) => (vec![403], false),
            (["response" | "drop", ..], _) => (vec![], false),
            (["reject", code, ..], _) => (vec![code.parse()?], false),
            (["refuse", code, ..], _) => {
                let close = self.expects("connection") != Some("open");
                match self.expects("answerable") {
                    Some("yes") => (vec![code.parse()?], close),
                    _ => (vec![], close),
                }
            }
            _ => bail!("{}: {outcome}?", self.name),
        };
        Ok(Outcome { answers, close })
    }
}

/// Status codes, then perhaps `close`.
fn outcome_of(text: &str) -> Result<Outcome> {
    let (codes, close) = text
        .strip_suffix("close")
        .map_or((text, false), |codes| (codes, true));
    let answers: Result<_, _> = codes.split_whitespace().map(str::parse).collect();
    Ok(Outcome {
        answers: answers?,
        close,
    })
}

/// The messages of the parser's own tests, valid and invalid.
fn messages() -> Result<Vec<Torture>> {
    let mut found = Vec::new();
    for folder in ["valid", "invalid"] {
        let folder = crate::sources::root()
            .join("crates/sip-types/tests/messages")
            .join(folder);
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sip") {
                found.push(Torture {
                    name: path
                        .file_stem()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    bytes: std::fs::read(&path)?,
                    expected: std::fs::read_to_string(path.with_extension("expected"))?,
                });
            }
        }
    }
    ensure!(
        found.len() >= 49,
        "only {} messages; RFC 4475 alone has 49",
        found.len()
    );
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Sends the message and holds what comes of it against the expectation.
async fn endure(client: &mut Puppet, torture: &Torture, sender: Sender) -> Result<()> {
    let expected = torture.outcome(sender)?;
    client.flow.send(&torture.bytes).await?;
    for code in expected.answers {
        status(&final_answer(client).await?, code)?;
    }
    if expected.close {
        nothing_but_the_end(client).await
    } else {
        goes_on(client).await
    }
}

/// The next message, which has to be a final response.
async fn final_answer(client: &mut Puppet) -> Result<Wire> {
    loop {
        let answer = client.flow.next().await?.context("closed without an answer")?;
        let code = answer.status().with_context(|| format!("a request:\n{answer}"))?;
        if code >= 200 {
            return Ok(answer);
        }
    }
}

/// The next request is answered, and nothing comes before its answer.
async fn goes_on(client: &mut Puppet) -> Result<()> {
    let probe = client.request("OPTIONS", "sip:example.test");
    client.send(&probe).await?;
    let answer = client.flow.next().await?.context("closed")?;
    status(&answer, 200)?;
    ensure!(
        answer.header("Call-ID") == probe.get("Call-ID"),
        "one answer too many:\n{answer}"
    );
    Ok(())
}

async fn nothing_but_the_end(client: &mut Puppet) -> Result<()> {
    let more = client.flow.closed().await?;
    ensure!(more.is_empty(), "before the end came {more:?}");
    Ok(())
}

/// All messages, each on a connection of its own. Says of all what went wrong, not of the first only.
async fn torture(sender: Sender) -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut control = pool.page_user("control").await?;
    let eve = pool.create("eve").await?;
    let mut wrong = Vec::new();
    for message in messages()? {
        let mut client = match sender {
            Sender::Fresh => pool.puppet(&eve, Dialect::Simple).await?,
            Sender::SignedIn => pool.endpoint(&eve, Dialect::Simple).await?,
        };
        if let Err(error) = endure(&mut client, &message, sender).await {
            wrong.push(format!("{}: {error:#}", message.name));
        }
        still_served(&mut control)
            .await
            .with_context(|| message.name.clone())?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    pool.healthy()
}

#[tokio::test]
async fn torture_messages_on_fresh_connections() -> Result<()> {
    torture(Sender::Fresh).await
}

#[tokio::test]
async fn torture_messages_on_signed_in_connections() -> Result<()> {
    torture(Sender::SignedIn).await
}
