//! Connections and accounts that end in the middle of something: nothing of them may stay behind.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::{Account, Dialect, Draft, Puppet, Sandbox, Scheme, eventually};

use super::{status, still_served};

/// Enough repetitions that closing meets the server before, during and after its work.
const ATTEMPTS: usize = 20;

/// Waits until this gauge stands at `value`.
async fn settles(pool: &Sandbox, gauge: &str, value: f64) -> Result<()> {
    let what = format!("{gauge} to become {value}");
    eventually(&what, || async {
        let now = pool.metric(gauge, &[]).await?;
        Ok(((now - value).abs() < 0.5).then_some(()))
    })
    .await
}

/// Waits until no session is counted, and `connections` are open.
async fn no_session_is_left(pool: &Sandbox, connections: f64) -> Result<()> {
    settles(pool, "portico_connection_active", connections).await?;
    settles(pool, "portico_im_leg_active", 0.0).await?;
    settles(pool, "portico_im_ringing", 0.0).await
}

// === sessions ===

#[tokio::test]
async fn a_caller_that_closes_without_its_ack_leaves_no_session() -> Result<()> {
    let pool = Sandbox::start().await?;
    let (mut amy, mut bea) = (pool.session_user("amy").await?, pool.session_user("bea").await?);
    let invite = amy.invitation(&bea.uri(), Some("hello"));
    amy.send(&invite).await?;
    let theirs = bea.accept().await?;
    status(&amy.answer_to(&invite).await?, 200)?;
    settles(&pool, "portico_im_leg_active", 2.0).await?;
    drop(amy);
    let bye = bea.expect_where("BYE", |bye| theirs.owns(bye)).await?;
    bea.answer(&bye, 200).await?;
    no_session_is_left(&pool, 1.0).await?;
    bea.nothing_else().await?;
    drop(bea);
    no_session_is_left(&pool, 0.0).await
}

/// The server decides on such an INVITE at once, so that its 200 and the end of the connection meet.
#[tokio::test]
async fn callers_that_close_right_after_their_invite_leave_no_session() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let amy = pool.create("amy").await?;
    let mut bea = pool.page_user("bea").await?;
    for _ in 0..ATTEMPTS {
        let mut caller = pool.endpoint(&amy, Dialect::Lync).await?;
        let invite = caller.invitation(&bea.uri(), None);
        caller.send(&invite).await?;
    }
    no_session_is_left(&pool, 1.0).await?;
    nothing_is_bound(&pool, "amy").await?;
    bea.nothing_else().await?;
    pool.healthy()
}

#[tokio::test]
async fn a_callee_that_answers_and_closes_leaves_no_session() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let mut amy = pool.session_user("amy").await?;
    let bea = pool.create("bea").await?;
    for _ in 0..ATTEMPTS / 2 {
        let mut callee = pool.endpoint(&bea, Dialect::Lync).await?;
        let invite = amy.invitation(&bea.uri(), Some("hello"));
        amy.send(&invite).await?;
        let rung = callee.expect("INVITE").await?;
        let ok = callee.acceptance(&rung);
        callee.send(&ok).await?;
        drop(callee);
        learns_that_nobody_is_there(&mut amy, &invite).await?;
        no_session_is_left(&pool, 1.0).await?;
    }
    amy.nothing_else().await?;
    pool.healthy()
}

/// Either the INVITE fails, or what is said in the session does, and the session ends.
async fn learns_that_nobody_is_there(caller: &mut Puppet, invite: &Draft) -> Result<()> {
    let answer = caller.answer_to(invite).await?;
    if answer.status() != Some(200) {
        ensure!(matches!(answer.status(), Some(408 | 480 | 487)), "{answer}");
        return Ok(());
    }
    let mut session = caller.acknowledged(invite, &answer).await?;
    let bye = caller.expect_where("BYE", |bye| session.owns(bye)).await?;
    caller.answer(&bye, 200).await?;
    let answer = caller.say(&mut session, "still there?").await?;
    status(&answer, 481)
}

// === sign-in ===

/// Which endpoints of this user the operator is shown.
async fn sessions(pool: &Sandbox, user: &str) -> Result<Vec<Value>> {
    let address = format!("{user}@example.test");
    let text = pool
        .ctl(&["-o", "json", "user", "sessions", &address], "")
        .await?;
    let listed: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    listed.as_array().cloned().with_context(|| text.clone())
}

/// Waits until the operator is shown no endpoint of this user.
async fn nothing_is_bound(pool: &Sandbox, user: &str) -> Result<()> {
    eventually("the last binding to end", || async {
        Ok(sessions(pool, user).await?.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_connection_that_closes_during_its_register_leaves_no_binding() -> Result<()> {
    let mut pool = Sandbox::start().await?;
    let amy = pool.create("amy").await?;
    for _ in 0..ATTEMPTS {
        let mut client = pool.puppet(&amy, Dialect::Simple).await?;
        let first = client.register();
        let challenged = client.call(first).await?;
        let proof = Puppet::challenge(&challenged, "MD5")?.answer(
            &amy.user,
            &amy.password,
            "REGISTER",
            "sip:example.test",
            1,
        );
        let register = client.register().header("Authorization", proof);
        client.send(&register).await?;
    }
    settles(&pool, "portico_connection_active", 0.0).await?;
    nothing_is_bound(&pool, "amy").await?;
    // Nothing that was left behind disturbs the next one.
    let mut client = pool.endpoint(&amy, Dialect::Simple).await?;
    ensure!(
        sessions(&pool, "amy").await?.len() == 1,
        "one connection, one binding"
    );
    still_served(&mut client).await?;
    pool.healthy()
}

// === accounts ===

/// Signs in by a proof in a MESSAGE: an identity without a binding.
async fn signed_in_without_register(pool: &Sandbox, account: &Account, to: &mut Puppet) -> Result<Puppet> {
    let mut client = pool.puppet(account, Dialect::Simple).await?;
    let uri = to.uri();
    let text = client.text(&uri, "hello");
    let challenged = client.call(text).await?;
    status(&challenged, 401)?;
    let challenge = Puppet::challenge(&challenged, "MD5")?;
    let proof = challenge.answer(&account.user, &account.password, "MESSAGE", &uri, 1);
    let text = client.text(&uri, "hello").header("Authorization", proof);
    client.send(&text).await?;
    to.receive("hello").await?;
    status(&client.answer_to(&text).await?, 200)?;
    ensure!(
        sessions(pool, &account.user).await?.is_empty(),
        "it was not to register"
    );
    Ok(client)
}

#[tokio::test]
async fn the_end_of_an_account_ends_its_connections_without_bindings_too() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut bea = pool.page_user("bea").await?;
    for (user, end) in [
        (
            "amy",
            ["user", "set", "amy@example.test", "--enabled", "false"].as_slice(),
        ),
        (
            "cleo",
            ["user", "delete", "cleo@example.test", "--yes"].as_slice(),
        ),
    ] {
        let account = pool.create(user).await?;
        let mut client = signed_in_without_register(&pool, &account, &mut bea).await?;
        pool.ctl(end, "").await?;
        client
            .flow
            .closed()
            .await
            .with_context(|| format!("{user} stays"))?;
        let mut again = pool.puppet(&account, Dialect::Simple).await?;
        status(&again.try_sign_in(Scheme::Md5).await?, 401)?;
    }
    still_served(&mut bea).await?;
    bea.nothing_else().await
}

/// Others who are signed in the same way are left alone.
#[tokio::test]
async fn the_end_of_an_account_ends_no_other() -> Result<()> {
    let pool = Sandbox::start().await?;
    let mut bea = pool.page_user("bea").await?;
    let (amy, cleo) = (pool.create("amy").await?, pool.create("cleo").await?);
    let mut ended = signed_in_without_register(&pool, &amy, &mut bea).await?;
    let mut stays = signed_in_without_register(&pool, &cleo, &mut bea).await?;
    pool.ctl(&["user", "delete", "amy@example.test", "--yes"], "")
        .await?;
    ended.flow.closed().await?;
    let text = stays.text(&bea.uri(), "I am still here");
    stays.send(&text).await?;
    bea.receive("I am still here").await?;
    status(&stays.answer_to(&text).await?, 200)
}
