//! A front end is stopped as planned: its clients go to another one, and nothing that was said is lost.
//!
//! Only in a pool: these run with the profile `pool` of the test runner.

mod operator;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use test_support::{Account, Dialect, Flow, Options, Puppet, Sandbox, Scheme, Wire, eventually};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{status, still_served};

/// Messages before the drain begins, and after it is over.
const SOME: u32 = 10;

/// A pool in which one person may write as fast as he is answered.
fn options() -> Options {
    Options::default().set("PORTICO_LIMITS__REQUESTS_PER_SECOND", "10000")
}

async fn pool() -> Result<Sandbox> {
    Sandbox::pool(options()).await
}

// === a client that goes where it is told ===

/// Somebody at `fe1` who hears numbered messages, answers all, and goes to `fe2` when told or cut off.
struct Listener {
    puppet: Puppet,
    /// The connection it was told to leave: open until the server closes it.
    old: Option<Puppet>,
    dialect: Dialect,
    refuge: SocketAddr,
    ca: PathBuf,
    heard: Vec<u32>,
    moves: u32,
}

impl Listener {
    async fn at_fe1(pool: &mut Sandbox, account: &Account, dialect: Dialect) -> Result<Listener> {
        Ok(Listener {
            puppet: pool.endpoint_at("fe1", account, dialect).await?,
            old: None,
            dialect,
            refuge: pool.member("fe2")?.listener("sip_tls")?,
            ca: pool.ca()?,
            heard: Vec::new(),
            moves: 0,
        })
    }

    /// Listens until `stop`, on both connections while there are two.
    async fn listen(&mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        loop {
            let old = async {
                match &mut self.old {
                    Some(old) => old.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.puppet.next() => match message? {
                    Some(message) if is_notice(&message) => {
                        ensure!(message.text().contains("event=deactivated"), "{message}");
                        self.puppet.answer(&message, 200).await?;
                        let new = self.sign_in_elsewhere().await?;
                        self.old = Some(std::mem::replace(&mut self.puppet, new));
                    }
                    Some(message) => self.heard.extend(take(&mut self.puppet, &message).await?),
                    // Closed with the farewell of TLS: an end without it is an error.
                    None => self.puppet = self.sign_in_elsewhere().await?,
                },
                message = old => match (message?, &mut self.old) {
                    (Some(message), Some(old)) => self.heard.extend(take(old, &message).await?),
                    _ => self.old = None,
                },
                stopped = stop.wait_for(|stop| *stop) => return Ok(stopped.map(drop)?),
            }
        }
    }

    async fn sign_in_elsewhere(&mut self) -> Result<Puppet> {
        self.moves += 1;
        ensure!(self.moves == 1, "moved twice");
        let flow = Flow::tls(self.refuge, &self.ca).await?;
        let mut new = Puppet::new(flow, self.puppet.account().clone(), self.dialect)?;
        new.impersonate_endpoint(&self.puppet);
        new.sign_in(match self.dialect {
            Dialect::Simple => Scheme::Md5,
            Dialect::Lync => Scheme::Ntlm,
        })
        .await?;
        Ok(new)
    }
}

fn is_notice(message: &Wire) -> bool {
    message.method() == Some("NOTIFY") && message.header("Event") == Some("registration-notify")
}

/// Answers whatever came; the number it said.
async fn take(puppet: &mut Puppet, message: &Wire) -> Result<Option<u32>> {
    match message.method() {
        Some("MESSAGE") => {
            puppet.answer(message, 200).await?;
            return Ok(Some(message.text().parse()?));
        }
        Some("INVITE") => {
            let ok = puppet.acceptance(message);
            puppet.send(&ok).await?;
        }
        Some("BYE") => puppet.answer(message, 200).await?,
        Some("ACK") => {}
        _ => bail!("unasked:\n{message}"),
    }
    Ok(None)
}

/// Somebody at `fe2` who writes to one of them without a break.
struct Speaker {
    puppet: Puppet,
    peer: String,
    /// Status of every message in order, the first being number 1.
    answers: Vec<u16>,
}

impl Speaker {
    /// Speaks until `stop`, and then until [`SOME`] in a row were taken, so that whatever was on its way is there. How many
    /// were taken so far is told to `taken`.
    async fn speak(&mut self, stop: watch::Receiver<bool>, taken: watch::Sender<u32>) -> Result<()> {
        let mut last = 0;
        while !*stop.borrow() || last < SOME {
            let number = self.answers.len() + 1;
            let text = self.puppet.text(&self.peer, &number.to_string());
            let answer = self.puppet.call(text).await?;
            let code = answer.status().context("a status")?;
            // Who is nowhere for a moment is said to be unavailable: nothing else is to be seen of a drain.
            ensure!(matches!(code, 200 | 480), "message {number}:\n{answer}");
            self.answers.push(code);
            if code == 200 {
                taken.send_modify(|count| *count += 1);
            }
            if *stop.borrow() {
                last = if code == 200 { last + 1 } else { 0 };
            }
        }
        Ok(())
    }

    /// Compares what was said with what was heard.
    fn is_whole(&self, heard: &[u32]) -> Result<()> {
        let once: BTreeSet<u32> = heard.iter().copied().collect();
        ensure!(once.len() == heard.len(), "{}: doubled: {heard:?}", self.peer);
        ensure!(heard.is_sorted(), "{}: out of order: {heard:?}", self.peer);
        let answered = (1u32..).zip(&self.answers).filter(|(_, code)| **code == 200);
        let lost: Vec<u32> = answered
            .map(|(number, _)| number)
            .filter(|number| !once.contains(number))
            .collect();
        ensure!(lost.is_empty(), "{}: answered 200 and lost: {lost:?}", self.peer);
        Ok(())
    }

    fn refused(&self) -> usize {
        self.answers.iter().filter(|code| **code != 200).count()
    }
}

async fn speaker(pool: &Sandbox, name: &str, to: &Listener) -> Result<Speaker> {
    let account = pool.create(name).await?;
    Ok(Speaker {
        puppet: pool.endpoint_at("fe2", &account, Dialect::Simple).await?,
        peer: to.puppet.uri(),
        answers: Vec::new(),
    })
}

/// Where the operator is told that a user is signed in.
async fn members_of(pool: &Sandbox, user: &str) -> Result<Vec<String>> {
    let address = format!("{user}@example.test");
    let text = pool
        .ctl(&["-o", "json", "user", "sessions", &address], "")
        .await?;
    let sessions: Vec<Value> = serde_json::from_str(&text)?;
    let members = sessions.iter().map(|session| session["member"].as_str());
    Ok(members.flatten().map(str::to_owned).collect())
}

// === scenarios ===

#[tokio::test]
async fn a_drain_under_traffic_loses_nothing_and_clients_go_elsewhere() -> Result<()> {
    let mut pool = pool().await?;
    let (lia, pat) = (pool.create("lia").await?, pool.create("pat").await?);
    let mut lia = Listener::at_fe1(&mut pool, &lia, Dialect::Lync).await?;
    let mut pat = Listener::at_fe1(&mut pool, &pat, Dialect::Simple).await?;
    let mut amy = speaker(&pool, "amy", &lia).await?;
    let mut bea = speaker(&pool, "bea", &pat).await?;
    let (said, stop_speaking) = watch::channel(false);
    let (over, stop_listening) = watch::channel(false);
    let (to_lia, mut lia_took) = watch::channel(0);
    let (to_pat, mut pat_took) = watch::channel(0);
    let operator = async {
        lia_took.wait_for(|count| *count >= SOME).await?;
        pat_took.wait_for(|count| *count >= SOME).await?;
        let began = Instant::now();
        let code = pool.member("fe1")?.terminate().await?;
        let took = began.elapsed();
        said.send_replace(true);
        anyhow::Ok((code, took))
    };
    let speaking = async {
        let (one, other) = tokio::join!(
            amy.speak(stop_speaking.clone(), to_lia),
            bea.speak(stop_speaking.clone(), to_pat)
        );
        over.send_replace(true);
        one.context("Amy")?;
        other.context("Bea")
    };
    let (operator, speaking, heard_lia, heard_pat) = tokio::join!(
        operator,
        speaking,
        lia.listen(stop_listening.clone()),
        pat.listen(stop_listening.clone())
    );
    heard_lia.context("Lia")?;
    heard_pat.context("Pat")?;
    speaking?;
    let (code, took) = operator?;
    assert_eq!(code, 0);
    amy.is_whole(&lia.heard)?;
    bea.is_whole(&pat.heard)?;
    ensure!(
        amy.refused() == 0,
        "Lia was told first, and yet nobody was there for {} messages",
        amy.refused()
    );
    assert_eq!((lia.moves, pat.moves), (1, 1));
    ensure!(lia.old.is_none(), "her old connection was not closed");
    for user in ["lia", "pat"] {
        assert_eq!(members_of(&pool, user).await?, ["fe2"], "{user}");
    }
    let pages = pool.member("fe1")?.lines();
    ensure!(
        pages.iter().any(|line| line.contains("moving clients elsewhere")),
        "no waves in {took:?}"
    );
    ensure!(
        !pages.iter().any(|line| line.contains("cut off")),
        "something was cut off: {pages:?}"
    );
    still_served(&mut lia.puppet).await?;
    still_served(&mut pat.puppet).await
}

/// A client that was told and does not go is served until patience with it ends; nobody new comes in meanwhile.
#[tokio::test]
async fn a_front_end_that_moves_its_clients_sends_new_ones_away() -> Result<()> {
    let mut pool = pool().await?;
    let (amy, lia) = (pool.create("amy").await?, pool.create("lia").await?);
    let mut lia = pool.endpoint_at("fe1", &lia, Dialect::Lync).await?;
    let mut early = Puppet::new(pool.flow_to("fe1").await?, amy, Dialect::Simple)?;
    pool.member("fe1")?.ask_to_end()?;
    let notice = lia.expect("NOTIFY").await?;
    lia.answer(&notice, 200).await?;
    // Connected before, not signed in: balancers are answered, others go elsewhere.
    let probe = early.request("OPTIONS", "sip:example.test");
    status(&early.call(probe).await?, 200)?;
    let register = early.register();
    let answer = early.call(register).await?;
    status(&answer, 503)?;
    assert_eq!(answer.header("Retry-After"), Some("0"));
    early.flow.closed().await?;
    let register = lia.register();
    let answer = lia.call(register).await?;
    status(&answer, 503)?;
    assert_eq!(answer.header("Retry-After"), Some("0"));
    // What is on this connection goes on.
    still_served(&mut lia).await?;
    let (status, page) = pool.member("fe1")?.page("/readyz").await?;
    ensure!(status == 503 && page.contains("draining"), "{status} {page}");
    lia.flow.closed().await?;
    assert_eq!(pool.member("fe1")?.ended().await?, 0);
    Ok(())
}

/// A session lives on a connection: the other side is told of its end, and the next one is opened where the client is.
#[tokio::test]
async fn a_session_with_a_client_that_is_moved_ends_and_the_next_one_finds_it() -> Result<()> {
    let mut pool = pool().await?;
    let (amy, lia) = (pool.create("amy").await?, pool.create("lia").await?);
    let mut amy = pool.endpoint_at("fe2", &amy, Dialect::Lync).await?;
    let mut lia = pool.endpoint_at("fe1", &lia, Dialect::Lync).await?;
    let invite = amy.invitation(&lia.uri(), None);
    amy.send(&invite).await?;
    let _theirs = lia.accept().await?;
    let mut ours = amy.established(&invite).await?;
    pool.member("fe1")?.ask_to_end()?;
    let notice = lia.expect("NOTIFY").await?;
    lia.answer(&notice, 200).await?;
    // She has been told and has not gone: she is still there.
    let (said, heard) = tokio::join!(amy.say(&mut ours, "still there?"), lia.receive("still there?"));
    status(&said?, 200)?;
    heard?;
    let mut new = Puppet::new(pool.flow_to("fe2").await?, lia.account().clone(), Dialect::Lync)?;
    new.impersonate_endpoint(&lia);
    new.sign_in(Scheme::Ntlm).await?;
    lia.flow.closed().await?;
    let bye = amy.expect_where("BYE", |bye| ours.owns(bye)).await?;
    amy.answer(&bye, 200).await?;
    assert_eq!(pool.member("fe1")?.ended().await?, 0);
    let invite = amy.invitation(&lia.uri(), None);
    amy.send(&invite).await?;
    let _theirs = new.accept().await?;
    let mut ours = amy.established(&invite).await?;
    let (said, heard) = tokio::join!(amy.say(&mut ours, "here?"), new.receive("here?"));
    status(&said?, 200)?;
    heard.map(drop)
}

#[tokio::test]
async fn a_second_request_to_stop_hurries_and_tells_clients_all_the_same() -> Result<()> {
    let options = Options::default().set("PORTICO_DRAIN__GRACE", "60s");
    let mut pool = Sandbox::pool(options).await?;
    let lia = pool.create("lia").await?;
    let mut lia = pool.endpoint_at("fe1", &lia, Dialect::Lync).await?;
    let front_end = pool.member("fe1")?;
    front_end.ask_to_end()?;
    eventually("fe1 to drain", || async {
        Ok((front_end.page("/readyz").await?.0 == 503).then_some(()))
    })
    .await?;
    // The grace: it serves as before.
    still_served(&mut lia).await?;
    front_end.ask_to_end()?;
    let before = lia.flow.closed().await?;
    ensure!(before.iter().any(is_notice), "closed without a word");
    assert_eq!(pool.member("fe1")?.ended().await?, 0);
    Ok(())
}

/// What a member owns goes to others as soon as it drains, while its clients are still there.
#[tokio::test]
async fn an_operator_stops_a_member_and_sees_what_it_owned_go_elsewhere() -> Result<()> {
    let mut pool = pool().await?;
    let node = |nodes: &[Value], name: &str| nodes.iter().find(|node| node["member"] == name).cloned();
    let text = pool.ctl(&["-o", "json", "node", "list"], "").await?;
    let nodes: Vec<Value> = serde_json::from_str(&text)?;
    assert_eq!(nodes.len(), 6, "{text}");
    let im1 = node(&nodes, "im1").context("im1")?;
    ensure!(
        im1["state"] == "serving" && im1["conversations"].as_u64() > Some(0) && im1["users"] == 0,
        "{im1}"
    );
    let drained = pool.ctl_at("im1", &["node", "drain", "--stop", "--wait"]).await?;
    ensure!(drained.contains("stopped"), "{drained}");
    assert_eq!(pool.member("im1")?.ended().await?, 0);
    eventually("im2 to own all conversations", || async {
        let text = pool.ctl(&["-o", "json", "node", "list"], "").await?;
        let nodes: Vec<Value> = serde_json::from_str(&text)?;
        let all = node(&nodes, "im2").is_some_and(|im2| im2["conversations"] == 1_024);
        Ok((all && node(&nodes, "im1").is_none()).then_some(()))
    })
    .await?;
    let status: Value = serde_json::from_str(&pool.ctl(&["-o", "json", "status"], "").await?)?;
    ensure!(
        status["pool"]["validity"] == "confirmed"
            && status["pool"]["members"].as_array().map(Vec::len) == Some(5),
        "{status}"
    );
    Ok(())
}
