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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// This status, and the connection goes on.
    Answer(u16),
    /// This status, then the end: nobody knows where the next message would begin.
    AnswerAndClose(u16),
    /// The end without a word: there is nobody to answer to.
    Close,
    /// Nothing at all, as for a response nobody waits for.
    Ignore,
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

    /// What the files of sip-types say of the parser, in terms of a server: a line `fresh` or `signed-in` where
    /// the message is good and the answer is the server's own decision, the parser's outcome otherwise.
    fn outcome(&self, sender: Sender) -> Result<Outcome> {
        let key = match sender {
            Sender::Fresh => "fresh",
            Sender::SignedIn => "signed-in",
        };
        if let Some(own) = self.expects(key) {
            return outcome_of(own).with_context(|| format!("{key} of {}", self.name));
        }
        let words: Vec<&str> = self
            .expects("outcome")
            .context("no outcome")?
            .split(' ')
            .collect();
        Ok(match (words.as_slice(), sender) {
            (["request", _], Sender::Fresh) => Outcome::Answer(401),
            // All of them name somebody in From who is not the one signed in.
            (["request", _], Sender::SignedIn) => Outcome::Answer(403),
            (["response" | "drop", ..], _) => Outcome::Ignore,
            (["reject", code, ..], _) => Outcome::Answer(code.parse()?),
            (["refuse", code, ..], _) if self.expects("answerable") == Some("yes") => {
                Outcome::AnswerAndClose(code.parse()?)
            }
            (["refuse", ..], _) => Outcome::Close,
            _ => bail!("{}: {words:?}?", self.name),
        })
    }
}

/// `403`, `400 close`, `close` or `nothing`.
fn outcome_of(text: &str) -> Result<Outcome> {
    Ok(match text.split_once(' ') {
        None if text == "close" => Outcome::Close,
        None if text == "nothing" => Outcome::Ignore,
        None => Outcome::Answer(text.parse()?),
        Some((code, "close")) => Outcome::AnswerAndClose(code.parse()?),
        Some(_) => bail!("{text:?} is no outcome"),
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
    match expected {
        Outcome::Answer(code) => {
            status(&final_answer(client).await?, code)?;
            goes_on(client).await
        }
        Outcome::AnswerAndClose(code) => {
            status(&final_answer(client).await?, code)?;
            nothing_but_the_end(client).await
        }
        Outcome::Close => nothing_but_the_end(client).await,
        Outcome::Ignore => goes_on(client).await,
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
