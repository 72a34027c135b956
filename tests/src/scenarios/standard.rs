//! What only the Standard Edition has: all roles in one process, demo people, the echo contact.
//!
//! These do not run in a pool: they say [`Sandbox::standard`].

use anyhow::{Context, Result, ensure};
use test_support::{Dialect, Options, Sandbox};

use super::status;

#[tokio::test]
async fn the_ready_line_tells_where_to_connect() -> Result<()> {
    let pool = Sandbox::standard().await?;
    let ready = pool.ready();
    assert_eq!(ready["member"], "fe1");
    let roles = ready["roles"].as_array().context("roles")?;
    for role in ["front-end", "registrar", "presence", "immcu"] {
        ensure!(roles.iter().any(|r| r == role), "{role} is not among {roles:?}");
    }
    for listener in ["sip_tls", "sip_tcp", "ops"] {
        ensure!(pool.listener(listener)?.port() != 0, "{listener} has no port");
    }
    pool.ca()?;
    Ok(())
}

#[tokio::test]
async fn run_without_configuration_is_the_standard_edition() -> Result<()> {
    let pool = Sandbox::standard_with(Options {
        command: "run",
        ..Options::default()
    })
    .await?;
    let mut amy = pool.page_user("amy").await?;
    let mut bea = pool.session_user("bea").await?;
    let text = amy.text(&bea.uri(), "hello");
    amy.send(&text).await?;
    bea.hear("hello").await?;
    status(&amy.answer_to(&text).await?, 200)
}

#[tokio::test]
async fn the_demo_tells_its_passwords_once() -> Result<()> {
    let pool = Sandbox::standard().await?;
    let people = pool.log_lines("alice@example.test");
    assert_eq!(people.len(), 1, "{people:?}");
    Ok(())
}

#[tokio::test]
async fn the_printed_passwords_of_the_demo_work() -> Result<()> {
    let pool = Sandbox::standard().await?;
    for person in pool.demo()["people"].as_array().context("people")? {
        let address = person["address"].as_str().context("address")?;
        let (user, _domain) = address.split_once('@').context("domain")?;
        let password = person["password"].as_str().context("password")?;
        let account = test_support::Account {
            user: user.into(),
            password: password.into(),
        };
        pool.endpoint(&account, Dialect::Simple).await?;
        pool.endpoint(&account, Dialect::Lync).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_people_are_listed_and_keep_their_passwords_which_are_told_once() -> Result<()> {
    let pool = Sandbox::standard().await?;
    let list = pool.ctl(&["-o", "json", "user", "list"], "").await?;
    for user in ["alice", "bob", "carol", "dave"] {
        ensure!(
            list.contains(&format!("{user}@example.test")),
            "no {user} in {list}"
        );
    }
    let alice = pool.adopt("alice").await?;
    let pool = pool.restart().await?;
    let people = pool.demo()["people"].as_array().context("people")?;
    ensure!(
        people
            .iter()
            .all(|person| person.get("password").is_none_or(serde_json::Value::is_null)),
        "{people:?}"
    );
    pool.endpoint(&alice, Dialect::Lync).await.map(drop)
}

#[tokio::test]
async fn echo_answers() -> Result<()> {
    let pool = Sandbox::standard().await?;
    let mut amy = pool.page_user("amy").await?;
    let text = amy.text("sip:echo@example.test", "is this on?");
    amy.send(&text).await?;
    let got = amy.expect("MESSAGE").await?;
    ensure!(got.text().contains("is this on?"), "{got}");
    amy.answer(&got, 200).await?;
    status(&amy.answer_to(&text).await?, 200)
}

/// There is no balancer that would have to notice, and no other front end to move anybody to.
#[tokio::test]
async fn a_server_alone_stops_without_grace_and_waves() -> Result<()> {
    let options = Options::default().set("PORTICO_DRAIN__GRACE", "60s");
    let pool = Sandbox::standard_with(options).await?;
    let mut amy = pool.page_user("amy").await?;
    let mut bea = pool.session_user("bea").await?;
    assert_eq!(pool.stop().await?, 0);
    amy.flow.closed().await?;
    let before = bea.flow.closed().await?;
    ensure!(
        before.iter().any(|message| message.method() == Some("NOTIFY")),
        "closed without a word"
    );
    Ok(())
}

#[tokio::test]
async fn an_operator_sees_one_member_whose_clients_can_go_nowhere_and_stops_it() -> Result<()> {
    let mut pool = Sandbox::standard().await?;
    let listed = pool.ctl(&["-o", "json", "node", "list"], "").await?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let [node] = listed.as_array().context("a list")?.as_slice() else {
        anyhow::bail!("not one member: {listed}")
    };
    ensure!(
        node["member"] == "fe1" && node["state"] == "serving" && node["users"] == 1_024,
        "{node}"
    );
    let mut amy = pool.page_user("amy").await?;
    let refused = pool.ctl(&["node", "drain"], "").await.unwrap_err().to_string();
    ensure!(refused.contains("nobody its clients could go to"), "{refused}");
    let stopped = pool.ctl(&["node", "drain", "--stop", "--wait"], "").await?;
    ensure!(stopped.contains("stopped"), "{stopped}");
    amy.flow.closed().await?;
    assert_eq!(pool.member("portico")?.ended().await?, 0);
    Ok(())
}

#[tokio::test]
async fn echo_takes_a_session() -> Result<()> {
    let pool = Sandbox::standard().await?;
    let mut amy = pool.session_user("amy").await?;
    let mut session = amy.invite("sip:echo@example.test", Some("hello echo")).await?;
    let message = amy
        .in_session(&mut session, "MESSAGE")
        .body("text/plain", "hello echo");
    amy.send(&message).await?;
    let got = amy.expect("MESSAGE").await?;
    ensure!(got.text().contains("hello echo"), "{got}");
    amy.answer(&got, 200).await?;
    status(&amy.answer_to(&message).await?, 200)
}
