//! The pool of docker-compose.yml with real client programs: `make compose-test`, which starts it and says where it is.

mod pool;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use test_support::Account;
use test_support::clients::{Baresip, Linphone};

use crate::pool::Pool;

/// baresip comes back 30 to 60 s after it has lost its connection, as it likes.
const RETURN: Duration = Duration::from_secs(90);

/// Two people who talk all the time.
struct Talk {
    pool: Pool,
    lin: Linphone,
    bea: Baresip,
    said: u32,
    /// The texts Lin was told were not delivered.
    refused: Vec<String>,
}

impl Talk {
    /// Lin says something to Bea until it is delivered, and Bea hears it.
    async fn say(&mut self) -> Result<()> {
        self.said += 1;
        let began = Instant::now();
        for attempt in 1.. {
            let text = format!("text {} attempt {attempt}", self.said);
            if self.lin.say("bea", &text).await? {
                return self.bea.hears("lin", &text).await;
            }
            ensure!(began.elapsed() < RETURN, "Bea was not to be reached: {text}");
            self.refused.push(text);
            // She is away until she signs in again; nobody tells Lin when.
            self.pool.session("bea", RETURN).await?;
        }
        Ok(())
    }

    /// Talks for as long as something takes, and once more afterwards.
    async fn during(&mut self, what: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        let what = tokio::spawn(what);
        while !what.is_finished() {
            self.say().await?;
        }
        self.say().await?;
        what.await?
    }
}

#[tokio::test]
async fn two_people_talk_while_the_pool_grows_drains_and_loses_a_front_end() -> Result<()> {
    let pool = Pool::from_environment()?;
    pool.front_ends_up(3).await?;
    let (bea, lin) = (Account::named("bea"), Account::named("lin"));
    for account in [&bea, &lin] {
        pool.create(account).await?;
    }
    let mut baresip = Baresip::start(pool.address(), pool.ca(), &["lin"]).await?;
    baresip.sign_in(&bea).await?;
    let mut linphone = Linphone::start(pool.address(), pool.ca(), &lin).await?;
    linphone.signed_in().await?;
    let her = pool.session("bea", RETURN).await?;
    let his = pool.session("lin", RETURN).await?;
    ensure!(her != his, "the balancer gave both the same front end, {her}");
    baresip.say("lin", "hello lin").await?;
    linphone.hears("bea", "hello lin").await?;
    let mut talk = Talk {
        pool: pool.clone(),
        lin: linphone,
        bea: baresip,
        said: 0,
        refused: Vec::new(),
    };

    // A fourth front end, which the balancer finds by itself.
    let growing = pool.clone();
    let began = Instant::now();
    talk.during(async move {
        growing.scale(4).await?;
        growing.front_ends_up(4).await
    })
    .await?;
    println!("a fourth front end is in rotation after {:?}", began.elapsed());
    ensure!(talk.refused.is_empty(), "refused meanwhile: {:?}", talk.refused);

    // Hers drains, and she signs in elsewhere.
    let (said, began) = (talk.said, Instant::now());
    talk.during(pool.clone().stop(her.clone()))
        .await
        .context("drain")?;
    let next = pool.session("bea", RETURN).await?;
    ensure!(next != her, "she is still at {her}, which has ended");
    talk.say().await?;
    let drained = talk.refused.len();
    println!(
        "drain: {} texts in {:?}, {drained} of them refused at first",
        talk.said - said,
        began.elapsed()
    );
    let left = talk.bea.unexpected();
    ensure!(
        left.is_empty(),
        "heard twice, or refused and heard all the same: {left:?}"
    );

    // The next one dies.
    let (said, began) = (talk.said, Instant::now());
    talk.during(pool.clone().kill(next.clone()))
        .await
        .context("kill")?;
    let last = pool.session("bea", RETURN).await?;
    ensure!(last != next, "she is still at {next}, which was killed");
    talk.say().await?;
    println!(
        "kill: {} texts in {:?}, {} of them refused at first",
        talk.said - said,
        began.elapsed(),
        talk.refused.len() - drained
    );
    // Her answer to one text may have died with the process: Lin is told that nobody knows, and says it again.
    let left = talk.bea.unexpected();
    let refused = talk.refused.split_off(drained);
    let is_in_doubt = |shown: &String| refused.iter().any(|text| shown.contains(&format!("\"{text}\"")));
    ensure!(
        left.len() <= 1 && left.iter().all(is_in_doubt),
        "heard twice, or refused and heard all the same: {left:?}, refused were {refused:?}"
    );
    println!("{} texts said and heard, {} in doubt", talk.said, left.len());
    Ok(())
}
