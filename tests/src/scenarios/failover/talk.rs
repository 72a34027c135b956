//! Two people who write to each other without a break, numbered, and what has to be true of it in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use test_support::{Dialect, Draft, Flow, Puppet, Sandbox, Scheme, Session, Wire};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Between an answer and the next message of the same person: a connection may ask 20 times a second.
const BREATH: Duration = Duration::from_millis(100);
/// Longest wait for a final answer: a transaction of SIP has it or is over after 32 s.
const ANSWER: Duration = Duration::from_secs(40);
/// How often somebody whose server is gone tries to come back.
const COME_BACK: Duration = Duration::from_millis(250);
/// How often one looks up who waits for a message.
const LOOK: Duration = Duration::from_secs(1);

/// One of the two.
pub(super) struct Person {
    pub(super) puppet: Puppet,
    dialect: Dialect,
    peer: String,
    /// None: page mode.
    session: Option<Session>,
    next: u32,
    waiting: Option<(u32, Draft, Instant)>,
    /// Number, status and time to it of every message, in order; status 0: the connection ended before there was one.
    pub(super) answers: Vec<(u32, u16, Duration)>,
    /// Numbers of the other side, as they came.
    pub(super) heard: Vec<u32>,
    /// Where to sign in again when the server closes; without it that is a failure.
    pub(super) refuge: Option<Refuge>,
    /// How long it took to be signed in again, each time.
    pub(super) away: Vec<Duration>,
}

/// Another front end.
pub(super) struct Refuge {
    address: std::net::SocketAddr,
    ca: std::path::PathBuf,
}

impl Refuge {
    pub(super) fn at(pool: &mut Sandbox, front_end: &str) -> Result<Refuge> {
        let ca = pool.ca()?;
        let address = pool.member(front_end)?.listener("sip_tls")?;
        Ok(Refuge { address, ca })
    }
}

/// What both know of the state of the conversation.
#[derive(Clone)]
struct Course {
    answered: watch::Sender<u64>,
    stopped: watch::Receiver<bool>,
    finished: watch::Sender<u8>,
}

/// Two people on different front ends in the middle of a conversation.
pub(super) struct Talk {
    pub(super) amy: Person,
    pub(super) bea: Person,
}

/// How far the conversation is; for the one who breaks things meanwhile.
pub(super) struct Progress(watch::Receiver<u64>);

impl Progress {
    /// Waits until `count` more messages have been answered with 200.
    pub(super) async fn more(&mut self, count: u64) -> Result<()> {
        let goal = *self.0.borrow() + count;
        timeout(ANSWER, self.0.wait_for(|now| *now >= goal))
            .await
            .with_context(|| format!("nobody wrote {count} more messages in {ANSWER:?}"))??;
        Ok(())
    }

    /// Makes sure that messages go through all the time, for so long.
    pub(super) async fn keeps_going_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.more(1).await?;
        }
        Ok(())
    }
}

impl Talk {
    /// In page mode, Amy at `fe1` and Bea at `fe2`.
    pub(super) async fn page(pool: &Sandbox) -> Result<Talk> {
        let (amy, bea) = two(pool, Dialect::Simple).await?;
        Ok(Talk::of(amy, bea, Dialect::Simple, None))
    }

    /// In a session, Amy at `fe1` and Bea at `fe2`.
    pub(super) async fn session(pool: &Sandbox) -> Result<Talk> {
        let (mut amy, mut bea) = two(pool, Dialect::Lync).await?;
        let invite = amy.invitation(&bea.uri(), None);
        amy.send(&invite).await?;
        let theirs = bea.accept().await?;
        let ours = amy.established(&invite).await?;
        Ok(Talk::of(amy, bea, Dialect::Lync, Some((ours, theirs))))
    }

    fn of(amy: Puppet, bea: Puppet, dialect: Dialect, sessions: Option<(Session, Session)>) -> Talk {
        let (ours, theirs) = sessions.unzip();
        let uris = (amy.uri(), bea.uri());
        Talk {
            amy: Person::new(amy, dialect, uris.1, ours),
            bea: Person::new(bea, dialect, uris.0, theirs),
        }
    }

    /// Both write all the time while `what` happens; then both finish.
    ///
    /// # Errors
    /// Something came that does not belong to the conversation, a connection closed, or `what` failed.
    pub(super) async fn during(&mut self, what: impl AsyncFnOnce(&mut Progress) -> Result<()>) -> Result<()> {
        let (answered, seen) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let (finished, _) = watch::channel(0);
        let course = Course {
            answered,
            stopped,
            finished,
        };
        let chaos = async {
            let outcome = what(&mut Progress(seen)).await;
            stop.send_replace(true);
            outcome
        };
        let (one, other, chaos) = tokio::join!(self.amy.talk(course.clone()), self.bea.talk(course), chaos);
        // What broke first is the most telling.
        one.context("Amy")?;
        other.context("Bea")?;
        chaos.with_context(|| {
            format!(
                "Amy's last answers: {:?}, Bea's: {:?}",
                self.amy.last(),
                self.bea.last()
            )
        })
    }

    /// Both say one more thing, and nothing else comes: whatever was on its way is there. Then looks at everything that was
    /// said: what was answered with 200 came exactly once, nothing came twice, and in order.
    pub(super) async fn is_whole(&mut self) -> Result<()> {
        self.during(async |progress| progress.more(4).await).await?;
        self.amy.puppet.nothing_else().await?;
        self.bea.puppet.nothing_else().await?;
        whole(&self.amy, &self.bea)?;
        whole(&self.bea, &self.amy)
    }

    /// As [`Talk::is_whole`], and every single message was delivered.
    pub(super) async fn is_whole_and_nothing_was_refused(&mut self) -> Result<()> {
        self.is_whole().await?;
        for person in [&self.amy, &self.bea] {
            let refused: Vec<_> = person
                .answers
                .iter()
                .filter(|(_, code, _)| *code != 200)
                .collect();
            ensure!(
                refused.is_empty(),
                "{} was refused: {refused:?}",
                person.puppet.uri()
            );
        }
        Ok(())
    }
}

async fn two(pool: &Sandbox, dialect: Dialect) -> Result<(Puppet, Puppet)> {
    let (amy, bea) = (pool.create("amy").await?, pool.create("bea").await?);
    Ok((
        pool.endpoint_at("fe1", &amy, dialect).await?,
        pool.endpoint_at("fe2", &bea, dialect).await?,
    ))
}

/// What `from` sent against what `to` heard.
fn whole(from: &Person, to: &Person) -> Result<()> {
    let who = from.puppet.uri();
    let heard: BTreeSet<u32> = to.heard.iter().copied().collect();
    ensure!(heard.len() == to.heard.len(), "{who}: doubled: {:?}", to.heard);
    ensure!(to.heard.is_sorted(), "{who}: out of order: {:?}", to.heard);
    let lost: Vec<u32> = from
        .answers
        .iter()
        .filter(|(number, code, _)| *code == 200 && !heard.contains(number))
        .map(|(number, ..)| *number)
        .collect();
    ensure!(
        lost.is_empty(),
        "{who}: answered 200 and never delivered: {lost:?}"
    );
    Ok(())
}

impl Person {
    fn new(puppet: Puppet, dialect: Dialect, peer: String, session: Option<Session>) -> Person {
        Person {
            puppet,
            dialect,
            peer,
            session,
            next: 0,
            waiting: None,
            answers: Vec::new(),
            heard: Vec::new(),
            refuge: None,
            away: Vec::new(),
        }
    }

    /// Number, status and time of the last few messages.
    fn last(&self) -> &[(u32, u16, Duration)] {
        let few = self.answers.len().saturating_sub(8);
        &self.answers[few..]
    }

    /// Writes and answers until told to stop, and answers until the other has finished too.
    async fn talk(&mut self, course: Course) -> Result<()> {
        let mut all_finished = course.finished.subscribe();
        let mut finished = false;
        let mut next_at = Instant::now();
        loop {
            if self.waiting.is_none() && *course.stopped.borrow() {
                if !std::mem::replace(&mut finished, true) {
                    course.finished.send_modify(|count| *count += 1);
                }
                if *all_finished.borrow() == 2 {
                    return Ok(());
                }
            } else if self.waiting.is_none() && Instant::now() >= next_at {
                self.say().await?;
            }
            if let Some((number, _, since)) = &self.waiting {
                ensure!(since.elapsed() < ANSWER, "no final answer to message {number}");
            }
            let look = Instant::now() + LOOK;
            tokio::select! {
                message = self.puppet.next() => match message {
                    Ok(Some(message)) => if self.take(&message).await? {
                        next_at = Instant::now() + BREATH;
                        course.answered.send_modify(|count| *count += 1);
                    },
                    closed => self.come_back(closed.err()).await?,
                },
                () = sleep_until(if self.waiting.is_none() && !finished { next_at.min(look) } else { look }) => {}
                changed = all_finished.changed() => changed?,
            }
        }
    }

    async fn say(&mut self) -> Result<()> {
        self.next += 1;
        let text = self.next.to_string();
        let draft = match &mut self.session {
            None => self.puppet.text(&self.peer, &text),
            Some(session) => self
                .puppet
                .in_session(session, "MESSAGE")
                .body("text/plain; charset=UTF-8", &text),
        };
        self.waiting = Some((self.next, draft.clone(), Instant::now()));
        match self.puppet.send(&draft).await {
            // Seen again, and handled, by the one who reads.
            Err(_) if self.refuge.is_some() => Ok(()),
            sent => sent,
        }
    }

    /// True: a message of ours was answered with 200.
    async fn take(&mut self, message: &Wire) -> Result<bool> {
        if let Some(code) = message.status() {
            if code < 200 {
                return Ok(false);
            }
            let (number, draft, since) = self
                .waiting
                .take()
                .with_context(|| format!("nobody asked:\n{message}"))?;
            ensure!(
                message.header("Call-ID") == draft.get("Call-ID")
                    && message.header("CSeq") == draft.get("CSeq"),
                "an answer to something else:\n{message}"
            );
            self.answers.push((number, code, since.elapsed()));
            return Ok(code == 200);
        }
        ensure!(message.method() == Some("MESSAGE"), "unasked:\n{message}");
        let ours = self.session.as_ref().is_none_or(|session| session.owns(message));
        ensure!(ours, "in another dialog:\n{message}");
        self.heard.push(message.text().parse()?);
        self.puppet.answer(message, 200).await?;
        Ok(false)
    }

    /// The server has closed: the same endpoint signs in elsewhere.
    async fn come_back(&mut self, error: Option<anyhow::Error>) -> Result<()> {
        let Some(refuge) = &self.refuge else {
            match error {
                Some(error) => return Err(error),
                None => bail!("the server closed the connection"),
            }
        };
        let gone = Instant::now();
        loop {
            let attempt = async {
                let flow = Flow::tls(refuge.address, &refuge.ca).await?;
                let mut puppet = Puppet::new(flow, self.puppet.account().clone(), self.dialect)?;
                puppet.impersonate_endpoint(&self.puppet);
                let scheme = match self.dialect {
                    Dialect::Simple => Scheme::Md5,
                    Dialect::Lync => Scheme::Ntlm,
                };
                puppet.sign_in(scheme).await?;
                anyhow::Ok(puppet)
            };
            match attempt.await {
                Ok(puppet) => {
                    self.puppet = puppet;
                    self.away.push(gone.elapsed());
                    if let Some((number, _, since)) = self.waiting.take() {
                        self.answers.push((number, 0, since.elapsed()));
                    }
                    return Ok(());
                }
                Err(error) if gone.elapsed() > ANSWER => return Err(error.context("could not sign in again")),
                Err(_) => sleep(COME_BACK).await,
            }
        }
    }
}
